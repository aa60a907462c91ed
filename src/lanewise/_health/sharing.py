"""Ties a router's health and caps to those of the other workers, where the config names a store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from lanewise._health.breaker_store import circuit_key
from lanewise._health.rate_limiter import Gate
from lanewise._health.route_health import Health, account_circuit, breaker_settings, route_circuit
from lanewise._health.sync_service import SharedHealth
from lanewise.config import Config
from lanewise.config.store import StoreAddress
from lanewise.types import Api

__all__ = ["circuit_keys", "circuits_of", "share"]

_WORKERS: Final = "lanewise:workers:"


def share(config: Config, store: StoreAddress, health: Health, gates: Mapping[str, Gate]) -> SharedHealth:
    """The service that shares a router's circuits, and the caps of its providers among the workers that are there."""
    by_key = {_workers_key(config, provider): gate for provider, gate in gates.items()}

    def share_cap(key: str, workers: int) -> None:
        by_key[key].share_with(workers)

    shared = SharedHealth(
        store,
        health,
        circuit_keys(config),
        breaker_settings(config.router.health),
        caps=tuple(by_key),
        workers=share_cap,
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


def circuits_of(config: Config, route: str, *, account: bool = False) -> list[str]:
    """The names of a route's circuits, one for each kind of API that it offers, and if asked that of its account.

    Example::

        assert circuits_of(config, "flagship")[0] == "route flagship chat"
    """
    declared = config.routes[route]
    names = [route_circuit(route, Api(api)) for api in declared.api]
    return [*names, account_circuit(config.providers[declared.provider].account)] if account else names


def _urls_of(config: Config, account: str) -> list[str]:
    return sorted({other.base_url for other in config.providers.values() if other.account == account})


def _workers_key(config: Config, provider: str) -> str:
    account = config.providers[provider].account
    identity = "\0".join((account, provider, *_urls_of(config, account)))
    return f"{_WORKERS}{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
