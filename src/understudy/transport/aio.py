"""The transport over aiohttp: the lean path that all attempts take, unless the app hands in a client of its own."""

from __future__ import annotations

import asyncio
import io
import ssl
import weakref
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from ..policy.signals import TransportSignal
from .aio_failures import body_failure, send_failure
from .decoding import Decoder, decoder_for
from .exchange import Headers, Target, TransportFailure
from .outgoing import check_url, checked, outgoing
from .pool import ATTEMPT, AttemptState, make_session, shared_context

__all__ = ["AiohttpExchange", "AiohttpTransport"]

# aiohttp writes larger bytes in one piece, and warns; a file object it writes in pieces, waiting for the peer.
_WRITE_WHOLE = 256 * 1024


class _Prepared:
    """What of a target's attempts is always the same."""

    __slots__ = ("headers", "proxy", "ssl", "url")

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self.url = _parse(target.url)
        self.headers = tuple(checked(target.headers))
        self.proxy = None if target.proxy is None else _parse(target.proxy, credentials=True)
        needs_tls = self.url.scheme == "https" or (self.proxy is not None and self.proxy.scheme == "https")
        self.ssl: ssl.SSLContext | bool = (context or shared_context()) if needs_tls else True


def _parse(url: str, *, credentials: bool = False) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        raise TransportFailure(TransportSignal.LOCAL, "the URL can't be read") from None
    has_credentials = parsed.raw_user is not None or parsed.raw_password is not None
    check_url(parsed.scheme, parsed.raw_host, has_credentials=has_credentials and not credentials)
    return parsed


