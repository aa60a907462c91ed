"""Where a call may go back to when no route ahead is well: routes tried before, passed over, limited or throttled.

The routes that are left are ranked: one that is throttled last, before it one whose rate limit outlasts the call, then
those tried least, so that attempts alternate, and one that clearly answers less after those that answer more.
"""

from __future__ import annotations

from typing import Final

from lanewise._routing.availability import PENDING, Throttle, Unavailable
from lanewise._routing.call_progress import MAX_ATTEMPTS_ON_LAST, CallProgress, Cause, Tried
from lanewise._routing.fallback_chain import LastResort, NextCandidate
from lanewise._routing.retry import may_repeat
from lanewise.types import Failure, FailureKind, Move, Skip

__all__ = ["is_better_elsewhere", "last_resorts", "resort_to"]

WAITED_FOR: Final = 10.0
"""Seconds from the beginning of a throttle in which calls wait for its end."""
LEAST_WAIT: Final = 0.001
_CLEARLY: Final = 0.25
"""A route that answers so much less than another one, in share of answers, is only tried again after two tries of that
one: the difference of two that answer alike is below it in 49 cases of 50."""
_LOOK: Final = 1.0
"""Seconds between two looks of such a call at most; half of it at least, so that those who wait go on over a second."""


def _is_asked_to_wait(closed: Unavailable) -> bool:
    """Whether a rate limit keeps everybody from a route, and not only those who met it."""
    return closed.failure.kind is FailureKind.RATE_LIMIT and not closed.in_part


def last_resorts(
    call: CallProgress, following: NextCandidate, failure: Failure | None, now: float, capped: int | None
) -> list[tuple[LastResort, Unavailable | None]]:
    """The routes that are left where none ahead is well, the best first."""
    ahead = {resort.position: resort for resort in following.resorts}
    found: list[tuple[tuple[bool, bool, float, float, int], LastResort, Unavailable | None]] = []
    here, count = call.position, len(call.candidates)
    for position in range(count):
        candidate, tried = call.candidates[position], call.tried.get(position)
        resort = ahead.get(position)
        if resort is None:
            if position > call.frontier and tried is None:
                continue  # the chain has passed it over for good
            resort = LastResort(position, tried.entered_by if tried is not None else failure)
        if position == capped or candidate.incapable is not None:
            continue
        if tried is not None and not _may_be_resorted_to(call, position, tried, failure, now):
            continue
        if tried is None and position <= call.frontier and not call.chain.admits(here, candidate, failure):
            continue
        closed = call.health.closed_to(candidate.route)
        if closed is not None and not closed.last_resort:
            continue
        tries = 0 if tried is None else len(tried.failed)
        is_throttled = closed is not None and closed.throttle is not None
        waits = 0.0 if closed is None or closed.failure.retry_after is None else closed.failure.retry_after
        limited = waits if closed is not None and _is_asked_to_wait(closed) else 0.0
        rank = (
            is_throttled,
            limited > call.deadline - now - call.floor,
            tries + _handicap(call, position),
            limited,
            (position - here - 1) % count,
        )
        found.append((rank, resort, closed))
    return [(resort, closed) for _, resort, closed in sorted(found, key=lambda one: one[0])]


def is_better_elsewhere(call: CallProgress, following: NextCandidate, failure: Failure, now: float) -> bool:
    """Whether a route that is known to answer clearly more may be tried again instead of this one."""
    resorts = last_resorts(call, following, failure, now, None) if _handicap(call, call.position) else []
    return bool(resorts) and resorts[0][0].position != call.position


def _handicap(call: CallProgress, position: int) -> float:
    """How many tries a route is put behind others by, since one of them is known to answer clearly more."""
    share = call.health.answered_share
    best = max(share(candidate.route) for candidate in call.candidates if candidate.incapable is None)
    return 1.5 if share(call.candidates[position].route) < best - _CLEARLY else 0.0


