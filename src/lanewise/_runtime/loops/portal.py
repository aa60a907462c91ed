"""The event-loop thread that lets synchronous code, and any other event loop, use the asynchronous router."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from lanewise._process_hooks import Ending, at_exit, at_fork
from lanewise._runtime.loops.process_limits import require_real_threads
from lanewise._transport.local_trouble import lacks_descriptors
from lanewise.errors import RouterClosed

__all__ = ["Portal", "PortalThread"]

_T = TypeVar("_T")
Work = Callable[[], Coroutine[Any, Any, _T]]
Unclaimed = Callable[[_T], Coroutine[Any, Any, None]]
"""What to do with a result whose caller had gone when it came."""

_CLOSED: Final = "the router was closed while the call ran"
_JOIN: Final = 5.0
"""Seconds that closing waits for the thread at most: an app must be able to end."""


class Portal:
    """Has one :class:`PortalThread` at a time, started at the first use in this process and ended by :meth:`close`.

    Example::

        portal = Portal()
        portal.start().run(some_coroutine_function)        # blocks this thread; Ctrl-C cancels the coroutine
        portal.close()
    """

    def __init__(self) -> None:
        self._thread: PortalThread | None = None
        self._forgotten: weakref.finalize[[], Portal] | None = None

    @property
    def thread(self) -> PortalThread | None:
        """The thread, while it runs."""
        thread = self._thread
        return thread if thread is not None and thread.runs else None

    def start(self) -> PortalThread:
        """The thread, started if none runs.

        Raises RuntimeError: threads are patched, or none can be started. OSError: no descriptor is left.
        """
        with _starting:
            thread = self.thread
            if thread is None:
                require_real_threads()
                thread = self._thread = PortalThread()
                self._forgotten = weakref.finalize(self, thread.end)
                self._forgotten.atexit = False
            return thread

    def close(self) -> None:
        """End the thread and wait for it. Idempotent; a later use starts anew."""
        with _starting:
            thread, self._thread = self._thread, None
            if self._forgotten is not None:
                self._forgotten.detach()
        if thread is not None:
            thread.end()
            thread.join()


class PortalThread:
    """A running thread with one event loop. What is handed to it after its end raises RouterClosed."""

    def __init__(self) -> None:
        if lacks_descriptors():  # asyncio leaves a loop behind that complains, if it finds out half-way
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        # In a context of its own: a loop keeps the one that it was made in, and with it a request's scope.
        self.loop = contextvars.Context().run(asyncio.new_event_loop)
        self._lock = threading.RLock()  # re-entrant: collecting garbage closes streams, wherever that happens
        self._ended = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_end: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._thread = threading.Thread(target=self._serve, name="lanewise-portal", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self.loop.close()
            raise
        _running.add(self)

    @property
    def runs(self) -> bool:
        """Whether it takes work."""
        return not self._ended

    @property
    def is_current(self) -> bool:
        """Whether the caller is in this very thread, and must not wait for it."""
        return threading.current_thread() is self._thread

    def submit(self, work: Work[_T], unclaimed: Unclaimed[_T] | None = None) -> Future[_T]:
        """Run a coroutine in the thread; cancelling the future cancels it. Raises RouterClosed: the thread has ended.

        The future is cancelled if the thread ends first. Whoever stops waiting calls :meth:`give_up`.
        """
        future: Future[_T] = Future()
        if not self.call_soon(lambda: self._begin(work, future, unclaimed)):
            raise RouterClosed(_CLOSED)
        return future

    def run(self, work: Work[_T], unclaimed: Unclaimed[_T] | None = None) -> _T:
        """Run a coroutine in the thread and wait for it. An interrupted wait cancels it.

        Raises RuntimeError: called from the thread itself. RouterClosed: the thread has ended, or ends first.
        """
        if self.is_current:
            raise RuntimeError(
                "a synchronous call was made from within the router's own thread and would wait for itself; "
                "use the asynchronous client there"
            )
        future = self.submit(work, unclaimed)
        try:
            return future.result()
        except CancelledError:
            raise RouterClosed(_CLOSED) from None
        except BaseException:
            self.give_up(future, unclaimed)
            raise
        finally:
            del future  # an error's traceback would hold it, and it the error

    def give_up(self, future: Future[_T], unclaimed: Unclaimed[_T] | None = None) -> None:
        """Stop waiting: the work is cancelled, or what it has given already goes to ``unclaimed``."""
        if future.cancel() or unclaimed is None or future.exception() is not None:
            return
        result = future.result()
        with contextlib.suppress(RouterClosed):
            self.submit(lambda: unclaimed(result))

    def call_soon(self, callback: Callable[[], object]) -> bool:
        """Call a function in the thread, soon. Whether that will happen: it won't once the thread has ended."""
        with self._lock:
            if self._ended:
                return False
            self.loop.call_soon_threadsafe(callback)
            return True

    def at_end(self, closer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have a coroutine run as the last thing in the thread's loop."""
        self._at_end.append(closer)

    def end(self) -> None:
        """Cancel what runs and end the thread, without waiting for it. From any thread; idempotent."""
        with self._lock:
            if not self._ended:
                self._ended = True
                self.loop.call_soon_threadsafe(self.loop.stop)

    def join(self) -> None:
        """Wait until the thread has ended, a few seconds at most."""
        if not self.is_current:
            self._thread.join(_JOIN)

    def leave_to_parent(self) -> None:
        """In the child of a fork: there is no such thread here. Its loop is not touched, the parent's wakes by it."""
        self._lock = threading.RLock()
        self._ended = True

    def _begin(self, work: Work[_T], future: Future[_T], unclaimed: Unclaimed[_T] | None) -> None:
        if future.cancelled():
            return
        task = self.loop.create_task(_carry_out(work, future, unclaimed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(functools.partial(self._cancel_with, task))

    def _cancel_with(self, task: asyncio.Task[None], future: Future[_T]) -> None:
        if future.cancelled():
            self.call_soon(task.cancel)

    def _serve(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            for closer in self._at_end:
                loop.run_until_complete(closer())
            pending = asyncio.all_tasks(loop)
            for task in pending:
                task.cancel()
            if pending:
                loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            self._ended = True
            asyncio.set_event_loop(None)
            loop.close()
            _running.discard(self)


async def _carry_out(work: Work[_T], future: Future[_T], unclaimed: Unclaimed[_T] | None) -> None:
    try:
        result = await work()
    except asyncio.CancelledError:
        future.cancel()
        raise
    except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
    else:
        if future.set_running_or_notify_cancel():  # from here on it can't be cancelled: the result has an owner
            future.set_result(result)
        elif unclaimed is not None:
            await unclaimed(result)
    finally:
        del future  # an error's traceback would hold it, and it the error


_starting = threading.RLock()
_running: set[PortalThread] = set()
_left_behind: list[PortalThread] = []
"""Threads of the parent after a fork: kept, since collecting their tasks would close what the parent still uses."""


def _end_all() -> None:
    """End all portal threads of this process, as at the interpreter's end. Idempotent."""
    threads = list(_running)
    for thread in threads:
        thread.end()
    for thread in threads:
        thread.join()


def _after_fork() -> None:
    global _starting
    _starting = threading.RLock()
    for thread in _running:
        thread.leave_to_parent()
    _left_behind.extend(_running)
    _running.clear()


at_exit(Ending.CALLS, _end_all)
at_fork(_after_fork)
