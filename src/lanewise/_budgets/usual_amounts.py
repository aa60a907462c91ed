"""What the attempts of a task on a route usually take: the 95th percentile of the latest ones."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import Final

__all__ = ["UsualAmounts"]

LEAST: Final = 20
"""With fewer outcomes nothing is usual yet."""
KEPT: Final = 200
"""The latest outcomes that are looked at."""
_SHARE: Final = 0.95


class UsualAmounts:
    """By task, route and unit, in this process.

    Example::

        usual.note(("ticket-summary", "flagship", "USD"), 1_200_000)
        usual.of(("ticket-summary", "flagship", "USD"))  # None until 20 are known
    """

    def __init__(self) -> None:
        self._amounts: dict[Hashable, deque[int]] = {}
        self._usual: dict[Hashable, int] = {}

    def note(self, key: Hashable, amount: int) -> None:
        """Take in what an attempt took."""
        self._amounts.setdefault(key, deque(maxlen=KEPT)).append(amount)
        self._usual.pop(key, None)

    def of(self, key: Hashable) -> int | None:
        """The 95th percentile; ``None`` while too little is known."""
        known = self._usual.get(key)
        if known is not None:
            return known
        amounts = sorted(self._amounts.get(key, ()))
        if len(amounts) < LEAST:
            return None
        usual = amounts[math.ceil(_SHARE * len(amounts)) - 1]
        if not usual and amounts[-1]:
            usual = 1  # mostly free, and not always: it may not go on beyond the limit as what is free does
        self._usual[key] = usual
        return usual
