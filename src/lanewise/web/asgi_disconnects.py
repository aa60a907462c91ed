"""Notices that the caller of an ASGI request has hung up while a call runs, by one reader for the app and the watch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["DisconnectWatcher", "Message", "Receive"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

READ_AHEAD: Final = 16
"""How many messages of a WebSocket are held at most, while a call runs and the app does not read."""


class DisconnectWatcher:
    """Reads what the server receives, for the app and for the watch.

    The watch reads ahead only while a call runs, and of a request only once its body is read (or none is to come): it
    never takes a piece of the body away, nor holds more of it than one message. ``gone`` is called when the caller has
    left, unless the answer was complete by then.
    """

    # of most requests nothing is ever read ahead: what that takes is made when it is
    left = False
    _body_read = False
    _stopped = False
    _watching = False
    _app_reads = 0
    _ahead: deque[Message] | tuple[()] = ()
    _reading: asyncio.Task[None] | None = None
    _farewell: Message = MappingProxyType({"type": "http.disconnect"})  # type: ignore[assignment]  # is copied

    def __init__(self, receive: Receive, asgi: Message, gone: Callable[[], None]) -> None:
        self._receive = receive
        self._asgi = asgi
        self._gone: Callable[[], None] | None = gone
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # trio: there, a hang-up is noticed when the app itself reads
            self._loop = None

    async def receive(self) -> Message:
        """The next message, as the app gets it.

        One read at a time, and none that waits for the caller's leaving is given up with the app's own: of two at once
        granian answers the second with a disconnect, and after one that was cancelled gunicorn does.
        """
        while not self._ahead and not self.left:
            if self._reading is None and not self._waits_for_disconnect():
                return await self._read_for_app()
            reading = self._reading or self._begin_reading()
            await asyncio.wait([reading])
            if reading.done() and not reading.cancelled() and (error := reading.exception()) is not None:
                raise error
        if isinstance(self._ahead, deque) and self._ahead:
            message = self._ahead.popleft()
        else:
            message = dict(self._farewell)
        self._read_on()
        return message

    def _waits_for_disconnect(self) -> bool:
        return self._body_read and self._asgi["type"] == "http" and not self._stopped and self._loop is not None

    async def _read_for_app(self) -> Message:
        self._app_reads += 1
        try:
            return self._noted(await self._receive())
        finally:
            self._app_reads -= 1
            self._read_on()

    def watch(self) -> None:
        """Begin to watch, since a call runs. From any thread."""
        if not (self._stopped or self._watching or self._loop is None or self._loop.is_closed()):
            self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """The answer is complete: a disconnect that comes now is none."""
        self._stopped = True
        self._gone = None  # it holds the request, which holds this
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _begin(self) -> None:
        self._watching = True
        self._read_on()

    def _read_on(self) -> None:
        if not self._watching or self._stopped or self.left or self._app_reads or self._reading is not None:
            return
        if self._may_read_ahead():
            self._begin_reading()

    def _begin_reading(self) -> asyncio.Task[None]:
        if not isinstance(self._ahead, deque):
            self._ahead = deque()
        self._reading = reading = asyncio.ensure_future(self._read_ahead())
        reading.add_done_callback(_forget_error)
        return reading

    def _may_read_ahead(self) -> bool:
        if self._asgi["type"] == "websocket":
            return len(self._ahead) < READ_AHEAD
        return self._body_read or (not self._ahead and self._no_body())

    async def _read_ahead(self) -> None:
        try:
            message = self._noted(await self._receive())
        finally:
            self._reading = None
        if not self.left and isinstance(self._ahead, deque):
            self._ahead.append(message)  # the empty body of a request without one, say: the app may still ask for it
            self._read_on()

    def _noted(self, message: Message) -> Message:
        kind = message["type"]
        if kind in ("http.disconnect", "websocket.disconnect"):
            self.left = True
            self._farewell = message
            if self._gone is not None:
                self._gone()
        elif not message.get("more_body"):
            self._body_read = True
        return message

    def _no_body(self) -> bool:
        for name, value in self._asgi["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                return False
        return True


def _forget_error(reading: asyncio.Task[None]) -> None:
    """What the server raised, the app gets when it reads itself."""
    if not reading.cancelled():
        reading.exception()
