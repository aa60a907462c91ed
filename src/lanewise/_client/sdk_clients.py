"""OpenAI's words: SDK clients whose HTTP transport is the router.

A client that came from a scope is bound to it for life: the scope travels with each request, and every copy of the
client carries it on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Self

import httpx2
import openai

from lanewise._client.direct_requests import UNREAD, BoundResource, DirectRequests
from lanewise._client.direct_streams import async_chunks, chunks
from lanewise._client.http_clients import (
    SCOPE,
    AsyncBody,
    Gateway,
    RoutedAsyncHttpClient,
    RoutedHttpClient,
    SyncBody,
    SyncStream,
    read_response,
    read_sync_response,
    response_of,
    sync_response_of,
)
from lanewise._compat.openai_sdk import sdk_internals
from lanewise._runtime.messages import API_OF_PATH, RoutedResponse
from lanewise.config.environment.libraries import require_library
from lanewise.errors import BASE_URL, NotInScope
from lanewise.scope import Scope

__all__ = ["SdkClients"]

_ROUTED: Final = {f"/{path}": httpx2.URL(BASE_URL + path) for path in API_OF_PATH}
"""The SDK's paths, and the URL of each: made once, since making one costs more than the router's whole decision."""
_ROUTED_URLS: Final = {str(url): url for url in _ROUTED.values()}
_NO_TIMEOUT: Final = httpx2.Timeout(None).as_dict()
_CONTENT: Final = frozenset({"method", "url", "headers", "timeout", "content"})


class _BoundAsyncHttpClient(RoutedAsyncHttpClient):
    """Below the SDK clients of scopes. Nobody else has it in hand, so nothing of it can have been configured."""

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        """httpx2's, without merging settings that there are not."""
        return _request(method, url, options) or super().build_request(method, url, **options)

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Raises NotInScope: the request has lost the scope that it is part of, and with it the marks."""
        _check_bound(request)
        return await super().send(request, **options)


class _BoundHttpClient(RoutedHttpClient):
    """Below the synchronous SDK clients of scopes; nothing of it can have been configured either."""

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        """httpx2's, without merging settings that there are not."""
        return _request(method, url, options) or super().build_request(method, url, **options)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Raises NotInScope: the request has lost the scope that it is part of, and with it the marks."""
        _check_bound(request)
        return super().send(request, **options)


def _check_bound(request: httpx2.Request) -> None:
    if request.extensions.get(SCOPE) is None:
        raise NotInScope(
            "a request of a scope's SDK client has lost its scope: something stands in the place of the client's "
            "_build_request, and does not call it"
        )


def _request(method: str, url: httpx2.URL | str, options: Mapping[str, Any]) -> httpx2.Request | None:
    """The request of a routed call, at a tenth of the usual cost; ``None`` for anything out of the ordinary."""
    known = _ROUTED_URLS.get(str(url))
    content = options.get("content")
    if known is None or not isinstance(content, bytes) or "timeout" not in options:
        return None
    if any(value is not None for name, value in options.items() if name not in _CONTENT):
        return None
    timeout = options["timeout"]
    if not (timeout is None or isinstance(timeout, int | float | tuple | httpx2.Timeout)):
        raise TypeError(f"timeout= takes seconds, an httpx2.Timeout or None, not {type(timeout).__name__}")
    headers = [("Host", known.host), *options["headers"], ("Content-Length", str(len(content)))]
    request = httpx2.Request(
        method,
        known,
        headers=headers,
        stream=httpx2.ByteStream(content),
        extensions={"timeout": _NO_TIMEOUT if timeout is None else httpx2.Timeout(timeout).as_dict()},
    )
    request.read()
    return request


def _with_direct_creation(resource: Any) -> Any:
    from lanewise._client.direct_creation import with_direct_creation

    return with_direct_creation(resource)


class _BoundAsyncOpenAI(openai.AsyncOpenAI):
    _lanewise_kind: type
    """This class, and none that was made of it."""
    _lanewise_scope: Scope | None = None
    _lanewise_direct: DirectRequests | None = None
    _lanewise_reply: tuple[RoutedResponse, SyncStream | None, float] | None = None
    """What its requests are answered with, once the answer is there, and when that was asked for."""

    chat = BoundResource(_with_direct_creation)
    responses = BoundResource(_with_direct_creation)

    async def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """The SDK's ``request()``, directly to the engine where that comes to the same."""
        direct = self._lanewise_direct
        if direct is None or type(self) is not self._lanewise_kind:
            return await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
        if self._lanewise_reply is not None:
            reply, _, started = self._lanewise_reply
        else:
            routed = direct.routed_request(self, cast_to, options, stream_cls, stream=stream)
            if routed is None:
                return await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
            started = time.perf_counter()
            reply = await direct.gateway.ask(routed, self._lanewise_scope)
            if not stream and (model := direct.model_of(reply, cast_to, options.post_parser)) is not UNREAD:
                return model
        response = response_of(reply)
        response.request = self._build_request(options)
        await self._prepare_request(response.request)
        if not stream:
            await read_response(response)
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        if not response.is_success:
            raise self._make_status_error_from_response(response)
        result = await self._process_response(
            cast_to=cast_to, options=options, response=response, stream=stream, stream_cls=stream_cls
        )
        if stream and isinstance(response.stream, AsyncBody):
            result._iterator = async_chunks(
                result._iterator, response, response.stream, direct.chunk_of(result._cast_to)
            )
        return result

    def _prepare_url(self, url: str) -> httpx2.URL:
        return _ROUTED.get(url) or super()._prepare_url(url)

    def _build_request(self, *arguments: Any, **options: Any) -> httpx2.Request:
        request = super()._build_request(*arguments, **options)
        request.extensions[SCOPE] = self._lanewise_scope
        return request

    def copy(self, **options: Any) -> Self:
        """A copy stays bound to the scope, and to the router's transport: another HTTP client is not taken."""
        copied = super().copy(**{**options, "http_client": None})
        copied._lanewise_scope = self._lanewise_scope
        copied._lanewise_direct = None if options.get("http_client") is not None else self._lanewise_direct
        copied._platform = self._platform
        return copied

    with_options = copy


