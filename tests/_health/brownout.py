"""A provider that fails in part, over virtual time: calls by the real plan and breakers, beside the plain SDK's.

One seed drives it all. Workers share a simulated store, whose answers and news come a little later. What is simulated
of the SDK is its two retries (``openai._base_client``): their waits, and what they are made after.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from _routing.planning import candidate
from lanewise._failures import failure_table as failures
from lanewise._health.breakers.circuit import BreakerSettings, Circuit, Event, LeaseAsked, LeaseRenewed
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.breakers.permit import Permit
from lanewise._health.breakers.route_health import RouteHealth
from lanewise._health.breakers.transitions import after
from lanewise._health.hedge_budget import HedgeBudget
from lanewise._routing.availability import Unavailable
from lanewise._routing.hedge import hedge, hedge_failed, hedge_unsent, hedge_won
from lanewise._routing.plan import Plan
from lanewise._routing.retry_budget import RetryBudget, RetryBudgetSettings
from lanewise.config import HedgeSettings
from lanewise.types import Api, Failure, FailureKind, LaneName, Move, Send, Stop, Wait

__all__ = ["PLAIN_RETRIED", "Cell", "Provider", "Result", "plain", "routed"]

TOOK = 0.3
"""Seconds of an answer."""
FAILED_IN = 0.05
TIMEOUT, DEADLINE = 2.0, 8.0
SLOW = 8.0
TELL = 0.01
"""Seconds until the store, or another worker, has heard of something."""
TICK, RENEWAL = 0.25, 1.0

KINDS = {
    "503": failures.UNAVAILABLE.failure(http_status=503),
    "429": failures.RATE_LIMIT.failure(http_status=429),
    "slow": failures.TIMEOUT.failure(),
    "cut": failures.CUT.failure(http_status=200),
    "stream cut": failures.STREAM_CUT.failure(http_status=200),
    "500": failures.SERVER_ERROR.failure(http_status=500),
    "529": failures.OVERLOADED.failure(http_status=529),
    "refused": failures.UNREACHABLE.failure(),
    "no connection": failures.CONNECT_TIMEOUT.failure(),
    "409": failures.CONFLICT.failure(http_status=409),
}
PLAIN_RETRIED = frozenset(KINDS) - {"stream cut"}


@dataclass(frozen=True)
class Provider:
    """How a provider answers: a share of attempts fails; all of them while it is ``down``; or it has a ``capacity``, in
    answers a second."""

    kind: str = "503"
    share: float = 0.0
    down: Callable[[float], bool] = lambda now: False
    capacity: float | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class Cell:
    """One comparison: ``routes`` are the providers behind the routes of a task, best first."""

    routes: tuple[Provider, ...]
    rate: float = 12.0
    workers: int = 1
    calls: int = 20_000
    approved: tuple[int, ...] | None = None
    """The routes that a sensitive call may get to; of such calls every second is one."""
    patience: float = 2.0
    deadline: float = DEADLINE
    timeout: float = TIMEOUT
    settings: BreakerSettings = field(default_factory=BreakerSettings)
    hedge: HedgeSettings | None = None


@dataclass
class Result:
    """What came of the calls: ``ended`` has of each when it began, when it ended, and whether it was answered."""

    ended: list[tuple[float, float, bool]] = field(default_factory=list)
    attempts: list[tuple[float, int, bool]] = field(default_factory=list)
    """When, on which route, and whether the call had been there before."""
    sensitive: list[bool] = field(default_factory=list)
    openings: int = 0
    throttles: int = 0
    hedges: int = 0

    @property
    def answered(self) -> float:
        """Percent of all calls."""
        return 100 * sum(ok for _, _, ok in self.ended) / len(self.ended)

    @property
    def answered_sensitive(self) -> float:
        """Percent of the sensitive calls."""
        return 100 * sum(self.sensitive) / len(self.sensitive)

    @property
    def attempts_a_call(self) -> float:
        """On all routes."""
        return len(self.attempts) / len(self.ended)


class _Clock:
    """Virtual time and what happens in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, do: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), do, arguments))

    def run(self, result: Result, calls: int) -> None:
        """Until so many calls have ended: a worker renews its lease without end."""
        while self._agenda and len(result.ended) < calls:
            self.now, _, do, arguments = heapq.heappop(self._agenda)
            do(*arguments)


