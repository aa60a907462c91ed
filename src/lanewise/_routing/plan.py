"""A call as a state machine: what happened and when goes in, the next move comes out.

What decides whether, where and when a call is sent again begins here: the way along its candidates is in
``fallback_chain``, where it may go back to in ``last_resort``, the arithmetic of one route's retries in ``retry``, and
what is known of the call in ``call_progress``. It is pure: the clock, the jitter and the health of routes are
arguments, so the same events give the same moves.

Theory of operation
-------------------
A plan walks along its candidates: the routes of the starting lane in order, then those of the later lanes, and last
those of the lanes before the start. After each failure it chooses between four things:

* the same route again, if the failure allows it (:class:`~lanewise.types.Retry`), the caps leave room, an attempt
  remains for each further route, the wait fits patience and deadline, and the route has not been opened meanwhile;
* the next candidate whose lane lists the failure (``on``), that can do the call and that is well;
* where no such candidate is left, a last resort: any route that the call may use, tried before or passed over, as long
  as it only fails in part or is rate limited. Those tried least come first, so that attempts alternate;
* stop, and tell the app.

While another well candidate is left, patience, the cap of two attempts a route, the retry budget and a closing by 429
hold. On the last one retries are free and spaced as the plain SDK's, three attempts at most, and a fourth while the
route mostly answers: one route under a plan is never worse than the plain SDK. Only a route that has not answered at
all for a while is throttled: then a call waits for its end for a moment, is its next probe, or stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise._routing.availability import Unavailable
from lanewise._routing.call_progress import MAX_ATTEMPTS_PER_ROUTE, CallProgress, Cause, Changed
from lanewise._routing.fallback_chain import NextCandidate, skip_of
from lanewise._routing.last_resort import is_better_elsewhere, last_resorts, resort_to
from lanewise._routing.retry import may_repeat, wait_before
from lanewise.types import (
    NEVER_MOVE,
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
)

__all__ = ["DEADLINE", "Plan"]

_K = FailureKind
_ACCEPTED_THE_BODY: Final = frozenset(
    {_K.TIMEOUT, _K.OUTAGE, _K.BAD_RESPONSE, _K.STREAM_BROKEN, _K.CONTRACT, _K.SUBSTITUTED}
)
"""After these an earlier lane is taken to have accepted the body: it was working on it."""
_ABOUT_THE_BODY: Final = frozenset({_K.BAD_REQUEST, _K.CONTEXT_LENGTH, _K.UNSUPPORTED_PARAMETER})


DEADLINE: Final = Failure(
    kind=_K.DEADLINE, retry=Retry.STOP, breaker=BreakerEffect.NEUTRAL, detail="the call's deadline has passed"
)
_NO_TIME: Final = "no time is left for it"
_RANKS: Final = {name: rank for rank, name in enumerate(LaneName)}


def _ends_a_call(failure: Failure) -> bool:
    """Whether nothing is sent any more. What this process lacks may be there a moment later, or be there elsewhere."""
    return failure.kind in NEVER_MOVE and failure.trouble in (None, LocalTrouble.LOOP)


class Plan(CallProgress):
    """The plan of one call.

    ``deadline`` is absolute, ``budget`` its whole length, both in seconds of the same clock that later gives ``now``.
    ``alone`` is the longer length that it has from where no other route could be used, if nobody declared it.
    ``retries`` overrides how often a kind of failure is tried again on the same route, within the caps.
    ``health`` answers for the routes each time the plan looks at them; ``charged`` says of the latest move whether it
    takes a token of its provider's retry budget, which whoever carries it out then spends. ``no_candidate`` is the
    failure of a call that no candidate can take.

    Example::

        plan = Plan(candidates, deadline=now + 45, budget=45, patience=2)
        move = plan.begin(now)                                  # Send("flagship", ...)
        move = plan.failed(outage, now + 0.1, jitter=0.5)       # Wait(0.375 s, "flagship")
        move = plan.waited(now + 0.475)                         # Send("flagship", cause="retry")
    """

    __slots__ = ()

    def begin(self, now: float, jitter: float = 0.5) -> Move:
        """The first move. The first attempt is always made while the deadline has not passed."""
        if now >= self.deadline:
            reason = f"the deadline of {self.budget:.3g} s passed before the first attempt"
            return Stop(failure=DEADLINE, reason=reason, skipped=self.chain.untried(self.frontier, None, _NO_TIME))
        return self._on(self.chain.next_candidate(self.position, self.attempts, None), None, now, jitter)

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
        self.charged = False
        if self.mending is not None and failure.kind in _ABOUT_THE_BODY:
            failure = self.mending  # refused was what we had added: the request itself had been worked on
        self.mending = None
        self.last = failure
        self.tried[self.position].add(failure, now, jitter)
        lane = self.candidates[self.position].lane
        if failure.kind in _ACCEPTED_THE_BODY and not transformed:
            self.accepted_by += (lane,)
        if _ends_a_call(failure):
            return Stop(
                failure=failure,
                reason=f"{failure.kind} ends a call",
                skipped=self.chain.untried(self.frontier, failure, _NO_TIME),
            )
        too_late = self._too_late(failure, now)
        if too_late is not None:
            return too_late
        if self.attempts >= self.most:
            skipped = self.chain.untried(self.frontier, failure, "no attempt is left for it")
            return Stop(failure=failure, reason=f"all {self.most} attempts are used", skipped=skipped)

        deciding = self._deciding(failure, lane, transformed)
        following = self.chain.next_candidate(self.frontier, self.attempts, deciding)
        changed: Changed | None = "drop" if droppable else "repair" if repairable else None
        if changed is None and following.position is None and is_better_elsewhere(self, following, failure, now):
            return self._on(following, failure, now, jitter)
        again = self._same_route(failure, now, jitter, alone=following.position is None, changed=changed)
        return again or self._on(following, failure, now, jitter)

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
        self.deadline, self.budget = deadline, budget
        self.alone = budget if alone is None else alone
        elsewhere = msgspec.structs.replace(failure, retry_refused=True)
        move = self.failed(elsewhere, now, jitter, transformed=transformed)
        return msgspec.structs.replace(move, cause="restart") if isinstance(move, Send) else move

    def waited(self, now: float, jitter: float = 0.5) -> Move:
        """The move after a wait: the route is asked for its health again before anything goes out."""
        position, self.wait_for = self.wait_for, None
        if self.last is not None and (too_late := self._too_late(self.last, now)) is not None:
            return too_late
        if now >= self.deadline:
            return Stop(failure=DEADLINE, reason=f"the deadline of {self.budget:.3g} s has passed")
        if position is None:  # for the end of a throttle
            following = self.chain.next_candidate(self.frontier, self.attempts, self.last)
            return self._on(following, self.last, now, jitter)
        closed = self.health.closed_to(self.candidates[position].route)
        if closed is None or (position == self.position and self._has_waited_for(closed.failure)):
            return self.send(position, now, "retry" if position == self.position else "switch", ())
        return self._past(position, closed, now, jitter)

    def held_back(self, now: float, failure: Failure | None = None, jitter: float = 0.5) -> Move:
        """The move when the latest attempt could not go out: it does not count as one.

        ``failure`` is what keeps it away for longer than it may wait; without one it was kept only until now, or
        another call was faster to probe the route, whose health is asked again.
        """
        self.attempts -= 1
        last = self.last or failure or DEADLINE
        if now >= self.deadline or (self.last is not None and self.deadline - now < self.floor):
            return self._too_late(last, now) or Stop(failure=last, reason=_NO_TIME)
        if failure is not None:
            return self._past(self.position, Unavailable(failure), now, jitter, capped=True)
        closed = self.health.closed_to(self.candidates[self.position].route)
        if closed is None:
            return self.send(self.position, now, self.cause, ())
        return self._past(self.position, closed, now, jitter)

    def over_budget(self, failure: Failure, lane: LaneName | None, now: float, jitter: float) -> Move:
        """The move when a budget does not let the latest attempt out: it does not count as one.

        The call goes on in ``lane``, or a later one, whatever failures these list; without a lane it ends.
        """
        self.attempts -= 1
        here = self.candidates[self.position]
        skip = Skip(here.route, here.lane, failure.cause)
        if lane is None:
            return Stop(failure=failure, reason=failure.detail, skipped=(skip,))
        self.candidates = tuple(
            msgspec.structs.replace(candidate, incapable=candidate.incapable or failure.cause)
            if _RANKS[candidate.lane] < _RANKS[lane]
            else candidate
            for candidate in self.candidates
        )
        self.chain = msgspec.structs.replace(self.chain, candidates=self.candidates)
        following = self.chain.next_candidate(self.frontier, self.attempts, None)
        following = msgspec.structs.replace(following, skipped=(skip, *following.skipped))
        return self._on(following, self.last, now, jitter, opened=failure)

    def _has_waited_for(self, opened: Failure) -> bool:
        """Whether the route is closed to new calls only, by a 429 that named no time: this call has waited its turn."""
        limited = self.last is not None and self.last.kind is _K.RATE_LIMIT
        return limited and opened.kind is _K.RATE_LIMIT and opened.retry_after is None

    def _past(self, position: int, closed: Unavailable, now: float, jitter: float, *, capped: bool = False) -> Move:
        """On from a route that was about to be sent to and has been opened meanwhile, or that a cap of ours keeps."""
        here = self.candidates[position]
        following = self.chain.next_candidate(self.frontier, self.attempts, closed.failure)
        reached = closed.failure.cause if capped else ""  # a cap of our own has opened nothing
        skip = Skip(here.route, here.lane, reached, closed.failure) if reached else skip_of(here, closed)
        following = msgspec.structs.replace(following, skipped=(skip, *following.skipped))
        return self._on(following, self.last, now, jitter, opened=closed.failure, capped=position if capped else None)

    def _too_late(self, failure: Failure, now: float) -> Stop | None:
        if self.deadline - now < self.floor and self.budget < self.alone:
            following = self.chain.next_candidate(self.frontier, self.attempts, failure)
            if following.position is not None and not self.chain.remaining(following.position).after_timeout:
                self.prolong()  # the last route that could be used is not denied the time that it would have had alone
        left = self.deadline - now
        if left >= self.floor:
            return None
        skipped = self.chain.untried(self.frontier, failure, _NO_TIME)
        if left > 0:
            return Stop(failure=failure, reason="too little time is left for another attempt", skipped=skipped)
        reason = f"the deadline of {self.budget:.3g} s has passed (last: {failure.kind})"
        return Stop(failure=DEADLINE, reason=reason, skipped=skipped)

    # -- the same route ------------------------------------------------------------------------------------------

    def _same_route(
        self, failure: Failure, now: float, jitter: float, *, alone: bool, changed: Changed | None
    ) -> Move | None:
        """The same route again, if it may be; ``changed`` says that it would get another body than before.

        ``alone``: no other route is well.
        """
        here = self.candidates[self.position]
        tried = self.tried[self.position]
        adds_less = changed == "drop" and bool(failure.names)  # what the app did not ask for goes, piece by piece
        if not alone and not adds_less:
            if len(tried.failed) >= MAX_ATTEMPTS_PER_ROUTE:
                return None
            if self.chain.needs_the_rest(self.position, self.attempts, failure):
                return None
        if alone and changed != "drop" and len(tried.failed) >= self.most_attempts_of(here.route):
            return None
        if changed is None and not may_repeat(failure, tried.failed, self.retries, alone=alone):
            return None
        free = alone or changed == "drop" or failure.stale_connection or failure.trouble is not None
        if not free and not self.health.permits(here.route):
            self.denied = True
            return None
        wait = failure.retry_after or 0.0
        if changed is None:
            wait = wait_before(failure, len(tried.failed), jitter, alone=alone)
        asked_to_wait = failure.retry is Retry.WAIT or failure.retry_after is not None
        if not alone and asked_to_wait and wait > self.patience:
            return None
        if self.deadline - (now + wait) < self.floor:
            return None
        closed = self.health.closed_to(here.route)
        if closed is not None and (closed.failure.kind is not _K.RATE_LIMIT or (wait <= 0 and not alone)):
            return None  # where it is the last resort, it is one of those that are left
        self.charged = not free
        if adds_less:
            tried.failed = tried.failed[:-1]  # the app's own request is still to be tried
        if wait <= 0:
            self.mending = failure if changed == "repair" else None
            return self.send(self.position, now, changed or "retry", ())
        return self.wait_for_route(self.position, wait, f"again after {failure.kind}")

    def _deciding(self, failure: Failure, lane: LaneName, transformed: bool) -> Failure:
        """The failure whose edges are followed.

        A request refused only in the form that this lane's rules gave it, after an earlier lane worked on it as the app
        wrote it, says nothing of the request: what had moved the call here goes on deciding.
        """
        entered_by = self.tried[self.position].entered_by
        if failure.kind is not _K.BAD_REQUEST or not transformed or entered_by is None:
            return failure
        return entered_by if any(other is not lane for other in self.accepted_by) else failure

    # -- on from here --------------------------------------------------------------------------------------------

    def _on(
        self,
        following: NextCandidate,
        failure: Failure | None,
        now: float,
        jitter: float,
        *,
        opened: Failure | None = None,
        capped: int | None = None,
    ) -> Move:
        """To the next route that is well, else to the last resort that is best, else the end.

        ``opened`` is what the route was closed by that the call was about to go to, ``capped`` one that it may not go
        to now.
        """
        if following.position is not None:
            cause: Cause = "switch" if self.last is not None else "first"
            return self.send(following.position, now, cause, following.skipped, following.entered_by)
        resorts = [] if self.attempts >= self.most else last_resorts(self, following, failure, now, capped)
        for resort, closed in resorts:
            route = self.candidates[resort.position].route
            others = tuple(skip for skip in following.skipped if skip.route != route)
            move = resort_to(self, resort, closed, now, jitter, others)
            if move is not None:
                return move
        ends_in = failure or opened or following.entered_by or self.no_candidate
        reason = ends_in.detail if ends_in is self.no_candidate else self._nothing_left(following.skipped)
        return Stop(failure=ends_in, reason=reason, skipped=following.skipped)

    # -- sending -------------------------------------------------------------------------------------------------

    def _nothing_left(self, skipped: Sequence[Skip]) -> str:
        reason = "no other route may be used" if skipped else "no other route is left"
        return f"{reason}, and the provider's retry budget is used up" if self.denied else reason
