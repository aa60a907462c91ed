"""Direct requests of a scope's SDK clients: from the SDK's ``request()`` to the engine, back with the parsed model.

The SDK's path builds an ``httpx2.Request``, sends it through an HTTP client of ours, parses an ``httpx2.Response``:
half of what a routed call costs. The app sees no difference: a request that is not known here to come out the same goes
the SDK's path, and an answer or an event out of the ordinary is read by the SDK's own code.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from operator import itemgetter
from types import FunctionType
from typing import Any, Final

import httpx2
import msgspec
import openai
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from lanewise._client.http_clients import Gateway, routed_headers
from lanewise._client.model_construction import ModelConstructors
from lanewise._compat.openai_sdk import Creation, SdkInternals, creation_of
from lanewise._runtime.call.reply_headers import reply_id
from lanewise._runtime.messages import RoutedRequest, RoutedResponse

__all__ = ["OBJECT", "UNREAD", "BoundResource", "DirectRequests"]

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
_OF_A_SCOPE: Final = frozenset({"_lanewise_direct", "_lanewise_reply", "_lanewise_scope"})
_RESOURCES: Final = frozenset(
    name
    for kind in (openai.OpenAI, openai.AsyncOpenAI)
    for name, each in vars(kind).items()
    if isinstance(each, cached_property)
)
"""What the SDK keeps of a client once it was asked for: `chat`, `with_raw_response`."""
_OTHERWISE: Final = frozenset({"content-type", "x-stainless-raw-response", "____stainless_override_cast_to"})
"""Headers that ask for another body, or for another answer than a model."""
UNREAD: Final = object()
"""In the place of an answer that the SDK is to read itself."""
OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_REQUEST_ID: Final = b"x-request-id"
_CREATIONS: Final[dict[tuple[object, ...], Creation | None]] = {}
"""What was found out in this process, which takes milliseconds: by resource, and by the methods that it has."""
_LEFT_OUT: Final = (openai.NotGiven, type(openai.omit))
_write: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_SAMPLE: Final[dict[str, object]] = {"é": [1, 1e300, None, True, "\u2028\x7f\\/", {}], "1": ()}


class BoundResource:
    """A resource of the SDK's clients, as the SDK has it, and then bound: also where the app has put its own there.

    As the SDK's, it can be set on a client.
    """

    def __init__(self, bind: Callable[[Any], Any]) -> None:
        self._bind = bind

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self._bind(getattr(super(self._owner, instance), self._name))


class DirectRequests:
    """Which requests of one router's clients go directly to the engine, and what becomes of the answers.

    ``template`` is what each client of a scope begins as. Raises KeyError: the SDK's clients have other settings.
    """

    def __init__(self, gateway: Gateway, internals: SdkInternals, template: Mapping[str, Any]) -> None:
        self.gateway = gateway
        self._sdk = internals
        self._models = ModelConstructors(internals.construct)
        self._settings = itemgetter(*_SETTINGS)
        self._as_made = self._settings({**template, "_custom_headers": {}, "_custom_query": {}})
        self._attributes = frozenset({*template, *_OF_A_SCOPE, *_RESOURCES})
        self._logger = logging.getLogger(internals.logger)
        self.creations: dict[type, Creation | None] = {}
        """What the resources' ``create()`` do, as far as it was asked for."""

    def routed_request(
        self,
        client: openai.AsyncOpenAI | openai.OpenAI,
        cast_to: object,
        options: Any,
        stream_cls: object,
        *,
        stream: bool,
    ) -> RoutedRequest | None:
        """A request of the SDK as the engine takes it; ``None``: it goes by the SDK's own path.

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
        headers = {} if isinstance(options.headers, openai.NotGiven) else options.headers
        retries = client.max_retries if isinstance(options.max_retries, openai.NotGiven) else options.max_retries
        wishes = _wishes(client, headers, options.timeout, retries)
        if wishes is None:
            return None
        body = options.json_data
        if type(body) is not dict:
            return None
        if options.extra_json is not None:
            body = self._sdk.merge(body, options.extra_json)
        forwarded, seconds, on_break, helper = wishes
        return RoutedRequest("POST", path, "", forwarded, self._sdk.dump(body), seconds, on_break, helper)

    def learn_creation(self, resource: type, client: Any) -> Creation | None:
        """What the ``create()`` of a resource of the SDK does with plain JSON, if that is known."""
        as_it_is = resource, vars(resource).get("create"), client.post
        if not all(type(method) is FunctionType for method in as_it_is[1:]):
            return None  # a tracer's: it may be equal to the one that it wraps, or equal to nothing
        if as_it_is not in _CREATIONS:
            try:
                _CREATIONS[as_it_is] = creation_of(resource, client)
            except OSError:  # which release of the SDK is there stands in a file, and no descriptor is left
                return None
        found = _CREATIONS[as_it_is]
        if found is not None:
            model = _ANSWERS.get(found.path, ("", None))[1]
            found = found if model is found.model and self._writes_plainly() else None
        self.creations[resource] = found
        return found

    def created_request(
        self, client: openai.AsyncOpenAI | openai.OpenAI, creation: Creation, keywords: dict[str, Any]
    ) -> RoutedRequest | None:
        """A ``create()`` with these of its arguments as the engine takes it; ``None``: it is left to the SDK's own.

        The SDK goes through the arguments by their types, which makes JSON of what is none and leaves JSON as it is.
        """
        if keywords.get("stream") or keywords.get("extra_query") is not None:
            return None
        if not self._is_as_made(client):
            return None
        body = {
            name: value
            for name in creation.fields
            if name in keywords and not isinstance(value := keywords[name], _LEFT_OUT)
        }
        extra = keywords.get("extra_body")
        if extra is not None:
            if type(extra) is not dict or not body.keys().isdisjoint(extra):
                return None  # the SDK looks at what is overridden, too
            body = self._sdk.merge(body, extra)
        headers = {} if keywords.get("extra_headers") is None else keywords["extra_headers"]
        timeout = keywords.get("timeout", openai.NOT_GIVEN)
        wishes = _wishes(client, headers, timeout, client.max_retries) if type(headers) is dict else None
        if wishes is None:
            return None
        try:
            written = _write(body).encode()
        except (TypeError, ValueError, RecursionError):
            return None  # no plain JSON
        forwarded, seconds, on_break, helper = wishes
        return RoutedRequest("POST", creation.path[1:], "", forwarded, written, seconds, on_break, helper)

    def _writes_plainly(self) -> bool:
        """Whether the SDK writes JSON as it is written here."""
        return self._sdk.dump(_SAMPLE) == _write(_SAMPLE).encode()

    def _is_as_made(self, client: openai.AsyncOpenAI | openai.OpenAI) -> bool:
        """Whether nothing was set on a client, its HTTP client or the SDK that a request would have to heed."""
        steps = self._sdk.async_steps if isinstance(client, openai.AsyncOpenAI) else self._sdk.steps
        if self._settings(client.__dict__) != self._as_made or not steps.are_as_found():
            return False
        if not client.__dict__.keys() <= self._attributes:
            return False  # a step of the SDK's that is somebody's own on this client
        hooks = client._client.event_hooks
        return not hooks["request"] and not hooks["response"] and not self._logger.isEnabledFor(logging.DEBUG)

    def model_of(self, reply: RoutedResponse, cast_to: object, post_parser: Any = openai.NOT_GIVEN) -> Any:
        """The answer as the SDK hands it out; ``UNREAD``: it is out of the ordinary, and the SDK is to read it."""
        if reply.stream is not None or not 200 <= reply.status <= 299:
            return UNREAD
        try:
            data = OBJECT.decode(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return UNREAD
        model = self._models.of(cast_to)(data)
        if not isinstance(post_parser, openai.NotGiven):
            model = post_parser(model)
        if isinstance(model, openai.BaseModel):
            self._sdk.add_request_id(model, _request_id(reply.headers))
        return model

    def chunk_of(self, cast_to: object) -> Callable[[dict[str, Any]], Any]:
        """What makes a stream's chunk of its data."""
        return self._models.of(cast_to)


