"""A writer: a bounded queue in front of one sink, and the thread that empties it. Whoever puts never waits."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from lanewise._process_hooks import Ending, at_exit
from lanewise._telemetry.drop_counter import Drops
from lanewise._telemetry.writer_thread import LINGER, WriterThread, living
from lanewise.types.sinks import Sink

__all__ = ["Writer"]

CLOSE: Final = 5.0
"""Seconds in which what waits is still written when the router closes."""

_Item = TypeVar("_Item")


class Writer(Generic[_Item]):
    """Writes to one sink: a service of the engine's, closed with the router after its calls.

    The sink is made in the writer's thread, at the first record of a process: what it connects to is not the parent's
    after a fork. A thread of its own means that no sink waits for another. ``linger`` is for how many seconds a batch
    is gathered.

    Example::

        writer = Writer("the ledger", lambda: LedgerSink(url))
        writer.put(call)
        writer.close()
    """

    def __init__(self, name: str, make_sink: Callable[[], Sink[_Item]], *, linger: float = LINGER) -> None:
        self.name = name
        self._make_sink = make_sink
        self._linger = linger
        self._lock = threading.RLock()
        self._drops = Drops(name)
        self._run: WriterThread[_Item] | None = None
        self._forgotten: weakref.finalize[[WriterThread[_Item]], Writer[_Item]] | None = None
        self._stopped: list[WriterThread[_Item]] = []
        self._left_behind: list[WriterThread[_Item]] = []

    @property
    def dropped(self) -> int:
        """How many records this process has lost here: there was no room, or the sink raised."""
        return self._drops.count

    def put(self, item: _Item) -> None:
        """Have an item written soon. From any thread; never waits, never raises."""
        run = self._run
        while run is None or not run.put(item):  # also a run that was just begun may be over already
            run = self._begin()

    def stop(self) -> None:
        """Begin to close: the thread writes what waits, for some seconds at most. The next item starts another."""
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.stop(time.monotonic() + CLOSE)
                self._stopped.append(run)

    def close(self) -> None:
        """Write what waits, for some seconds at most, and end the thread. The next item starts another."""
        self.stop()
        with self._lock:
            stopped, self._stopped = self._stopped, []
        for run in stopped:
            run.finish()
        self._drops.report_now()

    def after_fork(self) -> None:
        """In the child of a fork: what waits is the parent's to write, and so is what its sink is connected to."""
        self._lock = threading.RLock()
        self._drops = Drops(self.name)
        if self._forgotten is not None:
            self._forgotten.detach()
        self._left_behind += self._stopped  # not collected: that would close the parent's connections
        self._stopped = []
        if self._run is not None:
            self._left_behind.append(self._run)
            self._run = None

    def _begin(self) -> WriterThread[_Item]:
        with self._lock:
            if self._run is None or self._run.closing:
                self._run = run = WriterThread(self.name, self._make_sink, self._linger, self._drops)
                self._forgotten = weakref.finalize(self, _end_soon, run)
                self._forgotten.atexit = False
            return self._run


def _end_soon(run: WriterThread[_Item]) -> None:
    """Of a writer that is let go of without a close: its thread writes what waits, and ends."""
    run.stop(time.monotonic() + CLOSE)


def _at_exit() -> None:
    """Write what still waits at the interpreter's end, where no router was closed."""
    running = [run for run in tuple(living) if run.has_work]
    for run in running:
        _end_soon(run)
    for run in running:
        run.finish()


at_exit(Ending.RECORDS, _at_exit)
