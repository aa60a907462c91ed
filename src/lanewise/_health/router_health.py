"""The health of a router's routes in this process: what plans ask, what attempts pass, and the retry budgets.

What is healthy costs two look-ups a question. All else happens under one lock, which nothing that waits holds.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from lanewise._health.breakers.circuit import BreakerSettings, ByHand, Circuit, Event, LeaseAsked, LeaseRenewed
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.breakers.permit import Permit
from lanewise._health.breakers.route_health import RouteHealth
from lanewise._health.circuit_names import account_circuit, route_circuit
from lanewise._routing.availability import Unavailable
from lanewise._routing.retry_budget import RetryBudget, RetryBudgetSettings
from lanewise.config import Config, HealthSettings
from lanewise.types import Api, Failure

__all__ = ["ApiHealth", "CircuitSync", "RouterHealth", "breaker_settings"]

_NEWEST: Final = 0.1
"""What the newest call weighs in the usual size of calls."""


class CircuitSync(Protocol):
    """Carries what happens to circuits to the other workers, and back. Called from any thread, at any time."""

    @property
    def answers(self) -> bool:
        """Whether the store has just answered, so that a probe takes its lease."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether events of the other workers come in."""
        ...

    def notify(self) -> None:
        """Have pending events sent, or a probe asked for. Does not wait."""
        ...


class _NoSync:
    """There are no other workers, or no store to share with them."""

    answers = False
    is_connected = False

    def notify(self) -> None:
        pass


