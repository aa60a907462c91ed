"""A circuit as one worker knows it: what it lets through, and the events that the other workers have to get.

Pure: time, jitter and whether the shared store answers are arguments. What a worker does to a circuit it does at once
to its own copy, and keeps the event for the others; what all workers made of it comes back, and takes the copy's place
once every event of this worker is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from lanewise._health.breakers.circuit import BreakerSettings, Circuit, Event, LeaseAsked, LeaseRenewed, SlotAsked
from lanewise._health.breakers.transitions import after, merged
from lanewise._routing.availability import PENDING, Throttle, Unavailable
from lanewise.types import Failure

__all__ = ["LocalBreaker"]

_MARGIN: Final = 0.2
"""The share of a lease, or of a slot, that is not used: by this worker's clock it may have begun later than by the
store's."""
_SOON: Final = 1.0
"""Seconds until a half-open circuit is worth another look, for those who may not probe."""


class LocalBreaker:
    """One circuit, as one worker knows it. ``worker`` names the worker; times are by its own clock.

    ``pending_events`` are this worker's events that the store does not have yet, ``version`` is that of the shared
    circuit which the copy comes from, ``probing`` whether a probe of this worker runs, ``wanted`` whether one of its
    calls would have been one, ``slot_wanted`` whether one would take the slot of a throttle, ``failed_in`` how many
    seconds the latest attempt here took that failed, ``detached`` whether the store is out of reach: then it
    keeps no events.
    """

    __slots__ = (
        "_offered",
        "_slot_used",
        "circuit",
        "detached",
        "failed_in",
        "on_change",
        "pending_events",
        "pristine",
        "probing",
        "settings",
        "slot_wanted",
        "version",
        "wanted",
        "worker",
    )

    def __init__(self, worker: str, settings: BreakerSettings) -> None:
        self.worker = worker
        self.settings = settings
        self.circuit = Circuit()
        self.pristine = True
        self.pending_events: list[Event] = []
        self.detached = False
        self.version = -1
        self.probing = False
        self.wanted = False
        self.slot_wanted = False
        self.failed_in = 0.0
        self.on_change: Callable[[Circuit, Circuit, bool], None] | None = None
        """Gets what it was and what it is, when it opens, closes or is throttled, and whether that came from others."""
        self._offered = False
        self._slot_used = float("-inf")

    def closed_to(self, now: float, *, shared: bool) -> Unavailable | None:
        """What keeps new calls away, with the seconds until that ends; ``None`` if nothing does.

        ``shared``: the store answers, so that a probe needs the lease. A rate limit for which the provider named no
        time has no ``retry_after``.
        """
        circuit = self.circuit
        limit = circuit.limited_by if circuit.is_limited(now) else None
        if limit is not None and limit.retry_after is not None and circuit.limited_until is not None:
            limit = msgspec.structs.replace(limit, retry_after=circuit.limited_until - now)
        if circuit.open_until is not None and circuit.why is not None:
            if circuit.by_hand:
                return Unavailable(circuit.why)
            is_open = now < circuit.open_until
            if is_open or not self.may_probe(now, shared=shared):
                self.wanted = self.wanted or not is_open
                failure = msgspec.structs.replace(
                    circuit.why, retry_after=circuit.open_until - now if is_open else _SOON
                )
                if not self.settings.throttle or not circuit.fails_in_part:
                    return Unavailable(failure)
                if circuit.throttled_at is not None:
                    return self._throttled(now, failure)
                if limit is None or not limit.retry_after:
                    return Unavailable(failure, last_resort=True)
        return None if limit is None else Unavailable(limit, last_resort=True, in_part=self._limits_in_part(now))

    def _limits_in_part(self, now: float) -> bool:
        """Whether a rate limited route answers others all the same: their Retry-After keeps no call from it then."""
        return self.circuit.is_disproved(now) and self.circuit.unanswered < self.settings.throttle_after

    def _throttled(self, now: float, failure: Failure) -> Unavailable:
        circuit = self.circuit
        assert circuit.throttled_at is not None
        next_slot = max(0.0, circuit.slot_at - now)
        seconds = now - circuit.throttled_at
        throttle = Throttle(circuit.unanswered, seconds, next_attempt=next_slot, failed_in=self.failed_in)
        return Unavailable(msgspec.structs.replace(failure, retry_after=next_slot), last_resort=True, throttle=throttle)

    def may_probe(self, now: float, *, shared: bool) -> bool:
        """Whether an attempt may go out now to try an open circuit."""
        circuit = self.circuit
        if self.probing or circuit.by_hand or not circuit.is_half_open(now):
            return False
        if not shared:
            return True
        margin = _MARGIN * self.settings.lease
        return not self._offered and circuit.holder == self.worker and now < circuit.lease_until - margin

    # -- slots -------------------------------------------------------------------------------------------------------

    def next_slot(self, now: float, *, shared: bool, asks: bool) -> float:
        """The seconds until this worker may send the next attempt of a throttle: 0 if it may now.

        While it is not known whose the slot is, the store is asked if a call ``asks``, and this gives when it will have
        replied.
        """
        if self._has_slot(now):
            return 0.0
        if now < self.circuit.slot_at:
            return self.circuit.slot_at - now
        if not shared:
            return 0.0
        self.slot_wanted = self.slot_wanted or asks
        return PENDING

    def take_slot(self, now: float, *, shared: bool) -> bool:
        """Whether this worker sends it now; nobody does again before the next slot."""
        if self._has_slot(now):
            self._slot_used = self.circuit.slot_at
            return True
        if shared or now < self.circuit.slot_at:
            return False
        self.circuit = after(self.circuit, self.slot_asked(now), now, self.settings)
        self._slot_used = self.circuit.slot_at
        return True

    def slot_asked(self, now: float) -> SlotAsked:
        """This worker's wish for the next slot."""
        settings, circuit = self.settings, self.circuit
        limit = circuit.limited_by if circuit.is_limited(now) else None
        is_long = (
            limit is not None
            and limit.retry_after is not None
            and circuit.limited_until is not None
            and circuit.limited_until - now > (settings.slot if circuit.throttled_at is None else settings.limited_slot)
            and not circuit.is_disproved(now)
        )
        return SlotAsked(self.worker, settings.limited_slot if is_long else settings.slot)

    def _has_slot(self, now: float) -> bool:
        circuit = self.circuit
        slot = self.settings.slot
        is_used = circuit.slot_at - self._slot_used < slot / 2  # the store's clock, as it is known here, moves a little
        return circuit.slot_of == self.worker and not is_used and now < circuit.slot_at - _MARGIN * slot

    # -- events ------------------------------------------------------------------------------------------------------

    def note(self, event: Event, now: float) -> bool:
        """Apply an event of this worker. Whether the other workers have to know."""
        if isinstance(event, LeaseAsked | LeaseRenewed | SlotAsked):
            if self.detached:
                return False
            self.pending_events.append(event)  # the store decides who goes
            # A holder without a call may lose it by this very word: until it has the answer it does not begin one.
            self._offered = self._offered or (isinstance(event, LeaseRenewed) and not event.in_use)
            return True
        changed = after(self.circuit, event, now, self.settings)
        if changed is self.circuit:
            return False
        self._set(changed)
        if not self.detached:
            self.pending_events.append(event)
        return True

    def detach(self) -> None:
        """Keep no events from now on, until the circuit is reconciled: what happens is in this circuit only."""
        self.detached = True
        self._offered = False
        self.pending_events.clear()

    def replace(self, shared: Circuit, version: int, sent: int) -> None:
        """Take over what all workers made of it, in which the first ``sent`` events of this one are.

        Not while it lacks others of them: what comes of those comes later.
        """
        del self.pending_events[:sent]
        self._offered = any(isinstance(event, LeaseRenewed) and not event.in_use for event in self.pending_events)
        if not self.pending_events and version >= self.version:
            self.version = version
            self._set(shared, heard=True)

    def reconcile(self, shared: Circuit, version: int) -> Circuit:
        """Merge the store's circuit with this worker's, after a time without the store. Gives the result.

        Events of that time are in this worker's circuit; sending them would count them twice.
        """
        self.pending_events.clear()
        self.detached = self._offered = False
        self.version = version
        self._set(merged(shared, self.circuit), heard=True)
        return self.circuit

    def _set(self, circuit: Circuit, *, heard: bool = False) -> None:
        before, self.circuit = self.circuit, circuit
        self.pristine = circuit.pristine
        if self.on_change is None:
            return
        is_open, was_open = circuit.open_until is not None, before.open_until is not None
        is_worse = (circuit.by_hand and not before.by_hand) or (
            circuit.throttled_at is not None and before.throttled_at is None
        )
        if is_open is not was_open or is_worse:
            self.on_change(before, circuit, heard)
