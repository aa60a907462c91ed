"""A call as a state machine: what happened and when goes in, the next move comes out.

Everything that decides whether, where and when a call is sent again lives in this file (the way along its candidates
is in ``onward``, the arithmetic of one route's repeats in ``repeats``). It is pure: the clock, the jitter and the
health of routes are arguments, so the same events give the same moves.

Theory of operation
-------------------
A plan walks once along its candidates: the routes of the starting lane in order, then those of the later lanes, and
last those of the lanes before the start. It never goes back. After each failure it chooses between three things:

* the same route again, if the failure allows it (:class:`~lanewise.types.Retry`), the caps leave room, an attempt
  remains for each later lane, the wait fits patience and deadline, and the route has not been opened meanwhile;
* the next candidate whose lane lists the failure (``on``), that can do the call and that is not open;
* stop, and tell the app.

While another candidate is left, patience, the cap of two attempts a route and a closing by 429 hold. The last one may
wait, use what is left of the four attempts, and be sent to though a 429 closed it: one route under a plan is never
worse than the plain SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from lanewise._routing.candidates import Candidate
from lanewise._routing.fallback_chain import MAX_ATTEMPTS, Course, OpenRoutes, open_skip
from lanewise._routing.retry import may_repeat, wait_before
from lanewise.config.deadline_budget import reserve
from lanewise.types import (
    BreakerEffect,
    Failure,
    FailureKind,
    LaneName,
    LocalTrouble,
    Move,
    Retry,
    Send,
    Skip,
    Stop,
    Switch,
    Wait,
)

__all__ = ["MAX_ATTEMPTS_PER_ROUTE", "NO_ROUTE", "Plan"]

MAX_ATTEMPTS_PER_ROUTE: Final = 2
LEAST_TIME: Final = 1.0
"""Seconds that must be left for a further attempt; of a short deadline a tenth."""

_K = FailureKind
_NEVER_MOVE: Final = frozenset({_K.LOCAL, _K.CANCELLED, _K.DEADLINE})
_ACCEPTED_THE_BODY: Final = frozenset(
    {_K.TIMEOUT, _K.OUTAGE, _K.BAD_RESPONSE, _K.STREAM_BROKEN, _K.CONTRACT, _K.SUBSTITUTED}
)
"""After these an earlier lane is taken to have accepted the body: it was working on it."""
_ABOUT_THE_BODY: Final = frozenset({_K.BAD_REQUEST, _K.CONTEXT_LENGTH, _K.UNSUPPORTED_PARAMETER})

_X, _NEUTRAL = Retry.STOP, BreakerEffect.NEUTRAL
DEADLINE: Final = Failure(kind=_K.DEADLINE, retry=_X, breaker=_NEUTRAL, detail="the call's deadline has passed")
NO_ROUTE: Final = Failure(kind=_K.LOCAL, retry=_X, breaker=_NEUTRAL, detail="no route of the task can take this call")

Permits = Callable[[str], bool]
"""Asks whether the retry allowance of a route's provider permits a retry. Asking has no effect on it."""

_NO_TIME: Final = "no time is left for it"

_Changed = Literal["drop", "repair"]
_Cause = Literal["first", "retry", "switch"] | _Changed


def _ends_a_call(failure: Failure) -> bool:
    """Whether nothing is sent any more. What this process lacks may be there a moment later, or be there elsewhere."""
    return failure.kind in _NEVER_MOVE and failure.trouble in (None, LocalTrouble.LOOP)


def _all_closed(_: str) -> Failure | None:
    return None


def _all_permitted(_: str) -> bool:
    return True


