"""Which routes conversations moved to, for all workers: published and read over a stream of the shared store."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, cast

from lanewise import _store as connection
from lanewise._routing.selection.conversations import CAPACITY, LIFETIME, Receive
from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["SharedPins"]

STREAM: Final = "lanewise:pins"
TICK: Final = 0.5
"""Seconds between two looks at what other workers published."""
PAUSE: Final = 1.0
"""Seconds for which a store that failed is left alone."""
CLOSE: Final = 3.0
"""Seconds that closing waits for the store at most."""
_READ: Final = 1000
"""How many pins are read together."""
_LONGEST: Final = 200
"""Characters of a route's name."""


class SharedPins:
    """The pins of all workers, over the shared store. They are digests, and hold no prompt.

    All workers receive them in one order, their own included, and so come to the same. Without the store each goes on
    by what it knows; what it could not publish it publishes later. The thread starts at the first use in a process.
    """

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._receive: Receive | None = None
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()

    def subscribe(self, receive: Receive) -> None:
        """Have ``receive`` called with what workers publish from about now on, after what they published lately."""
        self._receive = receive
        if self._thread is None:
            self._start()

    def publish(self, pin: str, route: str) -> None:
        """Publish to all workers where a conversation goes on. Doesn't wait."""
        self._queue.put((pin, route))

    def close(self) -> None:
        """Publish what is left, and end the thread. Usable again afterwards."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(CLOSE)

    def after_fork(self) -> None:
        """In the child of a fork: the thread and its connection are the parent's."""
        self._begin()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(
                    target=_PinThread(self._address, self._queue, self._received).run, name="lanewise-pins", daemon=True
                )
                with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can be started
                    thread.start()
                    self._thread = thread

    def _received(self, pin: str, route: str, until: float) -> None:
        if self._receive is not None:
            self._receive(pin, route, until)


class _PinThread:
    def __init__(
        self, address: StoreAddress, waiting: queue.SimpleQueue[tuple[str, str] | None], receive: Receive
    ) -> None:
        self._address = address
        self._queue = waiting
        self._received = receive
        self._unpublished: OrderedDict[str, str] = OrderedDict()
        self._last = ""

    def run(self) -> None:
        """Until the end is in the queue."""
        ended = False
        pause = 0.0
        with contextlib.closing(connection.client(self._address)) as store:
            while not ended:
                batch, ended = connection.next_batch(self._queue, max(pause, TICK))
                for item in batch:
                    if item is not None:
                        self._unpublished[item[0]] = item[1]
                while len(self._unpublished) > CAPACITY:
                    self._unpublished.popitem(last=False)
                try:
                    while self._round(store):
                        pass
                    pause = 0.0
                except Exception:  # noqa: BLE001 - the border of a foreign store
                    pause = PAUSE

    def _round(self, store: redis.Redis) -> bool:
        """Publish, and read. Whether there is more to read."""
        if not self._last:
            seconds, micros = store.time()
            self._last = f"{max(0, int((seconds + micros / 1e6 - LIFETIME) * 1000))}-0"
        pipe = store.pipeline(transaction=False)
        for pin, route in self._unpublished.items():
            pipe.xadd(STREAM, {"pin": pin, "route": route}, maxlen=CAPACITY, approximate=True)
        if self._unpublished:
            pipe.expire(STREAM, int(LIFETIME))
        pipe.time()
        pipe.xread({STREAM: self._last}, count=_READ)
        *_, (seconds, micros), streams = pipe.execute()
        self._unpublished.clear()
        found = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", streams or [])
        entries = found[0][1] if found else []
        for entry, fields in entries:
            self._last = entry.decode()
            published_at = int(self._last.partition("-")[0]) / 1000
            pinned, name = fields.get(b"pin", b""), fields.get(b"route", b"")
            left = min(LIFETIME, published_at + LIFETIME - seconds - micros / 1e6)
            if pinned.isalnum() and len(pinned) == 32 and 0 < len(name) <= _LONGEST and left > 0:
                self._received(pinned.decode(), name.decode("utf-8", "replace"), time.monotonic() + left)
        return len(entries) == _READ
