"""The transport over aiohttp: the lean path that all attempts take, unless the app hands in a client of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import weakref
from collections.abc import Iterable

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.aiohttp_exchange import AiohttpExchange, abort_connection
from lanewise._transport.aiohttp_failures import send_failure
from lanewise._transport.aiohttp_pool import (
    ATTEMPT,
    MOST_IDLE,
    AttemptState,
    Pool,
    forget_session,
    make_session,
    shared_context,
)
from lanewise._transport.exchange import Headers, OutgoingRequest, Target, Transport
from lanewise._transport.local_trouble import heard_from, late_failure
from lanewise._transport.loop_lag import LagDeadline, LagTimeout, LoopLag
from lanewise._transport.outgoing import check_url, checked, outgoing
from lanewise._transport.plain_post import Origin, PlainResponse, post

__all__ = ["AiohttpExchange", "AiohttpTransport"]

WRITE_WHOLE = 256 * 1024
"""Bytes. What is larger aiohttp's session writes from a file object: in pieces, waiting for the peer."""


class _Prepared:
    """What of a target's attempts is always the same."""

    __slots__ = ("_begin", "_heads", "_names", "_plain", "_stream", "host", "origin", "proxy", "ssl", "url")

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self.url = _parse(target.url)
        base = tuple(checked(target.headers))
        self._plain = CIMultiDict(outgoing(base, (), stream=False))
        self._stream = CIMultiDict(outgoing(base, (), stream=True))
        self.proxy = None if target.proxy is None else _parse(target.proxy, credentials=True)
        self.host = (self.url if self.proxy is None else self.proxy).raw_host or ""
        needs_tls = self.url.scheme == "https" or (self.proxy is not None and self.proxy.scheme == "https")
        self.ssl: ssl.SSLContext | bool = (context or shared_context()) if needs_tls else True
        self.origin = Origin(self.url, self.ssl)
        self._names = frozenset(name.lower() for name in (*self._plain, *self._stream))
        self._begin = f"POST {self.url.raw_path_qs} HTTP/1.1\r\nHost: {self.url.host_port_subcomponent}\r\n"
        self._heads = tuple(self._begin + _lines(fields.items()) for fields in (self._plain, self._stream))

    def post(self, request: OutgoingRequest) -> bytes | None:
        """The bytes of a whole request, as aiohttp writes them; ``None`` for one that its session is to send."""
        extra, body, stream = request.headers, request.body, request.stream
        if self.proxy is not None or request.method != "POST" or not 0 < len(body) <= WRITE_WHOLE:
            return None
        kept = list(checked(extra))
        head = self._heads[stream]
        for name, _ in kept:
            if name.lower() in self._names:
                head, kept = self._begin, list(self.fields(extra, stream=stream).items())
                break
        return f"{head}{_lines(kept)}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body

    def fields(self, extra: Headers, *, stream: bool) -> CIMultiDict[str]:
        fields = (self._stream if stream else self._plain).copy()
        kept = list(checked(extra))
        for name, _ in kept:
            fields.popall(name, None)
        fields.extend(kept)
        return fields


