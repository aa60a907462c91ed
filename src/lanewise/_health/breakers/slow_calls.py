"""Which answers of a route are slow: by a limit in seconds, or against the route's own running median.

The median is that of the medians of ten-second spans, over the latest thirty that had answers: at whatever pace calls
come, a route that grows slow is measured against what it was minutes ago, and not against what it has become.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

from lanewise.config.tables.health import SlowCall

__all__ = ["SlowCalls"]

SPAN: Final = 10.0
"""Seconds whose answers make one median."""
SPANS: Final = 30
"""How many of these the running median is made of."""
KNOWN: Final = 20
"""With fewer answers nothing is slow against the median."""
_KEPT: Final = 101
"""How many answers of a span are looked at."""


class SlowCalls:
    """Of one route, one kind of API, and whole answers or streams. Seconds are to the answer, or to a stream's commit.

    Example::

        slow = SlowCalls(SlowCall(times=3.0))
        if slow.note(8.2, now):
            ...
    """

    __slots__ = ("_answers", "_at", "_limit", "_median", "_medians", "_span")

    def __init__(self, limit: SlowCall) -> None:
        self._limit = limit
        self._medians: deque[float] = deque(maxlen=SPANS)
        self._span: list[float] = []
        self._at = 0
        self._answers = 0
        self._median: float | None = None

    def note(self, seconds: float, now: float) -> bool:
        """Take an answer in. Whether it was slow."""
        if self._limit.seconds is not None:
            return seconds > self._limit.seconds
        at = int(now / SPAN)
        if at > self._at:
            self._close_span()
            self._at = at
        if len(self._span) < _KEPT:
            self._span.append(seconds)
        self._answers += 1
        if self._answers <= KNOWN:
            return False
        if self._median is None:
            self._median = median((*self._medians, median(self._span)))
        return seconds > self._limit.times * self._median

    def _close_span(self) -> None:
        if self._span:
            self._medians.append(median(self._span))
            self._span = []
        self._median = median(self._medians) if self._medians else None
