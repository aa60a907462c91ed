"""Holds attempts back while a cap of our own for their provider is reached: in turn, and as long as they may wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from lanewise._health.rate_limits.gcra_limit import Caps, GcraLimit

__all__ = ["RateLimiter"]

_LEAST_SLEEP: Final = 0.001


class RateLimiter:
    """A provider's caps, over both loops of a router. First come, first served.

    Example::

        if await limiter.enter(tokens=800, patience=2.0) is not None:
            ...
            limiter.leave(extra_tokens=1200 - 800)
    """

    def __init__(self, caps: Caps, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._inside = 0
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._declared = caps
        self._requests = None if caps.rpm is None else GcraLimit(caps.rpm)
        self._tokens = None if caps.tpm is None else GcraLimit(caps.tpm)
        self._at_once = caps.max_concurrency

    def share_with(self, workers: int) -> None:
        """From now on, keep to the part that each of so many workers has. From any thread."""
        caps = self._declared.shared_by(workers)
        with self._lock:
            if self._requests is not None and caps.rpm is not None:
                self._requests.become(caps.rpm)
            if self._tokens is not None and caps.tpm is not None:
                self._tokens.become(caps.tpm)
            self._at_once = caps.max_concurrency

    async def enter(self, tokens: int, patience: float) -> float | None:
        """Wait for room, ``patience`` seconds at most. The seconds waited, or ``None`` if there was none in time."""
        started = self._clock()
        if not await self._slot(patience):
            return None
        try:
            wait = self._rate_wait(tokens, patience - (self._clock() - started))
            if wait is None:
                self._release()
                return None
            if wait > 0:
                await asyncio.sleep(wait)
        except BaseException:
            self._release()
            raise
        return self._clock() - started

    def leave(self, extra_tokens: int) -> None:
        """An attempt has ended, which took so many more tokens than were counted when it went out (or fewer)."""
        if self._tokens is not None and extra_tokens:
            with self._lock:
                self._tokens.take(extra_tokens, self._clock())
        self._release()

    def _rate_wait(self, tokens: int, patience: float) -> float | None:
        with self._lock:
            now = self._clock()
            wait = 0.0
            if self._requests is not None:
                wait = self._requests.wait(1, now)
            if self._tokens is not None:
                wait = max(wait, self._tokens.wait(tokens, now))
            if wait > max(0.0, patience):
                return None
            if self._requests is not None:
                self._requests.take(1, now)
            if self._tokens is not None:
                self._tokens.take(tokens, now)
            return wait

    async def _slot(self, patience: float) -> bool:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._at_once is None or (self._inside < self._at_once and not self._waiting):
                self._inside += 1
                return True
            if patience < _LEAST_SLEEP:
                return False
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, turn))
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            self._give_up(loop, turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def _give_up(self, loop: asyncio.AbstractEventLoop, turn: asyncio.Future[None]) -> None:
        """Leave the queue; a turn that had come already is passed on."""
        with self._lock:
            if (loop, turn) in self._waiting:
                self._waiting.remove((loop, turn))
                return
        self._release()

    def _release(self) -> None:
        with self._lock:
            self._inside -= 1
            while self._waiting and (self._at_once is None or self._inside < self._at_once):
                loop, turn = self._waiting.popleft()
                if loop.is_closed():
                    continue
                self._inside += 1
                loop.call_soon_threadsafe(_begin, turn)

    def after_fork(self) -> None:
        """In the child of a fork nobody is inside, and nobody waits."""
        self._lock = threading.RLock()
        self._inside = 0
        self._waiting.clear()


def _begin(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
