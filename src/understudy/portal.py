"""The event-loop thread that lets synchronous code, and any other event loop, use the asynchronous router."""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from understudy.errors import RouterClosed

__all__ = ["Portal"]

_T = TypeVar("_T")


class Portal:
    """One thread with one event loop, started at the first use in this process and stopped by :meth:`close`.

    Example::

        portal = Portal()
        portal.run(some_coroutine())        # blocks this thread; Ctrl-C cancels the coroutine
        portal.close()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        _portals.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The portal's loop while it runs."""
        return self._loop

    def submit(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> Future[_T]:
        """Run a coroutine on the portal's loop; cancelling the future cancels it.

        Raises RuntimeError: called from the portal's own thread, or where threads are patched by gevent.
        """
        loop = self._loop or self._start()
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a synchronous call was made from within the router's own thread and would wait for itself; "
                "use the asynchronous client there"
            )
        return asyncio.run_coroutine_threadsafe(work(), loop)

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine on the portal's loop and wait for it. An interrupted wait cancels it."""
        future = self.submit(work)
        try:
            return future.result()
        except CancelledError:
            raise RouterClosed("the router was closed while the call ran") from None
        finally:
            future.cancel()  # does nothing once it is done

    def close(self) -> None:
        """Cancel what still runs, stop the loop and join the thread. Idempotent; a later use starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join()

    def forget(self) -> None:
        """Drop the thread without touching it: it lives in the parent of a fork, and so do its sockets."""
        if self._loop is not None:
            _left_behind.append(self._loop)
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        _refuse_gevent()
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(loop,), name="understudy-portal", daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _refuse_gevent() -> None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        raise RuntimeError(
            "understudy needs real threads and gevent has patched them. Use gunicorn's gthread worker "
            "(worker_class = 'gthread'), or an async framework with the asynchronous client."
        )


_portals: weakref.WeakSet[Portal] = weakref.WeakSet()
_left_behind: list[asyncio.AbstractEventLoop] = []
"""Loops of the parent process after a fork: kept, since collecting them would close what the parent still uses."""


def _close_all() -> None:
    for portal in list(_portals):
        portal.close()


atexit.register(_close_all)
