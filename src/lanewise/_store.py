"""Clients of the shared store (none waits long, tries twice, or shows a password), and what goes to it at once."""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["client", "next_batch"]

_Item = TypeVar("_Item")

TIMEOUT: Final = 1.0
"""Seconds for which a client waits for the store: for the connection, and then for each answer."""
_BATCH: Final = 64
"""How much goes to the store together."""


def client(address: StoreAddress, timeout: float = TIMEOUT) -> redis.Redis:
    """A synchronous client, for a thread of its own; ``timeout`` in seconds. Close it with ``close()``.

    Commands raise redis.RedisError; nothing is tried again, since whoever asks knows better whether it still matters.
    """
    import redis

    return redis.Redis.from_pool(redis.ConnectionPool(**_options(address, timeout)))


def next_batch(waiting: queue.SimpleQueue[_Item | None], timeout: float | None) -> tuple[list[_Item], bool]:
    """What waits for a thread, 64 at most, and whether that is all: ``None`` in the queue is its end.

    Nothing, once ``timeout`` seconds have passed without anything; ``None`` waits for as long as it takes.

    Example::

        batch, ended = next_batch(commands, timeout=1.0)
    """
    batch: list[_Item] = []
    with contextlib.suppress(queue.Empty):
        item = waiting.get(timeout=timeout)
        while item is not None:
            batch.append(item)
            if len(batch) == _BATCH:
                return batch, False
            item = waiting.get_nowait()
        return batch, True
    return batch, False


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
