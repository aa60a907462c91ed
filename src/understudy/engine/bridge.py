"""From any loop or thread to the portal's loop and back: one reply, or the pieces of a stream."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from understudy.engine.messages import Stream
from understudy.errors import RouterClosed
from understudy.portal import Portal

__all__ = ["BridgedStream", "ThreadStream", "across"]

_T = TypeVar("_T")

BUFFERED_BYTES: Final = 256 * 1024
"""How far a stream runs ahead of the thread that reads it."""


async def across(portal: Portal, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run ``work`` on the portal's loop and wait for it on this one (asyncio or trio). Cancelling cancels it there."""
    future = portal.submit(work)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return await _wait_on_trio(future)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if future.cancelled() and task is not None and not task.cancelling():
            raise RouterClosed("the router was closed while the call ran") from None
        future.cancel()
        raise


async def _wait_on_trio(future: Future[_T]) -> _T:
    import trio  # only reached inside a running trio loop

    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def wake(_: Future[_T]) -> None:
        try:
            token.run_sync_soon(done.set)
        except trio.RunFinishedError:
            return  # nobody is left to be told

    future.add_done_callback(wake)
    try:
        await done.wait()
    except BaseException:
        future.cancel()
        raise
    if future.cancelled():
        raise RouterClosed("the router was closed while the call ran")
    return future.result()


class BridgedStream:
    """A stream of the portal's loop, read from another loop."""

    def __init__(self, portal: Portal, stream: Stream) -> None:
        self._portal = portal
        self._stream = stream

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken."""
        return await across(self._portal, self._stream.read)

    async def aclose(self) -> None:
        """Close the upstream exchange, also while the caller is being cancelled."""
        if self._portal.loop is not None:  # else the portal was closed, and the exchange with it
            self._portal.submit(self._stream.aclose)


class ThreadStream:
    """A stream of the portal's loop, read by a thread: a pump runs ahead, so that most reads need no hop."""

    def __init__(self, portal: Portal, stream: Stream) -> None:
        self._portal = portal
        self._stream = stream
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._closing = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._room: asyncio.Event | None = None
        self._pump: Future[None] | None = None

    def read(self) -> bytes:
        """What has come since the last read, or the next piece; ``b""`` at the end. Raises StreamBroken."""
        if self._pump is None:
            self._pump = self._portal.submit(self._run)
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
                error, self._error = self._error, None
                raise error
            return b""

    def close(self) -> None:
        """Close the upstream exchange. Idempotent."""
        if self._ended and self._pump is not None:
            return
        self._closing = True
        if self._pump is not None:
            self._pump.cancel()
        if self._portal.loop is not None:  # else the portal was closed, and the exchange with it
            self._portal.run(self._stream.aclose)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def _run(self) -> None:
        self._room = asyncio.Event()
        while True:
            piece = await self._stream.read()
            if not piece:
                return
            with self._changed:
                self._pieces.append(piece)
                self._buffered += len(piece)
                full = self._buffered > BUFFERED_BYTES
                if full:
                    self._room.clear()
                self._changed.notify()
            if full:
                await self._room.wait()

    def _make_room(self) -> None:
        loop, room = self._portal.loop, self._room
        if loop is not None and room is not None and not room.is_set():
            loop.call_soon_threadsafe(room.set)

    def _finished(self, future: Future[None]) -> None:
        with self._changed:
            try:
                self._error = future.exception()
            except CancelledError:
                self._error = None if self._closing else RouterClosed("the router was closed while a stream was read")
            self._ended = True
            self._changed.notify_all()
