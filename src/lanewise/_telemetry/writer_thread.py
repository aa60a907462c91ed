"""One life of a writer's thread: from the first record to the close of the router, with its queue and its sink."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from lanewise._telemetry.drop_counter import Drops
from lanewise.types.sinks import Sink, SinkUnavailable

__all__ = ["LINGER", "WriterThread", "living"]

CAPACITY: Final = 10_000
"""Records that wait for a sink at the most. What comes then is dropped, and counted."""
BATCH: Final = 250
"""Records in a batch at the most: more would not make a database faster, and would hold its lock for longer."""
LINGER: Final = 0.2
"""Seconds for which a batch is gathered."""
PAUSES: Final = (0.25, 0.5, 1.0, 2.0)
"""Seconds between the tries of a sink that is not available; the last holds for all that follow."""

_log: Final = logging.getLogger("lanewise")
_Item = TypeVar("_Item")


class _Signal:
    """Wakes one thread. A bare lock, because a record may be put by what the garbage collector ends, in the middle of
    anything: ``threading.Event`` would lock itself out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def wait(self, seconds: float = -1) -> None:
        """Wait until it is set, for so long at most, and take it back."""
        self._lock.acquire(timeout=seconds)


class WriterThread(Generic[_Item]):
    """Starts its thread at the first item. The sink is made, used and closed in that thread."""

    def __init__(self, name: str, make_sink: Callable[[], Sink[_Item]], linger: float, drops: Drops) -> None:
        self.closing = False
        self._name = name
        self._make_sink = make_sink
        self._linger = linger
        self._drops = drops
        self._sink: Sink[_Item] | None = None
        self._queue: deque[_Item] = deque()
        self._in_hand = 0
        self._lock = threading.RLock()
        self._some = _Signal()
        self._enough = _Signal()
        self._thread: threading.Thread | None = None
        self._end_at = 0.0

        self._pid = os.getpid()
        living.add(self)

    @property
    def has_work(self) -> bool:
        """Whether something may wait here to be written by this process."""
        if self._pid != os.getpid():
            return False
        return bool(self._queue) if self._thread is None else self._thread.is_alive()

    def put(self, item: _Item) -> bool:
        """Queue an item, or drop it if there is no room. ``False``: this run is over."""
        with self._lock:
            if self.closing:
                return False
            waiting = len(self._queue)
            if waiting < CAPACITY:
                self._queue.append(item)
        if waiting == 0:
            self._some.set()
        if self._thread is None:  # also where it could not start at the first item: this process may have had no room
            self._start()
        if waiting == BATCH - 1:
            self._enough.set()
        elif waiting >= CAPACITY:
            self._drops.add(1, "its queue is full")
        return True

    def stop(self, end_at: float) -> None:
        """Take nothing more, and write what waits until then at the most (by the monotonic clock). Doesn't wait."""
        self._end_at = end_at
        with self._lock:
            self.closing = True
        self._some.set()
        self._enough.set()

    def finish(self) -> None:
        """Wait for the end of a run that was stopped; what is left then is lost."""
        thread = self._thread
        if thread is None:
            self._work()  # at the interpreter's end no thread starts any more
        elif thread is not threading.current_thread():
            thread.join(max(0.0, self._end_at - time.monotonic()) + 0.1)
        with self._lock:
            left = len(self._queue) + self._in_hand
            self._queue.clear()
            self._in_hand = 0
        if left:
            self._drops.add(left, "it did not take them in time when the router closed")

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or self.closing:
                return
            thread = threading.Thread(target=self._work, name=f"lanewise: {self._name}", daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter is about to end: closing writes what waits
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        while batch := self._next():
            why_not = self._write(batch)
            with self._lock:
                lost, self._in_hand = self._in_hand if why_not else 0, 0
            if lost:
                self._drops.add(lost, why_not)
            self._drops.report_if_due()
        self._close_sink()

    def _next(self) -> list[_Item]:
        """The next batch; an empty one at the end."""
        while True:
            if not self.closing:
                self._some.wait()
            if not self.closing:
                self._enough.wait(self._linger)
            batch = self._take()
            if batch or self.closing:
                return batch

    def _take(self) -> list[_Item]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._in_hand = len(batch)
            left = len(self._queue)
        if left:
            self._some.set()
        if left >= BATCH:
            self._enough.set()
        return batch

    def _write(self, batch: list[_Item]) -> str:
        """Write a batch, again and again while the sink is not available. Why it is lost, if it is."""
        tries = 0
        while True:
            try:
                if self._sink is None:
                    self._sink = self._make_sink()
                self._sink.write(batch)
            except SinkUnavailable as error:
                if tries == 0:
                    _log.warning(
                        "%s is not available (%s); what is to be written waits", self._name, error,
                        extra={"sink": self._name},
                    )  # fmt: skip
                if not self._may_try_again(PAUSES[min(tries, len(PAUSES) - 1)]):
                    return "it was not available when the router closed"
                tries += 1
            except BaseException as error:  # noqa: BLE001 - the border of foreign sinks: a SystemExit would end the thread
                return f"it raised {type(error).__name__}"
            else:
                return ""

    def _may_try_again(self, pause: float) -> bool:
        """Wait before the next try; not for long once the router closes."""
        again_at = time.monotonic() + pause
        while not self.closing and (left := again_at - time.monotonic()) > 0:
            self._enough.wait(left)  # set by the close, and by much that waits
        if self.closing:
            time.sleep(max(0.0, min(0.1, self._end_at - time.monotonic())))
            return time.monotonic() < self._end_at
        return True

    def _close_sink(self) -> None:
        if self._sink is None:
            return
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 - as above
            _log.error("%s could not be closed (%s)", self._name, type(error).__name__)


living: weakref.WeakSet[WriterThread[Any]] = weakref.WeakSet()
"""Writer threads that may have something to write, referenced here also when their writer is collected."""
