"""Cancel scopes that end at a deadline on asyncio and on trio: on the former, what a late loop took is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio

from lanewise._transport.loop_lag import LagDeadline, LagTimer, LoopLag

__all__ = ["TimedScope", "lag_deadline"]


def lag_deadline(lag: LoopLag | None, when: float, latest: float) -> LagDeadline | None:
    """The deadline on asyncio; ``None`` on trio, whose loop nobody measures."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return LagDeadline(lag or LoopLag(loop), when, latest)


class TimedScope:
    """A cancel scope that ends at a moment, which on asyncio gives back what a late loop took. ``lost``: as there."""

    def __init__(self, bound: LagDeadline | None, when: float) -> None:
        self.lost = 0.0
        self.scope = anyio.CancelScope() if bound is not None else anyio.CancelScope(deadline=when)
        self._bound = bound
        self._timer: LagTimer | None = None

    def __enter__(self) -> Self:
        bound = self._bound
        if bound is not None:
            now = anyio.current_time()
            if now >= bound.when and bound.due(now, now) <= now:
                self._expire(bound.lost_of(now))  # at once, as anyio's own: a flood never waits for a timer
            else:
                self._timer = LagTimer(bound, self._expire)
        self.scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        return bool(self.scope.__exit__(kind, error, traceback))

    @contextmanager
    def unless_begun(self, seconds: float, latest: float, is_waiting: Callable[[], bool]) -> Iterator[None]:
        """End it after so many seconds too, if it is still waiting for its beginning then. On trio: as if not there."""
        bound = self._bound
        if bound is None:
            yield
            return
        timer = LagTimer(bound.another(seconds, latest), lambda lost: self._expire(lost) if is_waiting() else None)
        try:
            yield
        finally:
            timer.cancel()

    def moved(self, when: float) -> None:
        """Its moment is another one now."""
        if self._timer is not None:
            self._timer.moved()
        else:
            self.scope.deadline = when

    def _expire(self, lost: float) -> None:
        self.lost = lost
        self.scope.cancel()
