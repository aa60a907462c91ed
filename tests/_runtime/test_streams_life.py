"""The life of a stream: slow readers, early leavers, forgotten streams, and the connection after a good end."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import anyio.to_thread
import openai
import pytest

from _runtime.setting import MESSAGES, ask_stream, ask_stream_sync, config, eventually, router_of
from busy_machine import LONG_ENOUGH
from lanewise import CallerGone, Router, StreamBroken
from lanewise._runtime.call.streams.stream_outcome import StreamOutcome
from lanewise.scope import Scope, state_of
from lanewise.testing import FakeProvider, StreamOf

ENDLESS = StreamOf(chunks=("word ",) * 10_000, interval=0.005)


def stream_of(scope: Scope) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    return scope.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)


async def async_stream_of(scope: Scope) -> openai.AsyncStream[openai.types.chat.ChatCompletionChunk]:
    return await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)


def with_stall(provider: FakeProvider, stall: str, maximum: str = "10m") -> Router:
    route = {"provider": "a", "model": "gpt-a", "stall": stall}
    return Router.from_mapping(
        {
            "providers": {"a": {"base_url": provider.base_url}},
            "routes": {"first": route},
            "tasks": {"t": {"primary": "first", "stream": {"max": maximum}}},
        }
    )


# -- connections are used again ----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_twenty_streams_take_one_connection(provider: FakeProvider) -> None:
    """Each is read to its clean end after ``[DONE]``."""
    router = router_of(provider)
    async with router:
        for _ in range(20):
            assert await ask_stream(router) == "Hello from gpt-a"
        assert provider.connections == 1


def test_twenty_streams_of_a_thread_take_one_connection(provider: FakeProvider) -> None:
    """Also through the portal, and over a provider that ends a moment after ``[DONE]``."""
    provider.script_all(StreamOf(split=40))
    router = router_of(provider)
    with router:
        for _ in range(20):
            assert ask_stream_sync(router) == "Hello from the stream"
        assert provider.connections == 1


@pytest.mark.anyio
async def test_a_provider_that_never_ends_its_response_holds_nothing_up(provider: FakeProvider) -> None:
    """After ``[DONE]`` the answer is whole: its end is waited for a tenth of a second, then the connection goes."""
    provider.script_all(StreamOf(never_ends=True))
    mapping: Any = config(provider, deadline="60s")
    for route in mapping["routes"].values():
        route.update(timeout="50s", stall="50s")
    async with Router.from_mapping(mapping) as router:
        began = time.monotonic()
        assert await ask_stream(router) == "Hello from the stream"
        assert await anyio.to_thread.run_sync(ask_stream_sync, router) == "Hello from the stream"
        assert time.monotonic() - began < 30
        await eventually(lambda: provider.open_connections == 0)


# -- slow readers ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_slow_reader_is_no_stall(provider: FakeProvider) -> None:
    """The app's own pauses, longer than ``stall``, are not the provider's silence."""
    provider.script_all(StreamOf(interval=0.03, chunks=("a", "b", "c", "d")))
    router = with_stall(provider, "2s")
    async with router:
        with router.scope() as scope:
            text = ""
            async for chunk in await async_stream_of(scope):
                if chunk.choices:
                    text += chunk.choices[0].delta.content or ""
                    await asyncio.sleep(2.5 if text == "a" else 0.01)
    assert text == "abcd"
    assert scope.calls[0].outcome == "answered"


def test_a_slow_thread_is_no_stall(provider: FakeProvider) -> None:
    """Neither where more has come than the router reads ahead."""
    provider.script_all(StreamOf(chunks=("x" * 200_000,) * 6))
    router = with_stall(provider, "2s")
    with router, router.scope() as scope:
        size = 0
        for chunk in stream_of(scope):
            if chunk.choices:
                size += len(chunk.choices[0].delta.content or "")
                time.sleep(2.5 if size == 200_000 else 0.01)
    assert size == 1_200_000
    assert scope.calls[0].outcome == "answered"


@pytest.mark.anyio
async def test_a_provider_that_stalls_is_told_from_a_slow_reader(provider: FakeProvider) -> None:
    """Silence for ``stall`` while the app waits breaks the stream."""
    provider.script_all(StreamOf(stall_after=2))
    router = with_stall(provider, "1s")
    async with router:
        with router.scope() as scope, pytest.raises(StreamBroken):
            await _read_all(await async_stream_of(scope))
        await eventually(lambda: provider.open_connections == 0)
    assert scope.calls[0].outcome == "failed"


async def _read_all(stream: openai.AsyncStream[openai.types.chat.ChatCompletionChunk]) -> None:
    async for _ in stream:
        pass


# -- early leavers -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("leave", ["close", "async with", "context manager of the response"])
async def test_leaving_early_closes_the_exchange(provider: FakeProvider, leave: str) -> None:
    """By whatever the SDK offers for that; the call is recorded as cancelled."""
    provider.script_all(ENDLESS)
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            if leave == "close":
                stream = await async_stream_of(scope)
                await anext(stream)
                await stream.close()
            elif leave == "async with":
                async with await async_stream_of(scope) as stream:
                    async for _ in stream:
                        break
            else:
                completions = scope.async_openai.chat.completions.with_streaming_response
                async with completions.create(model="t", messages=MESSAGES, stream=True) as response:
                    async for _ in response.iter_lines():
                        break
            assert scope.calls[0].outcome == "cancelled"
            assert scope.calls[0].attempts[0].failure == "cancelled"
        await eventually(lambda: provider.open_connections == 0)


@pytest.mark.parametrize("leave", ["close", "with", "break"])
def test_a_thread_that_leaves_early_closes_the_exchange(provider: FakeProvider, leave: str) -> None:
    """As soon as it says so; where it lets go of the stream, in the router's own thread a moment later."""
    provider.script_all(ENDLESS)
    router = router_of(provider)
    ended = threading.Event()
    router.on_call(lambda call: ended.set())
    with router, router.scope() as scope:
        stream = stream_of(scope)
        if leave == "close":
            next(stream)
            stream.close()
        elif leave == "with":
            with stream:
                next(stream)
        else:
            for _ in stream:
                break
            del stream
            gc.collect()
            assert ended.wait(LONG_ENOUGH)
        assert scope.calls[0].outcome == "cancelled"
        provider.wait_until(lambda: provider.open_connections == 0)


