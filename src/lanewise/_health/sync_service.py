"""The health that a router's workers share: the service that carries it, started at its first use. Calls never wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from lanewise._health.circuit import BreakerSettings
from lanewise._health.health_sync import Book, Life, Workers
from lanewise.config.store import StoreAddress

__all__ = ["SharedHealth"]

HEARD: Final = 1.2
"""Seconds after its last answer for which the store counts as answering."""


class SharedHealth:
    """The service of one router. ``keys`` has the store's key of each circuit; ``caps`` keys whose workers are counted.

    ``answers`` says whether the store was heard just now.
    """

    def __init__(
        self,
        address: StoreAddress,
        book: Book,
        keys: Mapping[str, str],
        settings: BreakerSettings,
        *,
        caps: tuple[str, ...] = (),
        workers: Workers = lambda key, count: None,
    ) -> None:
        import redis  # noqa: F401 - not only at the first call, which would wait for some milliseconds

        self._address = address
        self._book = book
        self._keys = keys
        self._settings = settings
        self._caps = caps
        self._workers = workers
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._life: Life | None = None

    @property
    def answers(self) -> bool:
        """Whether the store was heard just now."""
        life = self._life
        return life is not None and life.connected and time.monotonic() - life.heard < HEARD

    def tell(self) -> None:
        """Something is to be told, or this worker has begun to work. Does not wait."""
        life = self._life
        if life is not None:
            life.wake.set()
            return
        with self._lock:
            if self._life is None:
                life = Life(
                    self._address, self._book, self._keys, self._settings, caps=self._caps, workers=self._workers
                )
                if life.start():
                    self._life = life

    def close(self) -> None:
        """Tell what is left, and end the threads. Waits for them, some seconds at most."""
        with self._lock:
            life, self._life = self._life, None
        if life is not None:
            life.end()
            with self._lock:
                if self._life is None:  # no call has begun another one meanwhile
                    self._book.at_rest()

    def after_fork(self) -> None:
        """In the child of a fork: threads and connections are the parent's."""
        self._lock = threading.RLock()
        self._life = None
