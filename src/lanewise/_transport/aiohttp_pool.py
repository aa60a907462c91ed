"""aiohttp, configured once: its connector, request and session, and what they tell of an attempt's connection.

aiohttp's own names are used as they are documented, but for ``_get``, ``_create_connection``, ``_release``,
``_factory`` and ``ClientRequest``'s ``write_bytes``: they are where a connection is taken from the pool, made, given
back, read by a protocol, and written to, and nothing public says so.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import select
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
import truststore
from aiohttp.abc import AbstractResolver, ResolveResult

from lanewise._transport.aiohttp_parser import LenientResponseHandler
from lanewise._transport.local_trouble import late_failure
from lanewise._transport.loop_lag import LagDeadline, LagTimeout, LoopLag

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = [
    "ATTEMPT",
    "MOST_IDLE",
    "NO_TIMERS",
    "RESPONSE_PARAMS",
    "AttemptState",
    "Pool",
    "forget_session",
    "make_session",
    "shared_context",
]

NO_TIMERS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_LOOKUPS_AT_ONCE = 4
# As much of a response's head as the SDK's own HTTP client takes.
_LONGEST_FIELD = 100 * 1024
_MOST_HEADERS = 4096
RESPONSE_PARAMS: dict[str, Any] = {
    "read_until_eof": True,
    "auto_decompress": False,
    "max_line_size": _LONGEST_FIELD,
    "max_field_size": _LONGEST_FIELD,
    "max_headers": _MOST_HEADERS,
}
"""How aiohttp's protocol reads a response: what a session of :func:`make_session` tells it of each."""
MOST_IDLE = 100
"""Connections that are kept open while nobody uses them, unless the config says otherwise."""
_context_lock = threading.Lock()


class AttemptState:
    """How far an attempt's request has come: what a failure means depends on it."""

    __slots__ = ("connect_timeout", "fresh", "host", "lag", "latest", "reused", "transport", "written")

    def __init__(
        self,
        connect_timeout: float,
        *,
        fresh: bool,
        host: str = "",
        lag: LoopLag | None = None,
        latest: float = math.inf,
    ) -> None:
        self.connect_timeout = connect_timeout
        self.fresh = fresh
        self.host = host
        self.lag = lag
        self.latest = latest
        self.reused = False
        self.written = False
        self.transport: asyncio.Transport | None = None
        """The connection's, once there is one."""


ATTEMPT: ContextVar[AttemptState] = ContextVar("lanewise_attempt")
"""The attempt that this task sends: aiohttp hands nothing of ours down to its connector."""


class Pool(aiohttp.TCPConnector):
    """aiohttp's pool, which tells reused connections from new ones, and gives none on which something lies unread."""

    def __init__(self, resolver: AbstractResolver, most_idle: int) -> None:
        super().__init__(
            limit=0,  # the cap is the router's: a full pool here would look like a dead provider
            keepalive_timeout=60,
            resolver=resolver,
        )
        self._factory = functools.partial(LenientResponseHandler, loop=self._loop)  # type: ignore[assignment]
        self._most_idle = most_idle

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        ATTEMPT.get().transport = connection.transport
        return connection

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        return await self.idle(key, ATTEMPT.get())

    async def idle(self, key: ConnectionKey, attempt: AttemptState) -> Connection | None:
        """A connection that lies here unused, if the attempt may have one. It does not wait for anything."""
        if attempt.fresh:
            return None
        while (connection := await super()._get(key, [])) is not None:
            protocol = connection.protocol
            # A peer that spoke while the connection was idle: its words would be read as the next call's answer.
            if protocol is not None and not protocol.should_close and not _holds_something(protocol):
                attempt.reused = True
                return connection
            connection.close()
        return None

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        attempt, loop = ATTEMPT.get(), self._loop
        when = loop.time() + attempt.connect_timeout
        in_time = LagTimeout(LagDeadline(attempt.lag or LoopLag(loop), when, attempt.latest))
        try:
            with in_time:
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError:
            if not in_time.lost:
                raise
        raise late_failure(in_time.lost)

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        full = sum(map(len, self._conns.values())) >= self._most_idle
        super()._release(key, protocol, should_close=should_close or full)

    def forget(self) -> None:
        """Close this process's ends of all connections, and nothing else.

        Not by their transports: those would tell the loop's selector, which in a fork is still the parent's. The
        numbers stay taken until the sockets are collected, so that nothing else is closed then.
        """
        protocols = [protocol for idle in self._conns.values() for protocol, _ in idle]
        numbers = [_number(protocol) for protocol in (*protocols, *self._acquired)]
        self._conns.clear()
        self._acquired.clear()
        self._closed = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            for number in numbers:
                if number >= 0:
                    os.dup2(nowhere, number, inheritable=False)
        finally:
            os.close(nowhere)


def _holds_something(protocol: ResponseHandler) -> bool:
    """Whether a connection has words of its peer, or its end, that the loop has had no turn to read.

    A server that closes each connection after an answer, and doesn't say so there, has often closed it by the next call
    (httpcore looks as well). The look takes 1 us.
    """
    number = _number(protocol)
    if number < 0:
        return False  # a loop that shows no socket
    looking = select.poll()
    looking.register(number, select.POLLIN)
    return bool(looking.poll(0))


def _number(protocol: ResponseHandler) -> int:
    transport = protocol.transport
    connected = None if transport is None else transport.get_extra_info("socket")
    return -1 if connected is None else int(connected.fileno())


class _Request(aiohttp.ClientRequest):
    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        transport = conn.transport
        ATTEMPT.get().written = transport is not None and not transport.is_closing()
        await super().write_bytes(writer, conn, content_length)


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own: the app's may all be busy, which would look like a dead provider."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="lanewise-dns")
        look_up = functools.partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


@functools.cache
def _trusted() -> ssl.SSLContext:
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


def shared_context() -> ssl.SSLContext:
    """What the operating system trusts, as in the SDK; read once a process, when it is first needed."""
    with _context_lock:
        return _trusted()


def forget_session(session: aiohttp.ClientSession) -> None:
    """Let go of a session without its loop, and without its complaint."""
    pool = session.connector
    session.detach()
    if isinstance(pool, Pool):
        pool.forget()


def make_session(most_idle: int = MOST_IDLE) -> tuple[aiohttp.ClientSession, Pool, AbstractResolver]:
    """A session of the running loop, its pool, and the resolver that is to be closed after it."""
    resolver = _Resolver()
    pool = Pool(resolver, most_idle)
    session = aiohttp.ClientSession(
        connector=pool,
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),  # the default jar would be shared by all users
        timeout=NO_TIMERS,
        auto_decompress=False,
        trust_env=False,
        max_line_size=_LONGEST_FIELD,
        max_field_size=_LONGEST_FIELD,
        max_headers=_MOST_HEADERS,
    )
    return session, pool, resolver
