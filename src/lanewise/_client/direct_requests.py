"""The short way of a scope's SDK clients: from the SDK's ``request()`` to the engine, and back with the parsed model.

The long way builds an ``httpx2.Request``, sends it through an HTTP client of ours and parses an ``httpx2.Response``:
half of what a routed call costs. The app sees no difference: a request that is not known here to come out the same goes
the long way, and an answer or an event out of the ordinary is read by the SDK's own code.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from operator import itemgetter
from typing import Any, Final

import httpx2
import msgspec
import openai
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from lanewise._client.http_clients import AsyncBody, Gateway, SyncBody, routed_headers
from lanewise._client.model_construction import ModelConstructors
from lanewise._compat.openai_sdk import SdkInternals
from lanewise._runtime.call.reply_headers import reply_id
from lanewise._runtime.messages import RoutedRequest, RoutedResponse

__all__ = ["UNREAD", "DirectRequests", "async_chunks", "chunks"]

_ANSWERS: Final[dict[str, tuple[str, object, tuple[object, ...]]]] = {
    "/chat/completions": (
        "chat/completions",
        ChatCompletion,
        (openai.AsyncStream[ChatCompletionChunk], openai.Stream[ChatCompletionChunk]),
    ),
    "/responses": (
        "responses",
        Response,
        (openai.AsyncStream[ResponseStreamEvent], openai.Stream[ResponseStreamEvent]),
    ),
    "/embeddings": ("embeddings", CreateEmbeddingResponse, ()),
}
"""By the SDK's path: ours, the model of a whole answer, and what a stream is read by."""
_OPTIONS: Final = frozenset(
    {
        "content",
        "extra_json",
        "files",
        "headers",
        "idempotency_key",
        "json_data",
        "max_retries",
        "method",
        "post_parser",
        "security",
        "timeout",
        "url",
    }
)
"""What a request may say and is known here. The SDK sends no idempotency key, whoever gives it one."""
_SETTINGS: Final = (
    "_api_key_provider",
    "_base_url",
    "_client",
    "_custom_headers",
    "_custom_query",
    "_idempotency_header",
    "_provider_runtime",
    "_strict_response_validation",
    "_workload_identity_auth",
    "api_key",
)
"""What can be set of a client and changes its requests, beside ``timeout`` and ``max_retries``."""
_OTHERWISE: Final = frozenset({"content-type", "x-stainless-raw-response"})
"""Headers that ask for another body, or for another answer than a model."""
_UNKNOWN: Final = object()
UNREAD: Final = object()
"""In the place of an answer that the SDK is to read itself."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_REQUEST_ID: Final = b"x-request-id"


class DirectRequests:
    """Which requests of one router's clients go the short way, and what becomes of the answers.

    ``template`` is what each client of a scope begins as. Raises KeyError: the SDK's clients have other settings.
    """

    def __init__(self, gateway: Gateway, internals: SdkInternals, template: Mapping[str, Any]) -> None:
        self.gateway = gateway
        self._sdk = internals
        self._models = ModelConstructors(internals.construct)
        self._settings = itemgetter(*_SETTINGS)
        self._as_made = self._settings({**template, "_custom_headers": {}, "_custom_query": {}})
        self._logger = logging.getLogger(internals.logger)

    def routed_request(
        self,
        client: openai.AsyncOpenAI | openai.OpenAI,
        cast_to: object,
        options: Any,
        stream_cls: object,
        *,
        stream: bool,
    ) -> RoutedRequest | None:
        """A request of the SDK as the engine takes it; ``None``: it goes the long way.

        Raises what the SDK raises of a body that is no JSON.
        """
        known = _ANSWERS.get(options.url)
        if known is None or options.method != "post" or not options.model_fields_set <= _OPTIONS:
            return None
        path, model, streams = known
        if not (stream_cls in streams if stream else cast_to is model):
            return None
        if options.files is not None or options.content is not None or not self._is_as_made(client):
            return None
        seconds = _read_timeout(client.timeout if isinstance(options.timeout, openai.NotGiven) else options.timeout)
        retries = client.max_retries if isinstance(options.max_retries, openai.NotGiven) else options.max_retries
        headers = {} if isinstance(options.headers, openai.NotGiven) else options.headers
        if seconds is _UNKNOWN or type(retries) is not int or retries < 0 or not _are_plain(headers):
            return None
        body = options.json_data
        if type(body) is not dict:
            return None
        if options.extra_json is not None:
            body = self._sdk.merge(body, options.extra_json)
        forwarded, on_break, helper = routed_headers(headers.items())
        return RoutedRequest("POST", path, "", forwarded, self._sdk.dump(body), seconds, on_break, helper)

    def _is_as_made(self, client: openai.AsyncOpenAI | openai.OpenAI) -> bool:
        """Whether nothing was set on a client, its HTTP client or the SDK that a request would have to heed."""
        if self._settings(client.__dict__) != self._as_made or not self._sdk.is_as_found():
            return False
        hooks = client._client.event_hooks
        return not hooks["request"] and not hooks["response"] and not self._logger.isEnabledFor(logging.DEBUG)

    def model_of(self, reply: RoutedResponse, cast_to: object, options: Any) -> Any:
        """The answer as the SDK hands it out; ``UNREAD``: it is out of the ordinary, and the SDK is to read it."""
        if reply.stream is not None or not 200 <= reply.status <= 299:
            return UNREAD
        try:
            data = _OBJECT.decode(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return UNREAD
        model = self._models.of(cast_to)(data)
        if not isinstance(options.post_parser, openai.NotGiven):
            model = options.post_parser(model)
        if isinstance(model, openai.BaseModel):
            self._sdk.add_request_id(model, _request_id(reply.headers))
        return model

    def chunk_of(self, cast_to: object) -> Callable[[dict[str, Any]], Any]:
        """What makes a stream's chunk of its data."""
        return self._models.of(cast_to)


