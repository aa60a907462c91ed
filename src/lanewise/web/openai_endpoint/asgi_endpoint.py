"""The OpenAI endpoint as an ASGI app, to be mounted in Starlette, FastAPI, Litestar, or served alone."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Final, Self, cast
from urllib.parse import unquote

from lanewise._runtime.messages import API_OF_PATH, RoutedResponse, Stream
from lanewise.config import ConfigError
from lanewise.errors import RoutingError, StreamBroken
from lanewise.router import Router
from lanewise.scope import Scope, serving, state_of
from lanewise.types import Api
from lanewise.web.asgi_disconnects import DisconnectWatcher, Message, Receive
from lanewise.web.call_errors import log_hang_up
from lanewise.web.openai_endpoint.endpoint_answers import (
    EndpointAnswer,
    EndpointError,
    answer_for,
    broken_stream_event,
    log_failure,
)
from lanewise.web.openai_endpoint.endpoint_callers import EndpointClient, authentication_failed
from lanewise.web.openai_endpoint.endpoint_core import EndpointCore
from lanewise.web.openai_endpoint.endpoint_request import BodyReader, RequestHead, depth_checks

__all__ = ["HANG_UPS", "AsgiEndpoint", "OpenAIEndpoint", "Receive", "Send"]

Send = Callable[[Message], Awaitable[None]]

HANG_UPS: Final = "lanewise.hang_ups"
"""The extension of a server that says of a hang-up by itself: a list of what it then calls, in the loop."""
_BURST: Final = 0.002
"""Seconds. What of a stream comes within this time after a piece goes on together: a reader sees no difference, and
each piece costs a turn of the loop, a write and a packet. The first goes at once, and so does each that comes later."""


class AsgiEndpoint:
    """Serves the requests that come to one endpoint."""

    def __init__(self, core: EndpointCore) -> None:
        self._core = core

    def __deepcopy__(self, memo: object) -> Self:
        """Itself: Litestar copies what is mounted in a ``Router`` of its, and there is one router behind."""
        return self

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request. WebSockets are refused; a lifespan, where the endpoint is served alone, is the router's."""
        kind = scope["type"]
        if kind == "http":
            await _Request(self._core, scope, receive, send).run()
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._core.router.__aenter__()
        except ConfigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._core.router.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


class OpenAIEndpoint(AsgiEndpoint):
    """The router as an OpenAI-compatible endpoint: an ASGI app to be mounted.

    It serves ``chat/completions``, ``responses``, ``embeddings`` and ``models`` below the place where it is mounted, to
    the clients of the config. ``authenticate`` takes the place of their keys: a function of the request (Starlette's
    ``HTTPConnection``), also an async one, that gives a client's name, or ``None`` for a 401.

    Raises ConfigError: no client has a key, and there is no ``authenticate``. TypeError: ``router`` is no Router.

    Example::

        app.mount("/ai/v1", OpenAIEndpoint(router))                  # Starlette, FastAPI
        asgi("/ai/v1", is_mount=True)(OpenAIEndpoint(router))        # Litestar

        client = openai.OpenAI(base_url="https://shop.example/ai/v1", api_key=key)
        client.chat.completions.create(model="ticket-summary", messages=messages)
    """

    def __init__(self, router: Router, *, authenticate: Callable[..., object] | None = None) -> None:
        super().__init__(EndpointCore.of(router, authenticate))


_SERVER_ENDS: Final = StreamBroken("the server ended")


