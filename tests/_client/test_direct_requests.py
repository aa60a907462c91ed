"""Direct requests of a scope's SDK clients: the app gets, and providers are sent, what the SDK's own path gives."""

from __future__ import annotations

import copy
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FunctionType
from typing import Any, Final

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

from _client.both_ways import MESSAGES, MODEL, Summary, Use, chat, compare, each_client, embed, parse, respond, taking
from lanewise import Router
from lanewise.testing import (
    Answer,
    Body,
    FakeProvider,
    Html,
    JsonBody,
    Raw,
    Scripted,
    Silence,
    Status,
    ToolCall,
    TruncatedBody,
)
from router.driving import using

pytestmark = pytest.mark.anyio

MESSAGE: Final = {"role": "assistant", "content": "Grüße ☕"}
ODD_ANSWERS: Final[dict[str, Any]] = {
    "unknown fields": {
        "id": "1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {**MESSAGE, "mood": {"deep": [1, None]}}, "x": 1.5}
        ],
        "provider": "somebody",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.001},
    },
    "missing fields": {"choices": [{"finish_reason": "stop", "message": MESSAGE}]},
    "odd types": {
        "id": 7,
        "created": "soon",
        "model": "m",
        "choices": [
            {"index": "0", "finish_reason": "done", "message": MESSAGE, "logprobs": {"content": [{"token": 1}]}}
        ],
        "usage": {"prompt_tokens": "5", "completion_tokens": 2.0, "total_tokens": None},
        "service_tier": "unheard-of",
    },
    "names of pydantic's": {
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE, "model_fields_set": 1, "self": 2}],
        "model_config": {"a": 1},
        "_request_id": "mine",
    },
    "large numbers": {
        "created": 12345678901234567890123,
        "model": "m",
        "choices": [{"index": -0.0, "finish_reason": "stop", "message": MESSAGE, "score": 1e-300, "more": 0.1 + 0.2}],
    },
    "tool calls": {
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}},
                        {"id": "c", "type": "new", "new": {}},
                    ],
                },
            }
        ],
    },
}


@each_client
@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_an_answer_is_the_same_model(client: str, name: str) -> None:
    """Of whatever shape: the same classes, fields that are set, extra fields and values of each type."""
    await compare(client, JsonBody(ODD_ANSWERS[name], headers={"x-request-id": "req_1"}), chat())


ODD_BODIES: Final = {
    "a BOM": b"\xef\xbb\xbf" + json.dumps(ODD_ANSWERS["missing fields"]).encode(),
    "NaN": b'{"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop", "score": NaN}]}',
    "a lone surrogate": b'{"model": "m", "choices": [{"message": {"content": "\\ud83d"}, "finish_reason": "stop"}]}',
    "out of range": b'{"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop", "n": 1e999}]}',
    "keys twice": b'{"id": "a", "model": "m", "id": "b", "choices": [{"message": {"content": "x", "content": "y"}, '
    b'"finish_reason": "stop"}]}',
    "space around": b'\n\n  {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}  \n',
}


@each_client
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/vnd.api+json; charset=latin-1"]
)
@pytest.mark.parametrize("name", ODD_BODIES)
async def test_a_body_is_read_as_the_sdk_reads_it(client: str, name: str, content_type: str) -> None:
    """Also where it is JSON only to Python, and whatever it is called."""
    await compare(client, Body(ODD_BODIES[name], content_type), chat())


ANSWERS: Final[dict[str, tuple[Scripted | None, Use]]] = {
    "chat": (Answer("Fine."), chat()),
    "no request id": (Answer("Fine.", request_id=None), chat()),
    "an empty request id": (Answer("Fine.", request_id=""), chat()),
    "a tool call": (Answer(tool_calls=[ToolCall("look_up", '{"id": 7}')]), chat(tools=[])),
    "a refusal": (Answer(refusal="No."), chat()),
    "parsed": (Answer('{"title": "Parcel"}'), parse()),
    "parsed and refused": (Answer(refusal="No."), parse()),
    "too long to parse": (Answer('{"title": "Par', finish_reason="length"), parse()),
    "filtered": (Answer("", finish_reason="content_filter"), parse()),
    "a response": (Answer("Fine."), respond()),
    "a response, parsed": (
        Answer('{"title": "Parcel"}'),
        lambda client: client.responses.parse(model="summary", input="hi", text_format=Summary),
    ),
    "embeddings": (Answer(), embed()),
    "embeddings as numbers": (Answer(dimensions=4), embed(encoding_format="float")),
    "several embeddings": (Answer(), embed(input=["a", "b"], dimensions=8)),
}