def _lines(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


def _parse(url: str, *, credentials: bool = False) -> URL:
    parsed = None
    with contextlib.suppress(ValueError):
        parsed = URL(url)
    if parsed is None:
        raise TransportFailure(TransportSignal.LOCAL, "the URL can't be read")
    has_credentials = parsed.raw_user is not None or parsed.raw_password is not None
    check_url(parsed.scheme, parsed.raw_host, has_credentials=has_credentials and not credentials)
    return parsed


class AiohttpTransport(Transport):
    """Sends attempts over connections that it keeps. It opens in the loop of its first send, and stays there.

    ``ssl_context`` replaces the operating system's trust: for a test's own certificate authority. No more connections
    than ``most_idle`` are kept for the next attempts. ``lag`` is that of the loop that it will serve.

    Example::

        transport = AiohttpTransport()
        deadline = asyncio.get_running_loop().time() + 20
        exchange = await transport.send(target, (), body, stream=False, deadline=deadline, connect_timeout=5)
        answer = await exchange.read(10_000_000)
        await transport.aclose()
    """

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, *, most_idle: int = MOST_IDLE, lag: LoopLag | None = None
    ) -> None:
        self._ssl_context = ssl_context
        self._lag = lag
        self._most_idle = most_idle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._pool: Pool | None = None
        self._resolver: AbstractResolver | None = None
        self._prepared: weakref.WeakKeyDictionary[Target, _Prepared] = weakref.WeakKeyDictionary()

    async def _send(self, request: OutgoingRequest) -> AiohttpExchange:
        """Raises RuntimeError in another loop than that of the first send."""
        target, deadline, latest = request.target, request.deadline, request.latest
        loop = asyncio.get_running_loop()
        prepared = self._prepared.get(target)
        if prepared is None:
            prepared = self._prepared[target] = self._prepare(target)
        content = prepared.post(request)
        session, pool = self._open(loop)
        lag = self._lag or LoopLag(loop)
        attempt = AttemptState(request.connect_timeout, fresh=request.fresh, host=prepared.host, lag=lag, latest=latest)
        bound = LagDeadline(lag, deadline, latest)
        timeout = LagTimeout(bound)
        token = ATTEMPT.set(attempt)
        try:
            with timeout:
                response = await (
                    _by_session(session, prepared, request)
                    if content is None
                    else post(pool, prepared.origin, content, attempt)
                )
        except Exception as error:  # noqa: BLE001 - the border where aiohttp's failures become ours
            failure = late_failure(timeout.lost) if timeout.lost else send_failure(error, attempt)
        except BaseException:
            abort_connection(attempt.transport)
            raise
        else:
            heard_from(prepared.host)
            bound.move(deadline, latest)
            return _begin(response, attempt, loop, bound)
        finally:
            ATTEMPT.reset(token)
        # Raised out here, without a context: aiohttp's exceptions hold the request's headers.
        abort_connection(attempt.transport)
        raise failure

    async def aclose(self) -> None:
        """As :meth:`Transport.aclose`. In the loop of the first send."""
        session, resolver = self._session, self._resolver
        self._session = self._pool = self._resolver = self._loop = None
        try:
            if session is not None:
                await session.close()
        finally:
            if resolver is not None:
                await resolver.close()

    def forget(self) -> None:
        """As :meth:`Transport.forget`."""
        session = self._session
        self._session = self._pool = self._resolver = self._loop = None
        if session is not None:
            forget_session(session)

    def _prepare(self, target: Target) -> _Prepared:
        try:
            return _Prepared(target, self._ssl_context)
        except OSError as error:  # of the files that the system keeps its trusted certificates in
            failure = send_failure(error, AttemptState(0.0, fresh=True))
        raise failure

    def _open(self, loop: asyncio.AbstractEventLoop) -> tuple[aiohttp.ClientSession, Pool]:
        if self._session is not None and self._pool is not None and self._loop is loop:
            return self._session, self._pool
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("a transport serves the event loop that it was first used in, and this is another one")
        self._session, self._pool, self._resolver = make_session(self._most_idle)
        self._loop = loop
        return self._session, self._pool


async def _by_session(
    session: aiohttp.ClientSession, prepared: _Prepared, request: OutgoingRequest
) -> aiohttp.ClientResponse:
    body = request.body
    return await session.request(
        request.method,
        prepared.url,
        data=io.BytesIO(body) if body else None,
        headers=prepared.fields(request.headers, stream=request.stream),
        proxy=prepared.proxy,
        ssl=prepared.ssl,
        allow_redirects=False,
    )


def _begin(
    response: aiohttp.ClientResponse | PlainResponse,
    attempt: AttemptState,
    loop: asyncio.AbstractEventLoop,
    deadline: LagDeadline,
) -> AiohttpExchange:
    exchange = AiohttpExchange(response, attempt.transport, loop, deadline)
    try:
        if response.status == 101:
            raise TransportFailure(TransportSignal.MALFORMED_HTTP, "the peer switched to a protocol not asked for")
        exchange.prepare_body()
    except TransportFailure:
        exchange.abort()
        raise
    return exchange
