"""How long each route took lately, and which failed last: in memory, per process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

from lanewise.types import Api, Attempt, BreakerEffect, Failure, FailureKind

__all__ = ["RouteLatencies"]

KEPT: Final = 21
"""How many of a route's latest times are looked at."""
LEAST: Final = 3
"""How many there must be before a route counts as known."""
RECENT: Final = 300.0
"""Seconds for which a time counts."""
FAILING: Final = 30.0
"""Seconds for which a route that failed is not the fastest, unless it has answered since."""

_Key = tuple[str, Api, bool]


class RouteLatencies:
    """The times of a router's routes: to the answer, or of a stream to its first content.

    Used from both of the router's loops at once: what is read is copied first. ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[_Key, deque[tuple[float, float]]] = {}
        self._failed_at: dict[tuple[str, Api], float] = {}

    def note(self, attempt: Attempt, api: Api, failure: Failure | None, *, stream: bool) -> None:
        """Take in how an attempt ended, or how a stream began."""
        route = attempt.route
        if failure is not None:
            if failure.breaker is not BreakerEffect.NEUTRAL or failure.kind is FailureKind.RATE_LIMIT:
                self._failed_at[route, api] = self._clock()
            return
        self._failed_at.pop((route, api), None)
        took = attempt.first_content_ms if stream else attempt.total_ms
        if took is not None:
            self._times.setdefault((route, api, stream), deque(maxlen=KEPT)).append((self._clock(), took / 1000))

    def seconds(self, route: str, api: Api, *, stream: bool) -> float | None:
        """The median of a route's recent times; ``None`` while there are too few."""
        since = self._clock() - RECENT
        recent = [seconds for at, seconds in tuple(self._times.get((route, api, stream), ())) if at >= since]
        return median(recent) if len(recent) >= LEAST else None

    def fails(self, route: str, api: Api) -> bool:
        """Whether a route's latest attempt failed, and not long ago. Failures that are not the route's don't count."""
        at = self._failed_at.get((route, api))
        return at is not None and self._clock() - at < FAILING