def _may_be_resorted_to(call: CallProgress, position: int, tried: Tried, failure: Failure | None, now: float) -> bool:
    """Whether a route that the call has tried may be tried again where no other is well."""
    candidate = call.candidates[position]
    if tried.latest is not None:
        if len(tried.failed) >= call.most_attempts_of(candidate.route):
            return False
        if not may_repeat(tried.latest, tried.failed, call.retries, alone=True):
            return False
        if call.deadline - max(tried.due, now) < call.floor:
            return False
    return position == call.position or call.chain.admits(call.position, candidate, failure)


def resort_to(
    call: CallProgress,
    resort: LastResort,
    closed: Unavailable | None,
    now: float,
    jitter: float,
    skipped: tuple[Skip, ...],
) -> Move | None:
    """To a route that is not well, or was tried before; ``None`` if it can't be had now."""
    position = resort.position
    tried = call.tried.get(position)
    is_first = tried is None or not tried.failed
    if closed is not None and closed.throttle is not None:
        return _throttled(call, resort, closed.throttle, now, jitter, skipped, is_first=is_first)
    if tried is not None and tried.due > now:
        assert tried.latest is not None
        return call.wait_for_route(position, tried.due - now, f"again after {tried.latest.kind}")
    cause: Cause = "first" if call.last is None else "retry" if position == call.position else "switch"
    if closed is None:
        return call.send(position, now, cause, skipped, resort.entered_by)
    asked = closed.failure.retry_after
    asked_to_wait = _is_asked_to_wait(closed) and closed.failure.http_status is not None  # and not only foreseen
    if asked_to_wait and asked is not None and call.deadline - now - asked < call.floor:
        if not is_first or call.used_slot or _is_asked_elsewhere(call, position):
            return None
        reason = f"all are rate limited for longer than the call may take; this one for {asked:.0f} s"
        return _next_slot(call, resort, now, reason, skipped, asks=not call.asked_for_slot)
    return call.send(position, now, cause, skipped, resort.entered_by, last_resort=True)


def _is_asked_elsewhere(call: CallProgress, position: int) -> bool:
    """Whether another route that asked for silence has had the attempt that goes on while all did."""
    for other, candidate in enumerate(call.candidates):
        if other == position or candidate.incapable is not None:
            continue
        closed = call.health.closed_to(candidate.route)
        is_limited = closed is not None and closed.last_resort and closed.failure.kind is FailureKind.RATE_LIMIT
        if is_limited and call.health.next_slot(candidate.route, asks=False) > PENDING:
            return True
    return False


def _throttled(
    call: CallProgress,
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
    patience = max(call.patience, MAX_ATTEMPTS_ON_LAST * throttle.failed_in)
    left = min(patience - call.waited_for_throttle, call.deadline - now - call.floor)
    may_wait = throttle.seconds < WAITED_FOR and left >= LEAST_WAIT
    if is_first:
        asks = may_wait or not call.asked_for_slot
        move = _next_slot(call, resort, now, str(throttle), skipped, asks=asks)
        if move is not None:
            return move
    if not may_wait:
        return None
    seconds = min(left, _LOOK * (1 + jitter) / 2)
    call.waited_for_throttle += seconds
    return call.wait_for_route(resort.position, seconds, str(throttle), for_end=True)


def _next_slot(
    call: CallProgress, resort: LastResort, now: float, reason: str, skipped: tuple[Skip, ...], *, asks: bool
) -> Move | None:
    """The next attempt of a route that gets few; ``None`` if that is another call's.

    While the store has not said whose it is, that is waited for: it takes no longer than a round to it.
    """
    slot = call.health.next_slot(call.candidates[resort.position].route, asks=asks)
    if slot <= 0:
        cause: Cause = "first" if call.last is None else "switch"
        return call.send(resort.position, now, cause, skipped, resort.entered_by, last_resort=True, slot=True)
    if not asks or slot > PENDING or call.deadline - now - slot < call.floor:
        return None
    call.asked_for_slot = True
    call.waited_for_throttle += slot
    return call.wait_for_route(resort.position, slot, reason, for_end=True)
