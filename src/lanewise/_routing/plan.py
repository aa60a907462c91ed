"""A call as a state machine: what happened and when goes in, the next move comes out.

Everything that decides whether, where and when a call is sent again lives in this file (the way along its candidates
is in ``fallback_chain``, the arithmetic of one route's retries in ``retry``). It is pure: the clock, the jitter and the
health of routes are arguments, so the same events give the same moves.

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

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from lanewise._routing.availability import PENDING, Throttle, Unavailable
from lanewise._routing.candidates import Candidate
from lanewise._routing.fallback_chain import FallbackChain, LastResort, NextCandidate, RoutesHealth, skip_of
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

__all__ = ["LEAST_ATTEMPTS", "MAX_ATTEMPTS", "MAX_ATTEMPTS_PER_ROUTE", "NO_ROUTE", "Plan"]

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
WAITED_FOR: Final = 10.0
"""Seconds from the beginning of a throttle in which calls wait for its end."""
LEAST_WAIT: Final = 0.001
_MOSTLY: Final = 0.5
"""The share of answers from which a route gets one attempt more."""
_CLEARLY: Final = 0.25
"""A route that answers so much less than another one, in share of answers, is only tried again after two tries of that
one: the difference of two that answer alike is below it in 49 cases of 50."""
_LOOK: Final = 1.0
"""Seconds between two looks of such a call at most; half of it at least, so that those who wait go on over a second."""

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

_NO_TIME: Final = "no time is left for it"
_RANKS: Final = {name: rank for rank, name in enumerate(LaneName)}

_Changed = Literal["drop", "repair"]
_Cause = Literal["first", "retry", "switch"] | _Changed


def _ends_a_call(failure: Failure) -> bool:
    """Whether nothing is sent any more. What this process lacks may be there a moment later, or be there elsewhere."""
    return failure.kind in _NEVER_MOVE and failure.trouble in (None, LocalTrouble.LOOP)


def _is_asked_to_wait(closed: Unavailable) -> bool:
    """Whether a rate limit keeps everybody from a route, and not only those who met it."""
    return closed.failure.kind is _K.RATE_LIMIT and not closed.in_part


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


class _Tried(msgspec.Struct):
    """What one candidate's attempts of the call came to. ``due`` is when it may be tried again as a last resort."""

    entered_by: Failure | None
    failed: tuple[FailureKind, ...] = ()
    latest: Failure | None = None
    due: float = 0.0