class Plan:
    """The plan of one call.

    ``deadline`` is absolute, ``budget`` its whole length, both in seconds of the same clock that later gives ``now``.
    ``alone`` is the longer length that it has from where no other route could be used, if nobody declared it.
    ``retries`` overrides how often a kind of failure is tried again on the same route, within the caps.
    ``open_routes`` answers for a route's health each time the plan looks at it, ``permits`` for the retry allowance
    of its provider: whoever carries a retry out, after a wait or at once, spends from it. ``nowhere`` is the failure of
    a call that no candidate can take.

    Example::

        plan = Plan(candidates, deadline=now + 45, budget=45, patience=2)
        move = plan.begin(now)                                  # Send("flagship", ...)
        move = plan.failed(outage, now + 0.1, jitter=0.5)       # Wait(0.375 s, "flagship")
        move = plan.waited(now + 0.475)                         # Send("flagship", cause="retry")
    """

    __slots__ = (
        "_accepted_by",
        "_alone",
        "_attempts",
        "_budget",
        "_candidates",
        "_cause",
        "_course",
        "_deadline",
        "_denied",
        "_entered_by",
        "_failed_here",
        "_floor",
        "_last",
        "_mending",
        "_nowhere",
        "_open",
        "_patience",
        "_permits",
        "_position",
        "_retries",
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
        sensitive: bool = False,
        open_routes: OpenRoutes = _all_closed,
        permits: Permits = _all_permitted,
        nowhere: Failure = NO_ROUTE,
    ) -> None:
        self._nowhere = nowhere
        self._candidates = candidates
        self._course = Course(candidates, open_routes, sensitive)
        self._deadline = deadline
        self._budget = budget
        self._alone = budget if alone is None else alone
        self._floor = min(LEAST_TIME, budget / 10)
        self._patience = patience
        self._retries = retries
        self._open = open_routes
        self._permits = permits
        self._denied = False
        self._cause: _Cause = "first"
        self._position = -1
        self._attempts = 0
        self._failed_here: tuple[FailureKind, ...] = ()
        self._accepted_by: tuple[LaneName, ...] = ()
        self._entered_by: Failure | None = None
        self._last: Failure | None = None
        self._mending: Failure | None = None

    def begin(self, now: float) -> Move:
        """The first move. The first attempt is always made while the deadline has not passed."""
        if now >= self._deadline:
            reason = f"the deadline of {self._budget:.3g} s passed before the first attempt"
            return Stop(failure=DEADLINE, reason=reason, skipped=self._course.untried(self._position, None, _NO_TIME))
        onward = self._course.onward(self._position, self._attempts, None)
        if onward.position is None:
            failure = onward.entered_by or self._nowhere
            reason = failure.detail if failure is self._nowhere else self._nothing_left(onward.skipped)
            return Stop(failure=failure, reason=reason, skipped=onward.skipped)
        return self._send(onward.position, now, "first", onward.skipped, onward.entered_by)

    def failed(
        self,
        failure: Failure,
        now: float,
        jitter: float,
        *,
        droppable: bool = False,
        transformed: bool = False,
        repairable: bool = False,
    ) -> Move:
        """The move after a failed attempt.

        ``jitter`` is in [0, 1). ``droppable``: the refused parameter can be left out and was not yet.
        ``transformed``: this route got another body than the app wrote. ``repairable``: the answer broke its contract,
        and the same route may mend it.
        """
        if self._mending is not None and failure.kind in _ABOUT_THE_BODY:
            failure = self._mending  # refused was what we had added: the request itself had been worked on
        self._mending = None
        self._last = failure
        self._failed_here += (failure.kind,)
        lane = self._candidates[self._position].lane
        if failure.kind in _ACCEPTED_THE_BODY and not transformed:
            self._accepted_by += (lane,)
        if _ends_a_call(failure):
            return Stop(
                failure=failure,
                reason=f"{failure.kind} ends a call",
                skipped=self._course.untried(self._position, failure, _NO_TIME),
            )
        too_late = self._too_late(failure, now)
        if too_late is not None:
            return too_late
        if self._attempts >= MAX_ATTEMPTS:
            skipped = self._course.untried(self._position, failure, "no attempt is left for it")
            return Stop(failure=failure, reason=f"all {MAX_ATTEMPTS} attempts are used", skipped=skipped)

        onward = self._course.onward(self._position, self._attempts, self._deciding(failure, lane, transformed))
        changed: _Changed | None = "drop" if droppable else "repair" if repairable else None
        again = self._same_route(failure, now, jitter, alone=onward.alone, changed=changed)
        if again is not None:
            return again
        if onward.position is None:
            return Stop(failure=failure, reason=self._nothing_left(onward.skipped), skipped=onward.skipped)
        return self._send(onward.position, now, "switch", onward.skipped, onward.entered_by)

    def broke(
        self,
        failure: Failure,
        now: float,
        jitter: float,
        *,
        deadline: float,
        budget: float,
        alone: float | None = None,
        transformed: bool = False,
    ) -> Move:
        """The move after a stream broke that had begun to answer, where it may start over: on another route.

        ``deadline``, ``budget`` and ``alone`` are those of the new beginning, which is not made with less than a
        further attempt needs. The rest is as for :meth:`failed`.
        """
        self._deadline, self._budget = deadline, budget
        self._alone = budget if alone is None else alone
        elsewhere = msgspec.structs.replace(failure, retry_refused=True)
        move = self.failed(elsewhere, now, jitter, transformed=transformed)
        return msgspec.structs.replace(move, cause="restart") if isinstance(move, Send) else move

    def waited(self, now: float) -> Move:
        """The move after a wait: the route is asked for its health again before anything goes out."""
        assert self._last is not None, "only a failed attempt is followed by a wait"
        too_late = self._too_late(self._last, now)
        if too_late is not None:
            return too_late
        opened = self._open(self._candidates[self._position].route)
        if opened is None or self._has_waited_for(opened):
            return self._send(self._position, now, "retry", (), self._entered_by)
        return self._past(opened, now, "retry")

    def held_back(self, now: float, failure: Failure | None = None) -> Move:
        """The move when the latest attempt could not go out: it does not count as one.

        ``failure`` is what keeps it away for longer than it may wait; without one it was kept only until now, or
        another call was faster to probe the route, whose health is asked again.
        """
        self._attempts -= 1
        last = self._last or failure or DEADLINE
        if now >= self._deadline or (self._last is not None and self._deadline - now < self._floor):
            return self._too_late(last, now) or Stop(failure=last, reason=_NO_TIME)
        if failure is not None:
            return self._past(failure, now)
        opened = self._open(self._candidates[self._position].route)
        if opened is None:
            return self._send(self._position, now, self._cause, (), self._entered_by)
        return self._past(opened, now, self._cause)

    def _has_waited_for(self, opened: Failure) -> bool:
        """Whether the route is closed to new calls only, by a 429 that named no time: this call has waited its turn."""
        limited = self._last is not None and self._last.kind is _K.RATE_LIMIT
        return limited and opened.kind is _K.RATE_LIMIT and opened.retry_after is None

    def _past(self, opened: Failure, now: float, cause: _Cause | None = None) -> Move:
        """On from the route that was about to be sent to and has been opened meanwhile.

        ``cause`` is that of sending to it all the same, where a 429 closed it and no other is better.
        """
        here = self._candidates[self._position]
        onward = self._course.onward(self._position, self._attempts, opened)
        if cause is not None and onward.alone and opened.kind is _K.RATE_LIMIT:
            return self._send(self._position, now, cause, (), self._entered_by)
        reached = opened.cause if cause is None else ""  # a cap of our own has opened nothing
        skip = Skip(here.route, here.lane, reached, opened) if reached else open_skip(here, opened)
        skipped = (skip, *onward.skipped)
        if onward.position is None:
            return Stop(failure=self._last or opened, reason=self._nothing_left(skipped), skipped=skipped)
        return self._send(onward.position, now, "switch" if self._last else "first", skipped, onward.entered_by)

    @property
    def deadline(self) -> float:
        """When the call's time is over, as it stands now."""
        return self._deadline

    @property
    def may_move(self) -> bool:
        """Whether another route could be used now, if the latest attempt failed."""
        return self._attempts < MAX_ATTEMPTS and self._course.ahead(self._position).others

    def _too_late(self, failure: Failure, now: float) -> Stop | None:
        if self._deadline - now < self._floor and self._budget < self._alone:
            onward = self._course.onward(self._position, self._attempts, failure)
            if onward.position is not None and not self._course.ahead(onward.position).after_timeout:
                self._prolong()  # the last route that could be used is not denied the time that it would have had alone
        left = self._deadline - now
        if left >= self._floor:
            return None
        skipped = self._course.untried(self._position, failure, _NO_TIME)
        if left > 0:
            return Stop(failure=failure, reason="too little time is left for another attempt", skipped=skipped)
        reason = f"the deadline of {self._budget:.3g} s has passed (last: {failure.kind})"
        return Stop(failure=DEADLINE, reason=reason, skipped=skipped)

    def _prolong(self) -> None:
        """Give the call the time that it has where no other route could be used."""
        self._deadline += self._alone - self._budget
        self._budget = self._alone

    # -- the same route ------------------------------------------------------------------------------------------

    def _same_route(
        self, failure: Failure, now: float, jitter: float, *, alone: bool, changed: _Changed | None
    ) -> Move | None:
        """The same route again, if it may be; ``changed`` says that it would get another body than before."""
        here = self._candidates[self._position]
        adds_less = changed == "drop" and bool(failure.names)  # what the app did not ask for goes, piece by piece
        if (
            not alone
            and not adds_less
            and (
                len(self._failed_here) >= MAX_ATTEMPTS_PER_ROUTE
                or self._course.needs_the_rest(self._position, self._attempts)
            )
        ):
            return None
        if changed is None and not may_repeat(failure, self._failed_here, self._retries, alone=alone):
            return None
        free = changed == "drop" or failure.stale_connection or failure.trouble is not None
        if not free and not self._permits(here.route):
            self._denied = True
            return None
        wait = wait_before(failure, len(self._failed_here), jitter) if changed is None else failure.retry_after or 0.0
        asked_to_wait = failure.retry is Retry.WAIT or failure.retry_after is not None
        if not alone and asked_to_wait and wait > self._patience:
            return None
        if self._deadline - (now + wait) < self._floor:
            return None
        opened = self._open(here.route)
        if opened is not None and (opened.kind is not _K.RATE_LIMIT or (wait <= 0 and not alone)):
            return None
        if adds_less:
            self._failed_here = self._failed_here[:-1]  # the app's own request is still to be tried
        if wait <= 0:
            self._mending = failure if changed == "repair" else None
            return self._send(self._position, now, changed or "retry", (), self._entered_by)
        return Wait(seconds=wait, route=here.route, lane=here.lane, reason=f"again after {failure.kind}")

    def _deciding(self, failure: Failure, lane: LaneName, transformed: bool) -> Failure:
        """The failure whose edges are followed.

        A request refused only in the form that this lane's rules gave it, after an earlier lane worked on it as the app
        wrote it, says nothing of the request: what had moved the call here goes on deciding.
        """
        if failure.kind is not _K.BAD_REQUEST or not transformed or self._entered_by is None:
            return failure
        return self._entered_by if any(other is not lane for other in self._accepted_by) else failure

    # -- sending -------------------------------------------------------------------------------------------------

    def _send(
        self, position: int, now: float, cause: _Cause, skipped: tuple[Skip, ...], entered_by: Failure | None
    ) -> Send:
        candidate = self._candidates[position]
        if position != self._position:
            self._position = position
            self._failed_here = ()
            self._entered_by = entered_by
        self._attempts += 1
        self._cause = cause
        ahead = self._course.ahead(position)
        further = MAX_ATTEMPTS - self._attempts
        could_move = bool(ahead.after_timeout and further)
        if not could_move:
            self._prolong()
        left = self._deadline - now
        most = max(left - reserve(self._budget, min(ahead.lanes, further)), min(left, self._floor))
        return (Switch if cause == "switch" else Send)(
            route=candidate.route,
            lane=candidate.lane,
            attempt_number=self._attempts,
            timeout=min(candidate.timeout, most) if candidate.timeout_declared or could_move else left,
            first_token=candidate.first_token if could_move else None,
            patience=self._patience if ahead.others and further else max(0.0, left - self._floor),
            cause=cause,
            skipped=skipped,
        )

    def _nothing_left(self, skipped: Sequence[Skip]) -> str:
        reason = "no other route may be used" if skipped else "no other route is left"
        return f"{reason}, and the provider's retry allowance is used up" if self._denied else reason
