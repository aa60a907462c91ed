"""What one worker knows of the health of its routes: the circuits that stand before each, and what an outcome does.

Pure: time, jitter and whether the shared store answers are arguments. What a worker does to a circuit it does at once
to its own copy, and keeps the event for the others; what all workers made of it comes back, and takes the copy's place
once every event of this worker is in it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._health.breaker import after, merged
from lanewise._health.circuit import (
    BreakerSettings,
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
from lanewise._health.sliding_window import Window
from lanewise.types import BreakerEffect, Failure, FailureKind

__all__ = ["Entry", "Guard", "Replica"]

_LEASE_MARGIN: Final = 0.2
"""The share of a lease that its holder does not use: by its clock it may have begun later than by the store's."""
_SOON: Final = 1.0
"""Seconds until a half-open circuit is worth another look, for those who may not probe."""


class Replica:
    """One circuit, as one worker knows it. ``worker`` names the worker; times are by its own clock.

    ``unsaid`` are this worker's events that the others have not heard of, ``version`` is that of the shared circuit
    which the copy comes from, ``probing`` whether a probe of this worker runs, ``wanted`` whether one of its calls
    would have been one, ``alone`` whether nobody hears this worker: then it keeps nothing for the others.
    """

    __slots__ = ("_offered", "alone", "calm", "circuit", "probing", "settings", "unsaid", "version", "wanted", "worker")

    def __init__(self, worker: str, settings: BreakerSettings) -> None:
        self.worker = worker
        self.settings = settings
        self.circuit = Circuit()
        self.calm = True
        self.unsaid: list[Event] = []
        self.alone = False
        self.version = -1
        self.probing = False
        self.wanted = False
        self._offered = False

    def closed_by(self, now: float, *, shared: bool) -> Failure | None:
        """What keeps new calls away, with the seconds until that ends; ``None`` if nothing does.

        ``shared``: the store answers, so that a probe needs the lease. A rate limit for which the provider named no
        time has no ``retry_after``.
        """
        circuit = self.circuit
        if circuit.open_until is not None and circuit.why is not None:
            if circuit.by_hand:
                return circuit.why
            if now < circuit.open_until:
                return msgspec.structs.replace(circuit.why, retry_after=circuit.open_until - now)
            if not self.may_probe(now, shared=shared):
                self.wanted = True
                return msgspec.structs.replace(circuit.why, retry_after=_SOON)
        if circuit.limited_until is not None and now < circuit.limited_until:
            limit = circuit.limited_by
            if limit is not None and limit.retry_after is not None:
                return msgspec.structs.replace(limit, retry_after=circuit.limited_until - now)
            return limit
        return None

    def may_probe(self, now: float, *, shared: bool) -> bool:
        """Whether an attempt may go out now to try an open circuit."""
        circuit = self.circuit
        if self.probing or circuit.by_hand or not circuit.is_half_open(now):
            return False
        if not shared:
            return True
        margin = _LEASE_MARGIN * self.settings.lease
        return not self._offered and circuit.holder == self.worker and now < circuit.lease_until - margin

    def note(self, event: Event, now: float) -> bool:
        """Take an event of this worker in. Whether the others have to hear of it."""
        if isinstance(event, LeaseAsked | LeaseRenewed):
            if self.alone:
                return False
            self.unsaid.append(event)  # who holds the probe is for the store to say
            # A holder without a call may lose it by this very word: until it has the answer it does not begin one.
            self._offered = self._offered or (isinstance(event, LeaseRenewed) and not event.in_use)
            return True
        changed = after(self.circuit, event, now, self.settings)
        if changed is self.circuit:
            return False
        self._set(changed)
        if not self.alone:
            self.unsaid.append(event)
        return True

    def go_alone(self) -> None:
        """From now on nobody hears this worker, until it converges: what happens is in its circuit only."""
        self.alone = True
        self._offered = False
        self.unsaid.clear()

    def adopt(self, shared: Circuit, version: int, said: int) -> None:
        """Take over what all workers made of it, in which the first ``said`` events of this one are.

        Not while it lacks others of them: what comes of those comes later.
        """
        del self.unsaid[:said]
        self._offered = any(isinstance(event, LeaseRenewed) and not event.in_use for event in self.unsaid)
        if not self.unsaid and version >= self.version:
            self.version = version
            self._set(shared)

    def converge(self, shared: Circuit, version: int) -> Circuit:
        """As :meth:`adopt`, after a time in which nobody could be heard: gives what both sides come to.

        Events of that time are in this worker's circuit; telling them again would count them twice.
        """
        self.unsaid.clear()
        self.alone = self._offered = False
        self.version = version
        self._set(merged(shared, self.circuit))
        return self.circuit

    def _set(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.calm = circuit.calm


class Entry(msgspec.Struct, frozen=True):
    """An attempt's way in: the turns of the two circuits when it began, how many rate limits in a row its route had
    met by then, and of which circuit it is the probe."""

    route_turn: int
    account_turn: int
    limits: int = 0
    probes_route: bool = False
    probes_account: bool = False


class Guard:
    """Stands before one route for one kind of API: its own circuit, and that of its provider's account.

    Example::

        if guard.closed_by(now, shared=False) is None and (entry := guard.enter(now, shared=False)):
            ...
            guard.leave(entry, failure, now, jitter=random.random())
    """

    __slots__ = ("_settings", "_window", "account", "doubted", "route")

    def __init__(self, route: Replica, account: Replica) -> None:
        self.route = route
        self.account = account
        self._settings = route.settings
        self._window = Window(route.settings.sampling_duration)
        self.doubted = False
        """Whether a failure counts of which something special in its call may have been the cause."""

    def answered_plain(self) -> None:
        """The route has answered a call of the plain kind: such failures before it were not its health."""
        self.doubted = False
        self._window.forgive()

    @property
    def calm(self) -> bool:
        """Whether neither circuit remembers anything."""
        return self.route.calm and self.account.calm

    def closed_by(self, now: float, *, shared: bool) -> Failure | None:
        """What keeps new calls away. Asking has no effect but to tell that a probe is wanted."""
        if self.route.calm and self.account.calm:
            return None
        return self.account.closed_by(now, shared=shared) or self.route.closed_by(now, shared=shared)

    def enter(self, now: float, *, shared: bool) -> Entry | None:
        """Let an attempt in, as the probe of what is half-open; ``None`` if another call is that already.

        A rate limit keeps no attempt out: the plan decides, and the last route may be sent to.
        """
        route, account = self.route, self.account
        if route.calm and account.calm:
            return Entry(route.circuit.turn, account.circuit.turn)
        probes = [replica.circuit.open_until is not None for replica in (route, account)]
        for replica, probe in zip((route, account), probes, strict=True):
            if probe and not replica.may_probe(now, shared=shared):
                return None
        route.probing = route.probing or probes[0]
        account.probing = account.probing or probes[1]
        limits = route.circuit.limits
        return Entry(route.circuit.turn, account.circuit.turn, limits, probes_route=probes[0], probes_account=probes[1])

    def leave(self, entry: Entry, failure: Failure | None, now: float, *, jitter: float) -> tuple[Replica, ...]:
        """Note how an attempt ended. Gives the replicas of which the others have to hear."""
        if failure is None:
            self._window.succeeded(now)
        route_event, account_event = self._events(entry, failure, now, jitter)
        told: tuple[Replica, ...] = ()
        if entry.probes_route:
            self.route.probing = False
        if entry.probes_account:
            self.account.probing = False
        if route_event is not None and self.route.note(route_event, now):
            told += (self.route,)
        if account_event is not None and self.account.note(account_event, now):
            told += (self.account,)
        return told

    def succeeded(self, now: float) -> None:
        """As :meth:`leave` for a success where both circuits are calm: there is nothing else to note."""
        self._window.succeeded(now)

    def limit(self, failure: Failure, now: float) -> bool:
        """Close the route to new calls before it says 429. Whether the others have to hear of it."""
        return self.route.note(Limited(self.route.circuit.turn, failure, failure.retry_after), now)

    def _events(
        self, entry: Entry, failure: Failure | None, now: float, jitter: float
    ) -> tuple[Event | None, Event | None]:
        """What an outcome is to the route's circuit, and to the account's."""
        route_probe = self.route.worker if entry.probes_route else ""
        account_probe = self.account.worker if entry.probes_account else ""
        if failure is None:
            if route_probe:
                self._window.clear()
            return (
                Succeeded(entry.route_turn, route_probe, entry.limits),
                Succeeded(entry.account_turn, account_probe),
            )
        released = Released(account_probe) if account_probe else None
        if failure.breaker is BreakerEffect.ACCOUNT:
            opened = Opened(entry.account_turn, failure, jitter)
            return (Released(route_probe) if route_probe else None), opened
        if failure.breaker is BreakerEffect.ROUTE:
            return Opened(entry.route_turn, failure, jitter), released
        if failure.breaker in (BreakerEffect.FAILURE, BreakerEffect.UNPROVEN):
            return self._failed(entry, failure, now, jitter, route_probe), released
        if failure.kind is FailureKind.RATE_LIMIT:
            return Limited(entry.route_turn, failure, failure.retry_after, route_probe), released
        return (Released(route_probe) if route_probe else None), released

    def _failed(self, entry: Entry, failure: Failure, now: float, jitter: float, probe: str) -> Event:
        if not probe and entry.route_turn == self.route.circuit.turn:
            unproven = failure.breaker is BreakerEffect.UNPROVEN
            self.doubted = self.doubted or unproven
            self._window.failed(now, unproven=unproven)
            settings = self._settings
            if self._window.trips(now, ratio=settings.failure_ratio, throughput=settings.minimum_throughput):
                self._window.clear()
                return Opened(entry.route_turn, failure, jitter)
        return Failed(entry.route_turn, failure, jitter, probe)
