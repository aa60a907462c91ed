"""Which worker sends the next attempt: who holds the lease of a half-open circuit's probe, and a throttle's next slot.

Pure, as all transitions of a circuit are.
"""

from __future__ import annotations

import msgspec

from lanewise._health.breakers.circuit import BreakerSettings, Circuit, LeaseRenewed, SlotAsked

__all__ = ["lease_asked", "lease_renewed", "released", "slot_asked"]

_replace = msgspec.structs.replace


def slot_asked(circuit: Circuit, event: SlotAsked, now: float) -> Circuit:
    """Who comes first when a slot is due has it; one that it does not use is lost."""
    is_slotted = circuit.throttled_at is not None or circuit.is_limited(now)
    if circuit.by_hand or not is_slotted or now < circuit.slot_at:
        return circuit
    return _replace(circuit, slot_at=now + event.every, slot_of=event.worker)


def lease_asked(circuit: Circuit, worker: str, now: float, settings: BreakerSettings) -> Circuit:
    """A worker would probe: it gets the lease if nobody holds it, else it is next."""
    if circuit.by_hand or not circuit.is_half_open(now):
        return circuit
    if circuit.holder and circuit.lease_until > now:
        taken = circuit.holder == worker or circuit.wanted_by
        return circuit if taken else _replace(circuit, wanted_by=worker)
    return _held_by(circuit, worker, now, settings)


def lease_renewed(circuit: Circuit, event: LeaseRenewed, now: float, settings: BreakerSettings) -> Circuit:
    """The holder is alive; one that has no call to probe with makes way for a worker that asks."""
    if circuit.holder != event.worker:
        return circuit
    if not event.in_use and circuit.wanted_by:
        return released(circuit, event.worker, now, settings)
    return _replace(circuit, lease_until=now + settings.lease)


def released(circuit: Circuit, probe: str, now: float, settings: BreakerSettings) -> Circuit:
    """The probe of the worker ``probe`` is over (of none: ``""``): the lease is free, or the next one's."""
    if not probe or circuit.holder != probe:
        return circuit
    wanted = circuit.wanted_by
    if wanted and wanted != probe:
        return _held_by(circuit, wanted, now, settings)
    return _replace(circuit, holder="", wanted_by="", lease_until=0.0)


def _held_by(circuit: Circuit, worker: str, now: float, settings: BreakerSettings) -> Circuit:
    return _replace(circuit, holder=worker, wanted_by="", lease_until=now + settings.lease)