@each_client
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_of_each_kind_is_the_same(client: str, name: str) -> None:
    """Of chat, responses and embeddings, with what the SDK makes of them after."""
    script, use = ANSWERS[name]
    await compare(client, script, use)


OPTIONS: Final[dict[str, tuple[dict[str, Any], bool]]] = {
    "a timeout": ({"timeout": 7}, True),
    "a timeout of httpx2": ({"timeout": httpx2.Timeout(3, read=6.5)}, True),
    "no timeout": ({"timeout": None}, True),
    "a timeout that is none": ({"timeout": "soon"}, False),
    "headers": ({"extra_headers": {"X-Team": "support", "x-other": "a,b", "Authorization": "Bearer mine"}}, True),
    "an accept header": ({"extra_headers": {"Accept": "text/plain", "Cookie": "a=b"}}, True),
    "a header twice": ({"extra_headers": {"X-Team": "a", "x-team": "b"}}, False),
    "a header that is left out": ({"extra_headers": {"X-Team": openai.omit, "Authorization": openai.omit}}, False),
    "a header in another language": ({"extra_headers": {"X-Team": "Grüße"}}, False),
    "a header that is no text": ({"extra_headers": {"X-Team": 7}}, False),
    "a content type": ({"extra_headers": {"Content-Type": "application/json"}}, False),
    "a wish for breaks": ({"extra_headers": {"x-lanewise-on-break": "error"}}, True),
    "a wrong wish for breaks": ({"extra_headers": {"X-Lanewise-On-Break": "dance"}}, True),
    "no headers": ({"extra_headers": {}}, True),
    "a query": ({"extra_query": {"tier": "flex", "list": ["a", "b"]}}, False),
    "no query": ({"extra_query": {}}, False),
    "a body": ({"extra_body": {"top_k": 7, "messages": [{"role": "user", "content": "other"}]}}, True),
    "a body that leaves out": ({"extra_body": {"temperature": openai.omit}, "temperature": 0.5}, True),
    "nothing given": ({"temperature": openai.NOT_GIVEN, "stop": openai.omit, "user": None}, True),
    "a body that asks for a stream": ({"extra_body": {"stream": True}}, True),
    "something that is no JSON": ({"extra_body": {"x": object()}}, True),
    "something that is no number": ({"temperature": float("nan")}, True),
    "a task that there is not": ({"model": "no-such-task"}, True),
}


@each_client
@pytest.mark.parametrize("name", OPTIONS)
async def test_what_a_call_asks_for_comes_to_the_same(client: str, name: str) -> None:
    """Upstream and in the answer, or as an error."""
    options, short = OPTIONS[name]
    await compare(client, Answer("Fine."), chat(**options), short=short)


def with_options(**options: Any) -> Use:
    return lambda client: chat()(client.with_options(**options))


def changed(**settings: Any) -> Use:
    def use(client: Any) -> Any:
        for name, value in settings.items():
            setattr(client, name, value)
        return chat()(client)

    return use


def hooked(client: Any) -> Any:
    hooks = client._client.event_hooks
    if isinstance(client, openai.AsyncOpenAI):

        async def hook(request: Any) -> None: ...

        client._client.event_hooks = {**hooks, "request": [hook]}
    else:
        client._client.event_hooks = {**hooks, "request": [lambda request: None]}
    return chat()(client)


def of_a_subclass(client: Any) -> Any:
    class Own(type(client)):  # type: ignore[misc]
        pass

    client.__class__ = Own
    return chat()(client)


