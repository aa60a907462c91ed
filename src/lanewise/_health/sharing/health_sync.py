"""Carries what happens to circuits to the other workers and back, in two threads of its own: calls never wait for it.

One thread sends: this worker's events, the leases that it asks for and holds, and its heartbeat. The other receives
what other workers have made of circuits. A store that is down, slow or full of garbage stops both, and each worker goes
on by what it knows itself; when the store is back, both sides are reconciled.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from lanewise import _store as connection
from lanewise._health.breakers.circuit import BreakerSettings
from lanewise._health.router_health import RouterHealth
from lanewise._health.sharing.breaker_store import BreakerStore, StoredCircuit, WriteConflict, channel_of, read_news
from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["HealthSync", "WorkerCount"]

TIMEOUT: Final = 0.5
"""Seconds for which the store is waited for."""
TICK: Final = 0.25
"""Seconds between two looks at leases and wishes, while a circuit is not pristine."""
RENEWAL: Final = 1.0
"""Seconds between two words for a lease that this worker holds, or its wish to have one."""
HEARTBEAT: Final = 5.0
"""Seconds between two words that this worker is there, and between two looks at a store that is down."""
GONE: Final = 3 * HEARTBEAT
"""Seconds after its last word in which a worker still counts as one of those that share a cap."""
PAUSE: Final = 1.0
CLOSE: Final = 2.0
"""Seconds that closing waits for the threads at most."""

_log: Final = logging.getLogger("lanewise")


WorkerCount = Callable[[str, int], None]
"""Gets, of each key, how many workers share it."""


class HealthSync:
    """From the start of the threads to their end."""

    def __init__(
        self,
        address: StoreAddress,
        health: RouterHealth,
        keys: Mapping[str, str],
        settings: BreakerSettings,
        *,
        caps: tuple[str, ...],
        on_worker_count: WorkerCount,
    ) -> None:
        self._address = address
        self._health = health
        self._keys = keys
        self._names = {key: name for name, key in keys.items()}
        self._settings = settings
        self._caps = caps
        self._on_worker_count = on_worker_count
        self.wake = threading.Event()
        self.heard = 0.0
        self.connected = False
        self._subscribed = threading.Event()
        self._ended = threading.Event()
        self._known: dict[str, StoredCircuit] = {}
        self._early: dict[str, StoredCircuit] = {}
        self._known_lock = threading.Lock()
        self._beat_at = self._renewed_at = 0.0
        self._throttle = connection.LogThrottle()
        self._silent = False
        self._trouble: Exception | None = None
        self._threads = [
            threading.Thread(target=self._send_loop, name="lanewise-health", daemon=True),
            threading.Thread(target=self._receive_loop, name="lanewise-health-news", daemon=True),
        ]

    def start(self) -> bool:
        """Whether the threads could be started: at the interpreter's end none can."""
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:
            self._ended.set()
            return False
        return True

    def end(self) -> None:
        """Send what is left, and wait for the threads, some seconds at most."""
        self._ended.set()
        self.wake.set()
        until = time.monotonic() + CLOSE
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send_loop(self) -> None:
        client = connection.client(self._address, TIMEOUT)
        store = BreakerStore(client)
        try:
            while not self._ended.is_set():
                try:
                    self._round(client, store)
                except WriteConflict:
                    self.wake.set()
                except Exception as error:  # noqa: BLE001 - the border of a store that may be anything
                    self._lost(error)
                    self._ended.wait(PAUSE)
                else:
                    self.wake.wait(TICK if self._health.busy else HEARTBEAT)
                self.wake.clear()
            with contextlib.suppress(Exception):
                self._sign_off(client, store)
        finally:
            with contextlib.suppress(Exception):
                client.close()

    def _round(self, client: redis.Redis, store: BreakerStore) -> None:
        if self.connected and not self._subscribed.is_set():
            raise self._trouble or TimeoutError
        if not self.connected:
            if not self._subscribed.wait(PAUSE):
                raise TimeoutError("the channel of the store is not heard")
            self._reconcile(store)
            self._found()
        self._health.ask_leases()
        if time.monotonic() - self._renewed_at >= RENEWAL:
            self._renewed_at = time.monotonic()
            self._health.renew_leases()
        self._send_events(store)
        if self._health.busy or time.monotonic() - self._beat_at >= HEARTBEAT:
            self._beat(client)

    def _reconcile(self, store: BreakerStore) -> None:
        """Come to the same as the others, of all circuits: after the start, and after a time of silence."""
        for name, key in self._keys.items():
            stored = store.read(key)
            both = self._health.reconcile(name, stored.circuit.shifted(-stored.clock), stored.version)
            mine = both.shifted(stored.clock)
            if (
                mine.generation != stored.circuit.generation
                or mine.unanswered > stored.circuit.unanswered
                or mine.limits > stored.circuit.limits
            ):
                stored = store.put(key, stored, mine)
                self._health.replace(name, stored.circuit.shifted(-stored.clock), stored.version, 0)
            self._remember(name, stored)

    def _send_events(self, store: BreakerStore) -> None:
        for name, events in self._health.pending_events().items():
            with self._known_lock:
                known = self._known.get(name)
            stored = store.change(self._keys[name], known, events, self._settings)
            self._remember(name, stored)
            self._health.replace(name, stored.circuit.shifted(-stored.clock), stored.version, len(events))
            self.heard = time.monotonic()

    def _beat(self, client: redis.Redis) -> None:
        """Send a heartbeat, and count the other workers."""
        now = time.monotonic()
        if now - self._beat_at < HEARTBEAT:
            client.ping()
            self.heard = time.monotonic()
            return
        if self._caps:
            self._count_workers(client)
        else:
            client.ping()
        self.heard = time.monotonic()
        self._beat_at = now

    def _count_workers(self, client: redis.Redis) -> None:
        """By the store's clock: those of hosts may differ by more than a worker is waited for."""
        seconds = int(client.time()[0])
        for key in self._caps:
            pipeline = client.pipeline(transaction=False)
            pipeline.zadd(key, {self._health.worker: seconds})
            pipeline.zremrangebyscore(key, "-inf", seconds - GONE)
            pipeline.zcard(key)
            pipeline.expire(key, int(10 * GONE))
            self._on_worker_count(key, int(pipeline.execute()[2]))

    def _sign_off(self, client: redis.Redis, store: BreakerStore) -> None:
        if self.connected:
            self._send_events(store)
            for key in self._caps:
                client.zrem(key, self._health.worker)
            client.publish(channel_of(client), b"")  # which wakes the receiving thread

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _receive_loop(self) -> None:
        client = connection.client(self._address, TIMEOUT)
        try:
            while not self._ended.is_set():
                try:
                    self._listen(client)
                except Exception as error:  # noqa: BLE001 - the border of a store that may be anything
                    self._trouble = error
                    self._subscribed.clear()
                    self.wake.set()  # the sending thread reports that the store is lost
                    self._ended.wait(PAUSE)
        finally:
            with contextlib.suppress(Exception):
                client.close()

    def _listen(self, client: redis.Redis) -> None:
        with client.pubsub() as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(channel_of(client))
            if channel.get_message(timeout=TIMEOUT) is None:  # the first message says that it is subscribed
                raise TimeoutError("the channel of the store is not heard")
            with self._known_lock:
                self._early.clear()  # of an earlier subscription: the store may have lost what it told
            self._subscribed.set()
            pinged = answered = time.monotonic()
            while not self._ended.is_set() and self._subscribed.is_set():
                message = channel.get_message(timeout=TIMEOUT)
                now = time.monotonic()
                if message is not None:
                    answered = now
                    if message["type"] == "subscribe":
                        raise ConnectionError("the client of the store has connected anew: messages may be missing")
                    if message["type"] == "message":
                        self._receive(message["data"])
                if now - pinged > HEARTBEAT:
                    channel.ping()
                    pinged = now
                if now - answered > GONE:
                    raise TimeoutError("the channel of the store has gone silent")

    def _receive(self, message: bytes) -> None:
        news = read_news(message)
        if news is None:
            return
        key, stored = news
        name = self._names.get(key)
        if name is None:
            return
        with self._known_lock:
            if not self.connected:
                # The other thread is reading all circuits, and may have read this one before it was changed.
                self._early[name] = stored
                return
        self._take_over(name, stored)
        self.wake.set()

    def _take_over(self, name: str, stored: StoredCircuit) -> None:
        stored = self._remember(name, stored)
        self._health.replace(name, stored.circuit.shifted(-stored.clock), stored.version, 0)

    def _remember(self, name: str, stored: StoredCircuit) -> StoredCircuit:
        """Keep the later of what is known of a circuit."""
        with self._known_lock:
            known = self._known.get(name)
            if known is None or stored.version >= known.version:
                self._known[name] = stored
                return stored
            return known

    # -- the store goes and comes ------------------------------------------------------------------------------------

    def _lost(self, error: Exception) -> None:
        with self._known_lock:
            self.connected = False
            self._early.clear()
        self._subscribed.clear()
        if not self._ended.is_set():
            self._health.detach()
        with self._known_lock:
            self._known.clear()
        if not self._ended.is_set() and self._throttle.permits():
            self._silent = True
            _log.warning(
                "health is not shared: the store at %s does not answer (%s). Each worker goes on by itself",
                self._address,
                type(error).__name__,
            )

    def _found(self) -> None:
        with self._known_lock:
            self.connected = True
            early, self._early = self._early, {}
        for name, stored in early.items():
            self._take_over(name, stored)
        self.heard = time.monotonic()
        if self._silent:
            self._silent = False
            _log.warning("health is shared again: the store at %s answers", self._address)
