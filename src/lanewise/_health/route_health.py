"""The health of a router's routes in this process: guards that plans ask and attempts pass, and retry allowances.

What is healthy costs two look-ups a question. All else happens under one lock, which nothing that waits holds.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lanewise._health.circuit import BreakerSettings, Circuit, Event, LeaseAsked, LeaseRenewed
from lanewise._health.local_breaker import Entry, Guard, Replica
from lanewise._routing.retry_budget import Allowance, AllowanceSettings
from lanewise.config import Config, HealthSettings
from lanewise.types import Api, Failure

__all__ = ["Health", "SharedHealth", "account_circuit", "breaker_settings", "route_circuit"]

_UNGUARDED: Final = Entry(0, 0)
"""The way in where breakers are off."""

_NEWEST: Final = 0.1
"""What the newest call weighs in the usual size of calls."""


class SharedHealth(Protocol):
    """Carries what happens to circuits to the other workers, and back. Called from any thread, at any time."""

    @property
    def answers(self) -> bool:
        """Whether the store was heard lately, so that a probe takes its lease."""
        ...

    def tell(self) -> None:
        """Something is to be told, or a probe is wanted. Does not wait."""
        ...


class _Alone:
    """There are no other workers, or none that could be heard."""

    answers = False

    def tell(self) -> None:
        pass


class Health:
    """Asked and told by the calls of a router, in both of its homes.

    Example::

        health.opened[Api.CHAT]("flagship")                     # None, or the failure that has it open
        entry = health.enter("flagship", Api.CHAT)              # None: another call is its probe
        health.leave("flagship", Api.CHAT, entry, failure, is_plain=lambda: True)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        settings = config.router.health
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._breakers = settings.breakers
        self._settings = breaker_settings(settings)
        self.worker = secrets.token_hex(8)
        self.shared: SharedHealth = _Alone()
        self._at_work = False
        self._usual: dict[str, float] = {}
        self.replicas: dict[str, Replica] = {}
        self._guards: dict[Api, dict[str, Guard]] = {
            api: {name: self._guard(config, name, api) for name, route in config.routes.items() if api in route.api}
            for api in Api
        }
        allowance = _allowance_settings(settings)
        by_provider = {name: Allowance(allowance, clock()) for name in config.providers}
        self._allowances = {name: by_provider[route.provider] for name, route in config.routes.items()}
        self.opened: Mapping[Api, Callable[[str], Failure | None]] = {api: self._opener(api) for api in Api}
        """By kind of API: asks what keeps new calls away from a route."""

    # -- what plans ask ----------------------------------------------------------------------------------------------

    def permits(self, route: str) -> bool:
        """Whether the allowance of the route's provider permits a retry."""
        return self._allowances[route].permits(self._clock())

    def spend(self, route: str) -> None:
        """A retry on the route is carried out."""
        self._allowances[route].spend(self._clock())

    # -- what attempts pass ------------------------------------------------------------------------------------------

    def enter(self, route: str, api: Api) -> Entry | None:
        """Let an attempt in; ``None`` if the route has just been opened, or its probe been taken, by another call."""
        if not self._at_work:
            self._at_work = True
            self.shared.tell()
        if not self._breakers:
            return _UNGUARDED
        guard = self._guards[api][route]
        if guard.calm:
            return guard.enter(0.0, shared=False)
        with self._lock:
            return guard.enter(self._clock(), shared=self.shared.answers)

    def leave(
        self, route: str, api: Api, entry: Entry, failure: Failure | None, *, is_plain: Callable[[], bool]
    ) -> None:
        """Note how an attempt ended; of a stream, how it was when it was committed, and that it broke after.

        ``is_plain`` is asked, where it matters, whether the call has nothing that a healthy server may fail at.
        """
        now = self._clock()
        if failure is None:
            allowance = self._allowances[route]
            if not allowance.full:
                allowance.succeeded(now)
        if not self._breakers:
            return
        guard = self._guards[api][route]
        if failure is None and guard.doubted and is_plain():
            with self._lock:
                guard.answered_plain()
        if failure is None and guard.calm:
            guard.succeeded(now)
            return
        with self._lock:
            told = guard.leave(entry, failure, now, jitter=random.random())
        if told:
            self.shared.tell()

    def turns(self, route: str, api: Api) -> Entry:
        """The way in of an attempt that is out already, and has just succeeded."""
        guard = self._guards[api][route]
        return Entry(guard.route.circuit.turn, guard.account.circuit.turn)

    def usual_tokens(self, route: str, tokens: int) -> int:
        """What another call to a route is likely to take, after one that took ``tokens``: no more than its calls do.

        One caller's long prompt does not say that the short ones of the others find no room.
        """
        usual = self._usual.get(route, float(tokens))
        usual += _NEWEST * (tokens - usual)
        self._usual[route] = usual
        return round(min(usual, tokens))

    def limit(self, route: str, api: Api, failure: Failure) -> None:
        """Close a route to new calls, whose limits leave no room: it has not said 429 yet."""
        if self._breakers:
            with self._lock:
                told = self._guards[api][route].limit(failure, self._clock())
            if told:
                self.shared.tell()

    # -- what is shared ----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a circuit is not calm, or something is to be told."""
        return any(not replica.calm or replica.unsaid for replica in self.replicas.values())

    def unsaid(self) -> dict[str, tuple[Event, ...]]:
        """What the others have not heard of, by circuit."""
        with self._lock:
            return {name: tuple(replica.unsaid) for name, replica in self.replicas.items() if replica.unsaid}

    def ask_leases(self) -> None:
        """Note, for those circuits that a call would have probed, that this worker wants the probe."""
        with self._lock:
            for replica in self.replicas.values():
                if replica.wanted:
                    replica.wanted = False
                    replica.note(LeaseAsked(self.worker), self._clock())

    def renew_leases(self) -> None:
        """Note of each lease that this worker holds that it is alive, and whether its probe runs."""
        with self._lock:
            for replica in self.replicas.values():
                if replica.circuit.holder == self.worker:
                    replica.note(LeaseRenewed(self.worker, replica.probing), self._clock())

    def adopt(self, name: str, shared: Circuit, version: int, said: int) -> None:
        """Take over what all workers made of a circuit, by this worker's clock."""
        with self._lock:
            if name in self.replicas:
                self.replicas[name].adopt(shared, version, said)

    def converge(self, name: str, shared: Circuit, version: int) -> Circuit:
        """As :meth:`adopt`, when the store is heard again: what both sides come to."""
        with self._lock:
            return self.replicas[name].converge(shared, version)

    def lost(self) -> None:
        """Nobody hears this worker until circuits converge again: however long that takes, nothing piles up for it."""
        with self._lock:
            for replica in self.replicas.values():
                replica.go_alone()

    def at_rest(self) -> None:
        """Nothing is shared any more until the next call."""
        self.lost()
        self._at_work = False

    def circuit(self, name: str) -> Circuit:
        """A circuit as this worker knows it."""
        with self._lock:
            return self.replicas[name].circuit

    def after_fork(self) -> None:
        """In the child of a fork: another worker, with none of the parent's probes."""
        self._lock = threading.RLock()
        self.worker = secrets.token_hex(8)
        self._at_work = False
        for replica in self.replicas.values():
            replica.worker = self.worker
            replica.probing = replica.wanted = False
            replica.go_alone()

    # -- making ------------------------------------------------------------------------------------------------------

    def _guard(self, config: Config, name: str, api: Api) -> Guard:
        account = config.providers[config.routes[name].provider].account
        return Guard(self._replica(route_circuit(name, api)), self._replica(account_circuit(account)))

    def _replica(self, name: str) -> Replica:
        if name not in self.replicas:
            replica = self.replicas[name] = Replica(self.worker, self._settings)
            replica.go_alone()
        return self.replicas[name]

    def _opener(self, api: Api) -> Callable[[str], Failure | None]:
        if not self._breakers:
            return _never_opened
        guards = self._guards[api]

        def opened(route: str) -> Failure | None:
            guard = guards[route]
            if guard.route.calm and guard.account.calm:
                return None
            with self._lock:
                return guard.closed_by(self._clock(), shared=self.shared.answers)

        return opened


def route_circuit(route: str, api: Api) -> str:
    """The name of a route's circuit."""
    return f"route {route} {api}"


def account_circuit(account: str) -> str:
    """The name of an account's circuit."""
    return f"account {account}"


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
    )


def _allowance_settings(settings: HealthSettings) -> AllowanceSettings:
    return AllowanceSettings(
        tokens=settings.retry_tokens,
        kept=settings.retry_tokens_kept,
        per_success=settings.retry_tokens_per_success,
        per_second=settings.retry_tokens_per_second,
    )


def _never_opened(_: str) -> Failure | None:
    return None
