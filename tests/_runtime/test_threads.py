"""The synchronous client, from many threads and odd places: all through the one portal."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import anyio.to_thread
import openai
import pytest

from _runtime.setting import MESSAGES, Held, ask, ask_stream_sync, ask_sync, eventually, router_of, router_with_key
from busy_machine import LONG_ENOUGH
from lanewise import RoutingError
from lanewise.scope import state_of
from lanewise.testing import Answer, FakeProvider, Silence, SlowHeaders, StreamOf


def test_many_threads_call_and_stream_at_once(provider: FakeProvider) -> None:
    """32 of them, over one thread of the router's."""
    provider.script_all(SlowHeaders(0.05))
    router = router_of(provider)
    held = Held()
    with router:
        with ThreadPoolExecutor(32) as threads:
            answers = [threads.submit(work, router) for work in (ask_sync, ask_stream_sync) * 64]
            assert {answer.result() for answer in answers} == {"Hello from gpt-a"}
        assert Held().threads == held.threads + 1
        assert provider.connections <= 33
    held.again()


def test_calls_of_threads_run_side_by_side(provider: FakeProvider) -> None:
    """Thirty slow answers do not wait for each other."""
    provider.script_all(SlowHeaders(1.0))
    router = router_of(provider)
    with router:
        ask_sync(router)
        began = time.monotonic()
        with ThreadPoolExecutor(30) as threads:
            list(threads.map(ask_sync, [router] * 30))
        assert time.monotonic() - began < 20  # one after the other they take 30


@pytest.mark.anyio
async def test_the_synchronous_client_works_inside_a_running_loop(provider: FakeProvider) -> None:
    """It blocks the loop, as any synchronous client does, and does not wait for it: also where the loop is a home."""
    router = router_of(provider)
    async with router:
        assert ask_sync(router) == ask_stream_sync(router) == await ask(router) == "Hello from gpt-a"


@pytest.mark.parametrize("stream", [False, True])
def test_a_synchronous_call_within_the_portals_own_thread_is_refused(provider: FakeProvider, stream: bool) -> None:
    """It would wait for itself for ever: an async function for a key that asks the router, say."""
    said: list[str] = []

    async def key() -> str:
        with pytest.raises(RuntimeError) as raised:
            (ask_stream_sync if stream else ask_sync)(router)
        said.append(str(raised.value))
        return "the-key"

    router = router_with_key(provider, key)
    with router:
        assert ask_sync(router) == "Hello from gpt-a"
    assert "from within the router's own thread" in said[0]


@pytest.mark.parametrize("patcher", ["gevent", "eventlet"])
def test_patched_threads_are_refused(patcher: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out in the message; asynchronous calls in the router's own loop need no thread."""
    monkey = ModuleType(patcher)
    monkey.is_module_patched = lambda name: name == "threading"  # type: ignore[attr-defined]
    monkey.is_monkey_patched = lambda name: name == "thread"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, {"gevent": "gevent.monkey", "eventlet": "eventlet.patcher"}[patcher], monkey)
    router = router_of(provider)
    with router, pytest.raises(RuntimeError, match=f"{patcher} has patched them.*gthread"):
        ask_sync(router)

    async def main() -> str:
        async with router:
            return await ask(router)

    assert asyncio.run(main()) == "Hello from gpt-a"


def test_a_synchronous_stream_has_a_real_deadline(provider: FakeProvider) -> None:
    """Bytes that drip in do not stretch it."""
    provider.script_all(StreamOf(first_token_delay=30, comments=0.02))
    router = router_of(provider, deadline="60s")
    with router, router.scope() as scope:
        began = time.monotonic()
        with pytest.raises(openai.APITimeoutError):
            scope.openai.chat.completions.create(model="t", messages=[], stream=True, timeout=1.0)
        assert time.monotonic() - began < 20


def test_a_call_sees_the_context_of_its_thread(provider: FakeProvider) -> None:
    """A function for a key, or a log filter, finds the request's context variables in the portal as well."""
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    async def key() -> str:
        seen.append(variable.get())
        return "the-key"

    router = router_with_key(provider, key)
    variable.set("the request's")
    with router:
        ask_sync(router)
    assert seen == ["the request's"]


def test_one_threads_closed_stream_is_no_clean_end_for_another(provider: FakeProvider) -> None:
    """A reader whose stream is closed by somebody else gets an error."""
    provider.script_all(StreamOf(stall_after=2))
    router = router_of(provider)
    ends: list[object] = []
    with router, router.scope() as scope:
        stream = scope.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)

        begun = threading.Event()

        def read() -> None:
            try:
                for _ in stream:
                    begun.set()
                ends.append("whole")
            except RoutingError as error:
                ends.append(type(error).__name__)

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(LONG_ENOUGH)
        stream.close()
        reader.join(LONG_ENOUGH)
    assert ends == ["StreamBroken"]
    assert scope.calls[0].outcome == "cancelled"


@pytest.mark.anyio
async def test_a_scope_may_be_used_by_loops_and_threads_at_once(provider: FakeProvider) -> None:
    """Its clients belong to no thread."""
    provider.script_all(Answer(delay=0.02))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            sync, plain = scope.openai, scope.async_openai
            replies = await asyncio.gather(
                *(plain.chat.completions.create(model="t", messages=[]) for _ in range(10)),
                *(
                    anyio.to_thread.run_sync(lambda: sync.chat.completions.create(model="t", messages=[]))
                    for _ in range(10)
                ),
            )
        assert len({scope.call_for(reply).id for reply in replies}) == 20
        assert len(scope.calls) == 20


@pytest.mark.anyio
async def test_a_synchronous_call_ends_when_its_thread_is_told_to(provider: FakeProvider) -> None:
    """``hang_up()`` reaches a thread that waits."""
    provider.script_all(Silence())
    router = router_of(provider)
    with router, router.scope() as scope:

        def call() -> str:
            try:
                scope.openai.chat.completions.create(model="t", messages=[])
            except RoutingError as error:
                return type(error).__name__
            return "answered"

        waiting = asyncio.create_task(anyio.to_thread.run_sync(call))  # type: ignore[arg-type]
        await anyio.to_thread.run_sync(provider.wait_for, 1)
        state_of(scope).hang_up()
        assert await asyncio.wait_for(waiting, LONG_ENOUGH) == "CallerGone"
        await eventually(lambda: provider.open_connections == 0)
