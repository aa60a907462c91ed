"""What each event makes of a circuit: closed, open, half-open, throttled; and closed to new calls by a rate limit.

Pure: a ``Circuit`` and an ``Event`` give the next circuit, and time and jitter are arguments. The same function is
applied to what a worker remembers and, a moment later, to what all workers share, so that both come to the same.

Theory of operation
-------------------
* A circuit opens at a number of failures in a row, over all workers, if its calls have a better route to go to. Neutral
  outcomes don't break the row. What settles it at once (a bad key, a missing model, a failure ratio that a worker has
  seen) opens it at once.
* Open, it is passed over until its time is over: each opening in a row takes twice as long as the one before.
* After that it is half-open: one worker holds the probe, by a lease (``probe_lease.py``) that it renews while the probe
  runs. A success closes the circuit, a failure of the probe opens it again, and anything else gives the probe back. A
  holder that crashed loses it when the lease runs out. A holder that has no call to try it with hands it to a worker
  that asks.
* A route that counted failures opened is still sent to where a call has no other. After a long row without an answer it
  is throttled: such calls get one slot a second over all workers, until a success that began since then.
* ``generation`` counts openings, throttles and closings. An outcome carries the generation in which its attempt began,
  and one of an earlier generation changes nothing: a late success from before does not close the circuit.

Defaults and words are those of Polly (failure ratio, minimum throughput, break duration) and of Envoy's outlier
detection (consecutive failures, base and maximal ejection time).
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.retry_after import LONGEST_RETRY_AFTER
from lanewise._health.breakers.circuit import (
    COUNTED,
    BreakerSettings,
    ByHand,
    Circuit,
    CircuitOpened,
    Event,
    Failed,
    LeaseAsked,
    LeaseRenewed,
    Limited,
    Released,
    SlotAsked,
    Succeeded,
)
from lanewise._health.breakers.probe_lease import lease_asked, lease_renewed, released, slot_asked
from lanewise.types import BreakerEffect, Failure

__all__ = ["BY_HAND", "after", "merged"]

BY_HAND: Final = failures.UNAVAILABLE.failure(cause="by hand")
"""What has a circuit open that a person opened: for the lanes an outage."""
_MOST_DOUBLINGS: Final = 16
_FOREVER: Final = 1e15

_replace = msgspec.structs.replace


def after(circuit: Circuit, event: Event, now: float, settings: BreakerSettings) -> Circuit:
    """The circuit after an event. The very same object if nothing changes.

    Example::

        circuit = after(Circuit(), Failed(0, failure, jitter=0.5), now, BreakerSettings(consecutive_failures=1))
        assert circuit.open_until == now + 10.0
    """
    match event:
        case ByHand():
            return _by_hand(circuit, event, now)
        case LeaseAsked():
            return lease_asked(circuit, event.worker, now, settings)
        case LeaseRenewed():
            return lease_renewed(circuit, event, now, settings)
        case SlotAsked():
            return slot_asked(circuit, event, now)
        case Released():
            return released(circuit, event.probe, now, settings)
    if circuit.by_hand or event.generation < circuit.generation:
        return circuit
    match event:
        case Succeeded():
            return _succeeded(circuit, event, now, settings)
        case Failed():
            return _failed(circuit, event, now, settings)
        case CircuitOpened():
            return _settled(circuit, event, now, settings)
        case Limited():
            return released(_limited(circuit, event, now, settings), event.probe, now, settings)


def merged(one: Circuit, other: Circuit) -> Circuit:
    """What two workers make of it that could not hear of each other: the later generation, else the more cautious.

    Example::

        assert merged(Circuit(generation=2), Circuit(generation=1, open_until=9.0)) == Circuit(generation=2)
    """
    if one.generation != other.generation:
        return one if one.generation > other.generation else other
    later = one if _never_sooner(one.open_until, other.open_until) else other
    limits = one if _never_sooner(one.limited_until, other.limited_until) else other
    row = one if one.unanswered >= other.unanswered else other
    slot = one if one.slot_at >= other.slot_at else other
    return _replace(
        later,
        consecutive_failures=max(one.consecutive_failures, other.consecutive_failures),
        consecutive_opens=max(one.consecutive_opens, other.consecutive_opens),
        limits=max(one.limits, other.limits),
        limited_since=limits.limited_since,
        limited_until=limits.limited_until,
        limited_by=limits.limited_by,
        disproved_until=one.disproved_until
        if _never_sooner(one.disproved_until, other.disproved_until)
        else other.disproved_until,
        unanswered=row.unanswered,
        unanswered_since=row.unanswered_since,
        unanswered_by=row.unanswered_by,
        slot_at=slot.slot_at,
        slot_of=slot.slot_of,
    )


def _never_sooner(one: float | None, other: float | None) -> bool:
    """Whether a time is not before another one; to have none is before all, since a clock may show anything."""
    return other is None or (one is not None and one >= other)


# -- outcomes ----------------------------------------------------------------------------------------------------------


def _succeeded(circuit: Circuit, event: Succeeded, now: float, settings: BreakerSettings) -> Circuit:
    still_limited = circuit.is_limited(now) and event.limits < circuit.limits  # it was under way when the limit was met
    if circuit.open_until is not None:
        closes = (
            event.probe or circuit.throttled_at is not None or (circuit.is_half_open(now) and circuit.fails_in_part)
        )
        if not closes:
            return _replace(circuit, unanswered=0) if circuit.unanswered else circuit
        closed = Circuit(generation=circuit.generation + 1)
        return _limited_like(closed, circuit) if still_limited and not event.probe else closed
    if circuit.pristine:
        return circuit
    disproves = event.despite_limit and circuit.is_limited(now)
    until = now + settings.disproved if disproves else circuit.disproved_until
    answered = Circuit(generation=circuit.generation)
    return _replace(_limited_like(answered, circuit) if still_limited else answered, disproved_until=until)


def _limited_like(circuit: Circuit, other: Circuit) -> Circuit:
    return _replace(
        circuit,
        limits=other.limits,
        limited_since=other.limited_since,
        limited_until=other.limited_until,
        limited_by=other.limited_by,
        disproved_until=other.disproved_until,
        slot_at=other.slot_at,
        slot_of=other.slot_of,
    )


def _failed(circuit: Circuit, event: Failed, now: float, settings: BreakerSettings) -> Circuit:
    counted = _unanswered(circuit, event.failure, now)
    if circuit.open_until is not None:
        if event.probe and circuit.is_half_open(now):
            return _opened(counted, event.failure, event.jitter, now, settings)
        return _throttled(counted, event.failure, event.jitter, now, settings)
    row = circuit.consecutive_failures + 1
    opens = row >= settings.consecutive_failures and (event.others_better or not settings.throttle)
    if event.probe or opens:
        return _opened(counted, event.failure, event.jitter, now, settings)
    counted = _replace(counted, consecutive_failures=row)
    return _throttled(counted, event.failure, event.jitter, now, settings)


def _settled(circuit: Circuit, event: CircuitOpened, now: float, settings: BreakerSettings) -> Circuit:
    if circuit.is_open(now) and (event.failure.breaker in COUNTED or not circuit.fails_in_part):
        return circuit
    return _opened(circuit, event.failure, event.jitter, now, settings)


def _unanswered(circuit: Circuit, failure: Failure, now: float) -> Circuit:
    since = circuit.unanswered_since if circuit.unanswered else now
    return _replace(circuit, unanswered=circuit.unanswered + 1, unanswered_since=since, unanswered_by=failure)


def _throttled(circuit: Circuit, failure: Failure, jitter: float, now: float, settings: BreakerSettings) -> Circuit:
    """Throttled, if the row without an answer is long enough; and with it open, for those who have another route."""
    lasted = now - circuit.unanswered_since
    is_due = circuit.unanswered >= settings.throttle_after and lasted >= settings.throttle_silence
    if not settings.throttle or circuit.throttled_at is not None or not is_due:
        return circuit
    if circuit.open_until is not None and not circuit.fails_in_part:
        return circuit
    if circuit.open_until is None:
        circuit = _opened(circuit, _replace(failure, breaker=BreakerEffect.FAILURE), jitter, now, settings)
    else:
        circuit = _replace(circuit, generation=circuit.generation + 1)
    return _replace(circuit, throttled_at=now, slot_at=max(circuit.slot_at, now + settings.slot))


def _opened(circuit: Circuit, failure: Failure, jitter: float, now: float, settings: BreakerSettings) -> Circuit:
    longest = settings.max_break_duration
    doubled = min(settings.break_duration * 2.0**circuit.consecutive_opens, longest)
    seconds = min(doubled * (0.8 + 0.4 * jitter), longest)
    if failure.retry_after is not None:
        seconds = max(seconds, min(failure.retry_after, LONGEST_RETRY_AFTER))
    return _replace(
        circuit,
        generation=circuit.generation + (circuit.throttled_at is None),  # what began in a throttle may end it
        consecutive_failures=0,
        consecutive_opens=min(circuit.consecutive_opens + 1, _MOST_DOUBLINGS),
        opened_at=now if circuit.opened_at is None else circuit.opened_at,  # not anew at each probe that fails
        open_until=now + seconds,
        why=failure,
        holder="",
        lease_until=0.0,
        wanted_by="",
    )


def _limited(circuit: Circuit, event: Limited, now: float, settings: BreakerSettings) -> Circuit:
    if event.met:
        circuit = _throttled(_unanswered(circuit, event.failure, now), event.failure, event.jitter, now, settings)
        if event.probe and circuit.throttled_at is not None and circuit.is_half_open(now) and circuit.why is not None:
            circuit = _opened(circuit, circuit.why, event.jitter, now, settings)  # else each call would be a probe
    doubled = settings.throttle_duration * 2.0 ** min(circuit.limits, _MOST_DOUBLINGS)
    if event.seconds is None and circuit.is_limited(now):
        return circuit  # calls that were under way already: one limit, not several in a row
    seconds = min(doubled, settings.max_throttle_duration) if event.seconds is None else event.seconds
    until = now + min(seconds, LONGEST_RETRY_AFTER)
    if circuit.limited_until is not None and circuit.limited_until >= until:
        return circuit
    since = circuit.limited_since if circuit.is_limited(now) else now
    limited = _replace(
        circuit, limits=circuit.limits + 1, limited_since=since, limited_until=until, limited_by=event.failure
    )
    if event.seconds is None or circuit.slot_at > now:
        return limited
    return _replace(limited, slot_at=now + settings.slot)


def _by_hand(circuit: Circuit, event: ByHand, now: float) -> Circuit:
    generation = circuit.generation + 1
    if not event.open:
        return Circuit(generation=generation)
    return Circuit(generation=generation, opened_at=now, open_until=_FOREVER, why=BY_HAND, by_hand=True)
