"""From any loop or thread to the portal's loop and back: one reply, or the pieces of a stream."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import CancelledError, Future, wait
from typing import Final, TypeVar

import anyio

from lanewise._runtime.loops.portal import PortalThread, Unclaimed, Work
from lanewise._runtime.messages import Stream
from lanewise.errors import RouterClosed, StreamBroken

__all__ = ["BridgedStream", "ThreadStream", "across"]

_T = TypeVar("_T")

BUFFERED_BYTES: Final = 256 * 1024
"""How far a stream runs ahead of the thread that reads it."""
CLOSE_WAIT: Final = 1.0
"""Seconds that closing a stream waits for the portal. Not longer: it may be the garbage collector that closes."""

_CLOSED: Final = "the router was closed while the call ran"


async def across(thread: PortalThread, work: Work[_T], unclaimed: Unclaimed[_T] | None = None) -> _T:
    """Run ``work`` on the portal's loop and wait for it on this one (asyncio or trio). Cancelling cancels it there.

    A result that comes when nobody waits any more goes to ``unclaimed``. Raises RouterClosed, and what ``work`` raises.
    """
    future = thread.submit(work, unclaimed)
    try:
        await _until_done(future)
    except BaseException:
        thread.give_up(future, unclaimed)
        raise
    try:
        return future.result()
    except CancelledError:
        raise RouterClosed(_CLOSED) from None
    finally:
        del future  # an error's traceback would hold it, and it the error


async def _until_done(future: Future[_T]) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        await _until_done_on_trio(future)
        return
    waiter = loop.create_future()

    def wake(_: Future[_T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(_set, waiter)

    future.add_done_callback(wake)
    await waiter


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _until_done_on_trio(future: Future[_T]) -> None:
    import trio  # only reached inside a running trio loop

    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def wake(_: Future[_T]) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # nobody waits
            token.run_sync_soon(done.set)

    future.add_done_callback(wake)
    await done.wait()


class BridgedStream:
    """A stream of the portal's loop, read from another loop."""

    def __init__(self, thread: PortalThread, stream: Stream) -> None:
        self._thread = thread
        self._stream = stream

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken, RouterClosed."""
        return await across(self._thread, self._stream.read)

    async def rest(self, seconds: float) -> None:
        """Read nothing for a while."""
        await anyio.sleep(seconds)

    async def aclose(self) -> None:
        """Have the upstream exchange closed, also while the caller is being cancelled."""
        self.drop()

    def drop(self) -> None:
        """Have the upstream exchange closed soon. From any thread."""
        with contextlib.suppress(RouterClosed):  # and the exchange is closed with it
            self._thread.submit(self._stream.aclose)


class ThreadStream:
    """A stream of the portal's loop, read by a thread: a pump runs ahead, so that most reads need no hop."""

    def __init__(self, thread: PortalThread, stream: Stream) -> None:
        self._thread = thread
        self._stream = stream
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._room: asyncio.Event | None = None
        self._pump: Future[None] | None = None

    def read(self) -> bytes:
        """What has come since the last read, or the next piece; ``b""`` at the end.

        Raises StreamBroken, RouterClosed, CallerGone: again at each read.
        """
        if self._pump is None and not self._ended:
            self._pump = self._thread.submit(self._run)
            self._pump.add_done_callback(self._finished)
        with self._changed:
            while not self._pieces and not self._ended:
                self._changed.wait()
            if self._pieces:
                data = b"".join(self._pieces)
                self._pieces.clear()
                self._buffered = 0
                self._make_room()
                return data
            if self._error is not None:
                raise self._error
            return b""

    def close(self) -> None:
        """Close the upstream exchange, or give its connection back if the stream came to its end. Idempotent."""
        closing = self._begin_to_close()
        if not self._thread.is_current:
            wait(closing, CLOSE_WAIT)

    def drop(self) -> None:
        """Close the stream without waiting, when the app let go of it without closing it. From any thread."""
        self._begin_to_close()

    def _begin_to_close(self) -> list[Future[None]]:
        with self._changed:
            if self._ended:
                return []
            self._end(StreamBroken("the stream was closed before its end"))
            self._pieces.clear()
        try:
            closing = self._thread.submit(self._stream.aclose)
        except RouterClosed:
            return []  # and the exchange is closed with it
        self._make_room()
        return [closing] if self._pump is None else [closing, self._pump]

    async def _run(self) -> None:
        self._room = asyncio.Event()
        while piece := await self._stream.read():
            with self._changed:
                if self._ended:
                    continue  # nobody reads: on to the end, which is near
                self._pieces.append(piece)
                self._buffered += len(piece)
                full = self._buffered > BUFFERED_BYTES
                if full:
                    self._room.clear()
                self._changed.notify()
            if full:
                await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.is_set():
            self._thread.call_soon(self._room.set)

    def _finished(self, pump: Future[None]) -> None:
        try:
            error = pump.exception()
        except CancelledError:
            error = RouterClosed("the router was closed while a stream was read")
        with self._changed:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended = True
            self._error = error
            self._changed.notify_all()
