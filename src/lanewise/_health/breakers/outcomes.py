"""The latest outcomes of a route, as one worker saw them: what share of a minute's failed, and of the last forty."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LAST", "Outcomes"]

LAST: Final = 40
_SLICES: Final = 6
_MASK: Final = (1 << LAST) - 1


class Outcomes:
    """Counts over a sampling duration, in seconds, that moves on by a sixth of it; and the last :data:`LAST`.

    A failure that is ``unproven`` counts until it is forgiven: what was asked may have been its cause.

    Example::

        outcomes = Outcomes(60.0)
        outcomes.failed(now)
        outcomes.trips(now, ratio=0.5, throughput=10)
    """

    __slots__ = ("_answered", "_at", "_bits", "_failed", "_kept", "_slice", "_unproven")

    def __init__(self, duration: float) -> None:
        self._slice = duration / _SLICES
        self._at = 0
        self._answered = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._unproven = [0] * _SLICES
        self._bits = 0
        self._kept = 0

    def succeeded(self, now: float) -> None:
        """Count an answer."""
        at = int(now / self._slice)
        if at != self._at:
            self._move(at)
        self._answered[at % _SLICES] += 1
        self._bits = (self._bits << 1 | 1) & _MASK
        if self._kept < LAST:
            self._kept += 1

    def failed(self, now: float, *, unproven: bool = False) -> None:
        """Count a failure."""
        at = int(now / self._slice)
        if at != self._at:
            self._move(at)
        (self._unproven if unproven else self._failed)[at % _SLICES] += 1
        self.unanswered()

    def unanswered(self) -> None:
        """Count an attempt that got no answer and is no failure of the route, a rate limit say, among the last."""
        self._bits = self._bits << 1 & _MASK
        if self._kept < LAST:
            self._kept += 1

    def forgive(self) -> None:
        """Count the unproven failures no more: the route has answered a call of the plain kind since."""
        self._unproven = [0] * _SLICES

    def trips(self, now: float, *, ratio: float, throughput: int) -> bool:
        """Whether at least ``throughput`` outcomes were counted, and bear out that ``ratio`` of them or more fail.

        By one standard error: of ten outcomes half may fail by chance where a third does, seven hardly.
        """
        self._move(int(now / self._slice))
        failed = sum(self._failed) + sum(self._unproven)
        counted = failed + sum(self._answered)
        if counted < throughput:
            return False
        return failed >= min(ratio * counted + math.sqrt(ratio * (1 - ratio) * counted), counted)

    def count(self, now: float) -> int:
        """How many outcomes of the sampling duration are known."""
        self._move(int(now / self._slice))
        return sum(self._failed) + sum(self._unproven) + sum(self._answered)

    @property
    def answered_share(self) -> float:
        """The share of answers among the last outcomes; 1 if none is known."""
        return self._bits.bit_count() / self._kept if self._kept else 1.0

    def clear(self) -> None:
        """Begin anew."""
        self._answered = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._unproven = [0] * _SLICES
        self._bits = self._kept = 0

    def _move(self, at: int) -> None:
        for passed in range(min(at - self._at, _SLICES)):
            index = (at - passed) % _SLICES
            self._answered[index] = self._failed[index] = self._unproven[index] = 0
        self._at = max(at, self._at)