class _BoundOpenAI(openai.OpenAI):
    _lanewise_kind: type
    """This class, and none that was made of it."""
    _lanewise_scope: Scope | None = None
    _lanewise_direct: DirectRequests | None = None
    _lanewise_reply: tuple[RoutedResponse, SyncStream | None, float] | None = None
    """What its requests are answered with, once the answer is there, and when that was asked for."""

    chat = BoundResource(_with_direct_creation)
    responses = BoundResource(_with_direct_creation)

    def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """The SDK's ``request()``, directly to the engine where that comes to the same."""
        direct = self._lanewise_direct
        if direct is None or type(self) is not self._lanewise_kind:
            return super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
        if self._lanewise_reply is not None:
            reply, read, started = self._lanewise_reply
        else:
            routed = direct.routed_request(self, cast_to, options, stream_cls, stream=stream)
            if routed is None:
                return super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
            started = time.perf_counter()
            reply, read = direct.gateway.ask_sync(routed, self._lanewise_scope)
            if not stream and (model := direct.model_of(reply, cast_to, options.post_parser)) is not UNREAD:
                return model
        response = sync_response_of(reply, read)
        response.request = self._build_request(options)
        self._prepare_request(response.request)
        if not stream:
            read_sync_response(response)
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        if not response.is_success:
            raise self._make_status_error_from_response(response)
        result = self._process_response(
            cast_to=cast_to, options=options, response=response, stream=stream, stream_cls=stream_cls
        )
        if stream and isinstance(response.stream, SyncBody):
            result._iterator = chunks(result._iterator, response, response.stream, direct.chunk_of(result._cast_to))
        return result

    def _prepare_url(self, url: str) -> httpx2.URL:
        return _ROUTED.get(url) or super()._prepare_url(url)

    def _build_request(self, *arguments: Any, **options: Any) -> httpx2.Request:
        request = super()._build_request(*arguments, **options)
        request.extensions[SCOPE] = self._lanewise_scope
        return request

    def copy(self, **options: Any) -> Self:
        """A copy stays bound to the scope, and to the router's transport: another HTTP client is not taken."""
        copied = super().copy(**{**options, "http_client": None})
        copied._lanewise_scope = self._lanewise_scope
        copied._lanewise_direct = None if options.get("http_client") is not None else self._lanewise_direct
        copied._platform = self._platform
        return copied

    with_options = copy


_BoundAsyncOpenAI._lanewise_kind = _BoundAsyncOpenAI
_BoundOpenAI._lanewise_kind = _BoundOpenAI


class SdkClients:
    """Makes SDK clients for scopes: one template a router, and a shallow twin of it for each scope (under 1 us)."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._async_template: dict[str, Any] | None = None
        self._sync_template: dict[str, Any] | None = None

    def async_openai(self, scope: Scope) -> openai.AsyncOpenAI:
        """An ``openai.AsyncOpenAI`` bound to ``scope``."""
        if self._async_template is None:
            http_client = _BoundAsyncHttpClient(self._gateway)
            self._async_template = self._template(lambda: _BoundAsyncOpenAI(http_client=http_client, **_OPTIONS))
        client = _BoundAsyncOpenAI.__new__(_BoundAsyncOpenAI)
        client.__dict__.update(self._async_template)
        client._lanewise_scope = scope
        return client

    def openai(self, scope: Scope) -> openai.OpenAI:
        """An ``openai.OpenAI`` bound to ``scope``."""
        if self._sync_template is None:
            http_client = _BoundHttpClient(self._gateway)
            self._sync_template = self._template(lambda: _BoundOpenAI(http_client=http_client, **_OPTIONS))
        client = _BoundOpenAI.__new__(_BoundOpenAI)
        client.__dict__.update(self._sync_template)
        client._lanewise_scope = scope
        return client

    def _template(self, make: Callable[[], Any]) -> dict[str, Any]:
        require_library("openai")  # a router that was never opened opens at the first call, which is later
        from openai._base_client import get_platform

        client = make()
        client._platform = get_platform()  # else each client's first call would find it out in a thread
        template = dict(client.__dict__)
        internals = sdk_internals()
        if internals is not None:
            with contextlib.suppress(KeyError):  # another SDK: its own way
                template["_lanewise_direct"] = DirectRequests(self._gateway, internals, template)
        return template


_OPTIONS: Final[dict[str, Any]] = {
    "api_key": "lanewise",  # never sent: each route has its provider's own
    "base_url": BASE_URL,
    "websocket_base_url": BASE_URL.replace("https", "wss"),
    "max_retries": 0,
    "timeout": None,  # the task's deadline holds; a timeout of the call tightens it
}