class _Request:
    """One request, from its head to the last piece of its answer."""

    def __init__(self, core: EndpointCore, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._started = perf_counter()
        self._core = core
        self._asgi = asgi
        self._send = send
        self._watcher = _watcher(receive, asgi, self._caller_left)
        self._scope: Scope | None = None
        self._request_id = ""
        self._leave: Callable[[], None] | None = None
        self._answers = False
        """Whether a model's answer is being sent."""
        self._streams: Api | None = None
        """Of an answer that is a stream, until its end is sent."""

    async def run(self) -> None:
        try:
            answer = await self._answer()
        except EndpointError as refused:
            answer = refused.answer()
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await self._send_end_of_server()
            raise
        finally:
            self._watcher.stop()
        if answer is not None:
            await self._send_whole(answer)

    async def _send_whole(self, answer: EndpointAnswer) -> None:
        headers = self._core.headers(answer, self._request_id or self._core.fresh_request_id())
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    async def _send_end_of_server(self) -> None:
        """The server takes the request's task away, since it ends: say so in what it can write at once."""
        if self._streams is not None:
            event = broken_stream_event(_SERVER_ENDS, self._streams)
            await self._send({"type": "http.response.body", "body": event, "more_body": True})
            await self._send({"type": "http.response.body"})  # which an app's guard of ends holds back
        elif not self._answers and not self._watcher.left:
            message = "The server is ending. Try again"
            refused = EndpointError(503, "unavailable", message, headers=((b"retry-after", b"1"),))
            await self._send_whole(refused.answer())

    async def _answer(self) -> EndpointAnswer | None:
        """The answer; ``None`` if it was sent already, or if nobody waits for it any more."""
        core, asgi = self._core, self._asgi
        head = RequestHead(asgi["method"], _below_mount(asgi), asgi["headers"])
        self._request_id = core.request_id(head)
        core.check_target(head)
        client = core.client(head, None if core.authenticate is None else await self._told(core.authenticate))
        models = core.models(client, head)
        if models is not None:
            return models
        self._leave = core.enter(client)
        try:
            scope = self._scope = core.scope(client, head, self._request_id, _paths(asgi), asgi.get("root_path", ""))
            state_of(scope).on_busy = self._watcher.watch
            try:
                with serving(scope):
                    return await self._call(scope, client, head)
            finally:
                state_of(scope).on_busy = None
                state_of(scope).finish()
        finally:
            self._give_back()

    async def _told(self, authenticate: Callable[..., object]) -> object:
        """What the app's function says of the request."""
        try:
            told = authenticate(_connection(self._asgi))
            return await told if inspect.isawaitable(told) else told
        except Exception as error:  # noqa: BLE001 - the app's own, whatever it is
            failed = authentication_failed(error)
        raise failed

    async def _call(self, scope: Scope, client: EndpointClient, head: RequestHead) -> EndpointAnswer | None:
        body = await self._body(head)
        if body is None:
            return None
        request = self._core.request(client, head, body)
        try:
            reply = await self._core.scopes.ask(request, scope)
            await self._send_reply(reply, scope, API_OF_PATH[head.path])
        except RoutingError as error:
            if self._watcher.left:
                log_hang_up(error, scope)
                return None
            answer = answer_for(error)
            log_failure(answer.status, error, scope)
            return answer
        return None

    async def _body(self, head: RequestHead) -> bytes | None:
        """The body; ``None`` if the caller left before it was whole."""
        reader = BodyReader(head)
        more = True
        while more:
            message = await self._watcher.receive()
            if message["type"] != "http.request":
                return None
            reader.feed(message.get("body", b""))
            more = message.get("more_body", False)
        body = reader.finish()
        for _ in depth_checks(body):
            await asyncio.sleep(0)
        return body

    async def _send_reply(self, reply: RoutedResponse, scope: Scope, api: Api) -> None:
        headers = self._core.reply_headers(reply, scope, self._started)
        start = {"type": "http.response.start", "status": reply.status, "headers": headers}
        self._answers = True
        if reply.stream is None:
            self._watcher.stop()
            self._give_back()
            await self._send(start)
            await self._send({"type": "http.response.body", "body": reply.body})
            return
        try:
            await self._send(start)
            self._streams = api
            last = await self._send_stream(reply.stream, scope, api)
        finally:
            await reply.stream.aclose()
        self._streams = None
        if last is not None:
            self._watcher.stop()
            self._give_back()
            await self._send({"type": "http.response.body", "body": last})

    async def _send_stream(self, stream: Stream, scope: Scope, api: Api) -> bytes | None:
        """Pass a stream on. Gives its last piece; ``None`` if the caller has left."""
        sent = perf_counter()
        try:
            while piece := await stream.read():
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                now = perf_counter()
                if now - sent < _BURST:
                    await stream.rest(_BURST)
                    now = perf_counter()
                sent = now
        except RoutingError as error:
            if self._watcher.left:
                log_hang_up(error, scope)
                return None
            log_failure(200, error, scope)
            return broken_stream_event(error, api)
        return b""

    def _give_back(self) -> None:
        """The client may begin another call: it may do so as soon as it has the end of this one's answer."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def _caller_left(self) -> None:
        if self._scope is not None:
            state_of(self._scope).hang_up()


def _watcher(
    receive: Receive, asgi: MutableMapping[str, Any], gone: Callable[[], None]
) -> DisconnectWatcher | _ConnectionWatcher:
    hang_ups = (asgi.get("extensions") or {}).get(HANG_UPS)
    return DisconnectWatcher(receive, asgi, gone) if hang_ups is None else _ConnectionWatcher(receive, hang_ups, gone)


class _ConnectionWatcher:
    """As :class:`DisconnectWatcher`, where the server says by itself that the connection is lost."""

    __slots__ = ("_gone", "_hang_ups", "left", "receive")

    def __init__(self, receive: Receive, hang_ups: list[Callable[[], None]], gone: Callable[[], None]) -> None:
        self.receive = receive
        self.left = False
        self._gone: Callable[[], None] | None = gone
        self._hang_ups = hang_ups
        hang_ups.append(self._lost)

    def watch(self) -> None:
        """It is told in any case."""

    def stop(self) -> None:
        if self._lost in self._hang_ups:
            self._hang_ups.remove(self._lost)
        self._gone = None  # it holds the request, which holds this

    def _lost(self) -> None:
        self.left = True
        if self._gone is not None:
            self._gone()


def _below_mount(asgi: MutableMapping[str, Any]) -> str:
    """The path below the mount: some servers and routers leave the whole path, others have cut it already."""
    path, root = str(asgi["path"]), str(asgi.get("root_path", "")).rstrip("/")
    if root and path.startswith(f"{root}/"):
        path = path.removeprefix(root)
    return path.strip("/")


def _paths(asgi: MutableMapping[str, Any]) -> tuple[str, ...]:
    """The path as routing knows it, and as it was sent: Litestar leaves a mount only what is below it."""
    raw = asgi.get("raw_path")
    return (asgi["path"],) if not raw else (asgi["path"], unquote(raw.decode("latin-1")))


def _connection(asgi: MutableMapping[str, Any]) -> object:
    """The request in the framework's words: Starlette's, or where only Litestar is installed, that one's."""
    try:
        from starlette.requests import HTTPConnection
    except ImportError:
        from litestar.connection import ASGIConnection

        return ASGIConnection(cast("Any", asgi))
    return HTTPConnection(asgi)