@pytest.mark.anyio
async def test_a_stream_that_was_never_read_is_closed_when_it_is_let_go_of(provider: FakeProvider) -> None:
    """The SDK does nothing for it: its generator has not begun."""
    provider.script_all(ENDLESS)
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            await async_stream_of(scope)
            await anyio.to_thread.run_sync(lambda: stream_of(scope) and None)
            gc.collect()
            await eventually(lambda: provider.open_connections == 0)
            await eventually(lambda: [call.outcome for call in scope.calls] == ["cancelled"] * 2)


@pytest.mark.anyio
@pytest.mark.parametrize("bridged", [False, True])
async def test_a_forgotten_stream_ends_with_its_time(provider: FakeProvider, bridged: bool) -> None:
    """``stream.max`` holds whether the app reads or not; who comes back later gets no clean end."""
    provider.script_all(ENDLESS)
    router = with_stall(provider, "10s", maximum="1s")
    with router:
        if not bridged:
            await router.__aenter__()
        with router.scope() as scope:
            stream = await async_stream_of(scope)
            await anext(stream)
            await eventually(lambda: provider.open_connections == 0, 3.0)
            assert scope.calls[0].outcome == "failed"
            with pytest.raises(StreamBroken):
                await _read_all(stream)
        if not bridged:
            await router.__aexit__(None, None, None)


@pytest.mark.anyio
async def test_a_stream_closed_under_its_reader_is_no_clean_end(provider: FakeProvider) -> None:
    """Closed by another task, the reader gets an error, as from a plain client."""
    provider.script_all(StreamOf(stall_after=2))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            stream = await async_stream_of(scope)
            begun = asyncio.Event()

            async def read() -> None:
                async for _ in stream:
                    begun.set()

            reader = asyncio.create_task(read())
            await begun.wait()
            await stream.close()
            with pytest.raises(StreamBroken):
                await asyncio.wait_for(reader, LONG_ENOUGH)


@pytest.mark.anyio
@pytest.mark.parametrize("is_sync", [False, True])
async def test_hanging_up_in_the_turn_in_which_a_stream_begins_ends_it(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, is_sync: bool
) -> None:
    """It finds a call that is about to be over, and no stream yet; a quiet one would be held until its limit."""
    begins = StreamOutcome.end_with_caller

    def hung_up_before(outcome: StreamOutcome, hang_up: Any) -> None:
        state_of(scope).hang_up()
        begins(outcome, hang_up)

    monkeypatch.setattr(StreamOutcome, "end_with_caller", hung_up_before)
    provider.script_all(StreamOf(chunks=("word",), stall_after=1))
    router = router_of(provider)
    async with router:
        with router.scope() as scope, pytest.raises(CallerGone):
            await (anyio.to_thread.run_sync(stream_of, scope) if is_sync else async_stream_of(scope))
        await eventually(lambda: provider.open_connections == 0)
    assert [call.outcome for call in scope.calls] == ["cancelled"]


@pytest.mark.anyio
async def test_hanging_up_ends_a_stream(provider: FakeProvider) -> None:
    """In the home and over the bridge alike."""
    provider.script_all(ENDLESS)
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            reader = asyncio.create_task(_read_all(await async_stream_of(scope)))
            threaded = asyncio.create_task(anyio.to_thread.run_sync(lambda: list(stream_of(scope))))
            await anyio.to_thread.run_sync(provider.wait_for, 2)
            await asyncio.sleep(0.1)
            state_of(scope).hang_up()
            ends = await asyncio.gather(reader, threaded, return_exceptions=True)
        assert [type(end) for end in ends] == [CallerGone, CallerGone]
        await eventually(lambda: provider.open_connections == 0)
