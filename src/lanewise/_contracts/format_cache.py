"""What was compiled of the formats and tools that requests ask for: kept by digest, and bounded in bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar, cast

__all__ = ["MOST_BYTES", "FormatCache"]

_T = TypeVar("_T")

MOST_BYTES: Final = 16_000_000
"""How much what is kept may weigh, of one router: the formats that were not asked for the longest go first."""
_WEIGHT: Final = 12
"""Bytes that a byte of a JSON Schema takes once it is compiled: 110 kB take 1.1 MB with jsonschema-rs 0.54."""
_LEAST: Final = 2_000


class FormatCache:
    """What a router has compiled. Usable from any thread. It goes with its router, and holds no request's bytes.

    Example::

        cache = FormatCache()
        rule = cache.get("chat", raw, compile_format)
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._kept: OrderedDict[tuple[str, bytes], tuple[object, int]] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, kind: str, raw: bytes, make: Callable[[bytes], _T]) -> _T:
        """What was made of these bytes for this kind of use, or is made now. Raises what ``make`` raises."""
        key = kind, hashlib.sha256(raw).digest()
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return cast("_T", found[0])
        made = make(raw)
        with self._lock:
            if key not in self._kept:
                weight = _LEAST + _WEIGHT * len(raw)
                self._kept[key] = made, weight
                self.weight += weight
            while self.weight > self._most:
                _, (_, gone) = self._kept.popitem(last=False)
                self.weight -= gone
        return made
