"""Cancelling a call at any await: the upstream exchange is closed within 100 ms, and nothing is left behind.

Each sweep cancels at the first await, the second, ..., until a run gets through; in each of the ways in which calls are
cancelled, in each phase of a call, in a router's own loop and over the bridge to its portal.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine

import anyio
import anyio.to_thread
import httpx2
import pytest

from _runtime.setting import MESSAGES, Held, config, eventually, router_of
from _runtime.stepping import CancelAt
from begun_threads import begun_threads
from busy_machine import LONG_ENOUGH
from lanewise import CallerGone, FailClosed, FailureKind, Outcome, Router, RouterClosed, RoutingError
from lanewise._runtime.response_affinity import ResponseAffinity
from lanewise.scope import Scope, state_of
from lanewise.testing import Behaviour, Drip, FakeProvider, Silence, SlowHeaders, Status, StreamOf

pytestmark = pytest.mark.anyio

MOST_AWAITS = 300
WITHIN = LONG_ENOUGH
"""Seconds: 100 ms are promised, and what hangs would hang for ever; a busy machine lies between them."""
"""Seconds in which the exchange must be closed. A busy machine gets another try: see ``_closed_in_time``."""


async def whole(scope: Scope) -> None:
    await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)


async def stream(scope: Scope) -> None:
    async with await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=True) as chunks:
        async for _ in chunks:
            pass


async def slowly_read_stream(scope: Scope) -> None:
    """With awaits of the app's own between the chunks, and no ``async with``: dropping the stream must do."""
    chunks = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
    async for _ in chunks:
        await asyncio.sleep(0)


PIECES = Drip(interval=0.002, size=150)
SLOW_STREAM = StreamOf(first_token_delay=0.01, interval=0.005, chunks=("a", "b", "c"))

Phase = tuple[Callable[[Scope], Coroutine[object, None, None]], tuple[Behaviour, ...]]

PHASES: dict[str, Phase] = {
    "whole": (whole, (PIECES,)),
    "whole after a failure": (whole, (Status(401), PIECES)),
    "whole after a wait": (whole, (Status(429, retry_after=0.03), PIECES)),
    "stream": (stream, (SLOW_STREAM,)),
    "stream after a broken one": (stream, (StreamOf(cut_after=0), SLOW_STREAM)),
    "slowly read stream": (slowly_read_stream, (SLOW_STREAM,)),
}


async def by_task(work: Callable[[Scope], Coroutine[object, None, None]], scope: Scope, k: int) -> CancelAt:
    """``task.cancel()``, once the task waits."""
    run = CancelAt(work(scope), k)
    await _outcome_of(_awaited(run))
    return run


async def by_task_before_the_wait(
    work: Callable[[Scope], Coroutine[object, None, None]], scope: Scope, k: int
) -> CancelAt:
    """``task.cancel()``, from within, so that the very await raises."""
    run = CancelAt(work(scope), k, later=False)
    await _outcome_of(_awaited(run))
    return run


async def by_anyio_scope(work: Callable[[Scope], Coroutine[object, None, None]], scope: Scope, k: int) -> CancelAt:
    """A cancel scope of anyio, which goes on cancelling until it is left."""
    with anyio.CancelScope() as cancel_scope:
        run = CancelAt(work(scope), k, cancel=cancel_scope.cancel)
        await run
    return run


async def by_wait_for(work: Callable[[Scope], Coroutine[object, None, None]], scope: Scope, k: int) -> CancelAt:
    """``asyncio.wait_for``, whose caller is cancelled."""
    outer: list[asyncio.Task[None]] = []

    async def caller() -> None:
        await asyncio.wait_for(_awaited(run), LONG_ENOUGH)

    run = CancelAt(work(scope), k, cancel=lambda: outer[0].cancel())
    outer.append(asyncio.create_task(caller()))
    await asyncio.wait(outer)
    caller_task = outer.pop()  # it holds frames, and the run would hold it
    if not caller_task.cancelled():
        await caller_task
    return run


