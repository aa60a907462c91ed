"""Opening and closing a route by hand: in the store that all workers share, or without one in this process."""

from __future__ import annotations

from lanewise._health.breakers.circuit import ByHand
from lanewise._health.circuit_names import circuits_of
from lanewise._health.router_health import breaker_settings
from lanewise._health.sharing.breaker_store import BreakerStore
from lanewise._health.sharing.shared_health import circuit_keys
from lanewise._store import client
from lanewise.config import Config
from lanewise.config.environment.store_address import StoreAddress

__all__ = ["StoreSilent", "change_in", "change_in_store"]


class StoreSilent(Exception):
    """The shared store does not answer: nothing was changed. The text has no address."""


def change_in(circuits: BreakerStore, config: Config, route: str, *, opens: bool) -> None:
    """Open a route in a store, or close it with its provider's account. Raises redis.RedisError."""
    keys = circuit_keys(config)
    for name in circuits_of(config, route, account=not opens):
        circuits.change(keys[name], None, [ByHand(open=opens)], breaker_settings(config.router.health))


def change_in_store(address: StoreAddress, config: Config, route: str, *, opens: bool) -> None:
    """Open a route, or close it, over a connection made for this. Raises StoreSilent."""
    import redis

    try:
        with client(address) as store:
            change_in(BreakerStore(store), config, route, opens=opens)
    except redis.RedisError as error:
        reason = type(error).__name__
    else:
        return
    raise StoreSilent(f"the shared store does not answer ({reason})")
