"""A simulated fleet: workers over virtual time, a store that fails, slow and reordered messages, and one provider.

One seed drives it all, so that a seed that fails can be played again alone. The store's changes are the real ones: a
worker applies :func:`~lanewise._health.breakers.transitions.after` to the circuit that it knows, and the store takes
the result if nobody was faster.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from _routing.planning import AUTH, OUTAGE, RATE_LIMIT, limited
from lanewise._health.breakers.circuit import BreakerSettings, Circuit, Event, LeaseAsked, LeaseRenewed
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.breakers.permit import Permit
from lanewise._health.breakers.route_health import RouteHealth
from lanewise._health.breakers.transitions import after
from lanewise._routing.retry_budget import RetryBudget, RetryBudgetSettings
from lanewise.types import BreakerEffect, Failure

__all__ = ["ASKED", "Fleet", "Probe"]

ASKED = 5.0
"""Seconds that a 429 with a Retry-After asks for."""
_TROUBLES = (OUTAGE, OUTAGE, RATE_LIMIT, limited(ASKED))

NUMBERS = BreakerSettings()
TICK, PAUSE, RENEWAL, HEARD, HEARTBEAT = 0.25, 1.0, 1.0, 1.2, 5.0
"""Seconds: as the real service has them (``health_sync.py``)."""


@dataclass
class Probe:
    """A probe that was in flight: of whom, from when to when, and whether its worker heard the store all the while."""

    worker: int
    start: float
    end: float
    heard: bool


@dataclass
class Store:
    """What the workers share. ``down`` lists the times in which nobody reaches it."""

    down: tuple[tuple[float, float], ...]
    circuit: Circuit = field(default_factory=Circuit)
    version: int = 0

    def reached(self, now: float) -> bool:
        return not any(start <= now < end for start, end in self.down)


class SimWorker:
    """One worker: its replica of the route's circuit, or of the account's, and a clock that is off by ``skew`` s."""

    def __init__(self, number: int, skew: float, *, account: bool) -> None:
        self.number = number
        self.skew = skew
        name = f"w{number}"
        self.breaker = LocalBreaker(name, NUMBERS)
        self.breaker.detach()
        other = LocalBreaker(name, NUMBERS)
        self.health = RouteHealth(other, self.breaker) if account else RouteHealth(self.breaker, other)
        self.health.others = (RouteHealth(LocalBreaker(name, NUMBERS), LocalBreaker(name, NUMBERS)),)
        self.budget = RetryBudget(RetryBudgetSettings(), skew)
        self.heard = -10.0
        self.connected = False
        self.renewed = 0.0
        self.dead = False
        self.retries = self.successes = 0
        self.telling = False
        self.ticks_at = 0.0

    def clock(self, now: float) -> float:
        return now + self.skew


class Fleet:
    """``workers`` that make ``rate`` calls a second together, each over a provider that is down from time to time."""

    def __init__(self, seed: int, *, workers: int = 200, rate: float = 50.0, seconds: float = 120.0) -> None:
        self.random = random.Random(seed)
        self.seconds = seconds
        self.rate = rate
        self.now = 0.0
        self._order = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        account = self.random.random() < 0.2
        self.workers = [SimWorker(number, self.random.uniform(-1e5, 1e5), account=account) for number in range(workers)]
        self.outages = tuple(self._intervals(seconds, gap=30.0, length=40.0))
        self.troubles = tuple(AUTH if account else self.random.choice(_TROUBLES) for _ in self.outages)
        self.store = Store(tuple(self._intervals(seconds, gap=60.0, length=15.0)))
        self.attempts: list[tuple[float, bool]] = []
        self.probes: list[Probe] = []
        self.openings: list[list[float]] = [[] for _ in self.workers]
        self.successes: list[float] = []
        self.limits: list[float] = []
        self.leases: list[float] = []

    def _intervals(self, seconds: float, *, gap: float, length: float) -> Iterator[tuple[float, float]]:
        start = self.random.expovariate(1 / gap)
        while start < seconds:
            end = start + self.random.expovariate(1 / length)
            yield start, end
            start = end + self.random.expovariate(1 / gap)

    @property
    def dead_for(self) -> list[tuple[float, float]]:
        """The outages that open breakers."""
        during = zip(self.outages, self.troubles, strict=True)
        return [when for when, trouble in during if trouble.breaker is not BreakerEffect.NEUTRAL]

    def trouble(self, now: float) -> Failure | None:
        """What the provider answers with now, if not well."""
        during = zip(self.outages, self.troubles, strict=True)
        return next((trouble for (start, end), trouble in during if start <= now < end), None)

    # -- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), do))

    def run(self) -> None:
        for worker in self.workers:
            self.at(self.random.uniform(0, TICK), lambda worker=worker: self._tick(worker))  # type: ignore[misc]
        self.at(0.0, self._call)
        if self.workers:
            for _ in range(self.random.randrange(3)):
                victim = self.random.choice(self.workers)
                self.at(self.random.uniform(0, self.seconds), lambda victim=victim: self._kill(victim))  # type: ignore[misc]
        while self._agenda and self._agenda[0][0] <= self.seconds:
            self.now, _, do = heapq.heappop(self._agenda)
            do()

    def _kill(self, worker: SimWorker) -> None:
        worker.dead = True
        for probe in self.probes:
            if probe.worker == worker.number and probe.end > self.now:
                probe.end = self.now

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        self.at(self.now + self.random.expovariate(self.rate), self._call)
        worker = self.random.choice(self.workers)
        if worker.dead:
            return
        self._attempt(worker, retries=True)

    def _attempt(self, worker: SimWorker, *, retries: bool) -> None:
        clock = worker.clock(self.now)
        shared = worker.connected and self.now - worker.heard < HEARD
        if worker.health.closed_to(clock, shared=shared) is not None:
            return
        permit = worker.health.enter(clock, shared=shared)
        if permit is None:
            return
        took = self.random.choice([0.01, 0.05, 0.3, 2.0])
        probe = None
        probes = permit.probes_route or permit.probes_account
        if probes:
            probe = Probe(worker.number, self.now, self.now + took, heard=shared)
            self.probes.append(probe)
        self.attempts.append((self.now, probes))
        self.at(self.now + took, lambda: self._ended(worker, permit, self.trouble(self.now), retries))

    def _ended(self, worker: SimWorker, permit: Permit, failure: Failure | None, retries: bool) -> None:
        if worker.dead:
            return
        clock = worker.clock(self.now)
        was_open = worker.breaker.circuit.open_until is not None
        worker.health.leave(permit, failure, clock, jitter=self.random.random())
        if not was_open and worker.breaker.circuit.open_until is not None:
            self.openings[worker.number].append(self.now)
        if failure is not None and failure.retry_after is not None:
            self.limits.append(self.now)
        if failure is None:
            self.successes.append(self.now)
            worker.successes += 1
            worker.budget.succeeded(clock)
        elif retries and worker.budget.permits(clock):
            worker.budget.spend(clock)
            worker.retries += 1
            self.at(self.now + self.random.uniform(0.25, 0.5), lambda: self._again(worker))
        self._tell(worker)

    def _again(self, worker: SimWorker) -> None:
        if not worker.dead:
            self._attempt(worker, retries=False)

    # -- the store ---------------------------------------------------------------------------------------------------

    def _tick(self, worker: SimWorker) -> None:
        if worker.dead:
            return
        breaker = worker.breaker
        if not self.store.reached(self.now):
            self._lost(worker)
            self._tick_after(worker, PAUSE)
            return
        at_rest = breaker.pristine and not breaker.pending_events and worker.connected
        self._tick_after(worker, HEARTBEAT if at_rest else TICK)
        if not worker.connected:
            self._reconcile(worker)
        worker.heard = self.now
        if breaker.wanted:
            breaker.wanted = False
            breaker.note(LeaseAsked(breaker.worker), worker.clock(self.now))
        if self.now - worker.renewed >= RENEWAL and breaker.circuit.holder == breaker.worker:
            worker.renewed = self.now
            breaker.note(LeaseRenewed(breaker.worker, breaker.probing), worker.clock(self.now))
        self._tell(worker)

    def _tick_after(self, worker: SimWorker, seconds: float) -> None:
        worker.ticks_at = self.now + seconds
        self.at(worker.ticks_at, lambda: self._ticks(worker))

    def _ticks(self, worker: SimWorker) -> None:
        """A look that was brought forward is not made twice."""
        if self.now >= worker.ticks_at:
            self._tick(worker)

    def _wake(self, worker: SimWorker) -> None:
        if worker.ticks_at > self.now + TICK:
            worker.ticks_at = self.now
            self.at(self.now, lambda: self._ticks(worker))

    def _lost(self, worker: SimWorker) -> None:
        worker.connected = False
        worker.breaker.detach()

    def _reconcile(self, worker: SimWorker) -> None:
        worker.connected = True
        was_open = worker.breaker.circuit.open_until is not None
        shared = self.store.circuit.shifted(worker.skew)
        both = worker.breaker.reconcile(shared, self.store.version).shifted(-worker.skew)
        if not was_open and worker.breaker.circuit.open_until is not None:
            self.openings[worker.number].append(self.now)
        mine = self.store.circuit
        if (
            both.generation != mine.generation
            or both.consecutive_failures > mine.consecutive_failures
            or both.limits > mine.limits
        ):
            self._put(worker, both)

    def _tell(self, worker: SimWorker) -> None:
        """The worker's events reach the store a little later, and what comes of it reaches the others later still."""
        if worker.breaker.pending_events:
            self._wake(worker)
        if worker.connected and worker.breaker.pending_events and not worker.telling:
            worker.telling = True
            self.at(self.now + self.random.uniform(0.0001, 0.02), lambda: self._told(worker))

    def _told(self, worker: SimWorker) -> None:
        worker.telling = False
        if worker.dead:
            return
        if not self.store.reached(self.now):
            self._lost(worker)
            return
        events: tuple[Event, ...] = tuple(worker.breaker.pending_events)
        circuit = self.store.circuit
        for event in events:
            circuit = after(circuit, event, self.now, NUMBERS)
        if circuit is not self.store.circuit:
            self._put(worker, circuit)
        self._replace(worker, self.store.circuit, self.store.version, len(events))

    def _put(self, author: SimWorker, circuit: Circuit) -> None:
        self.store.version += 1
        if circuit.holder not in ("", self.store.circuit.holder):
            self.leases.append(self.now)
        self.store.circuit = circuit
        version = self.store.version
        for other in self.workers:
            if other is not author and other.connected:
                delay = self.random.uniform(0.0005, 0.05)
                self.at(self.now + delay, lambda other=other: self._hear(other, circuit, version))  # type: ignore[misc]

    def _hear(self, worker: SimWorker, circuit: Circuit, version: int) -> None:
        if worker.dead or not worker.connected:
            return
        self._replace(worker, circuit, version, 0)
        if not worker.breaker.pristine:
            self._wake(worker)

    def _replace(self, worker: SimWorker, circuit: Circuit, version: int, said: int) -> None:
        was_open = worker.breaker.circuit.open_until is not None
        worker.heard = self.now
        worker.breaker.replace(circuit.shifted(worker.skew), version, said)
        if not was_open and worker.breaker.circuit.open_until is not None:
            self.openings[worker.number].append(self.now)