WAYS = (by_task, by_task_before_the_wait, by_anyio_scope, by_wait_for)
Way = Callable[[Callable[[Scope], Coroutine[object, None, None]], Scope, int], Awaitable[CancelAt]]


async def _awaited(run: CancelAt) -> None:
    await run


async def _outcome_of(coroutine: Coroutine[object, None, None]) -> None:
    task = asyncio.create_task(coroutine)
    await asyncio.wait([task])
    if not task.cancelled():
        await task


async def sweep(provider: FakeProvider, router: Router, phase: Phase, way: Way) -> int:
    """Cancel at each await in turn, until a run is not reached. Returns how many awaits there were."""
    work, behaviours = phase
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        for k in range(1, MOST_AWAITS):
            provider.reset()
            provider.script_all(*behaviours)
            with router.scope() as scope:
                run = await way(work, scope, k)
            if run.cancelled_at is None:
                assert scope.calls[0].outcome is Outcome.ANSWERED
                return k - 1
            await _closed_in_time(provider, run.cancelled_at)
            while any(call.outcome is None for call in scope.calls):
                if work is slowly_read_stream:
                    gc.collect()  # the SDK's stream and its iterator hold each other, and the portal both for a while
                await asyncio.sleep(0.002)
            for call in scope.calls:
                _is_cancelled_or_done(call.outcome, call.failure, [attempt.failure for attempt in call.attempts])
                assert all(attempt.total_ms is not None for attempt in call.attempts)
        raise AssertionError("the sweep does not end")
    finally:
        loop.set_exception_handler(None)
        assert complaints == []


async def _closed_in_time(provider: FakeProvider, cancelled_at: float) -> None:
    await eventually(lambda: provider.in_flight == 0)
    took = time.monotonic() - cancelled_at
    assert took < WITHIN, "the exchange was not closed in time"


def _is_cancelled_or_done(
    outcome: Outcome | None, failure: FailureKind | None, attempts: list[FailureKind | None]
) -> None:
    if outcome is Outcome.ANSWERED:  # the last awaits of a call come after its answer is complete
        return
    assert (outcome, failure) == (Outcome.CANCELLED, FailureKind.CANCELLED)
    assert FailureKind.CANCELLED not in attempts[:-1]
    assert None not in attempts


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
async def test_in_the_routers_own_loop(provider: FakeProvider, phase: Phase, way: Way) -> None:
    """Every await of the SDK, of the router and of the transport."""
    router = router_of(provider, deadline="120s")
    async with router:
        with router.scope() as scope:
            await whole(scope)  # the first time, much is made that stays
        held = Held()
        awaits = await sweep(provider, router, phase, way)
        await eventually(lambda: provider.open_connections <= 2)
        assert Held().tasks == held.tasks
        assert Held().sockets <= held.sockets + 2
        assert Held().threads == held.threads
    assert awaits >= 2
    await eventually(lambda: provider.open_connections == 0)


@pytest.mark.parametrize("way", [by_task, by_anyio_scope], ids=lambda way: way.__name__)
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
async def test_over_the_bridge(provider: FakeProvider, phase: Phase, way: Way) -> None:
    """A loop that is no home: cancelling it there cancels in the portal."""
    router = router_of(provider, deadline="120s")
    held = Held()
    with router:
        await sweep(provider, router, phase, way)
    await eventually(lambda: provider.open_connections == 0)
    held.again()


@pytest.mark.parametrize("behaviour", [Silence(), SlowHeaders(30), Drip(interval=30)], ids=["silence", "slow", "drip"])
async def test_a_caller_that_times_out_closes_the_exchange(provider: FakeProvider, behaviour: Behaviour) -> None:
    """However the provider is silent: by ``asyncio.timeout`` and ``anyio.move_on_after`` alike."""
    provider.script_all(behaviour)
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await whole(scope)
            await _closed_in_time(provider, time.monotonic())
            with anyio.move_on_after(0.05) as cancel_scope:
                await whole(scope)
            assert cancel_scope.cancelled_caught
            await _closed_in_time(provider, time.monotonic())
        assert [call.outcome for call in scope.calls] == ["cancelled", "cancelled"]
        await eventually(lambda: provider.open_connections == 0)


