"""The 95th percentile of the latest values of each key: what is usual, found in a sorted window of two hundred."""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["KEPT", "LEAST", "RecentPercentiles"]

LEAST: Final = 20
"""With fewer values of a key there is no percentile."""
KEPT: Final = 200
"""The latest values of a key that are looked at."""
_SHARE: Final = 0.95

_Key = TypeVar("_Key")
_Value = TypeVar("_Value", int, float)


class RecentPercentiles(Generic[_Key, _Value]):
    """Of all keys in this process. Sorts when it is asked for after a new value, and only then.

    Example::

        times: RecentPercentiles[str, float] = RecentPercentiles()
        times.note("flagship", 0.8)
        times.of("flagship")  # None until 20 are known
    """

    def __init__(self) -> None:
        self._values: dict[_Key, deque[_Value]] = {}
        self._percentiles: dict[_Key, _Value] = {}

    def note(self, key: _Key, value: _Value) -> None:
        """Add a value; of more than two hundred the oldest goes."""
        self._values.setdefault(key, deque(maxlen=KEPT)).append(value)
        self._percentiles.pop(key, None)

    def of(self, key: _Key) -> _Value | None:
        """The 95th percentile; ``None`` while too few values are known."""
        known = self._percentiles.get(key)
        if known is not None:
            return known
        values = sorted(self._values.get(key, ()))
        if len(values) < LEAST:
            return None
        found = self._percentiles[key] = values[math.ceil(_SHARE * len(values)) - 1]
        return found

    def largest(self, key: _Key) -> _Value | None:
        """The largest of the latest values; ``None`` if there are none."""
        return max(self._values.get(key, ()), default=None)
