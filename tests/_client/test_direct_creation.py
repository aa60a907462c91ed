"""``create()`` for plain JSON: what the SDK's own would send and give, and the SDK's own for all else."""

from __future__ import annotations

import contextlib
import decimal
import enum
import inspect
import random
from collections import ChainMap, OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, TypedDict

import openai
import pytest
from openai._utils import PropertyInfo
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses
from openai.types.chat import ChatCompletionMessage

from _client.both_ways import MESSAGES, MODEL, Summary, Use, chat, compare, each_client, outcome, respond
from lanewise import Router
from lanewise._compat.openai_sdk import creation_of
from lanewise.testing import Answer, FakeProvider
from router.driving import using

pytestmark = pytest.mark.anyio


class Effort(enum.StrEnum):
    """Is a text."""

    LOW = "low"


class Level(enum.IntEnum):
    """Is a number."""

    HIGH = 3


class Doubled(list[Any]):
    """Has more when it is gone through than it holds."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from super().__iter__()


class Changed(dict[str, Any]):
    """Shows other items than it holds."""

    def items(self) -> Any:
        return [("role", "user"), ("content", "Changed.")]


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
MESSAGE: Final = MESSAGES[0]
ARGUMENTS: Final[dict[str, tuple[Callable[[], dict[str, Any]], bool]]] = {
    "all kinds of JSON": (lambda: {"metadata": {"a": "ü\u2028", "b": None, "c": [1, 2.5, True, {}]}}, True),
    "large numbers": (lambda: {"seed": 10**30, "temperature": 1e-300, "top_p": 0.1 + 0.2}, True),
    "not a stream": (lambda: {"stream": False}, True),
    "no stream": (lambda: {"stream": None}, True),
    "left out": (lambda: {"stream": openai.omit, "n": openai.NOT_GIVEN, "user": openai.omit}, True),
    "tools": (lambda: {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False}, True),
    "parts": (lambda: {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, True),
    "unknown keys": (lambda: {"messages": [{**MESSAGE, "mood": {"deep": [None]}}]}, True),
    "tuples": (lambda: {"messages": tuple(MESSAGES), "stop": ("a", "b")}, True),
    "keys that are no text": (lambda: {"logit_bias": {50256: -100, 1.5: 2, True: 3, None: 4}}, True),
    "enums": (lambda: {"reasoning_effort": Effort.LOW, "seed": Level.HIGH}, True),
    "other kinds of dict": (lambda: {"messages": [OrderedDict(MESSAGE)], "metadata": OrderedDict(b=1, a=2)}, True),
    "a list of its own kind": (lambda: {"messages": Doubled(MESSAGES)}, True),
    "a dict of its own kind": (lambda: {"messages": [Changed(MESSAGE)]}, True),
    "a format": (lambda: {"response_format": {"type": "text"}}, True),
    "no messages": (lambda: {"messages": []}, True),
    "messages left out": (lambda: {"messages": openai.omit}, True),
    "a body": (lambda: {"extra_body": {"top_k": 1, "min_p": openai.omit, "stop": [None]}, "seed": 5}, True),
    "a body in place of an argument": (lambda: {"extra_body": {"seed": openai.omit}, "seed": 5}, False),
    "a body in place of a wrong argument": (
        lambda: {"extra_body": {"response_format": {"type": "text"}}, "response_format": Summary},
        False,
    ),
    "nothing extra": (
        lambda: {"extra_headers": {}, "extra_body": {}, "extra_query": None, "timeout": openai.NOT_GIVEN},
        True,
    ),
    "a body with something left out": (lambda: {"extra_body": {"a": {"b": openai.omit}}}, False),
    "a body of another kind": (lambda: {"extra_body": MappingProxyType({"a": 1})}, False),
    "headers of another kind": (lambda: {"extra_headers": MappingProxyType({"X-Team": "a"})}, False),
    "a generator": (lambda: {"messages": (each for each in MESSAGES)}, False),
    "an iterator": (lambda: {"tools": iter([TOOL])}, False),
    "a deque": (lambda: {"messages": deque(MESSAGES)}, False),
    "a mapping": (lambda: {"messages": [UserDict(MESSAGE)]}, False),
    "several mappings": (lambda: {"metadata": ChainMap({"a": "b"}, {"c": "d"})}, False),
    "a range": (lambda: {"stop": range(3)}, False),
    "left out within": (lambda: {"messages": [{**MESSAGE, "name": openai.omit}]}, False),
    "an answer's message": (
        lambda: {"messages": [*MESSAGES, ChatCompletionMessage(role="assistant", content="Yes.")]},
        False,
    ),
    "a model as a format": (lambda: {"response_format": Summary}, False),
    "a model of the app's": (lambda: {"metadata": Summary(title="x")}, False),
    "a moment": (lambda: {"metadata": {"at": datetime(2026, 1, 1, tzinfo=UTC)}}, False),
    "bytes": (lambda: {"user": b"x"}, False),
    "a set": (lambda: {"stop": {"a"}}, False),
    "a number that JSON has not": (lambda: {"temperature": decimal.Decimal("0.5")}, False),
    "no number": (lambda: {"temperature": float("nan")}, False),
    "half a character": (lambda: {"user": "\ud83d"}, False),
    "a circle": (lambda: {"stop": circle()}, False),
    "an unknown argument": (lambda: {"temprature": 1}, False),
}


@each_client
@pytest.mark.parametrize("name", ARGUMENTS)
async def test_arguments_come_to_the_same(client: str, name: str) -> None:
    """What is JSON is sent as the SDK sends it; all else is gone through by the SDK, and refused as by it."""
    make, created = ARGUMENTS[name]
    await compare(client, Answer("Fine."), lambda made: chat(**make())(made), short=None)
    *_, took = await outcome("short", client, Answer("Fine."), lambda made: chat(**make())(made), {})  # type: ignore[misc]
    assert (took.created > 0) is created


RESPONSES: Final[dict[str, tuple[dict[str, Any], bool]]] = {
    "a text": ({}, True),
    "items": ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, True),
    "instructions": ({"instructions": "Be brief.", "max_output_tokens": 50, "metadata": {"a": "b"}}, True),
    "stored": ({"store": True, "previous_response_id": None}, True),
    "a model": ({"input": [ChatCompletionMessage(role="assistant", content="Yes.")]}, False),
    "a query": ({"extra_query": {"a": "b"}}, False),
    "a stream": ({"stream": True}, False),
}


@each_client
@pytest.mark.parametrize("name", RESPONSES)
async def test_a_response_comes_to_the_same(client: str, name: str) -> None:
    """As chat."""
    options, created = RESPONSES[name]
    await compare(client, Answer("Fine."), respond(**options), short=None)
    *_, took = await outcome("short", client, Answer("Fine."), respond(**options), {})  # type: ignore[misc]
    assert (took.created > 0) is created


@each_client
@pytest.mark.parametrize("seed", range(5))
async def test_generated_arguments_come_to_the_same(client: str, seed: int) -> None:
    """Any JSON in any argument, as the SDK's own would send it."""
    chance = random.Random(seed)
    names = list(inspect.signature(Completions.create).parameters)[1:]
    taken = [name for name in names if name not in NOT_GENERATED]
    given = {name: value_of(chance, 3) for name in chance.sample(taken, 9)}
    await compare(client, Answer("Fine."), chat(**given), short=None)


