"""Outcomes of the last minute, in slices: whether too large a share of them failed."""

from __future__ import annotations

from typing import Final

__all__ = ["Window"]

_SLICES: Final = 6


class Window:
    """Counts the successes and failures of a sampling duration, in seconds, that moves on by a sixth of it.

    A failure that is ``unproven`` counts until it is forgiven: what was asked may have been its cause.

    Example::

        window = Window(60.0)
        window.failed(now)
        window.trips(now, ratio=0.5, throughput=10)
    """

    __slots__ = ("_at", "_failed", "_fine", "_slice", "_unproven")

    def __init__(self, duration: float) -> None:
        self._slice = duration / _SLICES
        self._at = 0
        self._fine = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._unproven = [0] * _SLICES

    def succeeded(self, now: float) -> None:
        """Count a success."""
        at = int(now / self._slice)
        if at != self._at:
            self._move(at)
        self._fine[at % _SLICES] += 1

    def failed(self, now: float, *, unproven: bool = False) -> None:
        """Count a failure."""
        at = int(now / self._slice)
        if at != self._at:
            self._move(at)
        (self._unproven if unproven else self._failed)[at % _SLICES] += 1

    def forgive(self) -> None:
        """Count the unproven failures no more: the route has answered a call of the plain kind since."""
        self._unproven = [0] * _SLICES

    def trips(self, now: float, *, ratio: float, throughput: int) -> bool:
        """Whether at least ``throughput`` outcomes were counted, and ``ratio`` of them or more were failures."""
        self._move(int(now / self._slice))
        failed = sum(self._failed) + sum(self._unproven)
        counted = failed + sum(self._fine)
        return counted >= throughput and failed >= ratio * counted

    def clear(self) -> None:
        """Begin anew."""
        self._fine = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._unproven = [0] * _SLICES

    def _move(self, at: int) -> None:
        for passed in range(min(at - self._at, _SLICES)):
            index = (at - passed) % _SLICES
            self._fine[index] = self._failed[index] = self._unproven[index] = 0
        self._at = max(at, self._at)