def post(**options: Any) -> Use:
    body = {"model": "summary", "messages": MESSAGES}
    return lambda client: client.post("/chat/completions", **{"cast_to": ChatCompletion, "body": body, **options})


CLIENTS: Final[dict[str, tuple[Use, bool]]] = {
    "with a timeout": (with_options(timeout=6), True),
    "with retries": (with_options(max_retries=3), True),
    "a copy": (lambda client: chat()(client.copy()), True),
    "a copy of Python's": (lambda client: chat()(copy.copy(client)), True),
    "with a base URL": (with_options(base_url="https://elsewhere.invalid/v2"), False),
    "with a query": (with_options(default_query={"a": "b"}), False),
    "with headers": (with_options(default_headers={"X-Team": "support"}), False),
    "with another key": (with_options(api_key="mine"), False),
    "with an HTTP client": (lambda client: with_options(http_client=client._client)(client), False),
    "a timeout that was set": (changed(timeout=5), True),
    "retries that were set": (changed(max_retries=2), True),
    "retries that are none": (changed(max_retries=None), False),
    "retries below zero": (changed(max_retries=-1), False),
    "a key that was set": (changed(api_key=""), False),
    "strict validation": (changed(_strict_response_validation=True), False),
    "hooks": (hooked, False),
    "a subclass": (of_a_subclass, False),
    "raw": (lambda client: client.chat.completions.with_raw_response.create(model="summary", messages=MESSAGES), False),
    "post": (post(), True),
    "post for an object": (post(cast_to=object), False),
    "post for a dict": (post(cast_to=dict[str, Any]), False),
    "post for text": (post(cast_to=str), False),
    "post for bytes": (post(cast_to=httpx2.Response), False),
    "post with options": (post(options={"idempotency_key": "mine", "max_retries": 1, "timeout": 5}), True),
    "post of content": (post(body=None, content=b'{"model": "summary", "messages": []}'), False),
    "post of nothing": (post(body=None), False),
    "post of a list": (post(body=[1]), False),
    "a list": (lambda client: client.get("/models", cast_to=object), False),
}


@each_client
@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_of_any_make_gives_the_same(client: str, name: str) -> None:
    """What a direct request does not know goes by the SDK's own path."""
    use, short = CLIENTS[name]

    def of_raw(result: Any) -> Any:
        return result.parse() if hasattr(result, "http_response") else result

    if client == "sync":
        await compare(client, Answer("Fine."), lambda made: of_raw(use(made)), short=short)
    else:

        async def used(made: Any) -> Any:
            return of_raw(await use(made))

        await compare(client, Answer("Fine."), used, short=short)


ERRORS: Final[dict[str, Scripted]] = {
    "400": Status(400, error={"message": "no", "code": "bad", "param": "x", "type": "invalid_request_error"}),
    "401": Status(401),
    "404": Status(404),
    "422": Status(422, error={"message": "no"}),
    "429": Status(429, retry_after=30),
    "500": Status(500),
    "503 with a page": Html(status=503),
    "a page": Html(),
    "no JSON": Body("so what"),
    "an error in an answer": JsonBody({"error": {"message": "overloaded", "code": "overloaded"}}),
    "nothing": Body(""),
    "cut": TruncatedBody(),
    "not HTTP": Raw("nonsense\r\n\r\n"),
}


