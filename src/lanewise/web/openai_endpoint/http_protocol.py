"""HTTP/1.1 for ``lanewise serve``: uvicorn's protocol over httptools, with bounds, and with a word of hang-ups.

httptools reads in C what h11, which uvicorn takes without it, reads in Python. It has no bounds of its own: a head
without an end would be kept for as long as it comes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lanewise.web.openai_endpoint.asgi_endpoint import HANG_UPS

__all__ = ["BoundedHttpProtocol"]

LONGEST_QUIET: Final = 128 * 1024
"""Bytes in which neither a head ends nor a body goes on: twice what the endpoint takes of a head."""
SLOWEST_HEAD: Final = 30.0
"""Seconds that a client has for a head, from the opening of its connection or from the head's first byte."""
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. What is to be called when it is lost stands in the ASGI scope's extensions."""

    _begins = True
    """Whether what comes next is a head."""
    _quiet = 0
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self._writes = _JoinedWrites(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._writes))
        self._hang_ups: list[Callable[[], None]] = []
        self._extensions = {HANG_UPS: self._hang_ups}
        self._slow = self.loop.call_later(SLOWEST_HEAD, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._in_time()
        for hang_up in tuple(self._hang_ups):
            hang_up()

    def data_received(self, data: bytes) -> None:
        if self._begins and b"pgrade" in data:
            data = _without_upgrade(data)
        self._quiet += len(data)
        super().data_received(data)
        if not self._quiet:
            return
        if self._quiet > LONGEST_QUIET:
            self._refuse(_TOO_LARGE)
        elif self._slow is None and not self.transport.is_closing():
            self._slow = self.loop.call_later(SLOWEST_HEAD, self._too_slow)

    def on_headers_complete(self) -> None:
        self._begins = False
        self._in_time()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]  # those of servers are open
        super().on_headers_complete()
        self.headers = []  # trailers are no headers, and the request may be served already

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begins = True
        self._in_time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._writes.flush()
        super().on_response_complete()

    def _in_time(self) -> None:
        self._quiet = 0
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _too_slow(self) -> None:
        self._slow = None
        self._refuse(_TOO_SLOW if self._quiet else b"")

    def _refuse(self, answer: bytes) -> None:
        self._quiet = 0
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.transport.abort()  # an answer is on its way
        elif not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


class _JoinedWrites:
    """A connection's transport, on which what is written in one turn of the loop is written at once: a head goes with
    its body, which uvicorn writes by themselves. Each write is a call of the system, and wakes the client."""

    __slots__ = ("_loop", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)

    def flush(self) -> None:
        """Write what waits. Does nothing if the connection is lost."""
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._pieces = []
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _without_upgrade(data: bytes) -> bytes:
    """A head that asks for no other protocol: Java's client asks for HTTP/2 so, and httptools then drops its body."""
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else _UPGRADE.sub(b"\r\nx-upgrd:", data[:end]) + data[end:]
