"""HTTP clients whose requests are routed: httpx2's words on the outside, the router's transport within.

They follow the current scope, unless a request carries a scope of its own (``extensions``), as those of the SDK clients
of a scope do. Closing them closes nothing shared.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final, Protocol, Self

import httpx2

from lanewise._runtime.messages import RoutedRequest, RoutedResponse, Stream
from lanewise.errors import BASE_URL
from lanewise.scope import Scope

__all__ = ["SCOPE", "Gateway", "RoutedAsyncHttpClient", "RoutedHttpClient", "SyncStream"]

SCOPE: Final = "lanewise.scope"
"""The extension of a request that carries its scope."""

_NOT_FORWARDED: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "api-key",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "idempotency-key",
        "openai-organization",
        "openai-project",
        "proxy-authorization",
        "transfer-encoding",
        "user-agent",
        "x-api-key",
        "x-client-request-id",
        "x-goog-api-key",
        "x-request-id",
    }
)
"""Never sent upstream: what names the app's own account, and what the router writes itself."""
_ON_BREAK: Final = "x-lanewise-on-break"
"""Asks for a stream that starts over where it breaks: ``restart``."""
_HELPER: Final = "x-stainless-helper-method"
"""Sent by the SDK's own helpers: ``chat.completions.stream``."""


class SyncStream(Protocol):
    """A stream as a thread reads it."""

    def read(self) -> bytes: ...

    def close(self) -> None: ...

    def drop(self) -> None: ...


class Gateway(Protocol):
    """The way into the engine, from any loop or thread."""

    async def ask(self, routed: RoutedRequest, scope: Scope | None) -> RoutedResponse: ...

    def ask_sync(self, routed: RoutedRequest, scope: Scope | None) -> tuple[RoutedResponse, SyncStream | None]: ...


class RoutedAsyncHttpClient(httpx2.AsyncClient):
    """An ``httpx2.AsyncClient`` whose requests are routed. Closing it closes nothing shared."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(transport=_AsyncTransport(gateway), trust_env=False, timeout=None, base_url=BASE_URL)
        self._gateway = gateway

    async def send(self, request: httpx2.Request, *, stream: bool = False, **kwargs: Any) -> httpx2.Response:
        """Send a request through the router; nothing else of httpx2 (redirects, auth, cookies) applies to it."""
        if self.event_hooks["request"] or self.event_hooks["response"]:
            return await super().send(request, stream=stream, **kwargs)
        started = time.perf_counter()
        response = await _send_async(self._gateway, request)
        response.request = request
        if not stream:
            await _read(response)
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        return response

    async def aclose(self) -> None:
        """Does nothing: the connections belong to the router."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Does nothing: the connections belong to the router."""


class RoutedHttpClient(httpx2.Client):
    """An ``httpx2.Client`` whose requests are routed, through the portal. Closing it closes nothing shared."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(transport=_SyncTransport(gateway), trust_env=False, timeout=None, base_url=BASE_URL)
        self._gateway = gateway

    def send(self, request: httpx2.Request, *, stream: bool = False, **kwargs: Any) -> httpx2.Response:
        """Send a request through the router; nothing else of httpx2 (redirects, auth, cookies) applies to it."""
        if self.event_hooks["request"] or self.event_hooks["response"]:
            return super().send(request, stream=stream, **kwargs)
        started = time.perf_counter()
        response = _send_sync(self._gateway, request)
        response.request = request
        if not stream:
            _read_sync(response)
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        return response

    def close(self) -> None:
        """Does nothing: the connections belong to the router."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Does nothing: the connections belong to the router."""


class _AsyncTransport(httpx2.AsyncBaseTransport):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await _send_async(self._gateway, request)


class _SyncTransport(httpx2.BaseTransport):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return _send_sync(self._gateway, request)


async def _send_async(gateway: Gateway, request: httpx2.Request) -> httpx2.Response:
    try:
        body = request.content
    except httpx2.RequestNotRead:
        body = await request.aread()
    reply = await gateway.ask(_routed_request(request, body), request.extensions.get(SCOPE))
    if reply.stream is None:
        return httpx2.Response(reply.status, headers=reply.headers, stream=httpx2.ByteStream(reply.body))
    return httpx2.Response(reply.status, headers=reply.headers, stream=_AsyncBody(reply.stream))


def _send_sync(gateway: Gateway, request: httpx2.Request) -> httpx2.Response:
    try:
        body = request.content
    except httpx2.RequestNotRead:
        body = request.read()
    reply, stream = gateway.ask_sync(_routed_request(request, body), request.extensions.get(SCOPE))
    if stream is None:
        return httpx2.Response(reply.status, headers=reply.headers, stream=httpx2.ByteStream(reply.body))
    return httpx2.Response(reply.status, headers=reply.headers, stream=_SyncBody(stream))


async def _read(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.ByteStream):
        response.read()  # it is here already
        return
    try:
        await response.aread()
    except BaseException:
        await response.aclose()
        raise


def _read_sync(response: httpx2.Response) -> None:
    try:
        response.read()
    except BaseException:
        response.close()
        raise


class _AsyncBody(httpx2.AsyncByteStream):
    """Iterable a second time after its end: the SDK drains a stream after ``[DONE]``."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._stream.read():
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __del__(self) -> None:
        self._stream.drop()


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, stream: SyncStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._stream.read():
            yield piece

    def close(self) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self._stream.drop()


def _routed_request(request: httpx2.Request, body: bytes) -> RoutedRequest:
    forwarded = []
    on_break: str | None = None
    for raw_name, raw_value in request.headers.raw:
        name = raw_name.decode("ascii").lower()
        if name in _NOT_FORWARDED or name.startswith("x-stainless-"):
            continue
        if not name.startswith("x-lanewise-"):
            forwarded.append((name, raw_value.decode("latin-1")))
        elif name == _ON_BREAK:
            on_break = raw_value.decode("latin-1")
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    timeout = request.extensions.get("timeout") or {}
    return RoutedRequest(
        method=request.method,
        path=_below_base(path),
        query=query,
        headers=tuple(forwarded),
        body=body,
        timeout=timeout.get("read"),
        on_break=on_break,
        helper=on_break is not None and _HELPER in request.headers,
    )


def _below_base(path: str) -> str:
    """The path below the base URL, whatever base URL a library gave its own client."""
    for known in ("chat/completions", "responses", "embeddings"):
        if path.endswith("/" + known):
            return known
    before, version, below = path.partition("/v1/")
    return below if version else before.lstrip("/")