class AiohttpTransport:
    """Sends attempts over connections that it keeps. It opens in the loop of its first send, and stays there.

    ``ssl_context`` replaces the operating system's trust: for a test's own certificate authority.

    Example::

        transport = AiohttpTransport()
        deadline = asyncio.get_running_loop().time() + 20
        exchange = await transport.send(target, (), body, stream=False, deadline=deadline, connect_timeout=5)
        answer = await exchange.read(10_000_000)
        await transport.aclose()
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._resolver: AbstractResolver | None = None
        self._prepared: weakref.WeakKeyDictionary[Target, _Prepared] = weakref.WeakKeyDictionary()

    async def send(
        self,
        target: Target,
        headers: Headers,
        body: bytes,
        *,
        stream: bool,
        deadline: float,
        connect_timeout: float,
        fresh: bool = False,
    ) -> AiohttpExchange:
        """As :meth:`Transport.send`.

        Raises RuntimeError in another loop than that of the first send.
        """
        loop = asyncio.get_running_loop()
        prepared = self._prepared.get(target)
        if prepared is None:
            prepared = self._prepared[target] = _Prepared(target, self._ssl_context)
        fields = CIMultiDict(outgoing(prepared.headers, headers, stream=stream))
        session = self._open(loop)
        attempt = AttemptState(connect_timeout, fresh=fresh)
        token = ATTEMPT.set(attempt)
        try:
            async with asyncio.timeout_at(deadline):
                response = await session.request(
                    "POST",
                    prepared.url,
                    data=body if len(body) <= _WRITE_WHOLE else io.BytesIO(body),
                    headers=fields,
                    proxy=prepared.proxy,
                    ssl=prepared.ssl,
                    allow_redirects=False,
                )
        except Exception as error:  # noqa: BLE001 - the border where aiohttp's failures become ours
            failure = send_failure(error, attempt)
        except BaseException:
            _abort(attempt.transport)
            raise
        else:
            return _begin(response, attempt, loop, deadline)
        finally:
            ATTEMPT.reset(token)
        # Raised out here, without a context: aiohttp's exceptions hold the request's headers.
        _abort(attempt.transport)
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

    def _open(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        if self._session is not None and self._loop is loop:
            return self._session
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("a transport serves the event loop that it was first used in, and this is another one")
        self._session, self._resolver = make_session()
        self._loop = loop
        return self._session


def _begin(
    response: aiohttp.ClientResponse, attempt: AttemptState, loop: asyncio.AbstractEventLoop, deadline: float
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


def _abort(transport: asyncio.Transport | None) -> None:
    # Not close(): that first writes what is left to be written, and over TLS waits for the peer's farewell.
    if transport is not None:
        transport.abort()


class AiohttpExchange:
    """An answer that arrives over aiohttp. As :class:`Exchange`."""

    __slots__ = (
        "_content",
        "_deadline",
        "_decoder",
        "_headers",
        "_loop",
        "_response",
        "_timer",
        "_transport",
        "_waits",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        transport: asyncio.Transport | None,
        loop: asyncio.AbstractEventLoop,
        deadline: float,
    ) -> None:
        self._response = response
        self._content = response.content
        self._transport = transport
        self._loop = loop
        self._deadline = deadline
        self._headers: Mapping[str, str] = response.headers
        self._decoder: Decoder | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def http_version(self) -> str:
        version = self._response.version
        return "1.1" if version is None else f"{version.major}.{version.minor}"

    def prepare_body(self) -> None:
        """Find out how the body is encoded, and take out the headers that do not go up.

        Raises TransportFailure: UNDECODABLE.
        """
        headers = self._response.headers
        if "Content-Encoding" not in headers and "Set-Cookie" not in headers:
            return
        kept = CIMultiDict(headers)
        kept.popall("Set-Cookie", None)
        encodings = kept.popall("Content-Encoding", [])
        self._headers = kept
        self._decoder = decoder_for(", ".join(encodings))
        if self._decoder is not None:
            kept.popall("Content-Length", None)

    def bound_reads(self, deadline: float) -> None:
        """As :meth:`Exchange.bound_reads`."""
        self._deadline = deadline
        # A later deadline is found when the timer fires. An earlier one needs a timer of its own.
        if self._timer is not None and deadline < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._on_timer)

    async def read(self, limit: int) -> bytes:
        """As :meth:`Exchange.read`."""
        length = self._response.headers.get("Content-Length", "")
        if self._decoder is None and length.isdigit() and len(length) < 20 and int(length) > limit:
            raise self._too_large()
        first = await self.read_some()
        if len(first) > limit:
            raise self._too_large()
        if not first:
            return first
        pieces, size = [first], len(first)
        while piece := await self.read_some():
            size += len(piece)
            if size > limit:
                raise self._too_large()
            pieces.append(piece)
        return first if len(pieces) == 1 else b"".join(pieces)

    async def read_some(self) -> bytes:
        """As :meth:`Exchange.read_some`."""
        try:
            decoder = self._decoder
            if decoder is None:
                return await self._read_raw()
            while not (piece := decoder.take()):
                data = await self._read_raw()
                if not data:
                    decoder.finish()
                    return b""
                decoder.feed(data)
        except BaseException:
            self.abort()
            raise
        return piece

    def abort(self) -> None:
        """As :meth:`Exchange.abort`."""
        self._stop_timer()
        response = self._response
        # Once the body is complete the connection is the pool's, and may be another attempt's by now.
        if not response.closed:
            _abort(self._transport)
        self._transport = None
        response.close()

    def release(self) -> None:
        """As :meth:`Exchange.release`."""
        if self._content.at_eof():
            self._stop_timer()
            self._transport = None
            self._response.release()
        else:
            self.abort()

    async def _read_raw(self) -> bytes:
        content = self._content
        if content.at_eof():
            self._stop_timer()
            return b""
        # Also before a cut: what had come may be all that matters ([DONE], say), and aiohttp's own reads drop it.
        if content._buffer:
            return content._read_nowait(-1)
        try:
            self._waits = True
            self._start_timer()
            data = await content.readany()
        except Exception as error:  # noqa: BLE001 - the border where aiohttp's failures become ours
            failure = body_failure(error)
        else:
            if not data:
                self._stop_timer()
            return data
        finally:
            self._waits = False
        if content._buffer and failure.signal is TransportSignal.CUT:
            return content._read_nowait(-1)
        raise failure

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if not self._waits:
            return
        if self._deadline > self._loop.time():
            self._start_timer()
        else:
            self._content.set_exception(TimeoutError())

    def _too_large(self) -> TransportFailure:
        self.abort()
        return TransportFailure(TransportSignal.TOO_LARGE, "the body is over the cap")
