"""Clients of the shared store, all made here: none waits long, tries twice, or shows a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from understudy.config.store import StoreAddress

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["async_client", "client"]

TIMEOUT: Final = 1.0
"""Seconds for which a client waits for the store: for the connection, and then for each answer."""
CONNECTIONS: Final = 16
"""How many connections an asynchronous client opens at most; a command that finds none free waits for one."""


def client(address: StoreAddress, timeout: float = TIMEOUT) -> redis.Redis:
    """A synchronous client, for a thread of its own; ``timeout`` in seconds. Close it with ``close()``.

    Commands raise redis.RedisError; nothing is tried again, since whoever asks knows better whether it still matters.
    """
    import redis

    return redis.Redis.from_pool(redis.ConnectionPool(**_options(address, timeout, asynchronous=False)))


def async_client(address: StoreAddress) -> redis.asyncio.Redis:
    """As :func:`client`, for the running loop. Close it with ``aclose()``, in that loop."""
    import redis.asyncio

    pool = redis.asyncio.BlockingConnectionPool(
        **_options(address, TIMEOUT, asynchronous=True), max_connections=CONNECTIONS, timeout=TIMEOUT
    )
    return redis.asyncio.Redis.from_pool(pool)


def _options(address: StoreAddress, timeout: float, *, asynchronous: bool) -> dict[str, Any]:
    import redis.asyncio.connection
    import redis.asyncio.retry
    import redis.connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    parse = redis.asyncio.connection.parse_url if asynchronous else redis.connection.parse_url
    retry = redis.asyncio.retry.Retry if asynchronous else Retry
    return {
        **parse(address.reveal()),
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": retry(NoBackoff(), 0),
        "protocol": 2,  # spares a greeting, and whatever a store may push unasked
    }
