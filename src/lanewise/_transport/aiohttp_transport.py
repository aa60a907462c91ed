"""The transport over aiohttp: the lean path that all attempts take, unless the app hands in a client of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import weakref

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
    forget_session,
    make_session,
    shared_context,
)
from lanewise._transport.exchange import Headers, OutgoingRequest, Target, Transport
from lanewise._transport.local_trouble import heard_from, late_failure
from lanewise._transport.loop_lag import LagDeadline, LagTimeout, LoopLag
from lanewise._transport.outgoing import check_url, checked, outgoing

__all__ = ["AiohttpExchange", "AiohttpTransport"]

# aiohttp writes larger bytes in one piece, and warns; a file object it writes in pieces, waiting for the peer.
_WRITE_WHOLE = 256 * 1024


class _Prepared:
    """What of a target's attempts is always the same."""

    __slots__ = ("_plain", "_stream", "host", "proxy", "ssl", "url")

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self.url = _parse(target.url)
        base = tuple(checked(target.headers))
        self._plain = CIMultiDict(outgoing(base, (), stream=False))
        self._stream = CIMultiDict(outgoing(base, (), stream=True))
        self.proxy = None if target.proxy is None else _parse(target.proxy, credentials=True)
        self.host = (self.url if self.proxy is None else self.proxy).raw_host or ""
        needs_tls = self.url.scheme == "https" or (self.proxy is not None and self.proxy.scheme == "https")
        self.ssl: ssl.SSLContext | bool = (context or shared_context()) if needs_tls else True

    def fields(self, extra: Headers, *, stream: bool) -> CIMultiDict[str]:
        fields = (self._stream if stream else self._plain).copy()
        kept = list(checked(extra))
        for name, _ in kept:
            fields.popall(name, None)
        fields.extend(kept)
        return fields


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
        self._resolver: AbstractResolver | None = None
        self._prepared: weakref.WeakKeyDictionary[Target, _Prepared] = weakref.WeakKeyDictionary()

    async def _send(self, request: OutgoingRequest) -> AiohttpExchange:
        """Raises RuntimeError in another loop than that of the first send."""
        target, body, deadline, latest = request.target, request.body, request.deadline, request.latest
        loop = asyncio.get_running_loop()
        prepared = self._prepared.get(target)
        if prepared is None:
            prepared = self._prepared[target] = self._prepare(target)
        fields = prepared.fields(request.headers, stream=request.stream)
        session = self._open(loop)
        lag = self._lag or LoopLag(loop)
        attempt = AttemptState(request.connect_timeout, fresh=request.fresh, host=prepared.host, lag=lag, latest=latest)
        bound = LagDeadline(lag, deadline, latest)
        timeout = LagTimeout(bound)
        token = ATTEMPT.set(attempt)
        try:
            with timeout:
                response = await session.request(
                    request.method,
                    prepared.url,
                    data=(body or None) if len(body) <= _WRITE_WHOLE else io.BytesIO(body),
                    headers=fields,
                    proxy=prepared.proxy,
                    ssl=prepared.ssl,
                    allow_redirects=False,
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
        self._session = self._resolver = self._loop = None
        try:
            if session is not None:
                await session.close()
        finally:
            if resolver is not None:
                await resolver.close()

    def forget(self) -> None:
        """As :meth:`Transport.forget`."""
        session = self._session
        self._session = self._resolver = self._loop = None
        if session is not None:
            forget_session(session)

    def _prepare(self, target: Target) -> _Prepared:
        try:
            return _Prepared(target, self._ssl_context)
        except OSError as error:  # of the files that the system keeps its trusted certificates in
            failure = send_failure(error, AttemptState(0.0, fresh=True))
        raise failure

    def _open(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        if self._session is not None and self._loop is loop:
            return self._session
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("a transport serves the event loop that it was first used in, and this is another one")
        self._session, self._resolver = make_session(self._most_idle)
        self._loop = loop
        return self._session


def _begin(
    response: aiohttp.ClientResponse, attempt: AttemptState, loop: asyncio.AbstractEventLoop, deadline: LagDeadline
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