NOT_GENERATED: Final = frozenset(
    {"model", "messages", "stream", "extra_headers", "extra_query", "timeout", "extra_body"}
)
"""``extra_body`` could say that it is a stream."""


def value_of(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [value_of(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        keys = ("type", "content", "role", "function", "name", "größe", "text")
        return {chance.choice(keys): value_of(chance, depth - 1) for _ in range(chance.randrange(4))}
    return (None, True, chance.randrange(-(10**12), 10**12), chance.uniform(-1e9, 1e9), "text", '"\\/\x7f\u2028é')[kind]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda client: client.chat.completions.create(),
        lambda client: client.chat.completions.create(model="summary"),
        lambda client: client.chat.completions.create("summary"),
        lambda client: client.responses.create("hi"),
        lambda client: client.responses.create(model="summary", inputs="hi"),
    ],
    ids=["nothing", "no messages", "by position", "a response by position", "an unknown argument"],
)
@each_client
async def test_a_wrong_call_is_refused_as_by_the_sdk(client: str, wrong: Use) -> None:
    """By its own words, at the same time: before anything is awaited where it is so."""
    await compare(client, Answer("Fine."), wrong, short=False)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Where the one route goes."""
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
@pytest.mark.parametrize("place", ["create", "post"])
async def test_a_method_of_the_sdk_that_somebody_replaced_is_called(
    router: Router, monkeypatch: pytest.MonkeyPatch, client: str, place: str
) -> None:
    """Tracers put their own in the place of ``create``, before or after the first call of a router."""
    sdk: Any = openai.AsyncOpenAI if client == "async" else openai.OpenAI
    owner = sdk if place == "post" else (AsyncCompletions if client == "async" else Completions)
    original = getattr(owner, place)
    called: list[object] = []

    def traced(self: Any, *arguments: Any, **options: Any) -> Any:
        called.append(options.get("messages", options.get("body")))
        return original(self, *arguments, **options)

    async with router:
        await using(router.scope(), client, chat())
        assert called == []
        monkeypatch.setattr(owner, place, traced)
        await using(router.scope(), client, chat())
    assert len(called) == 1
    async with Router(router.config) as another:
        await using(another.scope(), client, chat())
    assert len(called) == 2


class Proxy:
    """A tracer's wrapper as wrapt makes it: equal to what it wraps, and says that it is the same kind of thing."""

    def __init__(self, wrapped: Any, called: list[str], bound: Any = None) -> None:
        self.__wrapped__ = wrapped
        self._called = called
        self._bound = bound

    @property
    def __class__(self) -> Any:
        return type(self.__wrapped__)

    @property
    def __code__(self) -> Any:
        return self.__wrapped__.__code__

    @property
    def __func__(self) -> Any:
        return self.__wrapped__.__func__

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __get__(self, instance: Any, owner: type) -> Any:
        return Proxy(self.__wrapped__.__get__(instance, owner), self._called)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._called.append(self.__wrapped__.__name__)
        return self.__wrapped__(*arguments, **options)


@each_client
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("place", ["create", "post", "request", "_send_request", "_prepare_options"])
async def test_a_proxy_of_a_tracer_is_called_once(
    router: Router, monkeypatch: pytest.MonkeyPatch, client: str, place: str, early: bool
) -> None:
    """Put in before or after a router's first call; nobody tries out a method with made-up arguments through it."""
    sdk: Any = openai.AsyncOpenAI if client == "async" else openai.OpenAI
    owner = sdk if place != "create" else (AsyncCompletions if client == "async" else Completions)
    called: list[str] = []
    async with router:
        if not early:
            await using(router.scope(), client, chat())
        monkeypatch.setattr(owner, place, Proxy(getattr(owner, place), called))
        await using(router.scope(), client, chat())
    assert called == [place]


class Mocked:
    """In the place of a resource, or of what one makes."""

    def __init__(self, *_: object) -> None:
        pass

    @property
    def completions(self) -> Mocked:
        return self

    def create(self, **_: object) -> Any:
        return Answered()


class Answered:
    """A mocked answer, awaited or not."""

    def __await__(self) -> Iterator[Any]:
        yield from ()
        return self


@each_client
@pytest.mark.parametrize("place", ["chat", "completions", "responses", "a resource's class"])
async def test_a_mocked_resource_is_what_answers(
    router: Router, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, client: str, place: str
) -> None:
    """As with the SDK's own clients: nothing is sent."""
    sdk: Any = openai.AsyncOpenAI if client == "async" else openai.OpenAI
    chats: Any = openai.resources.chat.AsyncChat if client == "async" else openai.resources.chat.Chat
    if place == "a resource's class":
        monkeypatch.setattr("openai.resources.chat.chat." + ("Async" * (client == "async")) + "Completions", Mocked)
    else:
        monkeypatch.setattr(chats if place == "completions" else sdk, place, Mocked())
    async with router:
        got = await using(router.scope(), client, respond() if place == "responses" else chat())
    assert isinstance(got, Answered)
    assert provider.request_count == 0


@each_client
async def test_a_resource_may_be_set_of_a_client(router: Router, provider: FakeProvider, client: str) -> None:
    """As tests do."""

    def use(made: Any) -> Any:
        made.chat = Mocked()
        return chat()(made)

    async with router:
        assert isinstance(await using(router.scope(), client, use), Answered)
    assert provider.request_count == 0


@each_client
@pytest.mark.parametrize("step", ["_prepare_request", "_build_request"])
async def test_a_step_that_is_replaced_loses_no_marks(provider: FakeProvider, client: str, step: str) -> None:
    """A request of the long way belongs to its client's scope, or is not sent at all."""
    with FakeProvider() as other:
        config = {
            "providers": {"first": {"base_url": provider.base_url}, "second": {"base_url": other.base_url}},
            "routes": {"approved": {"provider": "first", "model": MODEL}, "mini": {"provider": "second", "model": "m"}},
            "tasks": {"summary": {"primary": "mini", "equivalent": "approved"}},
            "sensitive": {"payment": {"routes": ["approved"]}},
        }

        def use(made: Any) -> Any:
            if step == "_build_request":
                own: Any = type(made).__mro__[1]._build_request  # the SDK's
                setattr(made, step, lambda *arguments, **options: own(made, *arguments, **options))
            else:
                setattr(made, step, prepared)
            return chat(extra_query={"a": "b"})(made)

        async def nothing() -> None:
            pass

        def prepared(_: object) -> Any:
            return nothing() if client == "async" else None

        async with Router.from_mapping(config) as router:
            with contextlib.suppress(openai.OpenAIError):
                await using(router.scope(sensitive="payment"), client, use)
        assert other.request_count == 0
        assert provider.request_count == (step == "_prepare_request")


@each_client
async def test_a_create_of_the_sdks_own_makes_is_the_same(client: str) -> None:
    """Of the beta's chat, which has its own resources."""
    await compare(
        client,
        Answer("Fine."),
        lambda made: made.beta.chat.completions.create(model="summary", messages=MESSAGES),
    )


async def test_what_is_changed_before_it_is_awaited_is_sent(router: Router, provider: FakeProvider) -> None:
    """As the SDK goes through its arguments only then."""
    async with router:
        scope = router.scope()
        messages: list[Any] = [MESSAGE]
        waiting = scope.async_openai.chat.completions.create(model="summary", messages=messages)
        messages.append({"role": "user", "content": "One thing more."})
        await waiting
    assert [each.json["messages"] for each in provider.journal] == [messages]


@each_client
@pytest.mark.parametrize("place", ["request", "post"])
async def test_a_method_that_was_set_of_a_client_is_called(router: Router, client: str, place: str) -> None:
    """Also where it was set after the client's first call."""
    called: list[object] = []

    def use(made: Any) -> Any:
        original = getattr(made, place)

        def own(*arguments: Any, **options: Any) -> Any:
            called.append(arguments)
            return original(*arguments, **options)

        setattr(made, place, own)
        return chat()(made)

    async with router:
        await using(router.scope(), client, use)
    assert len(called) == 1


@pytest.mark.parametrize("path", ["chat.completions", "responses"])
@pytest.mark.parametrize("sdk", [openai.AsyncOpenAI, openai.OpenAI])
async def test_create_looks_like_the_sdks(router: Router, path: str, sdk: Any) -> None:
    """To who asks for its arguments, its words, or whether it is a coroutine's."""
    async with router:
        scope = router.scope()
        ours, theirs = scope.async_openai if sdk is openai.AsyncOpenAI else scope.openai, sdk(api_key="key")
        for name in path.split("."):
            ours, theirs = getattr(ours, name), getattr(theirs, name)
        assert isinstance(ours, type(theirs))
        assert inspect.signature(ours.create) == inspect.signature(theirs.create)
        assert inspect.iscoroutinefunction(ours.create) == inspect.iscoroutinefunction(theirs.create)
        assert (ours.create.__name__, ours.create.__doc__) == (theirs.create.__name__, theirs.create.__doc__)
        assert type(ours.with_raw_response) is type(theirs.with_raw_response)


# -- a create() that is not known ------------------------------------------------------------------------------------


class Renamed(TypedDict, total=False):
    """JSON in which one key is called otherwise."""

    metadata: list[Annotated[dict[str, str], "kept"]]
    deep: Annotated[list[Inner], PropertyInfo(format="iso8601")]


class Inner(TypedDict, total=False):
    """Within it."""

    in_words: Annotated[str, PropertyInfo(alias="inWords")]


@pytest.mark.parametrize("resource", [AsyncCompletions, Completions, AsyncResponses, Responses])
async def test_what_a_create_of_the_sdk_does_is_known(resource: Any) -> None:
    """Of each that is answered in its place, in the version that is installed."""
    sdk = openai.AsyncOpenAI if resource in (AsyncCompletions, AsyncResponses) else openai.OpenAI
    found = creation_of(resource, sdk)
    assert found is not None
    assert {"model", "temperature", "stream"} <= set(found.fields)


async def test_a_create_that_gives_keys_other_names_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep within its arguments."""
    params = "openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming"
    monkeypatch.setattr(params, Renamed)
    assert creation_of(Completions, openai.OpenAI) is None


@pytest.mark.parametrize("resource", [AsyncCompletions, Completions, AsyncResponses, Responses])
async def test_a_create_that_does_more_is_left_to_the_sdk(resource: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning before it posts, say, which nothing that is posted tells of."""
    sdk = openai.AsyncOpenAI if resource in (AsyncCompletions, AsyncResponses) else openai.OpenAI
    own = inspect.unwrap(resource.create)
    code = own.__code__
    assert creation_of(resource, sdk) is not None
    monkeypatch.setattr(own, "__code__", code.replace(co_names=(*code.co_names, "warnings")))
    assert creation_of(resource, sdk) is None


@pytest.mark.parametrize("change", ["a key more", "another option", "another name", "another value", "posted twice"])
async def test_a_create_that_sends_something_else_is_left_to_the_sdk(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Than its arguments, each under its own name."""
    resource_init = Completions.__init__

    def init(self: Completions, client: Any) -> None:
        resource_init(self, client)
        posted = client.post

        def post(path: str, *, body: Any, options: Any, **rest: Any) -> Any:
            if change == "a key more":
                body = {**body, "source": "python"}
            elif change == "another option":
                options = {**options, "idempotency_key": "x"}
            elif change == "another name":
                body = {("max_output" if name == "max_tokens" else name): value for name, value in body.items()}
            elif change == "another value":
                body = {**body, "user": str(body["user"])}
            else:
                posted(path, body=body, options=options, **rest)
            return posted(path, body=body, options=options, **rest)

        self._post = post  # type: ignore[assignment]

    assert creation_of(Completions, openai.OpenAI) is not None
    monkeypatch.setattr(Completions, "__init__", init)
    assert creation_of(Completions, openai.OpenAI) is None
