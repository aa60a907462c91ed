"""The health of one route or account: closed, open, half-open; and closed to new calls for a while by a rate limit.

Everything that changes a circuit's state lives in this file, but for the lease of its probe, which is in ``lease``. It
is pure: a ``Circuit`` and an ``Event`` give the next circuit, and time and jitter are arguments. The same function is
applied to what a worker remembers and, a moment later, to what all workers share, so that both come to the same.

Theory of operation
-------------------
* A circuit opens at a number of failures in a row, over all workers. Neutral outcomes don't break the row. What
  settles it at once (a bad key, a missing model, a failure ratio that a worker has seen) opens it at once.
* Open, it lets nothing through until its time is over: each opening in a row takes twice as long as the one before.
* After that it is half-open: one worker holds the probe, by a lease that it renews while the probe runs. Its success
  closes the circuit, its failure opens it again, and anything else gives the probe back. A holder that crashed loses it
  when the lease runs out. A holder that has no call to try it with hands it to a worker that asks.
* ``turn`` counts openings and closings. An outcome carries the turn in which its attempt began, and one of an earlier
  turn changes nothing: a late success from before the opening does not close the circuit.

Defaults and words are those of Polly (failure ratio, minimum throughput, break duration) and of Envoy's outlier
detection (consecutive failures, base and maximal ejection time).
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.retry_after import LONGEST_RETRY_AFTER
from lanewise._health import probe_lease as lease
from lanewise._health.circuit import (
    BreakerSettings,
    ByHand,
    Circuit,
    Event,
    Failed,
    LeaseAsked,
    LeaseRenewed,
    Limited,
    Opened,
    Released,
    Succeeded,
)
from lanewise.types import Failure

__all__ = ["BY_HAND", "after", "merged"]

BY_HAND: Final = failures.UNAVAILABLE.failure(cause="by hand")
"""What has a circuit open that a person opened: for the lanes an outage."""
_MOST_DOUBLINGS: Final = 16
_FOREVER: Final = 1e15


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
            return lease.asked(circuit, event.worker, now, settings)
        case LeaseRenewed():
            return lease.renewed(circuit, event, now, settings)
        case Released():
            return lease.released(circuit, event.probe, now, settings)
    if circuit.by_hand or event.turn < circuit.turn:
        return circuit
    match event:
        case Succeeded():
            return _succeeded(circuit, event, now)
        case Failed():
            return _failed(circuit, event, now, settings)
        case Opened():
            return circuit if circuit.is_open(now) else _opened(circuit, event.failure, event.jitter, now, settings)
        case Limited():
            return lease.released(_limited(circuit, event, now, settings), event.probe, now, settings)


def merged(one: Circuit, other: Circuit) -> Circuit:
    """What two workers make of it that could not hear of each other: the later turn, else the more cautious.

    Example::

        assert merged(Circuit(turn=2), Circuit(turn=1, open_until=9.0)) == Circuit(turn=2)
    """
    if one.turn != other.turn:
        return one if one.turn > other.turn else other
    later = one if _never_sooner(one.open_until, other.open_until) else other
    limits = one if _never_sooner(one.limited_until, other.limited_until) else other
    return msgspec.structs.replace(
        later,
        row=max(one.row, other.row),
        openings=max(one.openings, other.openings),
        limits=max(one.limits, other.limits),
        limited_until=limits.limited_until,
        limited_by=limits.limited_by,
    )


def _never_sooner(one: float | None, other: float | None) -> bool:
    """Whether a time is not before another one; to have none is before all, since a clock may show anything."""
    return other is None or (one is not None and one >= other)


def _succeeded(circuit: Circuit, event: Succeeded, now: float) -> Circuit:
    if circuit.open_until is not None:
        return Circuit(turn=circuit.turn + 1) if event.probe else circuit
    if circuit.is_limited(now) and event.limits < circuit.limits:  # it was under way when the limit was met
        return circuit if not circuit.row else msgspec.structs.replace(circuit, row=0)
    return circuit if circuit.calm else Circuit(turn=circuit.turn)


def _failed(circuit: Circuit, event: Failed, now: float, settings: BreakerSettings) -> Circuit:
    if circuit.is_open(now) or (circuit.open_until is not None and not event.probe):
        return circuit
    if event.probe or circuit.row + 1 >= settings.consecutive_failures:
        return _opened(circuit, event.failure, event.jitter, now, settings)
    return msgspec.structs.replace(circuit, row=circuit.row + 1)


def _opened(circuit: Circuit, why: Failure, jitter: float, now: float, settings: BreakerSettings) -> Circuit:
    longest = settings.max_break_duration
    doubled = min(settings.break_duration * 2.0**circuit.openings, longest)
    seconds = min(doubled * (0.8 + 0.4 * jitter), longest)
    if why.retry_after is not None:
        seconds = max(seconds, min(why.retry_after, LONGEST_RETRY_AFTER))
    return Circuit(
        turn=circuit.turn + 1,
        openings=min(circuit.openings + 1, _MOST_DOUBLINGS),
        opened_at=now,
        open_until=now + seconds,
        why=why,
        limits=circuit.limits,
        limited_until=circuit.limited_until,
        limited_by=circuit.limited_by,
    )


def _limited(circuit: Circuit, event: Limited, now: float, settings: BreakerSettings) -> Circuit:
    doubled = settings.throttle_duration * 2.0 ** min(circuit.limits, _MOST_DOUBLINGS)
    if event.seconds is None and circuit.is_limited(now):
        return circuit  # calls that were under way already: one limit, not several in a row
    seconds = min(doubled, settings.max_throttle_duration) if event.seconds is None else event.seconds
    until = now + min(seconds, LONGEST_RETRY_AFTER)
    if circuit.limited_until is not None and circuit.limited_until >= until:
        return circuit
    return msgspec.structs.replace(circuit, limits=circuit.limits + 1, limited_until=until, limited_by=event.failure)


def _by_hand(circuit: Circuit, event: ByHand, now: float) -> Circuit:
    if not event.open:
        return Circuit(turn=circuit.turn + 1)
    return Circuit(turn=circuit.turn + 1, opened_at=now, open_until=_FOREVER, why=BY_HAND, by_hand=True)
