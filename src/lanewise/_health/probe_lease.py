"""The lease of a half-open circuit's probe: which worker holds it, for how long, and who is next."""

from __future__ import annotations

import msgspec

from lanewise._health.circuit import BreakerSettings, Circuit, LeaseRenewed

__all__ = ["asked", "released", "renewed"]


def asked(circuit: Circuit, worker: str, now: float, settings: BreakerSettings) -> Circuit:
    """A worker would probe: it gets the lease if nobody holds it, else it is next."""
    if circuit.by_hand or not circuit.is_half_open(now):
        return circuit
    if circuit.holder and circuit.lease_until > now:
        taken = circuit.holder == worker or circuit.wanted_by
        return circuit if taken else msgspec.structs.replace(circuit, wanted_by=worker)
    return _held_by(circuit, worker, now, settings)


def renewed(circuit: Circuit, event: LeaseRenewed, now: float, settings: BreakerSettings) -> Circuit:
    """The holder is alive; one that has no call to probe with makes way for a worker that asks."""
    if circuit.holder != event.worker:
        return circuit
    if not event.in_use:
        return released(circuit, event.worker, now, settings) if circuit.wanted_by else _kept(circuit, now, settings)
    return _kept(circuit, now, settings)


def _kept(circuit: Circuit, now: float, settings: BreakerSettings) -> Circuit:
    return msgspec.structs.replace(circuit, lease_until=now + settings.lease)


def released(circuit: Circuit, probe: str, now: float, settings: BreakerSettings) -> Circuit:
    """The probe of the worker ``probe`` is over (of none: ``""``): the lease is free, or the next one's."""
    if not probe or circuit.holder != probe:
        return circuit
    wanted = circuit.wanted_by
    if wanted and wanted != probe:
        return _held_by(circuit, wanted, now, settings)
    return msgspec.structs.replace(circuit, holder="", wanted_by="", lease_until=0.0)


def _held_by(circuit: Circuit, worker: str, now: float, settings: BreakerSettings) -> Circuit:
    return msgspec.structs.replace(circuit, holder=worker, wanted_by="", lease_until=now + settings.lease)
