"""Which route made a stored answer: published to all workers over the shared store, and looked up there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise import _store as connection
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["SharedAffinity"]

PREFIX: Final = "lanewise:made:"
KEPT: Final = 30 * 86400
"""Seconds for which it is known who made an answer: providers keep them for as long."""
WAIT: Final = 1.0
"""Seconds that a call waits for the store."""
PAUSE: Final = 1.0
"""Seconds for which a store that failed is left alone."""
WAITING: Final = 1000
"""Answers that may wait to be published; more are not."""


class SharedAffinity:
    """The makers of stored answers, for all workers. The ids are hashed; nothing of an answer is in it.

    Its thread starts at the first use in a process. A store that fails costs a call ``WAIT`` seconds at most, and then
    the answer counts as unknown.
    """

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._client: redis.Redis | None = None
        self._paused_until = 0.0
        self._waiting = 0

    def publish(self, name: str, made: ResponseOrigin) -> None:
        """Have all workers know who made an answer. Doesn't wait."""
        if self._waiting < WAITING:
            self._waiting += 1
            self._start().submit(self._set, _key(name), msgspec.json.encode(made))

    async def find(self, name: str) -> ResponseOrigin | None:
        """Who made an answer, if the store knows."""
        try:
            async with asyncio.timeout(WAIT):
                found = await asyncio.wrap_future(self._start().submit(self._get, _key(name)))
        except TimeoutError:
            return None
        with contextlib.suppress(msgspec.MsgspecError):
            return None if found is None else msgspec.json.decode(found, type=ResponseOrigin)
        return None

    def close(self) -> None:
        """Publish what waits, and end the thread. Usable again afterwards."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def after_fork(self) -> None:
        """In the child of a fork: the thread and its connection are the parent's."""
        self._begin()

    def _start(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="lanewise-affinity")
            return self._thread

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _set(self, key: str, value: bytes) -> None:
        self._waiting -= 1
        self._run(lambda client: client.set(key, value, ex=KEPT))

    def _get(self, key: str) -> bytes | None:
        found = self._run(lambda client: client.get(key))
        return found if isinstance(found, bytes) else None

    def _run(self, command: Callable[[redis.Redis], object]) -> object:
        if time.monotonic() < self._paused_until:
            return None
        try:
            if self._client is None:
                self._client = connection.client(self._address)
            return command(self._client)
        except Exception:  # noqa: BLE001 - the border of a foreign store
            self._paused_until = time.monotonic() + PAUSE
            return None


def _key(name: str) -> str:
    return PREFIX + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:40]
