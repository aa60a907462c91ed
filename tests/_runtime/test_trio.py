"""A router under trio: its calls go through the portal, and trio's cancellation reaches the provider."""

from __future__ import annotations

import time

import anyio
import pytest
import trio

from _runtime.setting import MESSAGES, Held, ask, ask_stream, router_of
from lanewise import RouterClosed
from lanewise.scope import Scope
from lanewise.testing import FakeProvider, Silence, Status, StreamOf

# The SDK leaves its generators to trio's finalizer: so does a plain client.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def test_calls_and_streams_under_trio(provider: FakeProvider) -> None:
    """One after the other and at once; nothing stays when the router has closed."""

    async def main() -> list[str]:
        answers: list[str] = []

        async def one() -> None:
            answers.append(await ask(router))
            answers.append(await ask_stream(router))

        async with router:
            await one()
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(one)
        return answers

    router = router_of(provider)
    held = Held()
    for _ in range(2):
        assert set(trio.run(main)) == {"Hello from gpt-a"}
    held.again()


def test_failover_under_trio(provider: FakeProvider) -> None:
    """As everywhere."""
    provider.script("gpt-a", Status(401))
    router = router_of(provider)
    with router:
        assert trio.run(ask, router) == "Hello from gpt-b"


@pytest.mark.parametrize("stalls", [0, 2], ids=["before-commit", "after-commit"])
def test_cancelling_a_stream_under_trio(provider: FakeProvider, stalls: int) -> None:
    """The exchange is closed at once, and the call is recorded as cancelled."""
    provider.script_all(StreamOf(stall_after=stalls))

    async def main() -> None:
        with router.scope() as scope:
            read = trio.Event()

            async def reading() -> None:
                stream = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
                async for _ in stream:
                    read.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reading)
                await (read.wait() if stalls else trio.to_thread.run_sync(provider.wait_for, 1))
                nursery.cancel_scope.cancel()
            assert nursery.cancel_scope.cancelled_caught
            await _closed(provider, scope)

    router = router_of(provider)
    with router:
        trio.run(main)


def test_cancelling_a_call_under_trio(provider: FakeProvider) -> None:
    """By trio's own scope, or by one of anyio."""
    provider.script_all(Silence())

    async def cancel_at(number: int, scope: trio.CancelScope | anyio.CancelScope) -> None:
        await trio.to_thread.run_sync(provider.wait_for, number)
        scope.cancel()

    async def main() -> None:
        for number, cancelled in enumerate((trio.CancelScope(), anyio.CancelScope()), 1):
            with router.scope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_at, number, cancelled)
                    with cancelled:
                        await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
                await _closed(provider, scope)

    router = router_of(provider)
    with router:
        trio.run(main)


async def _closed(provider: FakeProvider, scope: Scope) -> None:
    began = time.monotonic()
    while provider.open_connections or not scope.calls or scope.calls[0].outcome is None:
        await trio.sleep(0.002)
        assert time.monotonic() - began < 15
    assert scope.calls[0].outcome == "cancelled"
    assert scope.calls[0].attempts[-1].failure == "cancelled"


def test_a_stream_that_is_left_early_under_trio(provider: FakeProvider) -> None:
    """``break`` out of ``async with`` closes it."""
    provider.script_all(StreamOf(stall_after=2))

    async def main() -> None:
        with router.scope() as scope:
            async with await scope.async_openai.chat.completions.create(
                model="t", messages=MESSAGES, stream=True
            ) as stream:
                async for _ in stream:
                    break
            await _closed(provider, scope)

    router = router_of(provider)
    with router:
        trio.run(main)


def test_closing_under_trio_ends_what_runs(provider: FakeProvider) -> None:
    """With RouterClosed, as everywhere."""
    provider.script_all(Silence())
    ends: list[BaseException] = []

    async def main() -> None:
        async def one() -> None:
            try:
                await ask(router)
            except RouterClosed as error:
                ends.append(error)

        async with trio.open_nursery() as nursery:
            await router.__aenter__()
            nursery.start_soon(one)
            await trio.to_thread.run_sync(provider.wait_for, 1)
            await router.__aexit__(None, None, None)

    router = router_of(provider)
    trio.run(main)
    assert len(ends) == 1