class _Upstreams:
    """The providers as they answer attempts."""

    def __init__(self, providers: Sequence[Provider], rng: random.Random) -> None:
        self._providers = providers
        self._rng = rng
        self._free_at = [0.0] * len(providers)

    def answer(self, route: int, now: float, timeout: float) -> tuple[Failure | None, float]:
        """The failure of an attempt, if it fails, and how long it takes."""
        provider = self._providers[route]
        fails = provider.down(now) or (provider.share > 0 and self._rng.random() < provider.share)
        if provider.capacity is not None:
            fails = self._free_at[route] > now + 1.0
            if not fails:
                self._free_at[route] = max(self._free_at[route], now) + 1 / provider.capacity
        if not fails:
            return None, TOOK
        if provider.kind == "slow":
            return (None, SLOW) if timeout >= SLOW else (KINDS["slow"], timeout)
        failure = KINDS[provider.kind]
        if provider.retry_after is not None:
            failure = failures.RATE_LIMIT.failure(http_status=429, retry_after=provider.retry_after)
        return failure, FAILED_IN


def plain(cell: Cell, seed: int, *, route: int = 0) -> Result:
    """The calls by the plain SDK, with two retries, on one of the providers."""
    rng = random.Random(f"plain {seed}")
    clock, upstreams, result = _Clock(), _Upstreams(cell.routes, rng), Result()

    def attempt(start: float, number: int) -> None:
        failure, took = upstreams.answer(route, clock.now, cell.timeout)
        result.attempts.append((clock.now, route, number > 0))
        clock.at(clock.now + took, ended, start, number, failure)

    def ended(start: float, number: int, failure: Failure | None) -> None:
        if failure is None or number == 2 or cell.routes[route].kind not in PLAIN_RETRIED:
            result.ended.append((start, clock.now, failure is None))
            return
        wait = 0.5 * 2**number * (1 - 0.25 * rng.random())
        if failure.retry_after is not None:
            if failure.retry_after > 120:
                result.ended.append((start, clock.now, False))
                return
            wait = failure.retry_after
        clock.at(clock.now + wait, attempt, start, number + 1)

    _arrivals(cell, clock, seed, lambda _: attempt(clock.now, 0))
    clock.run(result, cell.calls)
    return result


def routed(cell: Cell, seed: int) -> Result:
    """The calls by plans over breakers."""
    return _Routed(cell, seed).run()


def _arrivals(cell: Cell, clock: _Clock, seed: int, call: Callable[[int], None]) -> None:
    """The same for both."""
    rng = random.Random(f"arrivals {seed}")
    when = 0.0
    for number in range(cell.calls):
        when += rng.expovariate(cell.rate)
        clock.at(when, call, number)


class _Store:
    """One circuit as the workers share it, with what became of it when."""

    def __init__(self) -> None:
        self.history: list[tuple[float, Circuit]] = [(-1.0, Circuit())]

    @property
    def circuit(self) -> Circuit:
        return self.history[-1][1]

    def put(self, now: float, circuit: Circuit) -> None:
        self.history.append((now, circuit))
        if len(self.history) > 200:
            del self.history[:100]

    def heard_by(self, now: float) -> tuple[int, Circuit]:
        """What a worker has heard by now."""
        for position in range(len(self.history) - 1, -1, -1):
            if self.history[position][0] <= now - TELL:
                return int(self.history[position][0] * 1e6), self.history[position][1]
        return int(self.history[0][0] * 1e6), self.history[0][1]


