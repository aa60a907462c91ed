"""Clients of the shared store (none waits long, tries twice, or shows a password), and what threads that use one need.

Calls never talk to the store themselves: a thread does, in batches, and a call waits for it in its own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["LogThrottle", "StoreWaiter", "client", "next_batch"]

_Item = TypeVar("_Item")

TIMEOUT: Final = 1.0
"""Seconds for which a client waits for the store: for the connection, and then for each answer."""
_BATCH: Final = 64
"""How much goes to the store together."""
LOG_EVERY: Final = 60.0
"""Seconds between two lines of the log about the same trouble."""


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


class StoreWaiter:
    """A call that waits in its loop for the reply that a thread delivers. ``too_late`` takes a reply that nobody waits
    for any more; it is called in the loop, or in the thread if the loop is closed.

    Example::

        waiter = StoreWaiter()
        thread.ask(command, waiter.deliver)
        reply = await waiter.wait(0.5)
    """

    __slots__ = ("_future", "_loop", "_too_late", "given_up")

    def __init__(self, too_late: Callable[[object], None] = lambda reply: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[object] = self._loop.create_future()
        self._too_late = too_late
        self.given_up = False

    async def wait(self, seconds: float) -> object:
        """The reply. Raises TimeoutError: none came in time."""
        try:
            await asyncio.wait((self._future,), timeout=seconds)
        except BaseException:
            if self._future.done():
                self._too_late(self._future.result())
            raise
        finally:
            self.given_up = True
        if not self._future.done():
            raise TimeoutError
        return self._future.result()

    def deliver(self, reply: object) -> None:
        """Hand a reply over, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._set, reply)
        except RuntimeError:  # the loop is closed
            self._too_late(reply)

    def _set(self, reply: object) -> None:
        if self.given_up:
            self._too_late(reply)
        elif not self._future.done():
            self._future.set_result(reply)


class LogThrottle:
    """Lets a line about one trouble into the log, and the next one a minute later.

    From any thread: of two at the same moment both may write.

    Example::

        if throttle.permits():
            _log.warning("the store does not answer")
    """

    def __init__(self) -> None:
        self._next_at = float("-inf")

    def permits(self) -> bool:
        """Whether a line may be written now: it counts as written."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + LOG_EVERY
        return True


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
