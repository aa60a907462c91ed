"""Ties a router's health, and the caps of its providers, to those of the other workers where the config names a store.

The service that does it is started at its first use. Calls never wait for it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Final

from lanewise._health.breakers.circuit import BreakerSettings
from lanewise._health.circuit_names import account_circuit, circuits_of
from lanewise._health.rate_limits.client_limit import ClientLimit
from lanewise._health.rate_limits.rate_limiter import RateLimiter
from lanewise._health.router_health import RouterHealth, breaker_settings
from lanewise._health.sharing.breaker_store import circuit_key
from lanewise._health.sharing.health_sync import HealthSync, WorkerCount
from lanewise.config import Config
from lanewise.config.environment.store_address import StoreAddress

__all__ = ["SharedHealth", "circuit_keys", "share"]

_WORKERS: Final = "lanewise:workers:"
HEARD: Final = 1.2
"""Seconds after its last answer for which the store counts as answering."""


class SharedHealth:
    """The service of one router. ``keys`` has the store's key of each circuit; ``caps`` keys whose workers are counted.

    ``answers``: whether the store has just answered.
    """

    def __init__(
        self,
        address: StoreAddress,
        health: RouterHealth,
        keys: Mapping[str, str],
        settings: BreakerSettings,
        *,
        caps: tuple[str, ...] = (),
        on_worker_count: WorkerCount = lambda key, count: None,
    ) -> None:
        import redis  # noqa: F401 - not only at the first call, which would wait for some milliseconds

        self._address = address
        self._health = health
        self._keys = keys
        self._settings = settings
        self._caps = caps
        self._on_worker_count = on_worker_count
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._sync: HealthSync | None = None

    @property
    def answers(self) -> bool:
        """Whether the store has just answered."""
        sync = self._sync
        return sync is not None and sync.connected and time.monotonic() - sync.heard < HEARD

    @property
    def is_connected(self) -> bool:
        """Whether the store answered when it was last asked, and its channel is subscribed to."""
        sync = self._sync
        return sync is not None and sync.connected

    def notify(self) -> None:
        """Have pending events sent; the first time, start the threads. Does not wait."""
        sync = self._sync
        if sync is not None:
            sync.wake.set()
            return
        with self._lock:
            if self._sync is None:
                sync = HealthSync(
                    self._address,
                    self._health,
                    self._keys,
                    self._settings,
                    caps=self._caps,
                    on_worker_count=self._on_worker_count,
                )
                if sync.start():
                    self._sync = sync

    def close(self) -> None:
        """Send what is left, and end the threads. Waits for them, some seconds at most."""
        with self._lock:
            sync, self._sync = self._sync, None
        if sync is not None:
            sync.end()
            with self._lock:
                if self._sync is None:  # no call has begun another one meanwhile
                    self._health.at_rest()

    def after_fork(self) -> None:
        """In the child of a fork: threads and connections are the parent's."""
        self._lock = threading.RLock()
        self._sync = None


def share(
    config: Config,
    store: StoreAddress,
    health: RouterHealth,
    limiters: Mapping[str, RateLimiter],
    clients: Mapping[str, ClientLimit],
) -> SharedHealth:
    """The service that shares a router's circuits, and what its providers and its clients are limited to, among the
    workers that are there."""
    by_key: dict[str, RateLimiter | ClientLimit] = {_workers_key(config, name): each for name, each in limiters.items()}
    by_key |= {_client_key(name): limit for name, limit in clients.items()}

    def share_cap(key: str, workers: int) -> None:
        by_key[key].share_with(workers)

    shared = SharedHealth(
        store,
        health,
        circuit_keys(config),
        breaker_settings(config.router.health),
        caps=tuple(by_key),
        on_worker_count=share_cap,
    )
    health.shared = shared
    return shared


def circuit_keys(config: Config) -> dict[str, str]:
    """The store's key of each circuit of a config, by the circuit's name."""
    keys = {}
    for name, route in config.routes.items():
        provider = config.providers[route.provider]
        for circuit in circuits_of(config, name):
            keys[circuit] = circuit_key(circuit, provider.base_url, route.model)
        account = account_circuit(provider.account)
        keys[account] = circuit_key(account, *_urls_of(config, provider.account))
    return keys


def _urls_of(config: Config, account: str) -> list[str]:
    return sorted({other.base_url for other in config.providers.values() if other.account == account})


def _client_key(name: str) -> str:
    return f"{_WORKERS}{hashlib.sha256(b'client ' + name.encode()).hexdigest()[:12]}"


def _workers_key(config: Config, provider: str) -> str:
    account = config.providers[provider].account
    identity = "\0".join((account, provider, *_urls_of(config, account)))
    return f"{_WORKERS}{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
