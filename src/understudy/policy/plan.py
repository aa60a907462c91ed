"""A call as a state machine: what happened and when goes in, the next move comes out.

Everything that decides whether, where and when a call is sent again lives in this file. It is pure: the clock, the
jitter and the health of routes are arguments, so the same events give the same moves.

Theory of operation
-------------------
A plan walks once along its candidates: the routes of the starting lane in order, then those of the later lanes, and
last those of the lanes before the start. It never goes back. After each failure it chooses between three things:

* the same route again, if the failure allows it (:class:`~understudy.words.Retry`), the caps leave room, an attempt
  remains for each later lane, and the wait fits patience and deadline;
* the next candidate whose lane lists the failure (``on``), that can do the call and that is not open;
* stop, and tell the app.

While another candidate is left, patience and the cap of two attempts a route hold. The last one may wait, and use what
is left of the four attempts, up to the deadline: one route under a plan is never worse than the plain SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from understudy.policy.selection import Candidate
from understudy.words import (
    BreakerEffect,
    Failure,
    FailureKind,
    LaneName,
    Move,
    Retry,
    Send,
    Skip,
    Stop,
    Switch,
    Wait,
)

__all__ = ["MAX_ATTEMPTS", "MAX_ATTEMPTS_PER_ROUTE", "Plan"]

MAX_ATTEMPTS: Final = 4
MAX_ATTEMPTS_PER_ROUTE: Final = 2
RESERVE_PER_LANE: Final = 0.2
"""The share of the deadline that is kept for each later lane that could be used."""
RESERVE_IN_ALL: Final = 0.4
LEAST_TIME: Final = 1.0
"""Seconds that must be left for a further attempt; of a short deadline a tenth."""
FIRST_BACKOFF: Final = 0.25
"""Seconds; jitter adds as much again, and each further try on the route doubles it."""

_NEVER_MOVE: Final = frozenset({FailureKind.LOCAL, FailureKind.CANCELLED, FailureKind.DEADLINE})
_ACCEPTED_THE_BODY: Final = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.OUTAGE,
        FailureKind.BAD_RESPONSE,
        FailureKind.STREAM_BROKEN,
        FailureKind.CONTRACT,
    }
)
"""After these an earlier lane is taken to have accepted the body: it was working on it."""

DEADLINE: Final = Failure(
    kind=FailureKind.DEADLINE,
    retry=Retry.STOP,
    breaker=BreakerEffect.NEUTRAL,
    detail="the call's deadline has passed",
)
NO_ROUTE: Final = Failure(
    kind=FailureKind.LOCAL,
    retry=Retry.STOP,
    breaker=BreakerEffect.NEUTRAL,
    detail="no route of the task can take this call",
)

OpenRoutes = Callable[[str], Failure | None]
"""Asks a route's health: what opened it, or ``None`` while it may be used."""


def _all_closed(_: str) -> Failure | None:
    return None


