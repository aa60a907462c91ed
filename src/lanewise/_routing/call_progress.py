"""How far a call has come along its candidates: its attempts, its time, and the two moves that it makes from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from lanewise._routing.availability import Unavailable
from lanewise._routing.fallback_chain import FallbackChain, RoutesHealth
from lanewise._routing.retry import wait_before
from lanewise._routing.selection.candidates import Candidate
from lanewise.config.deadline_budget import reserve
from lanewise.types import BreakerEffect, Failure, FailureKind, LaneName, Retry, Send, Skip, Switch, Wait

__all__ = [
    "LEAST_ATTEMPTS",
    "MAX_ATTEMPTS",
    "MAX_ATTEMPTS_ON_LAST",
    "MAX_ATTEMPTS_PER_ROUTE",
    "NO_ROUTE",
    "CallProgress",
    "Cause",
    "Changed",
    "Tried",
]

LEAST_ATTEMPTS: Final = 4
"""A call has as many attempts as routes that can take it, and this many at least."""
MAX_ATTEMPTS: Final = 8
"""At most, where its task does not say."""
MAX_ATTEMPTS_PER_ROUTE: Final = 2
"""While another route is left."""
MAX_ATTEMPTS_ON_LAST: Final = 3
"""Where none is, as the plain SDK; one more on a route that mostly answers, where it pays."""
LEAST_TIME: Final = 1.0
"""Seconds that must be left for a further attempt; of a short deadline a tenth."""
_MOSTLY: Final = 0.5
"""The share of answers from which a route gets one attempt more."""

NO_ROUTE: Final = Failure(
    kind=FailureKind.LOCAL,
    retry=Retry.STOP,
    breaker=BreakerEffect.NEUTRAL,
    detail="no route of the task can take this call",
)

Changed = Literal["drop", "repair"]
Cause = Literal["first", "retry", "switch"] | Changed


class _AllWell:
    """The health of routes that are all well."""

    def closed_to(self, _: str) -> Unavailable | None:
        return None

    def permits(self, _: str) -> bool:
        return True

    def next_slot(self, _: str, *, asks: bool) -> float:
        return 0.0

    def answered_share(self, _: str) -> float:
        return 1.0

    def first_byte(self, _: str) -> float | None:
        return None


class Tried(msgspec.Struct):
    """What one candidate's attempts of the call came to. ``due`` is when it may be tried again as a last resort."""

    entered_by: Failure | None
    failed: tuple[FailureKind, ...] = ()
    latest: Failure | None = None
    due: float = 0.0

    def add(self, failure: Failure, now: float, jitter: float) -> None:
        """Note that an attempt failed at ``now``; ``jitter`` is in [0, 1)."""
        self.failed += (failure.kind,)
        self.latest = failure
        self.due = now + wait_before(failure, len(self.failed), jitter, alone=True)


class CallProgress:
    """The state of a call that its plan decides by. Whoever has a plan asks it for moves, and changes nothing else.

    ``position`` is the candidate of the latest attempt, ``frontier`` the farthest that the call has come to.
    """

    __slots__ = (
        "accepted_by",
        "alone",
        "asked_for_slot",
        "attempts",
        "budget",
        "candidates",
        "cause",
        "chain",
        "charged",
        "deadline",
        "denied",
        "floor",
        "frontier",
        "health",
        "last",
        "mending",
        "most",
        "no_candidate",
        "patience",
        "position",
        "retries",
        "tried",
        "used_slot",
        "wait_for",
        "waited_for_throttle",
    )

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline: float,
        budget: float,
        alone: float | None = None,
        patience: float,
        retries: Mapping[FailureKind, int] | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        sensitive: bool = False,
        health: RoutesHealth | None = None,
        no_candidate: Failure = NO_ROUTE,
    ) -> None:
        capable = 0
        for candidate in candidates:
            capable += candidate.incapable is None
        self.most = min(max(capable, LEAST_ATTEMPTS), max_attempts)
        self.no_candidate = no_candidate
        self.candidates = candidates
        self.health = health or _AllWell()
        self.chain = FallbackChain(candidates, self.health, sensitive, self.most)
        self.deadline = deadline
        self.budget = budget
        self.alone = budget if alone is None else alone
        self.floor = min(LEAST_TIME, budget / 10)
        self.patience = patience
        self.retries = retries
        self.denied = False
        self.cause: Cause = "first"
        self.position = -1
        self.frontier = -1
        self.attempts = 0
        self.tried: dict[int, Tried] = {}
        self.accepted_by: tuple[LaneName, ...] = ()
        self.last: Failure | None = None
        self.mending: Failure | None = None
        self.wait_for: int | None = None
        self.waited_for_throttle = 0.0
        self.asked_for_slot = False
        self.used_slot = False
        self.charged = False

    @property
    def may_move(self) -> bool:
        """Whether another route could be used now, if the latest attempt failed."""
        return self.attempts < self.most and self.chain.remaining(self.frontier).others

    def prolong(self) -> None:
        """Give the call the time that it has where no other route could be used."""
        self.deadline += self.alone - self.budget
        self.budget = self.alone

    def most_attempts_of(self, route: str) -> int:
        """How many attempts a route gets where no other is well."""
        return MAX_ATTEMPTS_ON_LAST + (self.health.answered_share(route) >= _MOSTLY)

    def wait_for_route(self, position: int, seconds: float, reason: str, *, for_end: bool = False) -> Wait:
        """Wait, for the route itself or ``for_end`` of what keeps all from it."""
        here = self.candidates[position]
        self.wait_for = None if for_end else position
        return Wait(seconds=seconds, route=here.route, lane=here.lane, reason=reason)

    def send(
        self,
        position: int,
        now: float,
        cause: Cause,
        skipped: tuple[Skip, ...],
        entered_by: Failure | None = None,
        *,
        last_resort: bool = False,
        slot: bool = False,
    ) -> Send:
        """Send the next attempt, with the time that it may take."""
        candidate = self.candidates[position]
        self.position = position
        self.frontier = max(self.frontier, position)
        if position not in self.tried:
            self.tried[position] = Tried(entered_by)
        self.attempts += 1
        self.cause = cause
        self.used_slot = self.used_slot or slot
        ahead = self.chain.remaining(self.frontier)
        further = self.most - self.attempts
        could_move = bool(ahead.after_timeout and further)
        if not could_move:
            self.prolong()
        left = self.deadline - now
        most = max(left - reserve(self.budget, min(ahead.lanes, further)), min(left, self.floor))
        return (Switch if cause == "switch" else Send)(
            route=candidate.route,
            lane=candidate.lane,
            attempt_number=self.attempts,
            timeout=min(candidate.timeout, most) if candidate.timeout_declared or could_move else left,
            first_token=candidate.first_token if could_move else None,
            first_byte=self.health.first_byte(candidate.route) if could_move else None,
            patience=self.patience if ahead.others and further else max(0.0, left - self.floor),
            cause=cause,
            last_resort=last_resort,
            slot=slot,
            skipped=skipped,
        )