class _Worker:
    """The health that one worker knows, as plans ask it."""

    def __init__(self, sim: _Routed, number: int) -> None:
        self._sim = sim
        cell = sim.cell
        name = f"w{number}"
        self.shared = cell.workers > 1
        self.routes: list[RouteHealth] = []
        for _ in cell.routes:
            breakers = LocalBreaker(name, cell.settings), LocalBreaker(name, cell.settings)
            for breaker in breakers:
                breaker.detach()
            breakers[0].detached = not self.shared
            self.routes.append(RouteHealth(*breakers, cell.timeout))
        for health in self.routes:
            health.others = tuple(other for other in self.routes if other is not health)
        self.hedges = None if cell.hedge is None else HedgeBudget(cell.hedge)
        self.budgets = [RetryBudget(RetryBudgetSettings(), 0.0) for _ in cell.routes]
        self._asks = [False] * len(cell.routes)
        self._renews = [False] * len(cell.routes)

    def look(self, route: int) -> RouteHealth:
        """A route, by what this worker has heard."""
        health = self.routes[route]
        if self.shared:
            version, circuit = self._sim.stores[route].heard_by(self._sim.clock.now)
            if version > health.route.version:
                health.route.replace(circuit, version, 0)
        return health

    def closed_to(self, route: str) -> Unavailable | None:
        number = int(route)
        health = self.look(number)
        now = self._sim.clock.now
        if health.open_if_silent(now, jitter=self._sim.rng.random()):
            self.tell(number)
        closed = health.closed_to(now, shared=self.shared)
        if health.route.wanted and self.shared and not self._asks[number]:
            self._asks[number] = True
            self._sim.clock.at(now + TICK, self._ask, number)
        return closed

    def permits(self, route: str) -> bool:
        return self.budgets[int(route)].permits(self._sim.clock.now)

    def next_slot(self, route: str, *, asks: bool) -> float:
        number = int(route)
        health = self.look(number)
        seconds = health.route.next_slot(self._sim.clock.now, shared=self.shared, asks=asks)
        if health.route.slot_wanted:
            health.route.slot_wanted = False
            health.route.note(health.route.slot_asked(self._sim.clock.now), self._sim.clock.now)
            self.tell(number)
        return seconds

    def answered_share(self, route: str) -> float:
        return self.routes[int(route)].answered_share

    def first_byte(self, route: str) -> float | None:
        return self.routes[int(route)].first_byte

    def _ask(self, number: int) -> None:
        self._asks[number] = False
        breaker = self.look(number).route
        breaker.wanted = False
        breaker.note(LeaseAsked(breaker.worker), self._sim.clock.now)
        self.tell(number)

    def _renew(self, number: int) -> None:
        breaker = self.look(number).route
        self._renews[number] = breaker.circuit.holder == breaker.worker
        if self._renews[number]:
            breaker.note(LeaseRenewed(breaker.worker, breaker.probing), self._sim.clock.now)
            self.tell(number)
            self._sim.clock.at(self._sim.clock.now + RENEWAL, self._renew, number)

    def tell(self, number: int) -> None:
        if self.shared:
            self._sim.clock.at(self._sim.clock.now + TELL, self._told, number)

    def _told(self, number: int) -> None:
        breaker, store, now = self.routes[number].route, self._sim.stores[number], self._sim.clock.now
        events: tuple[Event, ...] = tuple(breaker.pending_events)
        circuit = store.circuit
        for event in events:
            circuit = after(circuit, event, now, self._sim.cell.settings)
        if circuit is not store.circuit:
            self._sim.note_change(store.circuit, circuit)
            store.put(now, circuit)
        breaker.replace(circuit, int(store.history[-1][0] * 1e6), len(events))
        if breaker.circuit.holder == breaker.worker and not self._renews[number]:
            self._renews[number] = True
            self._sim.clock.at(now + RENEWAL, self._renew, number)


