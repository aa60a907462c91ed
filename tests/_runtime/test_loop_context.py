"""A router's two homes: the loop that opened it and the portal's; opened, closed, used over and over, from anywhere."""

from __future__ import annotations

import asyncio
import gc
import threading

import anyio.to_thread
import pytest

from _runtime.setting import Held, ask, ask_stream, ask_stream_sync, ask_sync, eventually, router_of
from busy_machine import LONG_ENOUGH
from lanewise import RouterClosed
from lanewise.testing import Answer, FakeProvider, Silence, SlowHeaders, Status, StreamOf

HELLO = "Hello from gpt-a"


@pytest.mark.anyio
async def test_a_router_may_be_opened_fifty_times_over(provider: FakeProvider) -> None:
    """On one loop: each time it answers, and each time nothing is left."""
    router = router_of(provider)
    held = Held()
    for _ in range(50):
        async with router:
            assert await ask(router) == HELLO
    await eventually(lambda: provider.open_connections == 0)
    held.again()


@pytest.mark.anyio
async def test_fifty_openings_with_the_portal_in_use_leave_nothing(provider: FakeProvider) -> None:
    """Also where synchronous code has called in between, so that the portal's thread comes and goes."""
    router = router_of(provider)
    held = Held()
    for _ in range(50):
        async with router:
            assert await anyio.to_thread.run_sync(ask_sync, router) == HELLO
    await eventually(lambda: provider.open_connections == 0)
    held.again()


def test_two_hundred_event_loops_open_one_router_in_turn(provider: FakeProvider) -> None:
    """Each ``asyncio.run`` opens and closes it."""

    async def job() -> str:
        async with router:
            return await ask(router)

    router = router_of(provider)
    held = Held()
    assert {asyncio.run(job()) for _ in range(200)} == {HELLO}
    held.again()


def test_two_hundred_event_loops_use_an_unopened_router(provider: FakeProvider) -> None:
    """All of them go through the one portal, and share its connection."""
    router = router_of(provider)
    held = Held()
    assert {asyncio.run(ask(router)) for _ in range(200)} == {HELLO}
    assert provider.connections == 1
    with router:
        pass
    held.again()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_an_event_loop_that_never_closed_the_router_is_replaced(provider: FakeProvider) -> None:
    """Its connections are let go of when the next loop opens the router."""

    async def job() -> str:
        await router.__aenter__()
        return await ask(router)

    router = router_of(provider)
    for _ in range(5):
        assert asyncio.run(job()) == HELLO
    provider.wait_until(lambda: provider.open_connections == 1)

    async def close() -> None:
        async with router:
            pass

    asyncio.run(close())
    provider.wait_until(lambda: provider.open_connections == 0)
    gc.collect()


