"""Limits of the endpoint's clients: calls a minute, and calls at a time. Nobody waits: a call too many is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from lanewise._health.rate_limits.gcra_limit import Caps, GcraLimit

__all__ = ["ClientLimit"]

BUSY: Final = 1.0
"""Seconds after which a client may try again whose calls all run: nobody knows when one of them ends."""


class ClientLimit:
    """The limits of one client in this process. From any thread.

    Example::

        wait = limit.enter()
        if wait is None:
            ...
            limit.leave()
    """

    def __init__(self, caps: Caps, clock: Callable[[], float] = time.monotonic) -> None:
        self._declared = self._caps = caps
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._running = 0
        self._rate = None if caps.rpm is None else GcraLimit(caps.rpm)

    def share_with(self, workers: int) -> None:
        """From now on, keep to the part that each of so many workers has. From any thread."""
        with self._lock:
            self._caps = self._declared.shared_by(workers)
            if self._rate is not None and self._caps.rpm is not None:
                self._rate.become(self._caps.rpm)

    def enter(self) -> float | None:
        """Begin a call: ``None``, or the seconds after which one may be begun."""
        with self._lock:
            most = self._caps.max_concurrency
            if most is not None and self._running >= most:
                return BUSY
            if self._rate is not None:
                now = self._clock()
                wait = self._rate.wait(1, now)
                if wait > 0:
                    return wait
                self._rate.take(1, now)
            self._running += 1
            return None

    def leave(self) -> None:
        """A call has ended."""
        with self._lock:
            self._running -= 1

    def after_fork(self) -> None:
        """In the child of a fork none of the parent's calls run."""
        self._lock = threading.RLock()
        self._running = 0
