"""A POST that is written whole: over a connection of aiohttp's pool, past its session, read by its own protocol.

Most of what a request costs aiohttp's session is for what attempts don't have: redirects, cookies, traces, bodies in
pieces, time-outs of its own. Connections, TLS, the parser and what goes wrong in them stay aiohttp's: what comes, and
how it fails, is the same by both ways. Through a proxy, with large bodies and other methods the session is asked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from lanewise._transport.aiohttp_pool import NO_TIMERS, RESPONSE_PARAMS, AttemptState, Pool

if TYPE_CHECKING:
    import ssl

    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from multidict import CIMultiDictProxy
    from yarl import URL

    from lanewise._transport.exchange import RawHeaders

__all__ = ["Origin", "PlainResponse", "post"]

_SWITCHED: Final = 101


class Origin:
    """Where connections lead to that serve one another's requests."""

    __slots__ = ("_key", "_ssl", "_url")

    def __init__(self, url: URL, context: ssl.SSLContext | bool) -> None:
        self._url = url
        self._ssl = context
        self._key: ConnectionKey | None = None
        """By what the pool finds them, once there was one."""

    async def connection(self, pool: Pool, attempt: AttemptState) -> Connection:
        """One of the pool, or a new one. Raises as aiohttp's session does."""
        if self._key is not None:
            idle = await pool.idle(self._key, attempt)
            if idle is not None:
                return idle
        request = aiohttp.ClientRequest("POST", self._url, loop=asyncio.get_running_loop(), ssl=self._ssl)
        self._key = request.connection_key
        try:
            return await pool.connect(request, [], NO_TIMERS)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        except aiohttp.ClientError:
            raise
        except OSError as error:
            raise aiohttp.ClientOSError(*error.args) from error


_ENCRYPTED_AT_ONCE: Final = 16 * 1024
"""Bytes of a request over TLS of which a part may still be unsent though the transport says that nothing is: it counts
what is not encrypted yet (16 KiB are one TLS record, RFC 8446)."""


class PlainResponse:
    """As much of aiohttp's ``ClientResponse`` as an exchange needs. The connection goes back at the body's end."""

    __slots__ = ("_connection", "_hidden", "content", "headers", "raw_headers", "status", "version")

    def __init__(self, message: Any, content: aiohttp.StreamReader, connection: Connection, hidden: bool) -> None:
        self._hidden = hidden
        self.status: int = message.code
        self.version: aiohttp.HttpVersion | None = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.raw_headers: RawHeaders = message.raw_headers
        self.content = content
        self._connection: Connection | None = connection
        content.on_eof(self._ended)

    @property
    def closed(self) -> bool:
        """Whether the connection was given back or closed."""
        return self._connection is None

    def close(self) -> None:
        """Close the connection, unless it was given back. Whoever reads gets an error."""
        if self.content.exception() is None:
            self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def release(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        # Answered before all was sent, or over TLS perhaps: the rest would come before the next request.
        if transport is not None and transport.get_write_buffer_size():
            if transport.get_extra_info("ssl_object") is None:
                transport.abort()  # the rest is not written either: a peer that never reads would hold the socket
            connection.close()
        elif self._hidden and self.status >= 400:
            connection.close()
        else:
            connection.release()

    def _ended(self) -> None:
        if self.status != _SWITCHED:
            self.release()


async def post(pool: Pool, origin: Origin, content: bytes, attempt: AttemptState) -> PlainResponse:
    """Write a whole request, and read the head of its final answer. Raises as aiohttp's session does."""
    connection = await origin.connection(pool, attempt)
    try:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was lost before anything was written")
        attempt.transport = transport
        protocol.set_response_params(**RESPONSE_PARAMS)
        attempt.written = True
        transport.write(content)
        hidden = len(content) > _ENCRYPTED_AT_ONCE and transport.get_extra_info("ssl_object") is not None
        while True:
            message, body = await protocol.read()
            if not 100 <= message.code <= 199 or message.code == _SWITCHED:
                return PlainResponse(message, body, connection, hidden)
    except BaseException:
        connection.close()
        raise