async def async_chunks(
    usual: AsyncGenerator[Any, None], response: httpx2.Response, body: AsyncBody, chunk_of: Callable[[Any], Any]
) -> AsyncGenerator[Any, None]:
    """The chunks of a stream, cut as the engine has judged them; from the first odd event on, and at the end, the
    ``usual`` ones of the SDK."""
    try:
        if not response.is_stream_consumed and not response.is_closed:
            response.is_stream_consumed = True
            while piece := await body.read():
                found, rest = _cut(piece)
                for data in found:
                    yield chunk_of(data)
                if rest:
                    body.unread(rest)
                    break
            response.is_stream_consumed = False  # the rest is the SDK's to read
        async for chunk in usual:
            yield chunk
    finally:
        await usual.aclose()
        await response.aclose()


def chunks(
    usual: Generator[Any, None, None], response: httpx2.Response, body: SyncBody, chunk_of: Callable[[Any], Any]
) -> Generator[Any, None, None]:
    """As :func:`async_chunks`."""
    try:
        if not response.is_stream_consumed and not response.is_closed:
            response.is_stream_consumed = True
            while piece := body.read():
                found, rest = _cut(piece)
                for data in found:
                    yield chunk_of(data)
                if rest:
                    body.unread(rest)
                    break
            response.is_stream_consumed = False
        yield from usual
    finally:
        usual.close()
        response.close()


def _cut(piece: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """What the first events of a piece hold that have one of the two usual shapes, and the bytes from the first other
    one on: ``[DONE]``, an error, an event of several lines, one that is cut in two."""
    found: list[dict[str, Any]] = []
    if b"\r" in piece:
        return found, piece
    start = 0
    while (end := piece.find(b"\n\n", start)) >= 0:
        if piece.startswith(b":", start):
            if piece.find(b"\n", start, end) >= 0:
                break
        else:
            line = start
            if piece.startswith(b"event: ", start):
                line = piece.find(b"\n", start) + 1
                name = piece[start + 7 : line - 1]
                if not name or not name.isascii() or name.startswith(b"thread."):
                    break
            if not piece.startswith(b"data: {", line) or piece.find(b"\n", line, end) >= 0:
                break
            try:
                data = _OBJECT.decode(piece[line + 6 : end])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            if data.get("error"):
                break
            found.append(data)
        start = end + 2
    return found, piece[start:]


def _are_plain(headers: Mapping[str, Any]) -> bool:
    """Whether these headers can be taken as they are, and ask for nothing special."""
    if not headers:
        return True
    names = {name.lower() for name in headers if type(name) is str and name.isascii()}
    texts = all(type(value) is str and value.isascii() for value in headers.values())
    return texts and len(names) == len(headers) and names.isdisjoint(_OTHERWISE)


def _read_timeout(timeout: object) -> Any:
    """Seconds that a read may take, or ``None``, as the HTTP client would have it; ``_UNKNOWN``: not known here."""
    if timeout is None or type(timeout) is float or type(timeout) is int:
        return timeout
    return timeout.read if type(timeout) is httpx2.Timeout else _UNKNOWN


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """As the SDK reads it."""
    ids = [value for name, value in headers if name.lower() == _REQUEST_ID]
    return ids[0].decode() if len(ids) == 1 and ids[0].isascii() else reply_id(headers)
