"""When a task's calls are hedged: how long they wait for their first route, and how many may be."""

from __future__ import annotations

from typing import Final

from lanewise._recent_percentiles import RecentPercentiles
from lanewise.config import HedgeSettings
from lanewise.types import Api

__all__ = ["HedgeBudget"]

MOST: Final = 10.0
"""Hedges that may go out one after the other, once enough calls went without one."""
LOST: Final = 3
"""Races in a row that a route may lose: then it has to answer by itself again, or its breaker finds out why not."""

_Key = tuple[str, Api, bool]


class HedgeBudget:
    """Of one task, in this process: a token bucket of its own, into which each call pays ``share`` of a hedge.

    Used from both of a router's loops at once: a race of the two costs a token at the most.

    Example::

        delay = budget.delay("flagship", Api.CHAT, stream=False)
        if delay is not None and budget.may_hedge("flagship", Api.CHAT, stream=False):
            budget.take()
    """

    __slots__ = ("_lost", "_settings", "_times", "_tokens")

    def __init__(self, settings: HedgeSettings) -> None:
        self._settings = settings
        self._tokens = 0.0
        self._lost: dict[_Key, int] = {}
        self._times: RecentPercentiles[_Key, float] = RecentPercentiles()

    def count(self) -> None:
        """A call has begun."""
        self._tokens = min(MOST, self._tokens + self._settings.share)

    def may_hedge(self, route: str, api: Api, *, stream: bool) -> bool:
        """Whether a hedge may go out now: never more than ``share`` of the calls are, and none beside a route that lost
        all of its latest races. That one is not slow for once: it is slow, or hangs, which other means cure."""
        return self._tokens >= 1.0 and self._lost.get((route, api, stream), 0) < LOST

    def take(self) -> None:
        """A hedge goes out."""
        self._tokens -= 1.0

    def give_back(self) -> None:
        """It did not go out."""
        self._tokens += 1.0

    def note(self, route: str, api: Api, seconds: float, *, stream: bool, has_lost: bool = False) -> None:
        """Take in how long a route took to answer, or of a stream to begin; of one that ``has_lost`` its race, how long
        at the least."""
        key = route, api, stream
        self._lost[key] = self._lost.get(key, 0) + 1 if has_lost else 0
        self._times.note(key, seconds)

    def delay(self, route: str, api: Api, *, stream: bool) -> float | None:
        """The seconds after which a call is hedged that its first route has not answered; ``None``: too little is
        known."""
        after = self._settings.after
        if isinstance(after, float):
            return after
        return self._times.of((route, api, stream))
