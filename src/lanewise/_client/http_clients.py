"""HTTP clients whose requests are routed: httpx2's words on the outside, the router's transport within.

They follow the current scope, unless a request carries a scope of its own (``extensions``), as those of the SDK clients
of a scope do. Closing them closes nothing shared.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final, Protocol, Self

import httpx2

from lanewise._runtime.messages import RoutedRequest, RoutedResponse, Stream
from lanewise.errors import BASE_URL
from lanewise.scope import Scope

__all__ = [
    "SCOPE",
    "AsyncBody",
    "Gateway",
    "RoutedAsyncHttpClient",
    "RoutedHttpClient",
    "SyncBody",
    "SyncStream",
    "read_response",
    "read_sync_response",
    "response_of",
    "routed_headers",
    "sync_response_of",
]

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
            await read_response(response)
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
            read_sync_response(response)
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
    return response_of(await gateway.ask(_routed_request(request, body), request.extensions.get(SCOPE)))


def response_of(reply: RoutedResponse) -> httpx2.Response:
    """A reply as httpx2 has it."""
    body = httpx2.ByteStream(reply.body) if reply.stream is None else AsyncBody(reply.stream)
    return httpx2.Response(reply.status, headers=reply.headers, stream=body)


def _send_sync(gateway: Gateway, request: httpx2.Request) -> httpx2.Response:
    try:
        body = request.content
    except httpx2.RequestNotRead:
        body = request.read()
    return sync_response_of(*gateway.ask_sync(_routed_request(request, body), request.extensions.get(SCOPE)))


def sync_response_of(reply: RoutedResponse, stream: SyncStream | None) -> httpx2.Response:
    """The SDK's response to a thread: the reply's body whole, or its stream."""
    body = httpx2.ByteStream(reply.body) if stream is None else SyncBody(stream)
    return httpx2.Response(reply.status, headers=reply.headers, stream=body)


async def read_response(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.ByteStream):
        response.read()  # it is here already
        return
    try:
        await response.aread()
    except BaseException:
        await response.aclose()
        raise


def read_sync_response(response: httpx2.Response) -> None:
    try:
        response.read()
    except BaseException:
        response.close()
        raise


class AsyncBody(httpx2.AsyncByteStream):
    """Iterable a second time after its end: the SDK drains a stream after ``[DONE]``."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unread = b""

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end."""
        if self._unread:
            piece, self._unread = self._unread, b""
            return piece
        return await self._stream.read()

    def unread(self, rest: bytes) -> None:
        """Give back what was read and not used."""
        self._unread = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __del__(self) -> None:
        self._stream.drop()


class SyncBody(httpx2.SyncByteStream):
    """The body of a streamed response, read in a thread."""

    def __init__(self, stream: SyncStream) -> None:
        self._stream = stream
        self._unread = b""

    def read(self) -> bytes:
        """The next piece, ``b""`` at the end."""
        if self._unread:
            piece, self._unread = self._unread, b""
            return piece
        return self._stream.read()

    def unread(self, rest: bytes) -> None:
        """Put back what was read of a piece and not used: it is read next."""
        self._unread = rest

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def close(self) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self._stream.drop()


def _routed_request(request: httpx2.Request, body: bytes) -> RoutedRequest:
    forwarded, on_break, helper = routed_headers(
        [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw]
    )
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    timeout = request.extensions.get("timeout") or {}
    return RoutedRequest(
        method=request.method,
        path=_below_base(path),
        query=query,
        headers=forwarded,
        body=body,
        timeout=timeout.get("read"),
        on_break=on_break,
        helper=helper,
    )


def routed_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], str | None, bool]:
    """Of a request's headers those that may go upstream, what it asks for a stream that breaks, and whether one of the
    SDK's helpers reads the answer of one that asks for that."""
    forwarded: list[tuple[str, str]] = []
    on_break: str | None = None
    helped = False
    for written, value in headers:
        name = written.lower()
        if name == _HELPER:
            helped = True
        elif name == _ON_BREAK:
            on_break = value
        elif name not in _NOT_FORWARDED and not name.startswith(("x-stainless-", "x-lanewise-")):
            forwarded.append((name, value))
    return tuple(forwarded), on_break, helped and on_break is not None


def _below_base(path: str) -> str:
    """The path below the base URL, whatever base URL a library gave its own client."""
    for known in ("chat/completions", "responses", "embeddings"):
        if path.endswith("/" + known):
            return known
    before, version, below = path.partition("/v1/")
    return below if version else before.lstrip("/")
