"""Clients of the shared store, all made here: none waits long, tries twice, or shows a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lanewise.config.store import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["client"]

TIMEOUT: Final = 1.0
"""Seconds for which a client waits for the store: for the connection, and then for each answer."""


def client(address: StoreAddress, timeout: float = TIMEOUT) -> redis.Redis:
    """A synchronous client, for a thread of its own; ``timeout`` in seconds. Close it with ``close()``.

    Commands raise redis.RedisError; nothing is tried again, since whoever asks knows better whether it still matters.
    """
    import redis

    return redis.Redis.from_pool(redis.ConnectionPool(**_options(address, timeout)))


def _options(address: StoreAddress, timeout: float) -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.connection import parse_url
    from redis.retry import Retry

    return {
        **parse_url(address.reveal()),  # type: ignore[no-untyped-call]
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # spares a greeting, and whatever a store may push unasked
    }
