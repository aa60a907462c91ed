"""What is handed out is the SDK's own: copies stay bound, closing closes nothing shared. And what is taken in."""

from __future__ import annotations

import asyncio
import copy
import threading
import time

import httpx2
import openai
import pydantic
import pytest

from _runtime.setting import MESSAGES, Held, ask, ask_stream, ask_sync, config, eventually, router_of, router_with_key
from lanewise import Router, RoutingError
from lanewise.scope import Scope
from lanewise.testing import Answer, FakeProvider

pytestmark = pytest.mark.anyio

HELLO = "Hello from gpt-a"


class Summary(pydantic.BaseModel):
    text: str


async def test_closing_a_client_closes_nothing_shared(provider: FakeProvider) -> None:
    """By ``close()``, by ``async with``, or of a copy."""
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            await scope.async_openai.close()
            async with scope.async_openai as client, client.with_options(timeout=5):
                await client.chat.completions.create(model="t", messages=MESSAGES)
            scope.openai.close()
            with scope.openai as sync:
                sync.chat.completions.create(model="t", messages=MESSAGES)
            async with router.http_client() as http:
                await http.aclose()
            assert not http.is_closed
            assert await ask(router) == ask_sync(router) == HELLO


async def _copies(scope: Scope) -> list[openai.AsyncOpenAI]:
    client = scope.async_openai
    return [
        client,
        copy.copy(client),
        client.copy(),
        client.with_options(max_retries=3, timeout=20),
        copy.copy(client.with_options(default_headers={"x-app": "1"})).copy(),
        client.with_options(http_client=httpx2.AsyncClient()),
    ]


async def test_copies_stay_bound_to_their_scope(provider: FakeProvider) -> None:
    """In any task or thread, whatever scope is the current one there."""
    router = router_of(provider)
    async with router:
        with router.scope() as bound:
            clients = await _copies(bound)
        with router.scope() as current:
            for client in clients:
                reply = await client.chat.completions.create(model="t", messages=MESSAGES)
                assert bound.call_for(reply).outcome == "answered"
            sync = copy.copy(bound.openai.with_options(timeout=9))
            thread = threading.Thread(target=lambda: sync.chat.completions.create(model="t", messages=MESSAGES))
            thread.start()
            thread.join()
        assert len(bound.calls) == len(clients) + 1
        assert current.calls == ()


async def test_all_that_the_sdk_offers_works(provider: FakeProvider) -> None:
    """Raw and streaming responses, the stream helper, parsing; each is found by its scope."""
    provider.script("gpt-a", Answer('{"text": "short"}'))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            completions = scope.async_openai.chat.completions
            raw = await completions.with_raw_response.create(model="t", messages=MESSAGES)
            assert raw.headers["x-lanewise-route"] == "first"
            assert raw.parse().choices[0].message.content
            async with completions.with_streaming_response.create(model="t", messages=MESSAGES) as response:
                assert b"short" in await response.read()
            async with completions.stream(model="t", messages=MESSAGES) as stream:
                final = await stream.get_final_completion()
            assert final.choices[0].message.content == '{"text": "short"}'
            parsed = await completions.parse(model="t", messages=MESSAGES, response_format=Summary)
            assert parsed.choices[0].message.parsed == Summary(text="short")
            assert scope.call_for(parsed) is scope.calls[-1]
            answer = await scope.async_openai.responses.create(model="t", input="Hello?")
            assert answer.output_text == '{"text": "short"}'
        assert [call.outcome for call in scope.calls] == ["answered"] * 5


# -- keys --------------------------------------------------------------------------------------------------------------


async def slow_key() -> str:
    await asyncio.sleep(0.001)
    return "key-1"


class Rotating:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        return f"key-{self.count}"


KEYS = {"text": "key-1", "plain": lambda: "key-1", "async": slow_key, "object": Rotating()}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
async def test_keys_may_be_functions(provider: FakeProvider, key: object) -> None:
    """Plain ones run in a thread, since they may block; async ones in the loop. Each attempt asks anew."""
    router = router_with_key(provider, key)
    async with router:
        assert await ask(router) == HELLO
    assert provider.journal[0].headers["authorization"] == "Bearer key-1"


async def test_a_key_function_that_hangs_is_bounded_by_the_attempt(provider: FakeProvider) -> None:
    """The next route answers; the function's silence is not the app's."""

    async def hangs() -> str:
        await asyncio.sleep(30)
        return "never"

    mapping = config(provider)
    mapping["providers"]["a"]["api_key"] = hangs  # type: ignore[index]
    mapping["routes"]["first"]["timeout"] = "200ms"  # type: ignore[index]
    router = Router.from_mapping(mapping)
    async with router:
        began = time.monotonic()
        assert await ask(router) == "Hello from gpt-b"
        assert time.monotonic() - began < 10


async def test_a_key_function_that_raises_tells_nothing(provider: FakeProvider) -> None:
    """What it says may hold a secret: only that it failed is told."""

    def broken() -> str:
        raise RuntimeError("the vault's password is hunter2")

    mapping = config(provider)
    mapping["tasks"] = {"t": {"primary": "first"}}
    mapping["providers"]["a"]["api_key"] = broken  # type: ignore[index]
    router = Router.from_mapping(mapping)
    async with router:
        with pytest.raises(RoutingError) as raised:
            await ask(router)
    told: BaseException | None = raised.value
    while told is not None:
        assert "hunter2" not in f"{told!r}"
        told = told.__cause__ or told.__context__


# -- HTTP clients of the app's -----------------------------------------------------------------------------------------


async def test_a_client_of_the_apps_is_used_and_stays_its_own(provider: FakeProvider) -> None:
    """As an instance: it belongs to the router's own thread, and is not closed with the router."""
    client = httpx2.AsyncClient(headers={"x-mine": "yes"})
    router = Router.from_mapping(config(provider), http_client=client)
    for _ in range(3):
        async with router:
            assert await ask(router) == await ask_stream(router) == HELLO
            assert ask_sync(router) == HELLO
    assert not client.is_closed
    assert all(received.headers["x-mine"] == "yes" for received in provider.journal)


async def test_a_function_makes_a_client_for_each_home(provider: FakeProvider) -> None:
    """And the router closes what it has had made."""
    made: list[httpx2.AsyncClient] = []

    def make() -> httpx2.AsyncClient:
        made.append(httpx2.AsyncClient())
        return made[-1]

    held = Held()
    router = Router.from_mapping(config(provider), http_client=make)
    async with router:
        assert await ask(router) == await ask_stream(router) == HELLO
        assert ask_sync(router) == HELLO
    assert len(made) == 2
    assert all(client.is_closed for client in made)
    await eventually(lambda: provider.open_connections == 0)
    held.again()


async def test_clients_may_be_given_by_provider(provider: FakeProvider) -> None:
    """The others keep the router's own way."""
    clients = {"b": lambda: httpx2.AsyncClient(headers={"x-b": "yes"})}
    router = Router.from_mapping(config(provider), http_client=clients)
    async with router:
        assert await ask(router) == HELLO
        with router.scope(start="equivalent") as scope:
            await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
    assert [received.headers.get("x-b") for received in provider.journal] == [None, "yes"]


async def test_a_client_that_the_parent_has_used_is_refused_after_a_fork(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on one connection would read each other's answers."""
    router = Router.from_mapping(config(provider), http_client=httpx2.AsyncClient())
    async with router:
        assert await ask(router) == HELLO
    monkeypatch.setattr("os.getpid", lambda: 1)
    async with router:
        with pytest.raises(RoutingError, match="hand in a function"):
            await ask(router)
    assert provider.request_count == 1