class Plan:
    """The plan of one call.

    ``deadline`` is absolute, ``budget`` its whole length, both in seconds of the same clock that later gives ``now``.
    ``retries`` overrides how often (0 or 1) a kind of failure is tried again on the same route.
    ``open_routes`` answers for a route's health each time the plan looks at it.

    Example::

        plan = Plan(candidates, deadline=now + 45, budget=45, patience=2)
        move = plan.begin(now)                                  # Send("flagship", ...)
        move = plan.failed(outage, now + 0.1, jitter=0.5)       # Wait(0.375 s, "flagship")
        move = plan.waited(now + 0.475)                         # Send("flagship", cause="retry")
    """

    __slots__ = (
        "_attempts",
        "_budget",
        "_candidates",
        "_deadline",
        "_entered_by",
        "_floor",
        "_open",
        "_patience",
        "_position",
        "_retries",
        "_sensitive",
        "_tried",
        "_tried_here",
    )

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline: float,
        budget: float,
        patience: float,
        retries: Mapping[FailureKind, int] | None = None,
        sensitive: bool = False,
        open_routes: OpenRoutes = _all_closed,
    ) -> None:
        self._candidates = candidates
        self._deadline = deadline
        self._budget = budget
        self._floor = min(LEAST_TIME, budget / 10)
        self._patience = patience
        self._retries = retries
        self._sensitive = sensitive
        self._open = open_routes
        self._position = -1
        self._attempts = 0
        self._tried_here = 0
        self._tried: list[tuple[LaneName, FailureKind]] = []
        self._entered_by: Failure | None = None

    def begin(self, now: float) -> Move:
        """The first move. The first attempt is always made while the deadline has not passed."""
        if now >= self._deadline:
            return Stop(failure=DEADLINE, reason="the deadline passed before the first attempt")
        position, failure, skipped = self._next(None)
        if position is None:
            return Stop(failure=failure or NO_ROUTE, reason=_nothing_left(skipped), skipped=skipped)
        return self._send(position, now, "first", skipped, failure)

    def failed(
        self, failure: Failure, now: float, jitter: float, *, droppable: bool = False, transformed: bool = False
    ) -> Move:
        """The move after a failed attempt.

        ``jitter`` is in [0, 1). ``droppable``: the refused parameter can be left out and was not yet.
        ``transformed``: this route got another body than the app wrote.
        """
        here = self._candidates[self._position]
        self._tried.append((here.lane, failure.kind))
        if failure.kind in _NEVER_MOVE:
            return Stop(failure=failure, reason=f"{failure.kind} ends a call")
        if now >= self._deadline:
            return Stop(failure=DEADLINE, reason=f"the deadline has passed (last: {failure.kind})")
        if self._attempts >= MAX_ATTEMPTS:
            return Stop(failure=failure, reason=f"all {MAX_ATTEMPTS} attempts are used")
        if self._deadline - now < self._floor:
            return Stop(failure=failure, reason="too little time is left for another attempt")

        deciding = self._deciding(failure, here, transformed)
        position, passed_on, skipped = self._next(deciding)
        again = self._same_route(failure, now, jitter, alone=position is None, droppable=droppable)
        if again is not None:
            return again
        if position is None:
            return Stop(failure=failure, reason=_nothing_left(skipped), skipped=skipped)
        return self._send(position, now, "switch", skipped, passed_on)

    def waited(self, now: float) -> Move:
        """The move after a wait: the route is asked for its health again before anything goes out."""
        here = self._candidates[self._position]
        opened = self._open(here.route)
        if now >= self._deadline:
            return Stop(failure=DEADLINE, reason="the deadline passed while waiting")
        if opened is None:
            return self._send(self._position, now, "retry", (), self._entered_by)
        position, passed_on, skipped = self._next(opened)
        skipped = (_open_skip(here, opened), *skipped)
        if position is not None:
            return self._send(position, now, "switch", skipped, passed_on)
        if opened.kind is FailureKind.RATE_LIMIT:  # closing by 429 holds only while another route is left
            return self._send(self._position, now, "retry", (), self._entered_by)
        return Stop(failure=opened, reason=_nothing_left(skipped), skipped=skipped)

    # -- the same route ------------------------------------------------------------------------------------------

    def _same_route(self, failure: Failure, now: float, jitter: float, *, alone: bool, droppable: bool) -> Move | None:
        here = self._candidates[self._position]
        if not alone and (self._tried_here >= MAX_ATTEMPTS_PER_ROUTE or not self._room_for(self._position, failure)):
            return None
        if droppable:
            return self._send(self._position, now, "drop", (), self._entered_by)
        if not self._may_repeat(failure, alone=alone):
            return None
        wait = self._wait_for(failure, jitter)
        if not alone and wait > self._patience:
            return None
        if now + wait + self._floor > self._deadline:
            return None
        if wait <= 0:
            return self._send(self._position, now, "retry", (), self._entered_by)
        return Wait(seconds=wait, route=here.route, lane=here.lane, reason=f"again after {failure.kind}")

    def _may_repeat(self, failure: Failure, *, alone: bool) -> bool:
        if self._retries is not None and failure.kind in self._retries:
            return alone or self._retries[failure.kind] > 0
        if failure.retry in (Retry.SAME, Retry.WAIT):
            return True
        return alone and failure.kind is FailureKind.TIMEOUT

    def _wait_for(self, failure: Failure, jitter: float) -> float:
        """Seconds to wait before the same route: never less than its Retry-After."""
        if failure.retry is Retry.WAIT and failure.retry_after is not None:
            return failure.retry_after
        first_time = self._tried_here == 1
        if failure.kind is FailureKind.UNREACHABLE and first_time:
            backoff = 0.0  # the likeliest cause is a stale connection: a fresh one works at once
        else:
            backoff = FIRST_BACKOFF * (1 + jitter) * 2.0 ** (self._tried_here - 1)
        return max(backoff, failure.retry_after or 0.0)

    # -- the next route ------------------------------------------------------------------------------------------

    def _deciding(self, failure: Failure, here: Candidate, transformed: bool) -> Failure:
        """The failure whose edges are followed.

        A request refused only in the form that this lane's rules gave it, after an earlier lane worked on it, says
        nothing of the request: what had moved the call here goes on deciding.
        """
        if failure.kind is not FailureKind.BAD_REQUEST or not transformed or self._entered_by is None:
            return failure
        accepted = any(lane is not here.lane and kind in _ACCEPTED_THE_BODY for lane, kind in self._tried)
        return self._entered_by if accepted else failure

    def _next(self, failure: Failure | None) -> tuple[int | None, Failure | None, tuple[Skip, ...]]:
        """The next candidate that may be used, the failure that leads into it, and what was skipped on the way."""
        skipped: tuple[Skip, ...] = ()
        for position in range(self._position + 1, len(self._candidates)):
            candidate = self._candidates[position]
            if candidate.incapable is not None:
                skipped += (Skip(candidate.route, candidate.lane, candidate.incapable),)
                continue
            if failure is not None and not self._admits(candidate, failure):
                skipped += (Skip(candidate.route, candidate.lane, f"is not used after {failure.kind}"),)
                continue
            opened = self._open(candidate.route)
            if opened is not None:
                skipped += (_open_skip(candidate, opened),)
                failure = opened
                continue
            if not self._opens_lane(position) and not self._room_for(position, failure):
                reason = "the attempts left are kept for later lanes"
                skipped += (Skip(candidate.route, candidate.lane, reason),)
                continue
            return position, failure, skipped
        return None, failure, skipped

    def _admits(self, candidate: Candidate, failure: Failure) -> bool:
        if failure.kind is FailureKind.SUBSTITUTED:
            return self._sensitive  # every candidate of a sensitive call is an approved route
        if failure.kind not in candidate.on:
            return False
        if failure.kind is FailureKind.CONTEXT_LENGTH and self._position >= 0:
            window = self._candidates[self._position].context_window
            return window is not None and candidate.context_window is not None and candidate.context_window > window
        return True

    def _opens_lane(self, position: int) -> bool:
        return self._position < 0 or self._candidates[position].lane is not self._candidates[self._position].lane

    def _room_for(self, position: int, failure: Failure | None) -> bool:
        """Whether after one more attempt here, one is left for each later lane."""
        left = MAX_ATTEMPTS - self._attempts - 1
        return left >= self._later_lanes(position, failure)

    def _later_lanes(self, position: int, failure: Failure | None) -> int:
        """How many later lanes could be used now; none, if this failure moves into none of them."""
        own = self._candidates[position].lane
        lanes: set[LaneName] = set()
        reachable = failure is None
        for candidate in self._candidates[position + 1 :]:
            if candidate.lane is own or candidate.incapable is not None or self._open(candidate.route) is not None:
                continue
            lanes.add(candidate.lane)
            reachable = reachable or (failure is not None and self._admits(candidate, failure))
        return len(lanes) if reachable else 0

    # -- sending -------------------------------------------------------------------------------------------------

    def _send(
        self,
        position: int,
        now: float,
        cause: Literal["first", "retry", "switch", "drop"],
        skipped: tuple[Skip, ...],
        entered_by: Failure | None,
    ) -> Send:
        candidate = self._candidates[position]
        if position != self._position:
            self._position = position
            self._tried_here = 0
            self._entered_by = entered_by
        self._attempts += 1
        self._tried_here += 1
        left = self._deadline - now
        later = min(self._later_lanes(position, None), MAX_ATTEMPTS - self._attempts)
        reserve = self._budget * min(RESERVE_PER_LANE * later, RESERVE_IN_ALL)
        timeout = min(candidate.timeout, max(left - reserve, min(left, self._floor)))
        return (Switch if cause == "switch" else Send)(
            route=candidate.route,
            lane=candidate.lane,
            attempt_number=self._attempts,
            timeout=timeout,
            first_token=candidate.first_token if self._another_after(position) else None,
            cause=cause,
            skipped=skipped,
        )

    def _another_after(self, position: int) -> bool:
        if self._attempts >= MAX_ATTEMPTS:
            return False
        rest = self._candidates[position + 1 :]
        return any(other.incapable is None and self._open(other.route) is None for other in rest)


def _open_skip(candidate: Candidate, opened: Failure) -> Skip:
    return Skip(candidate.route, candidate.lane, f"is open after {opened.kind}", opened)


def _nothing_left(skipped: Sequence[Skip]) -> str:
    if not skipped:
        return "no other route is left"
    return "no other route may be used"