_Wishes = tuple[tuple[tuple[str, str], ...], float | None, str | None, bool]


def _wishes(
    client: openai.AsyncOpenAI | openai.OpenAI, headers: Mapping[str, Any], timeout: object, retries: object
) -> _Wishes | None:
    """What a request says besides its body: see :class:`RoutedRequest`. ``None``: it is not known here."""
    if type(retries) is not int or retries < 0:
        return None
    if isinstance(timeout, openai.NotGiven):
        timeout = client.timeout
    if type(timeout) is httpx2.Timeout:
        timeout = timeout.read  # as the HTTP client would have it
    if not (timeout is None or type(timeout) is float or type(timeout) is int):
        return None
    if not headers:
        return (), timeout, None, False
    if not _are_plain(headers):
        return None
    forwarded, on_break, helper = routed_headers(headers.items())
    return forwarded, timeout, on_break, helper


def _are_plain(headers: Mapping[str, Any]) -> bool:
    """Whether these headers can be taken as they are, and ask for nothing special."""
    names = {name.lower() for name in headers if type(name) is str and name.isascii()}
    texts = all(type(value) is str and value.isascii() for value in headers.values())
    return texts and len(names) == len(headers) and names.isdisjoint(_OTHERWISE)


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The reply's request id, as the SDK reads it from the headers."""
    found = None
    for name, value in headers:
        if name.lower() == _REQUEST_ID:
            if found is not None or not value.isascii():
                return reply_id(headers)
            found = value
    return reply_id(headers) if found is None else found.decode()
