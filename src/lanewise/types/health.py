"""What is known of the health of a router's routes at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from lanewise.types.failures import Api, FailureKind

__all__ = ["BreakerChange", "BreakerStatus", "HealthReport", "HealthState", "RouteStatus"]


class HealthState(StrEnum):
    """How a route, or one of its breakers, stands; from well to unusable."""

    CLOSED = "closed"
    """It is well: calls go there."""
    FAILING = "failing"
    """Its latest attempts failed, too few of them to open it: calls go there."""
    LIMITED = "limited"
    """A rate limit holds: calls go there if they have no other route."""
    HALF_OPEN = "half-open"
    """Its break is over: one call tries whether it answers again."""
    THROTTLED = "throttled"
    """It answers nothing: calls that have no other route try it, one a second."""
    OPEN = "open"
    """It is passed over."""
    OFF = "off"
    """The key of its optional provider is not set."""

    @property
    def takes_calls(self) -> bool:
        """Whether calls go there that have another route, too."""
        return self in (HealthState.CLOSED, HealthState.FAILING)


class BreakerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker: of a route for one kind of API, or of a provider's account.

    ``since`` and ``next_probe`` are UTC. ``since`` is when the state began: of a failing one, its first failure in a
    row. ``why`` says it in a line, ``failure`` is its kind, and ``by_hand`` tells that a person opened it.
    ``next_probe`` is when an attempt may try it again; of what is half-open it is now, and ``None`` while one does;
    ``None`` also of what is well, and of what only a person closes.
    """

    state: HealthState = HealthState.CLOSED
    since: datetime | None = None
    why: str = ""
    failure: FailureKind | None = None
    next_probe: datetime | None = None
    by_hand: bool = False


class RouteStatus(BreakerStatus, frozen=True, kw_only=True):
    """One route: as its worst breaker stands, that of its account included. ``apis`` has its own, by kind of API."""

    route: str
    provider: str
    account: str
    apis: Mapping[Api, BreakerStatus]


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """All routes and accounts of a router as they stood at one moment, ``at`` (UTC).

    ``shared`` tells that it is what all workers know together: the shared store was heard lately. Else it is what this
    process found itself.

    Example::

        for name, route in router.health.routes.items():
            print(name, route.state, route.since, route.why, route.next_probe)
    """

    at: datetime
    routes: Mapping[str, RouteStatus]
    accounts: Mapping[str, BreakerStatus]
    shared: bool = False


class BreakerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that opened or closed: of a route for one kind of API, or of an account (``route`` is ``None``).

    ``state`` is ``OPEN``, ``THROTTLED`` or ``CLOSED``, ``seconds`` the time to its next probe, or how long it was open.
    ``heard`` tells that it was another worker, or a person, who did it.
    """

    state: HealthState
    account: str
    route: str | None = None
    api: Api | None = None
    why: str = ""
    failure: FailureKind | None = None
    seconds: float = 0.0
    by_hand: bool = False
    heard: bool = False