@pytest.mark.parametrize("ending", ["hang-up", "close"])
@pytest.mark.parametrize("sensitive", [False, True])
async def test_a_call_that_is_not_known_yet_ends_as_any_other(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, ending: str, sensitive: bool
) -> None:
    """While the shared store is asked who made what it goes on from, it has no record: its error says so."""
    looks = asyncio.Event()

    async def look_up(*_: object) -> None:
        looks.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ResponseAffinity, "is_shared", True)
    monkeypatch.setattr(ResponseAffinity, "look_up", look_up)
    mapping = config(provider) | {"sensitive": {"payment": {"routes": ["first"]}}}
    router = Router.from_mapping(mapping)
    async with router:
        scope = router.scope(sensitive="payment" if sensitive else ())
        asked = scope.async_openai.responses.create(model="t", input="And?", previous_response_id="resp_1")
        call = asyncio.ensure_future(asked)
        await asyncio.wait_for(looks.wait(), WITHIN)
        if ending == "hang-up":
            state_of(scope).hang_up()
            with pytest.raises(RoutingError) as caught:
                await asyncio.wait_for(call, WITHIN)
    if ending == "close":
        with pytest.raises(RoutingError) as caught:
            await asyncio.wait_for(call, WITHIN)
    expected = RouterClosed if ending == "close" else FailClosed if sensitive else CallerGone
    assert type(caught.value) is expected
    assert caught.value.call is None
    assert provider.request_count == 0


async def test_a_wait_between_attempts_is_cancelled_as_such(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt before keeps its own failure; nothing is sent after."""
    monkeypatch.setattr("lanewise._routing.retry.FIRST_BACKOFF", 3.0)
    provider.script_all(Status(500))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            call = asyncio.create_task(whole(scope))
            await eventually(
                lambda: bool(scope.calls and scope.calls[0].attempts and scope.calls[0].attempts[0].failure)
            )
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.sleep(0.4)
    assert scope.calls[0].outcome == "cancelled"
    assert [attempt.failure for attempt in scope.calls[0].attempts] == ["outage"]
    assert provider.request_count == 1


async def test_many_callers_may_go_away_at_once(provider: FakeProvider) -> None:
    """Of a hundred calls half are cancelled; the others are answered, and the pool serves on."""
    provider.script_all(SlowHeaders(0.2))
    router = router_of(provider)
    async with router:
        with router.scope() as scope:
            calls = [asyncio.create_task(whole(scope)) for _ in range(100)]
            await anyio.to_thread.run_sync(provider.wait_for, 100)
            for call in calls[::2]:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(end, asyncio.CancelledError) for end in ends] == [True, False] * 50
        await eventually(lambda: provider.open_connections == 50)
        assert {call.outcome for call in scope.calls} == {"cancelled", "answered"}


async def test_a_thread_that_stops_waiting_cancels_over_there(provider: FakeProvider) -> None:
    """A synchronous call in a worker thread of anyio can't be cancelled, but its own deadline holds."""
    provider.script_all(Silence())
    begun = begun_threads()
    router = router_of(provider, deadline="60s")
    with router, router.scope() as scope:
        began = time.monotonic()

        def call() -> None:
            with pytest.raises(Exception, match="not answered"):
                scope.openai.chat.completions.create(model="t", messages=[], timeout=1.5)

        await anyio.to_thread.run_sync(call)
        assert time.monotonic() - began < 30
        await eventually(lambda: provider.open_connections == 0)
    assert "lanewise-portal" not in begun()


@pytest.mark.parametrize("phase", ["whole", "stream"])
async def test_over_a_client_of_the_apps(provider: FakeProvider, phase: str) -> None:
    """httpx2's awaits are others, and more; the promise is the same."""
    router = Router.from_mapping(config(provider), http_client=httpx2.AsyncClient)
    async with router:
        with router.scope() as scope:
            await whole(scope)
        held = Held()
        assert await sweep(provider, router, PHASES[phase], by_task) >= 2
        await eventually(lambda: len(asyncio.all_tasks()) <= held.tasks)
    await eventually(lambda: provider.open_connections == 0)