class _Routed:
    def __init__(self, cell: Cell, seed: int) -> None:
        self.cell = cell
        self.seed = seed
        self.rng = random.Random(f"routed {seed}")
        self.clock = _Clock()
        self.stores = [_Store() for _ in cell.routes]
        self.result = Result()
        self._upstreams = _Upstreams(cell.routes, self.rng)
        self._workers = [_Worker(self, number) for number in range(cell.workers)]
        lanes = list(LaneName)
        self._candidates = tuple(
            candidate(str(number), lanes[min(number, 2)], timeout=cell.timeout) for number in range(len(cell.routes))
        )

    def run(self) -> Result:
        _arrivals(self.cell, self.clock, self.seed, self._call)
        self.clock.run(self.result, self.cell.calls)
        return self.result

    def note_change(self, before: Circuit, now: Circuit) -> None:
        self.result.openings += before.open_until is None and now.open_until is not None
        self.result.throttles += before.throttled_at is None and now.throttled_at is not None

    def _call(self, number: int) -> None:
        cell, now = self.cell, self.clock.now
        candidates = self._candidates
        is_sensitive = cell.approved is not None and number % 2 == 1
        if is_sensitive and cell.approved is not None:
            candidates = tuple(candidates[route] for route in cell.approved)
        worker = self.rng.choice(self._workers)
        plan = Plan(
            candidates, deadline=now + cell.deadline, budget=cell.deadline, patience=cell.patience, health=worker
        )
        self._carry_out(plan.begin(now, self.rng.random()), plan, worker, now, is_sensitive, set())

    def _carry_out(
        self, move: Move, plan: Plan, worker: _Worker, start: float, is_sensitive: bool, been: set[int]
    ) -> None:
        now = self.clock.now
        while isinstance(move, Send):
            route = int(move.route)
            health = worker.look(route)
            permit = health.enter(now, shared=worker.shared, last_resort=move.last_resort, slot=move.slot)
            if permit is not None:
                failure, took = self._upstreams.answer(route, now, min(move.timeout, move.first_byte or move.timeout))
                self.result.attempts.append((now, route, route in been))
                been.add(route)
                ends = (plan, worker, start, is_sensitive, been, route, permit, failure)
                if worker.hedges is None or move.attempt_number != 1 or is_sensitive:
                    self.clock.at(now + took, self._ended, *ends)
                else:
                    self._hedged(worker.hedges, now, took, ends)
                return
            move = plan.held_back(now, jitter=self.rng.random())
        if isinstance(move, Wait):
            self.clock.at(now + move.seconds, self._waited, plan, worker, start, is_sensitive, been)
            return
        assert isinstance(move, Stop)
        self._done(start, is_sensitive, answered=False)

    def _hedged(self, hedges: HedgeBudget, now: float, took: float, ends: Any) -> None:
        """A first attempt, and a second one beside it if it has not answered in the usual time, as in the runner."""
        plan, worker, start, is_sensitive, _, route, permit, failure = ends
        hedges.count()
        delay = hedges.delay(str(route), Api.CHAT, stream=False)
        if delay is None or took <= delay or permit.decides_early:
            if failure is None:
                hedges.note(str(route), Api.CHAT, took, stream=False)
            self.clock.at(now + took, self._ended, *ends)
            return
        race: dict[str, Any] = {"second": None, "first": None, "over": False}

        def hedge_now() -> None:
            at = self.clock.now
            found = hedge(plan, at) if hedges.may_hedge(str(route), Api.CHAT, stream=False) else None
            if found is None:
                return
            position, send = found
            other = worker.look(int(send.route))
            second = other.enter(at, shared=worker.shared)
            if second is None or second.decides_early:
                if second is not None:
                    other.leave(second, failures.HEDGED.failure(), at, jitter=self.rng.random())
                hedge_unsent(plan, position)
                return
            hedges.take()
            self.result.hedges += 1
            its, long = self._upstreams.answer(int(send.route), at, min(send.timeout, send.first_byte or send.timeout))
            self.result.attempts.append((at, int(send.route), False))
            race["second"] = other, second, int(send.route)
            self.clock.at(at + long, second_ended, position, its)

        def first_ended() -> None:
            if race["over"]:
                return
            race["first"] = True
            if failure is not None and race["second"] is not None:
                return  # the second is waited for
            race["over"] = True
            if race["second"] is not None:
                other, second, number = race["second"]
                if other.leave(second, failures.HEDGED.failure(), self.clock.now, jitter=self.rng.random()):
                    worker.tell(number)
            if failure is None:
                hedges.note(str(route), Api.CHAT, took, stream=False)
            self._ended(*ends)

        def second_ended(position: int, its: Failure | None) -> None:
            if race["over"]:
                return
            at = self.clock.now
            other, second, number = race["second"]
            race["second"] = None
            if its is None or its.kind is not FailureKind.TIMEOUT:
                other.heard(second, at)
            if other.leave(second, its, at, jitter=self.rng.random()):
                worker.tell(number)
            if its is None:
                race["over"] = True
                hedge_won(plan, position)
                hedges.note(str(route), Api.CHAT, at - now, stream=False, has_lost=True)
                lost = failure if race["first"] else failures.HEDGED.failure()
                if worker.look(route).leave(permit, lost, at, jitter=self.rng.random()):
                    worker.tell(route)
                worker.budgets[number].succeeded(at)
                self._done(start, is_sensitive, answered=True)
                return
            hedge_failed(plan, position, its, at, self.rng.random())
            if race["first"]:
                race["over"] = True
                self._ended(*ends)

        self.clock.at(now + delay, hedge_now)
        self.clock.at(now + took, first_ended)

    def _waited(self, plan: Plan, worker: _Worker, start: float, is_sensitive: bool, been: set[int]) -> None:
        self._carry_out(plan.waited(self.clock.now, self.rng.random()), plan, worker, start, is_sensitive, been)

    def _ended(
        self,
        plan: Plan,
        worker: _Worker,
        start: float,
        is_sensitive: bool,
        been: set[int],
        route: int,
        permit: Permit,
        failure: Failure | None,
    ) -> None:
        now = self.clock.now
        health = worker.look(route)
        if failure is None or failure.kind is not FailureKind.TIMEOUT:
            health.heard(permit, now)
        before = health.route.circuit
        if health.leave(permit, failure, now, jitter=self.rng.random()):
            worker.tell(route)
        if not worker.shared:
            self.note_change(before, health.route.circuit)
        if failure is None:
            worker.budgets[route].succeeded(now)
            self._done(start, is_sensitive, answered=True)
            return
        move = plan.failed(failure, now, self.rng.random())
        if plan.charged and isinstance(move, Send | Wait):
            worker.budgets[int(move.route)].spend(now)
        self._carry_out(move, plan, worker, start, is_sensitive, been)

    def _done(self, start: float, is_sensitive: bool, *, answered: bool) -> None:
        self.result.ended.append((start, self.clock.now, answered))
        if is_sensitive:
            self.result.sensitive.append(answered)