class RouterHealth:
    """The health of all routes of a router, for its calls in both of its loops. ``off`` are routes that can't be used.

    Example::

        health.of[Api.CHAT].closed_to("flagship")               # None, or what keeps new calls from it
        permit = health.enter("flagship", Api.CHAT)             # None: another call is its probe
        health.leave("flagship", Api.CHAT, permit, failure, is_plain=lambda: True)
    """

    def __init__(self, config: Config, off: Collection[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        settings = config.router.health
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._breakers = settings.breakers
        self.counts_slow = settings.breakers and settings.slow_call is not None
        """Whether slow answers count: then it matters when a stream began."""
        self._settings = breaker_settings(settings)
        self.worker = secrets.token_hex(8)
        self.shared: CircuitSync = _NoSync()
        self._at_work = False
        self._usual: dict[str, float] = {}
        self.breakers: dict[str, LocalBreaker] = {}
        self._routes: dict[Api, dict[str, RouteHealth]] = {
            api: {name: self._route(config, name, api) for name, route in config.routes.items() if api in route.api}
            for api in Api
        }
        self._link_others(config, off)
        budget = _budget_settings(settings)
        by_provider = {name: RetryBudget(budget, clock()) for name in config.providers}
        self._budgets = {name: by_provider[route.provider] for name, route in config.routes.items()}
        self.of: Mapping[Api, ApiHealth] = {api: ApiHealth(self, api, self._routes[api]) for api in Api}
        """By kind of API: what plans ask."""

    # -- what plans ask ----------------------------------------------------------------------------------------------

    def closed_to(self, route: str, api: Api) -> Unavailable | None:
        """What keeps new calls from a route; ``None`` while it may be used."""
        if not self._breakers:
            return None
        health = self._routes[api][route]
        with self._lock:
            now = self._clock()
            has_news = health.open_if_silent(now, jitter=random.random())
            closed = health.closed_to(now, shared=self.shared.answers)
        if has_news:
            self.shared.notify()
        return closed

    def permits(self, route: str) -> bool:
        """Whether the retry budget of the route's provider permits a retry."""
        return self._budgets[route].permits(self._clock())

    def spend(self, route: str) -> None:
        """A retry on the route is carried out."""
        self._budgets[route].spend(self._clock())

    def next_slot(self, route: str, api: Api, *, asks: bool) -> float:
        """The seconds until the next attempt of a throttled route may go out from here: 0 if it may now."""
        breaker = self._routes[api][route].route
        with self._lock:
            seconds = breaker.next_slot(self._clock(), shared=self.shared.answers, asks=asks)
        if breaker.slot_wanted:
            self.shared.notify()
        return seconds

    def answered_share(self, route: str, api: Api) -> float:
        """The share of answers among the route's last outcomes; 1 if none is known."""
        return self._routes[api][route].answered_share

    def first_byte(self, route: str, api: Api) -> float | None:
        """The seconds that the probe of a route that hung waits for its first byte; ``None`` for any other."""
        return self._routes[api][route].first_byte

    # -- what attempts pass ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Share circuits with the other workers from now on. Does not wait."""
        if not self._at_work:
            self._at_work = True
            self.shared.notify()

    def enter(self, route: str, api: Api, *, last_resort: bool = False, slot: bool = False) -> Permit | None:
        """Let an attempt in, as its plan wants it; ``None`` if another call has just opened the route, or probes it."""
        if not self._at_work:
            self.begin()
        health = self._routes[api][route]
        now = self._clock()
        if health.pristine or not self._breakers:
            return health.enter_pristine(now)
        with self._lock:
            return health.enter(now, shared=self.shared.answers, last_resort=last_resort, slot=slot)

    def heard(self, route: str, api: Api, permit: Permit) -> None:
        """Note the first byte of an attempt's answer, or a later one."""
        self._routes[api][route].heard(permit, self._clock())

    def leave(
        self,
        route: str,
        api: Api,
        permit: Permit,
        failure: Failure | None,
        *,
        is_plain: Callable[[], bool],
        lost: float = 0.0,
    ) -> None:
        """Note how an attempt ended; of a stream, how it was when it was committed, and that it broke after.

        ``is_plain`` is asked, where it matters, whether the call has nothing that a healthy server may fail at.
        ``lost`` are the seconds of it for which our own loop stood still.
        """
        now = self._clock()
        if failure is None:
            budget = self._budgets[route]
            if not budget.full:
                budget.succeeded(now)
        health = self._routes[api][route]
        if not self._breakers:
            health.count(permit, failure, now)
            return
        if failure is None and health.doubted and is_plain():
            with self._lock:
                health.answered_plain()
        slow = False
        if self.counts_slow and failure is None:
            with self._lock:
                slow = health.is_slow(permit, now, lost)
        if failure is None and not slow and health.route.pristine and health.account.pristine:
            health.succeeded(permit, now)
            return
        with self._lock:
            has_news = health.leave(permit, failure, now, jitter=random.random(), slow=slow)
        if has_news:
            self.shared.notify()

    def began(self, permit: Permit, lost: float) -> None:
        """Note that a stream has begun to answer: how long that took is how slow it is."""
        permit.began = self._clock() - lost

    def committed(self, route: str, api: Api, permit: Permit, *, is_plain: Callable[[], bool]) -> Permit:
        """Decide a probe whose stream has begun to answer: its end may be minutes off. Gives its later permit."""
        self.leave(route, api, permit, None, is_plain=is_plain)
        return self._routes[api][route].committed(permit)

    def usual_tokens(self, route: str, tokens: int) -> int:
        """What another call to a route is likely to take, after one that took ``tokens``: no more than its calls do.

        One caller's long prompt does not say that the short ones of the others find no room.
        """
        usual = self._usual.get(route, float(tokens))
        usual += _NEWEST * (tokens - usual)
        self._usual[route] = usual
        return round(min(usual, tokens))

    def limit(self, route: str, api: Api, failure: Failure) -> None:
        """Close a route to new calls, whose limits leave no room: there was no 429 yet."""
        if self._breakers:
            with self._lock:
                has_news = self._routes[api][route].limit(failure, self._clock())
            if has_news:
                self.shared.notify()

    def change_by_hand(self, circuits: Iterable[str], *, opens: bool) -> None:
        """Open circuits, until a person closes them; or close them. For a router that shares them with nobody."""
        with self._lock:
            for name in circuits:
                self.breakers[name].note(ByHand(open=opens), self._clock())

    # -- what is shared ----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a circuit is not pristine, or an event is to be sent."""
        return any(not breaker.pristine or breaker.pending_events for breaker in self.breakers.values())

    def pending_events(self) -> dict[str, tuple[Event, ...]]:
        """The events that are not sent yet, by circuit."""
        with self._lock:
            return {
                name: tuple(breaker.pending_events) for name, breaker in self.breakers.items() if breaker.pending_events
            }

    def ask_leases(self) -> None:
        """Note of each circuit that a call would have probed that this worker wants the probe, or the next slot."""
        with self._lock:
            now = self._clock()
            for breaker in self.breakers.values():
                if breaker.wanted:
                    breaker.wanted = False
                    breaker.note(LeaseAsked(self.worker), now)
                if breaker.slot_wanted:
                    breaker.slot_wanted = False
                    breaker.note(breaker.slot_asked(now), now)

    def renew_leases(self) -> None:
        """Note of each lease that this worker holds that it is alive, and whether its probe runs."""
        with self._lock:
            for breaker in self.breakers.values():
                if breaker.circuit.holder == self.worker:
                    breaker.note(LeaseRenewed(self.worker, breaker.probing), self._clock())

    def replace(self, name: str, shared: Circuit, version: int, sent: int) -> None:
        """Take over what all workers made of a circuit, by this worker's clock."""
        with self._lock:
            if name in self.breakers:
                self.breakers[name].replace(shared, version, sent)

    def reconcile(self, name: str, shared: Circuit, version: int) -> Circuit:
        """Merge a circuit of the store with this worker's, when the store answers again. Gives the result."""
        with self._lock:
            return self.breakers[name].reconcile(shared, version)

    def detach(self) -> None:
        """Keep no events for the other workers until circuits are reconciled, however long that takes."""
        with self._lock:
            for breaker in self.breakers.values():
                breaker.detach()

    def at_rest(self) -> None:
        """Nothing is shared any more until the next call."""
        self.detach()
        self._at_work = False

    def circuits_now(self) -> tuple[float, dict[str, tuple[Circuit, bool]]]:
        """All circuits as this worker knows them, by name, each with whether one of its calls probes it; and the time
        by their clock."""
        with self._lock:
            found = {name: (breaker.circuit, breaker.probing) for name, breaker in self.breakers.items()}
            return self._clock(), found

    def circuit(self, name: str) -> Circuit:
        """A circuit as this worker knows it."""
        with self._lock:
            return self.breakers[name].circuit

    def after_fork(self) -> None:
        """In the child of a fork: another worker, with none of the parent's probes and attempts."""
        self._lock = threading.RLock()
        self.worker = secrets.token_hex(8)
        self._at_work = False
        for breaker in self.breakers.values():
            breaker.worker = self.worker
            breaker.probing = breaker.wanted = breaker.slot_wanted = False
            breaker.detach()
        for routes in self._routes.values():
            for health in routes.values():
                health.after_fork()

    # -- making ------------------------------------------------------------------------------------------------------

    def _route(self, config: Config, name: str, api: Api) -> RouteHealth:
        route = config.routes[name]
        account = config.providers[route.provider].account
        return RouteHealth(
            self._breaker(route_circuit(name, api)),
            self._breaker(account_circuit(account)),
            route.timeout,
            config.router.health.slow_call if self.counts_slow else None,
        )

    def _breaker(self, name: str) -> LocalBreaker:
        if name not in self.breakers:
            breaker = self.breakers[name] = LocalBreaker(self.worker, self._settings)
            breaker.detach()
        return self.breakers[name]

    def _link_others(self, config: Config, off: Collection[str]) -> None:
        """Give each route the others that its calls could go to: those of the tasks that it is in."""
        for routes in self._routes.values():
            for name, health in routes.items():
                near = {other: None for task in config.tasks.values() if name in task.routes for other in task.routes}
                health.others = tuple(
                    routes[other] for other in near if other != name and other in routes and other not in off
                )


class ApiHealth:
    """What plans ask of the routes, for one kind of API."""

    __slots__ = ("_api", "_health", "_routes")

    def __init__(self, health: RouterHealth, api: Api, routes: Mapping[str, RouteHealth]) -> None:
        self._health = health
        self._api = api
        self._routes = routes

    def closed_to(self, route: str) -> Unavailable | None:
        """What keeps new calls from a route; ``None`` while it may be used."""
        return None if self._routes[route].pristine else self._health.closed_to(route, self._api)

    def permits(self, route: str) -> bool:
        """Whether the retry budget of the route's provider permits a retry."""
        return self._health.permits(route)

    def next_slot(self, route: str, *, asks: bool) -> float:
        """The seconds until the next attempt of a throttled route may go out from here: 0 if it may now."""
        return self._health.next_slot(route, self._api, asks=asks)

    def answered_share(self, route: str) -> float:
        """The share of answers among the route's last outcomes; 1 if none is known."""
        return self._health.answered_share(route, self._api)

    def first_byte(self, route: str) -> float | None:
        """The seconds that the probe of a route that hung waits for its first byte; ``None`` for any other."""
        return None if self._routes[route].route.pristine else self._health.first_byte(route, self._api)


def breaker_settings(settings: HealthSettings) -> BreakerSettings:
    """The numbers of the breakers, as the config has them."""
    return BreakerSettings(
        consecutive_failures=settings.consecutive_failures,
        failure_ratio=settings.failure_ratio,
        minimum_throughput=settings.minimum_throughput,
        sampling_duration=settings.sampling_duration,
        break_duration=settings.break_duration,
        max_break_duration=settings.max_break_duration,
        throttle_duration=settings.throttle_duration,
        max_throttle_duration=settings.max_throttle_duration,
        throttle=settings.throttle,
    )


def _budget_settings(settings: HealthSettings) -> RetryBudgetSettings:
    return RetryBudgetSettings(
        tokens=settings.retry_tokens,
        kept=settings.retry_tokens_kept,
        per_success=settings.retry_tokens_per_success,
        per_second=settings.retry_tokens_per_second,
    )
