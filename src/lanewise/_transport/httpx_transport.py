"""The transport over an httpx2 client that the app hands in: for mTLS, proxies of its own, or an event loop of trio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx2

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.exchange import OutgoingRequest, Transport
from lanewise._transport.httpx_exchange import HttpxExchange
from lanewise._transport.httpx_failures import HttpxClientState, send_failure
from lanewise._transport.local_trouble import heard_from, late_failure
from lanewise._transport.loop_lag import LagDeadline, LoopLag
from lanewise._transport.outgoing import check_url, checked, outgoing
from lanewise._transport.timed_scope import TimedScope, lag_deadline
from lanewise.config import Config

__all__ = ["HttpClients", "HttpxTransport", "check_clients", "has_instances"]

_HttpClient = httpx2.AsyncClient | Callable[[], httpx2.AsyncClient]
HttpClients = _HttpClient | Mapping[str, _HttpClient]
"""An httpx2 client for the way to the providers, or a function that makes one; or one of these by provider."""


def check_clients(given: HttpClients | None, config: Config) -> None:
    """A client that would not be used, or could not, is told at once: it may be there for the sake of its mTLS."""
    clients: Mapping[str, object] = given if isinstance(given, Mapping) else {"": given}
    if isinstance(given, Mapping) and (unknown := given.keys() - config.providers.keys()):
        known = ", ".join(config.providers)
        raise ValueError(f"http_client is for an unknown provider, {min(unknown)!r}; the config has: {known}")
    for client in clients.values():
        if client is not None and not isinstance(client, httpx2.AsyncClient) and not callable(client):
            raise TypeError(
                f"http_client takes an httpx2.AsyncClient or a function that makes one, not {type(client).__name__} "
                f"of {type(client).__module__}"
            )


def has_instances(given: HttpClients | None) -> bool:
    """Whether a client is given as it is, and not a function that makes one."""
    clients = given.values() if isinstance(given, Mapping) else (given,)
    return any(isinstance(client, httpx2.AsyncClient) for client in clients)


class HttpxTransport(Transport):
    """Sends attempts by an httpx2 client. Its TLS, proxies, hooks and auth are the app's; redirects are not followed.

    A client stays the app's to close. A function that makes one is called at the first send, and its client is closed
    with the transport. ``Target.proxy`` is not used; ``fresh`` can't be asked of httpx2, which drops dead connections.

    Example::

        transport = HttpxTransport(lambda: httpx2.AsyncClient(verify=context))
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

    async def _send(self, request: OutgoingRequest) -> HttpxExchange:
        deadline, latest = request.deadline, request.latest
        await self._close_left()
        if anyio.current_time() >= deadline:
            raise TransportFailure(TransportSignal.UNREACHABLE, "nothing could be sent in time")
        fields = outgoing(tuple(checked(request.target.headers)), request.headers, stream=request.stream)
        url = _parse(request.target.url)
        state = HttpxClientState(url.host)
        failure: TransportFailure | None = None
        bound = lag_deadline(self._lag, deadline, latest)
        timed = TimedScope(bound, deadline)
        response: httpx2.Response | None = None
        try:
            client = self._open()
            sent = self._without_foreign_cookies(
                client,
                _request(
                    client,
                    request.method,
                    url,
                    headers=fields,
                    content=request.body or None,
                    timeout=httpx2.Timeout(None, connect=request.connect_timeout if bound is None else None),
                    extensions={"trace": state.trace},
                ),
            )
            with timed, timed.unless_begun(request.connect_timeout, latest, state.is_connecting):
                response = await client.send(sent, stream=True, follow_redirects=False)
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