@each_client
@pytest.mark.parametrize("use", [chat(), chat(stream=True)], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_is_the_same(client: str, name: str, use: Use) -> None:
    """Its classes, its text, its response, body and request id."""
    await compare(client, ERRORS[name], use)


@each_client
async def test_a_time_out_is_the_same(client: str) -> None:
    """It ends at the same time by the same error."""
    await compare(client, Silence(), chat(timeout=1.1))


# -- when no request is direct -----------------------------------------------------------------------------------


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Answers everything."""
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def router(provider: FakeProvider) -> Router:
    """One route."""
    return Router.from_mapping(
        {
            "providers": {"first": {"base_url": provider.base_url}},
            "routes": {"flagship": {"provider": "first", "model": MODEL}},
            "tasks": {"summary": {"primary": "flagship"}},
        }
    )


@each_client
async def test_a_step_of_the_sdk_that_somebody_replaced_is_taken(
    router: Router, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    """Whatever method of the SDK's client a call runs through: tracers and test tools put their own in its place."""
    kind: Any = openai.AsyncOpenAI if client == "async" else openai.OpenAI
    called = set()
    for name in _methods_of(kind):
        plain = kind(base_url=provider.base_url, api_key="k")
        if await _is_called(name, kind, monkeypatch, lambda plain=plain: chat()(plain)):
            called.add(name)
        closing = plain.close()
        if closing is not None:
            await closing
    assert called >= {"post", "request", "_build_request", "_build_headers", "default_headers", "_process_response"}
    passed_by = []
    async with router:
        await using(router.scope(), client, chat())
        for name in sorted(called - {"_prepare_url", "base_url"}):  # the URL is the route's
            if not await _is_called(name, kind, monkeypatch, lambda: using(router.scope(), client, chat())):
                passed_by.append(name)
    assert not passed_by, " ".join(passed_by)


def _methods_of(kind: type) -> list[str]:
    """Methods and properties that a client has of the SDK."""
    own = {name for each in kind.__mro__ if each.__module__.startswith("openai.") for name in vars(each)}
    return sorted(
        name
        for name in own
        if isinstance(inspect.getattr_static(kind, name), FunctionType | property) and "__" not in name
    )


async def _is_called(name: str, kind: Any, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> bool:
    """Whether a call runs through what somebody has put in the place of a method."""
    original = getattr(kind, name)
    called = False

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal called
        called = True
        return (original.fget if isinstance(original, property) else original)(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, property(noted) if isinstance(original, property) else noted)
        answered = call()
        if inspect.isawaitable(answered):
            await answered
    return called


async def test_the_sdks_log_is_as_it_was(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks for the SDK's debug lines gets them."""
    async with router:
        with caplog.at_level(logging.DEBUG, "openai._base_client"):
            await chat()(router.scope().async_openai)
    assert any(
        "HTTP Response" in record.getMessage() for record in caplog.records if record.name == "openai._base_client"
    )


@pytest.mark.parametrize("way", ["short", "request", "long"])
@pytest.mark.parametrize("client", ["async", "sync"])
@pytest.mark.parametrize("stream", [False, True])
async def test_both_ways_lead_through_the_one_place_that_reads_the_marks(
    router: Router, monkeypatch: pytest.MonkeyPatch, way: str, client: str, stream: bool
) -> None:
    """Where it fails, nothing reaches a transport by either."""
    took = taking(monkeypatch, way)
    async with router:
        scope = router.scope()
        sent: list[object] = []
        monkeypatch.setattr(
            "lanewise._transport.aiohttp_transport.AiohttpTransport.send", lambda *given, **_: sent.append(given)
        )

        def fail(*_: object) -> None:
            raise LookupError("the marks can't be read")

        monkeypatch.setattr("lanewise._client.router_scopes.caller_of", fail)
        with pytest.raises(LookupError, match="the marks can't be read"):
            await using(scope, client, chat(stream=stream))
    assert sent == []
    assert (took.short, took.long) == ((0, 1) if way == "long" else (1, 0))
    assert took.created == (way == "short" and not stream)


@each_client
@pytest.mark.parametrize("use", [chat, respond, embed])
@pytest.mark.parametrize("timeout", ["3", timedelta(seconds=3), openai.omit], ids=["text", "timedelta", "omit"])
async def test_a_timeout_that_is_no_number_is_a_type_error(
    router: Router, provider: FakeProvider, client: str, use: Any, timeout: object
) -> None:
    """As by the plain SDK, but before anything is sent, and in words that say what it takes."""
    async with router:
        with pytest.raises(TypeError, match="timeout= takes seconds"):
            await using(router.scope(), client, use(timeout=timeout))
    assert provider.request_count == 0