def test_several_loops_use_one_router_at_once(provider: FakeProvider) -> None:
    """One is its home, the others bridge to the portal; all get answers and streams."""
    router = router_of(provider)
    answers: list[str] = []

    async def job() -> None:
        async with router:
            for _ in range(5):
                answers.extend(await asyncio.gather(ask(router), ask(router), ask_stream(router)))

    held = Held()
    threads = [threading.Thread(target=asyncio.run, args=(job(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [HELLO] * 90
    held.again()


@pytest.mark.anyio
async def test_openings_nest(provider: FakeProvider) -> None:
    """The inner closing closes nothing: the outer opener still holds it."""
    router = router_of(provider)
    async with router:
        async with router:
            assert await ask(router) == HELLO
        with router:
            assert await ask(router) == HELLO
        assert await ask(router) == HELLO
        assert provider.connections == 1
    with pytest.raises(RouterClosed):
        await ask(router)


@pytest.mark.anyio
async def test_a_closed_router_says_so_and_can_be_opened_again(provider: FakeProvider) -> None:
    """In both kinds of client, in words that say what to do."""
    router = router_of(provider)
    for _ in range(2):
        async with router:
            assert await ask(router) == HELLO
        with pytest.raises(RouterClosed, match="keep it open as long as the app serves"):
            await ask(router)
        with pytest.raises(RouterClosed, match="keep it open as long as the app serves"):
            ask_sync(router)
    assert provider.request_count == 2


def test_a_router_opened_by_threads_closes_with_the_last_of_them(provider: FakeProvider) -> None:
    """``with router:`` counts too, and ends the portal's thread."""
    router = router_of(provider)
    held = Held()
    with router:
        with router:
            assert ask_sync(router) == HELLO
        assert ask_sync(router) == HELLO
    with pytest.raises(RouterClosed):
        ask_sync(router)
    held.again()


def test_nothing_starts_before_the_first_call(provider: FakeProvider) -> None:
    """No thread and no socket, though the router is open and clients are in hand: servers fork after that."""
    held = Held()
    router = router_of(provider)
    with router, router.scope() as scope:
        clients = (scope.openai, scope.async_openai, router.http_client(), router.sync_http_client())
        held.again()
        assert len(clients) == 4


@pytest.mark.anyio
async def test_opening_in_a_loop_starts_nothing_either(provider: FakeProvider) -> None:
    """Connections are made by calls."""
    held = Held()
    router = router_of(provider)
    async with router:
        held.again()


# -- closing under what runs -------------------------------------------------------------------------------------------

CLOSE_WITHIN = LONG_ENOUGH


@pytest.mark.anyio
@pytest.mark.parametrize("behaviour", [Silence(), SlowHeaders(30), StreamOf(stall_after=0)], ids=repr)
async def test_closing_ends_calls_that_run_in_the_home(provider: FakeProvider, behaviour: Answer) -> None:
    """With RouterClosed, at once, and without harm to the task that called."""
    provider.script_all(behaviour)
    router = router_of(provider)
    await router.__aenter__()
    stream = isinstance(behaviour, StreamOf)
    calls = [asyncio.create_task((ask_stream if stream else ask)(router)) for _ in range(3)]
    await anyio.to_thread.run_sync(provider.wait_for, 3)
    async with asyncio.timeout(CLOSE_WITHIN):
        await router.__aexit__(None, None, None)
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [RouterClosed] * 3
    assert all("closed while task 't' was being answered" in str(end) for end in ends)
    assert all(call.cancelling() == 0 for call in calls)
    assert all(end.call.outcome == "cancelled" for end in ends if isinstance(end, RouterClosed))
    await eventually(lambda: provider.open_connections == 0)


@pytest.mark.anyio
async def test_closing_ends_a_wait_between_attempts(provider: FakeProvider) -> None:
    """Also where nothing is on the wire."""
    provider.script_all(Status(429, retry_after=30))
    router = router_of(provider, deadline="120s")
    await router.__aenter__()
    call = asyncio.create_task(ask(router))
    await anyio.to_thread.run_sync(provider.wait_for, 1)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(CLOSE_WITHIN):
        await router.__aexit__(None, None, None)
        with pytest.raises(RouterClosed):
            await call


@pytest.mark.anyio
async def test_closing_ends_streams_that_are_read_in_the_home(provider: FakeProvider) -> None:
    """Never as if they had come to their end."""
    provider.script_all(StreamOf(stall_after=2))
    router = router_of(provider)
    await router.__aenter__()
    calls = [asyncio.create_task(ask_stream(router)) for _ in range(3)]
    await anyio.to_thread.run_sync(provider.wait_for, 3)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(CLOSE_WITHIN):
        await router.__aexit__(None, None, None)
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [RouterClosed] * 3
    await eventually(lambda: provider.open_connections == 0)


@pytest.mark.anyio
async def test_a_stream_read_on_after_closing_raises_each_time(provider: FakeProvider) -> None:
    """Whoever asks again does not find a clean end."""
    provider.script_all(StreamOf(stall_after=2))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            response = await scope.async_openai.chat.completions.with_raw_response.create(
                model="t", messages=[], stream=True
            )
            pieces = response.http_response.stream
            assert hasattr(pieces, "_stream")
            stream = pieces._stream
            await stream.read()
    for _ in range(2):
        with pytest.raises(RouterClosed):
            await stream.read()
    assert scope.calls[0].outcome == "cancelled"


@pytest.mark.parametrize("reader", [ask_sync, ask_stream_sync], ids=["call", "stream"])
def test_closing_ends_what_threads_wait_for(provider: FakeProvider, reader: object) -> None:
    """Calls and streams through the portal end with RouterClosed, at once."""
    assert callable(reader)
    provider.script_all(Silence() if reader is ask_sync else StreamOf(stall_after=2))
    router = router_of(provider)
    ends: list[BaseException | str] = []

    def job() -> None:
        try:
            ends.append(reader(router))
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            ends.append(error)

    held = Held()
    router.__enter__()
    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    provider.wait_for(4)
    threading.Event().wait(0.1)
    router.__exit__(None, None, None)
    for thread in threads:
        thread.join(CLOSE_WITHIN)
    assert [type(end) for end in ends] == [RouterClosed] * 4
    provider.wait_until(lambda: provider.open_connections == 0)
    held.again()


def test_a_stream_of_a_thread_does_not_outlive_its_router(provider: FakeProvider) -> None:
    """Whether read in part or not at all before the router closed: RouterClosed, also once the router is open again."""
    provider.script_all(StreamOf(stall_after=2))
    router = router_of(provider)
    with router, router.scope() as scope:
        streams = [
            scope.openai.chat.completions.create(model="t", messages=[], stream=True),
            scope.openai.chat.completions.create(model="t", messages=[], stream=True),
        ]
        next(iter(streams[0]))
    with router:
        for stream in streams:
            with pytest.raises(RouterClosed):
                list(stream)
    with pytest.raises(RouterClosed):
        ask_sync(router)


@pytest.mark.anyio
async def test_closing_ends_what_other_loops_wait_for(provider: FakeProvider) -> None:
    """A loop that bridges to the portal gets RouterClosed as well, for calls and for streams."""
    provider.script("gpt-a", Silence(), StreamOf(stall_after=2))
    router = router_of(provider)
    ends: list[object] = []

    async def job() -> None:
        call = asyncio.create_task(ask(router))
        while not provider.request_count:
            await asyncio.sleep(0.005)
        ends.extend(await asyncio.gather(call, ask_stream(router), return_exceptions=True))

    with router:
        thread = threading.Thread(target=asyncio.run, args=(job(),))
        thread.start()
        await anyio.to_thread.run_sync(provider.wait_for, 2)
        await asyncio.sleep(0.05)
    await anyio.to_thread.run_sync(thread.join, CLOSE_WITHIN)
    assert [type(end) for end in ends] == [RouterClosed, RouterClosed]


@pytest.mark.anyio
async def test_closing_does_not_swallow_a_cancellation(provider: FakeProvider) -> None:
    """A task that is cancelled while the router closes is cancelled."""
    provider.script_all(Silence())
    router = router_of(provider)
    await router.__aenter__()
    call = asyncio.create_task(ask(router))
    await anyio.to_thread.run_sync(provider.wait_for, 1)
    call.cancel()
    await router.__aexit__(None, None, None)
    with pytest.raises(asyncio.CancelledError):
        await call