class Plan:
    """The plan of one call.

    ``deadline`` is absolute, ``budget`` its whole length, both in seconds of the same clock that later gives ``now``.
    ``alone`` is the longer length that it has from where no other route could be used, if nobody declared it.
    ``retries`` overrides how often a kind of failure is tried again on the same route, within the caps.
    ``health`` answers for the routes each time the plan looks at them; ``charged`` says of the latest move whether it
    takes a token of its provider's retry budget, which whoever carries it out then spends. ``nowhere`` is the failure
    of a call that no candidate can take.

    Example::

        plan = Plan(candidates, deadline=now + 45, budget=45, patience=2)
        move = plan.begin(now)                                  # Send("flagship", ...)
        move = plan.failed(outage, now + 0.1, jitter=0.5)       # Wait(0.375 s, "flagship")
        move = plan.waited(now + 0.475)                         # Send("flagship", cause="retry")
    """

    __slots__ = (
        "_accepted_by",
        "_alone",
        "_asked_for_slot",
        "_attempts",
        "_budget",
        "_candidates",
        "_cause",
        "_chain",
        "_deadline",
        "_denied",
        "_floor",
        "_frontier",
        "_health",
        "_last",
        "_mending",
        "_most",
        "_nowhere",
        "_patience",
        "_position",
        "_retries",
        "_tried",
        "_used_slot",
        "_wait_for",
        "_waited_for_throttle",
        "charged",
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
        nowhere: Failure = NO_ROUTE,
    ) -> None:
        capable = 0
        for candidate in candidates:
            capable += candidate.incapable is None
        self._most = min(max(capable, LEAST_ATTEMPTS), max_attempts)
        self._nowhere = nowhere
        self._candidates = candidates
        self._health = health or _AllWell()
        self._chain = FallbackChain(candidates, self._health, sensitive, self._most)
        self._deadline = deadline
        self._budget = budget
        self._alone = budget if alone is None else alone
        self._floor = min(LEAST_TIME, budget / 10)
        self._patience = patience
        self._retries = retries
        self._denied = False
        self._cause: _Cause = "first"
        self._position = -1
        self._frontier = -1  # the farthest candidate that the call has come to
        self._attempts = 0
        self._tried: dict[int, _Tried] = {}
        self._accepted_by: tuple[LaneName, ...] = ()
        self._last: Failure | None = None
        self._mending: Failure | None = None
        self._wait_for: int | None = None
        self._waited_for_throttle = 0.0
        self._asked_for_slot = False
        self._used_slot = False
        self.charged = False

    def begin(self, now: float, jitter: float = 0.5) -> Move:
        """The first move. The first attempt is always made while the deadline has not passed."""
        if now >= self._deadline:
            reason = f"the deadline of {self._budget:.3g} s passed before the first attempt"
            return Stop(failure=DEADLINE, reason=reason, skipped=self._chain.untried(self._frontier, None, _NO_TIME))
        return self._on(self._chain.onward(self._position, self._attempts, None), None, now, jitter)

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
        if self._mending is not None and failure.kind in _ABOUT_THE_BODY:
            failure = self._mending  # refused was what we had added: the request itself had been worked on
        self._mending = None
        self._last = failure
        here = self._tried[self._position]
        here.failed += (failure.kind,)
        here.latest = failure
        here.due = now + wait_before(failure, len(here.failed), jitter, alone=True)
        lane = self._candidates[self._position].lane
        if failure.kind in _ACCEPTED_THE_BODY and not transformed:
            self._accepted_by += (lane,)
        if _ends_a_call(failure):
            return Stop(
                failure=failure,
                reason=f"{failure.kind} ends a call",
                skipped=self._chain.untried(self._frontier, failure, _NO_TIME),
            )
        too_late = self._too_late(failure, now)
        if too_late is not None:
            return too_late
        if self._attempts >= self._most:
            skipped = self._chain.untried(self._frontier, failure, "no attempt is left for it")
            return Stop(failure=failure, reason=f"all {self._most} attempts are used", skipped=skipped)

        deciding = self._deciding(failure, lane, transformed)
        onward = self._chain.onward(self._frontier, self._attempts, deciding)
        changed: _Changed | None = "drop" if droppable else "repair" if repairable else None
        if changed is None and onward.position is None and self._is_better_elsewhere(onward, failure, now):
            return self._on(onward, failure, now, jitter)
        again = self._same_route(failure, now, jitter, alone=onward.position is None, changed=changed)
        return again or self._on(onward, failure, now, jitter)

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

    def waited(self, now: float, jitter: float = 0.5) -> Move:
        """The move after a wait: the route is asked for its health again before anything goes out."""
        position, self._wait_for = self._wait_for, None
        if self._last is not None and (too_late := self._too_late(self._last, now)) is not None:
            return too_late
        if now >= self._deadline:
            return Stop(failure=DEADLINE, reason=f"the deadline of {self._budget:.3g} s has passed")
        if position is None:  # for the end of a throttle
            onward = self._chain.onward(self._frontier, self._attempts, self._last)
            return self._on(onward, self._last, now, jitter)
        closed = self._health.closed_to(self._candidates[position].route)
        if closed is None or (position == self._position and self._has_waited_for(closed.failure)):
            return self._send(position, now, "retry" if position == self._position else "switch", ())
        return self._past(position, closed, now, jitter)

    def held_back(self, now: float, failure: Failure | None = None, jitter: float = 0.5) -> Move:
        """The move when the latest attempt could not go out: it does not count as one.

        ``failure`` is what keeps it away for longer than it may wait; without one it was kept only until now, or
        another call was faster to probe the route, whose health is asked again.
        """
        self._attempts -= 1
        last = self._last or failure or DEADLINE
        if now >= self._deadline or (self._last is not None and self._deadline - now < self._floor):
            return self._too_late(last, now) or Stop(failure=last, reason=_NO_TIME)
        if failure is not None:
            return self._past(self._position, Unavailable(failure), now, jitter, capped=True)
        closed = self._health.closed_to(self._candidates[self._position].route)
        if closed is None:
            return self._send(self._position, now, self._cause, ())
        return self._past(self._position, closed, now, jitter)

    def over_budget(self, failure: Failure, lane: LaneName | None, now: float, jitter: float) -> Move:
        """The move when a budget does not let the latest attempt out: it does not count as one.

        The call goes on in ``lane``, or a later one, whatever failures these list; without a lane it ends.
        """
        self._attempts -= 1
        here = self._candidates[self._position]
        skip = Skip(here.route, here.lane, failure.cause)
        if lane is None:
            return Stop(failure=failure, reason=failure.detail, skipped=(skip,))
        self._candidates = tuple(
            msgspec.structs.replace(candidate, incapable=candidate.incapable or failure.cause)
            if _RANKS[candidate.lane] < _RANKS[lane]
            else candidate
            for candidate in self._candidates
        )
        self._chain = msgspec.structs.replace(self._chain, candidates=self._candidates)
        onward = self._chain.onward(self._frontier, self._attempts, None)
        onward = msgspec.structs.replace(onward, skipped=(skip, *onward.skipped))
        return self._on(onward, self._last, now, jitter, opened=failure)

    def _has_waited_for(self, opened: Failure) -> bool:
        """Whether the route is closed to new calls only, by a 429 that named no time: this call has waited its turn."""
        limited = self._last is not None and self._last.kind is _K.RATE_LIMIT
        return limited and opened.kind is _K.RATE_LIMIT and opened.retry_after is None

    def _past(self, position: int, closed: Unavailable, now: float, jitter: float, *, capped: bool = False) -> Move:
        """On from a route that was about to be sent to and has been opened meanwhile, or that a cap of ours keeps."""
        here = self._candidates[position]
        onward = self._chain.onward(self._frontier, self._attempts, closed.failure)
        reached = closed.failure.cause if capped else ""  # a cap of our own has opened nothing
        skip = Skip(here.route, here.lane, reached, closed.failure) if reached else skip_of(here, closed)
        onward = msgspec.structs.replace(onward, skipped=(skip, *onward.skipped))
        return self._on(onward, self._last, now, jitter, opened=closed.failure, capped=position if capped else None)

    @property
    def deadline(self) -> float:
        """When the call's time is over, as it stands now."""
        return self._deadline

    @property
    def may_move(self) -> bool:
        """Whether another route could be used now, if the latest attempt failed."""
        return self._attempts < self._most and self._chain.remaining(self._frontier).others

    def _too_late(self, failure: Failure, now: float) -> Stop | None:
        if self._deadline - now < self._floor and self._budget < self._alone:
            onward = self._chain.onward(self._frontier, self._attempts, failure)
            if onward.position is not None and not self._chain.remaining(onward.position).after_timeout:
                self._prolong()  # the last route that could be used is not denied the time that it would have had alone
        left = self._deadline - now
        if left >= self._floor:
            return None
        skipped = self._chain.untried(self._frontier, failure, _NO_TIME)
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
        """The same route again, if it may be; ``changed`` says that it would get another body than before.

        ``alone``: no other route is well.
        """
        here = self._candidates[self._position]
        tried = self._tried[self._position]
        adds_less = changed == "drop" and bool(failure.names)  # what the app did not ask for goes, piece by piece
        if not alone and not adds_less:
            if len(tried.failed) >= MAX_ATTEMPTS_PER_ROUTE:
                return None
            if self._chain.needs_the_rest(self._position, self._attempts, failure):
                return None
        if alone and changed != "drop" and len(tried.failed) >= self._cap(here.route):
            return None
        if changed is None and not may_repeat(failure, tried.failed, self._retries, alone=alone):
            return None
        free = alone or changed == "drop" or failure.stale_connection or failure.trouble is not None
        if not free and not self._health.permits(here.route):
            self._denied = True
            return None
        wait = failure.retry_after or 0.0
        if changed is None:
            wait = wait_before(failure, len(tried.failed), jitter, alone=alone)
        asked_to_wait = failure.retry is Retry.WAIT or failure.retry_after is not None
        if not alone and asked_to_wait and wait > self._patience:
            return None
        if self._deadline - (now + wait) < self._floor:
            return None
        closed = self._health.closed_to(here.route)
        if closed is not None and (closed.failure.kind is not _K.RATE_LIMIT or (wait <= 0 and not alone)):
            return None  # where it is the last resort, it is one of those that are left
        self.charged = not free
        if adds_less:
            tried.failed = tried.failed[:-1]  # the app's own request is still to be tried
        if wait <= 0:
            self._mending = failure if changed == "repair" else None
            return self._send(self._position, now, changed or "retry", ())
        return self._wait(self._position, wait, f"again after {failure.kind}")

    def _cap(self, route: str) -> int:
        """How many attempts a route gets where no other is well."""
        return MAX_ATTEMPTS_ON_LAST + (self._health.answered_share(route) >= _MOSTLY)

    def _deciding(self, failure: Failure, lane: LaneName, transformed: bool) -> Failure:
        """The failure whose edges are followed.

        A request refused only in the form that this lane's rules gave it, after an earlier lane worked on it as the app
        wrote it, says nothing of the request: what had moved the call here goes on deciding.
        """
        entered_by = self._tried[self._position].entered_by
        if failure.kind is not _K.BAD_REQUEST or not transformed or entered_by is None:
            return failure
        return entered_by if any(other is not lane for other in self._accepted_by) else failure

    # -- on from here --------------------------------------------------------------------------------------------

    def _on(
        self,
        onward: NextCandidate,
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
        if onward.position is not None:
            cause: _Cause = "switch" if self._last is not None else "first"
            return self._send(onward.position, now, cause, onward.skipped, onward.entered_by)
        resorts = [] if self._attempts >= self._most else self._resorts(onward, failure, now, capped)
        for resort, closed in resorts:
            route = self._candidates[resort.position].route
            others = tuple(skip for skip in onward.skipped if skip.route != route)
            move = self._resort_to(resort, closed, now, jitter, others)
            if move is not None:
                return move
        ends_in = failure or opened or onward.entered_by or self._nowhere
        reason = ends_in.detail if ends_in is self._nowhere else self._nothing_left(onward.skipped)
        return Stop(failure=ends_in, reason=reason, skipped=onward.skipped)

    def _resorts(
        self, onward: NextCandidate, failure: Failure | None, now: float, capped: int | None
    ) -> list[tuple[LastResort, Unavailable | None]]:
        """The routes that are left where none ahead is well, the best first."""
        ahead = {resort.position: resort for resort in onward.resorts}
        found: list[tuple[tuple[bool, bool, float, float, int], LastResort, Unavailable | None]] = []
        here, count = self._position, len(self._candidates)
        for position in range(count):
            candidate, tried = self._candidates[position], self._tried.get(position)
            resort = ahead.get(position)
            if resort is None:
                if position > self._frontier and tried is None:
                    continue  # the chain has passed it over for good
                resort = LastResort(position, tried.entered_by if tried is not None else failure)
            if position == capped or candidate.incapable is not None:
                continue
            if tried is not None and not self._may_be_resorted_to(position, tried, failure, now):
                continue
            if tried is None and position <= self._frontier and not self._chain.admits(here, candidate, failure):
                continue
            closed = self._health.closed_to(candidate.route)
            if closed is not None and not closed.last_resort:
                continue
            tries = 0 if tried is None else len(tried.failed)
            is_throttled = closed is not None and closed.throttle is not None
            waits = 0.0 if closed is None or closed.failure.retry_after is None else closed.failure.retry_after
            limited = waits if closed is not None and _is_asked_to_wait(closed) else 0.0
            rank = (
                is_throttled,
                limited > self._deadline - now - self._floor,
                tries + self._handicap(position),
                limited,
                (position - here - 1) % count,
            )
            found.append((rank, resort, closed))
        return [(resort, closed) for _, resort, closed in sorted(found, key=lambda one: one[0])]

    def _is_better_elsewhere(self, onward: NextCandidate, failure: Failure, now: float) -> bool:
        """Whether a route that is known to answer clearly more may be tried again instead of this one."""
        resorts = self._resorts(onward, failure, now, None) if self._handicap(self._position) else []
        return bool(resorts) and resorts[0][0].position != self._position

    def _handicap(self, position: int) -> float:
        """How many tries a route is put behind others by, since one of them is known to answer clearly more."""
        share = self._health.answered_share
        best = max(share(candidate.route) for candidate in self._candidates if candidate.incapable is None)
        return 1.5 if share(self._candidates[position].route) < best - _CLEARLY else 0.0

    def _may_be_resorted_to(self, position: int, tried: _Tried, failure: Failure | None, now: float) -> bool:
        """Whether a route that the call has tried may be tried again where no other is well."""
        candidate = self._candidates[position]
        if tried.latest is not None:
            if len(tried.failed) >= self._cap(candidate.route):
                return False
            if not may_repeat(tried.latest, tried.failed, self._retries, alone=True):
                return False
            if self._deadline - max(tried.due, now) < self._floor:
                return False
        return position == self._position or self._chain.admits(self._position, candidate, failure)

    def _resort_to(
        self, resort: LastResort, closed: Unavailable | None, now: float, jitter: float, skipped: tuple[Skip, ...]
    ) -> Move | None:
        """To a route that is not well, or was tried before; ``None`` if it can't be had now."""
        position = resort.position
        tried = self._tried.get(position)
        is_first = tried is None or not tried.failed
        if closed is not None and closed.throttle is not None:
            return self._throttled(resort, closed.throttle, now, jitter, skipped, is_first=is_first)
        if tried is not None and tried.due > now:
            assert tried.latest is not None
            return self._wait(position, tried.due - now, f"again after {tried.latest.kind}")
        cause: _Cause = "first" if self._last is None else "retry" if position == self._position else "switch"
        if closed is None:
            return self._send(position, now, cause, skipped, resort.entered_by)
        asked = closed.failure.retry_after
        told = _is_asked_to_wait(closed) and closed.failure.http_status is not None  # and not only foreseen
        if told and asked is not None and self._deadline - now - asked < self._floor:
            if not is_first or self._used_slot or self._is_asked_elsewhere(position):
                return None
            reason = f"all are rate limited for longer than the call may take; this one for {asked:.0f} s"
            return self._next_slot(resort, now, reason, skipped, asks=not self._asked_for_slot)
        return self._send(position, now, cause, skipped, resort.entered_by, last_resort=True)

    def _is_asked_elsewhere(self, position: int) -> bool:
        """Whether another route that asked for silence has had the attempt that goes on while all did."""
        for other, candidate in enumerate(self._candidates):
            if other == position or candidate.incapable is not None:
                continue
            closed = self._health.closed_to(candidate.route)
            is_limited = closed is not None and closed.last_resort and closed.failure.kind is _K.RATE_LIMIT
            if is_limited and self._health.next_slot(candidate.route, asks=False) > PENDING:
                return True
        return False

    def _throttled(
        self,
        resort: LastResort,
        throttle: Throttle,
        now: float,
        jitter: float,
        skipped: tuple[Skip, ...],
        *,
        is_first: bool,
    ) -> Move | None:
        """To a throttled route: as its next probe if this is the call's first attempt there, else after its end."""
        # Where attempts fail slowly, a call that the plain SDK made would still be at its attempts by then.
        patience = max(self._patience, MAX_ATTEMPTS_ON_LAST * throttle.failed_in)
        left = min(patience - self._waited_for_throttle, self._deadline - now - self._floor)
        may_wait = throttle.seconds < WAITED_FOR and left >= LEAST_WAIT
        if is_first:
            asks = may_wait or not self._asked_for_slot
            move = self._next_slot(resort, now, str(throttle), skipped, asks=asks)
            if move is not None:
                return move
        if not may_wait:
            return None
        seconds = min(left, _LOOK * (1 + jitter) / 2)
        self._waited_for_throttle += seconds
        return self._wait(resort.position, seconds, str(throttle), for_end=True)

    def _next_slot(
        self, resort: LastResort, now: float, reason: str, skipped: tuple[Skip, ...], *, asks: bool
    ) -> Move | None:
        """The next attempt of a route that gets few; ``None`` if that is another call's.

        While the store has not said whose it is, that is waited for: it takes no longer than a round to it.
        """
        slot = self._health.next_slot(self._candidates[resort.position].route, asks=asks)
        if slot <= 0:
            cause: _Cause = "first" if self._last is None else "switch"
            return self._send(resort.position, now, cause, skipped, resort.entered_by, last_resort=True, slot=True)
        if not asks or slot > PENDING or self._deadline - now - slot < self._floor:
            return None
        self._asked_for_slot = True
        self._waited_for_throttle += slot
        return self._wait(resort.position, slot, reason, for_end=True)

    def _wait(self, position: int, seconds: float, reason: str, *, for_end: bool = False) -> Wait:
        here = self._candidates[position]
        self._wait_for = None if for_end else position
        return Wait(seconds=seconds, route=here.route, lane=here.lane, reason=reason)

    # -- sending -------------------------------------------------------------------------------------------------

    def _send(
        self,
        position: int,
        now: float,
        cause: _Cause,
        skipped: tuple[Skip, ...],
        entered_by: Failure | None = None,
        *,
        last_resort: bool = False,
        slot: bool = False,
    ) -> Send:
        candidate = self._candidates[position]
        self._position = position
        self._frontier = max(self._frontier, position)
        if position not in self._tried:
            self._tried[position] = _Tried(entered_by)
        self._attempts += 1
        self._cause = cause
        self._used_slot = self._used_slot or slot
        ahead = self._chain.remaining(self._frontier)
        further = self._most - self._attempts
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
            first_byte=self._health.first_byte(candidate.route) if could_move else None,
            patience=self._patience if ahead.others and further else max(0.0, left - self._floor),
            cause=cause,
            last_resort=last_resort,
            slot=slot,
            skipped=skipped,
        )

    def _nothing_left(self, skipped: Sequence[Skip]) -> str:
        reason = "no other route may be used" if skipped else "no other route is left"
        return f"{reason}, and the provider's retry budget is used up" if self._denied else reason
