"""The transport over an httpx2 client that the app hands in: for mTLS, proxies of its own, or an event loop of trio."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import httpx2

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.content_decoding import Decoder, decoder_for, is_odd, read_decoded
from lanewise._transport.exchange import TURN, Headers, RawHeaders, Target
from lanewise._transport.httpx_failures import HttpxClientState, body_failure, send_failure
from lanewise._transport.local_trouble import heard_from, late_failure
from lanewise._transport.loop_lag import LagDeadline, LoopLag
from lanewise._transport.outgoing import check_url, checked, outgoing
from lanewise._transport.timed_scope import TimedScope, lag_deadline

__all__ = ["HttpxExchange", "HttpxTransport"]

_CLOSE_SECONDS = 1.0


class HttpxTransport:
    """Sends attempts by an httpx2 client. Its TLS, proxies, hooks and auth are the app's; redirects are not followed.

    A client stays the app's to close. A function that makes one is called at the first send, and its client is closed
    with the transport. ``Target.proxy`` is not used; ``fresh`` can't be asked of httpx2, which drops dead connections.

    Example::

        transport = HandedTransport(lambda: httpx2.AsyncClient(verify=context))
    """

    def __init__(
        self, client: httpx2.AsyncClient | Callable[[], httpx2.AsyncClient], *, lag: LoopLag | None = None
    ) -> None:
        self._given = client
        self._lag = lag
        self._client: httpx2.AsyncClient | None = None
        self._cookies = httpx2.Cookies()
        self._left: set[HttpxExchange] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self,
        target: Target,
        headers: Headers,
        body: bytes,
        *,
        stream: bool,
        deadline: float,
        connect_timeout: float,
        latest: float = math.inf,
        fresh: bool = False,
        method: str = "POST",
    ) -> HttpxExchange:
        """As :meth:`Transport.send`."""
        await self._close_left()
        if anyio.current_time() >= deadline:
            raise TransportFailure(TransportSignal.UNREACHABLE, "nothing could be sent in time")
        fields = outgoing(tuple(checked(target.headers)), headers, stream=stream)
        url = _parse(target.url)
        state = HttpxClientState(url.host)
        failure: TransportFailure | None = None
        bound = lag_deadline(self._lag, deadline, latest)
        timed = TimedScope(bound, deadline)
        response: httpx2.Response | None = None
        try:
            client = self._open()
            request = self._without_foreign_cookies(
                client,
                _request(
                    client,
                    method,
                    url,
                    headers=fields,
                    content=body or None,
                    timeout=httpx2.Timeout(None, connect=connect_timeout if bound is None else None),
                    extensions={"trace": state.trace},
                ),
            )
            with timed, timed.unless_begun(connect_timeout, latest, state.is_connecting):
                response = await client.send(request, stream=True, follow_redirects=False)
        except TransportFailure:
            raise
        except Exception as error:  # noqa: BLE001 - the border where httpx2's failures become ours
            failure = send_failure(error, state)
        if response is not None:
            heard_from(url.host)
            return await self._begin(response, deadline, bound)
        if failure is None and timed.lost:
            failure = late_failure(timed.lost)
        if failure is None:
            signal = TransportSignal.TIMEOUT if state.written else TransportSignal.CONNECT_TIMEOUT
            failure = TransportFailure(signal, "no answer in time")
        # Raised out here, without a context: httpx2's exceptions hold the request.
        raise failure

    async def aclose(self) -> None:
        """As :meth:`Transport.aclose`."""
        await self._close_left()
        while self._tasks:
            await asyncio.gather(*self._tasks)
        client, self._client = self._client, None
        if client is None:
            return
        if client is self._given:
            await _close_connections(client)
        else:
            await client.aclose()

    def forget(self) -> None:
        """As :meth:`Transport.forget`. httpx2 closes nothing without its loop: its sockets go when collected."""
        self._client = None

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            given = self._given
            client: object = given if isinstance(given, httpx2.AsyncClient) else given()
            if not isinstance(client, httpx2.AsyncClient):
                made = f"{type(client).__module__}.{type(client).__name__}"
                raise TransportFailure(TransportSignal.LOCAL, f"http_client made no httpx2.AsyncClient, but a {made}")
            self._client = client
            self._cookies = httpx2.Cookies(client.cookies)
        return self._client

    def _without_foreign_cookies(self, client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Request:
        """With the cookies that the app gave its client, and none of those that answers to others have set since."""
        if "cookie" in request.headers and "cookie" not in client.headers:
            del request.headers["cookie"]
            self._cookies.set_cookie_header(request)
        return request

    async def _begin(self, response: httpx2.Response, deadline: float, bound: LagDeadline | None) -> HttpxExchange:
        exchange = HttpxExchange(response, deadline, self._leave, bound)
        try:
            if response.status_code == 101:
                raise TransportFailure(TransportSignal.MALFORMED_HTTP, "the peer switched to a protocol not asked for")
            exchange.prepare_body()
        except TransportFailure:
            await exchange.close()
            raise
        return exchange

    def _leave(self, exchange: HttpxExchange) -> None:
        """Close an exchange later: ``abort`` can't wait, and httpx2 can't close without waiting."""
        self._left.add(exchange)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # trio: at the next send. Its socket is shut already.
        task = loop.create_task(self._close_left())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_left(self) -> None:
        while self._left:
            await self._left.pop().close()


def _request(client: httpx2.AsyncClient, method: str, url: httpx2.URL, **options: Any) -> httpx2.Request:
    try:
        return client.build_request(method, url, **options)
    except UnicodeEncodeError:
        # A provider set a cookie that can't be sent: httpx2 would fail of it at each later request of the app's client.
        for cookie in list(client.cookies.jar):
            if not f"{cookie.name}{cookie.value}".isascii():
                client.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
        return client.build_request(method, url, **options)


async def _close_connections(client: httpx2.AsyncClient) -> None:
    """Empty the pools of a client that stays open: their connections belong to this loop, which the next may outlive.

    httpx2 has no public word for it. A transport of the app's own is its own to care for.
    """
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.AsyncHTTPTransport):
            await transport.aclose()


def _parse(url: str) -> httpx2.URL:
    parsed = None
    with contextlib.suppress(httpx2.InvalidURL):
        parsed = httpx2.URL(url)
    if parsed is None:
        raise TransportFailure(TransportSignal.LOCAL, "the URL can't be read")
    check_url(parsed.scheme, parsed.host, has_credentials=bool(parsed.userinfo))
    return parsed


class HttpxExchange:
    """An answer that arrives over an httpx2 client. As :class:`Exchange`."""

    def __init__(
        self,
        response: httpx2.Response,
        deadline: float,
        leave: Callable[[HttpxExchange], None],
        bound: LagDeadline | None = None,
    ) -> None:
        self._response = response
        self._pieces = response.aiter_raw()
        self._deadline = deadline
        self._bound = bound
        self._leave = leave
        self._headers: Mapping[str, str] = response.headers
        self._raw_headers: RawHeaders = response.headers.raw
        self._odd: tuple[str, ...] = ()
        self._decoder: Decoder | None = None
        self._reading: TimedScope | None = None
        self._turn_at = anyio.current_time() + TURN
        self._ended = False
        self._aborted = False
        self._closed = False

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def raw_headers(self) -> RawHeaders:
        return self._raw_headers

    @property
    def lenient(self) -> tuple[str, ...]:
        if self._decoder is None or self._decoder.was_needed:
            return self._odd
        return (*self._odd, "content_encoding")

    @property
    def http_version(self) -> str:
        return self._response.http_version.removeprefix("HTTP/")

    def prepare_body(self) -> None:
        """Find out how the body is encoded, and take out the headers that do not go up.

        Raises TransportFailure: UNDECODABLE.
        """
        headers = self._response.headers
        if "Content-Encoding" not in headers and "Set-Cookie" not in headers:
            return
        kept = httpx2.Headers(headers.raw)  # as bytes: its own texts can't be made into headers again
        encoding = kept.pop("Content-Encoding", None)
        kept.pop("Set-Cookie", None)
        self._headers = kept
        if is_odd(encoding):
            self._odd = ("content_encoding",)
        self._decoder = decoder_for(encoding)
        if self._decoder is not None:
            kept.pop("Content-Length", None)
        self._raw_headers = kept.raw

    def bound_reads(self, deadline: float, latest: float = math.inf) -> None:
        """As :meth:`Exchange.bound_reads`."""
        self._deadline = deadline
        if self._bound is not None:
            self._bound.move(deadline, latest)
        if self._reading is not None:
            self._reading.moved(deadline)

    async def read(self, limit: int) -> bytes:
        """As :meth:`Exchange.read`."""
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await self.read_some():
                size += len(piece)
                if size > limit:
                    await self.close()
                    raise TransportFailure(TransportSignal.TOO_LARGE, "the body is over the cap")
                pieces.append(piece)
        except TransportFailure as failure:
            if failure.signal is TransportSignal.UNDECODABLE:
                failure.partial = b"".join(pieces)
            raise
        return b"".join(pieces)

    async def read_some(self) -> bytes:
        """As :meth:`Exchange.read_some`."""
        try:
            if anyio.current_time() >= self._turn_at:
                await self._take_turns()
            if self._decoder is None:
                return await self._read_raw()
            return await read_decoded(self._decoder, self._read_raw, self._take_turns)
        except BaseException:
            await self.close()
            raise

    async def give_way(self) -> None:
        """As :meth:`Exchange.give_way`."""
        if anyio.current_time() >= self._turn_at:
            await anyio.lowlevel.checkpoint()
            self._turn_at = anyio.current_time() + TURN

    async def _take_turns(self) -> None:
        """Let others have their turn. Raises TransportFailure: CUT, if one of them has aborted."""
        await anyio.lowlevel.checkpoint()
        self._turn_at = anyio.current_time() + TURN
        self._raise_if_aborted()

    def abort(self) -> None:
        """As :meth:`Exchange.abort`."""
        if self._ended or self._aborted:
            return
        self._aborted = True
        self._shut_socket()
        if self._reading is None:
            self._leave(self)
        else:
            self._reading.scope.cancel()

    def release(self) -> None:
        """As :meth:`Exchange.release`."""
        self.abort()

    async def close(self) -> None:
        """Close the response and its connection, if the body did not end. Also when cancelled."""
        if self._closed:
            return
        self._closed = True
        if not self._ended:
            self._aborted = True
            self._shut_socket()
        with contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError):  # how it goes does not matter any more
            # By a cancellation, which ends each of httpx2's nested generators; aclose() would leave the inner ones.
            with anyio.CancelScope(shield=True) as scope:
                scope.cancel()
                while await anext(self._pieces, b""):
                    pass
        with (
            anyio.move_on_after(_CLOSE_SECONDS, shield=True),
            contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError),
        ):
            await self._response.aclose()

    async def _read_raw(self) -> bytes:
        if self._ended:
            return b""
        self._raise_if_aborted()
        piece: bytes | None = None
        failure = TransportFailure(TransportSignal.TIMEOUT, "the body did not come in time")
        timed = self._reading = TimedScope(self._bound, self._deadline)
        try:
            with timed:
                piece = await anext(self._pieces, b"")
        except Exception as error:  # noqa: BLE001 - the border where httpx2's failures become ours
            failure = body_failure(error)
        finally:
            self._reading = None
        if piece is not None:
            self._ended = not piece
            return piece
        self._raise_if_aborted()
        raise late_failure(timed.lost) if timed.lost else failure

    def _raise_if_aborted(self) -> None:
        if self._aborted:
            raise TransportFailure(TransportSignal.CUT, "the exchange was aborted")

    def _shut_socket(self) -> None:
        # An HTTP/2 connection carries others' exchanges too.
        if not self.http_version.startswith("1"):
            return
        stream = self._response.extensions.get("network_stream")
        raw = None if stream is None else stream.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):  # gone already
                raw.shutdown(socket.SHUT_RDWR)
