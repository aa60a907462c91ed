"""The permit of an attempt: the state of its route when it began, by which its outcome is counted later."""

from __future__ import annotations

from typing import Final

__all__ = ["JUDGED", "Permit"]

JUDGED: Final = -1.0
"""When a stream began whose beginning has been judged already."""


class Permit:
    """The permit of one attempt: the generations of the two circuits when it began, how many rate limits in a row its
    route had met by then, and of which circuit it is the probe."""

    __slots__ = (
        "account_generation",
        "began",
        "despite_limit",
        "limits",
        "probes_account",
        "probes_route",
        "route_generation",
        "since",
        "slot",
    )

    def __init__(
        self,
        route_generation: int,
        account_generation: int,
        since: float,
        *,
        limits: int = 0,
        despite_limit: bool = False,
        probes_route: bool = False,
        probes_account: bool = False,
        slot: bool = False,
    ) -> None:
        self.route_generation = route_generation
        self.account_generation = account_generation
        self.since = since
        self.began: float | None = None
        self.limits = limits
        self.despite_limit = despite_limit
        self.probes_route = probes_route
        self.probes_account = probes_account
        self.slot = slot

    @property
    def decides_early(self) -> bool:
        """Whether a stream that has begun to answer settles it: it is a probe, or the next attempt of a throttle."""
        return self.probes_route or self.probes_account or self.slot
