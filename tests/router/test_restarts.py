"""Streams that start over: where the call asks for it, a stream that breaks goes on as another route's whole answer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
import openai
import pytest
import trio

import lanewise
from _runtime.stepping import CancelAt
from busy_machine import LONG_ENOUGH
from lanewise import CallerGone, FailClosed, FailureKind, InvalidCall, Outcome, Router, RouterClosed, StreamBroken
from lanewise.scope import state_of
from lanewise.testing import Behaviour, Silence, Status, StreamOf
from router.driving import MESSAGES, STREAMS, Form, Got, Stage, ask, config, routes_of, sends_of, using
from router.test_streams import AFTER_CONTENT

pytestmark = pytest.mark.anyio

each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)
RESTART = {"x-lanewise-on-break": "restart"}
ALLOWED = {"stream": {"on_break": "restart"}}
CUT = StreamOf(chunks=("Hello", " from"), interval=0.3, cut_after=2)


def router_of(stage: Stage, *, task: Mapping[str, object] | None = None, **more: Any) -> Router:
    """A router whose task ``both`` lets streams start over."""
    return Router.from_mapping(config(stage, task={**ALLOWED, **(task or {})}, **more))


async def ask_restart(router: Router, form: Form, **options: Any) -> Got:
    """One call that asks for a restart."""
    return await ask(router, form, extra_headers=RESTART, **options)


def told(got: Got) -> list[dict[str, object]]:
    """What the restart chunks said."""
    return [chunk.lanewise for chunk in got.chunks if getattr(chunk, "lanewise", None)]


@each_stream
@pytest.mark.parametrize("behaviour", AFTER_CONTENT.values(), ids=AFTER_CONTENT.keys())
async def test_a_broken_stream_starts_over_where_the_call_asks(behaviour: Behaviour, form: Form, stage: Stage) -> None:
    """However it breaks: a chunk tells of it, then comes the whole answer of the next route, to a clean end."""
    stage.first.script_all(behaviour)
    async with router_of(stage, first={"stall": "3s"}) as router:
        got = await ask_restart(router, form)
        await anyio.to_thread.run_sync(stage.first.wait_until, lambda: stage.first.in_flight == 0)

    assert got.error is None
    (restart,) = told(got)
    assert {**restart, "reason": ""} == {"restart": True, "route": "second", "lane": "equivalent", "reason": ""}
    assert restart["reason"] in ("stream_broken", "timeout")
    position = next(number for number, chunk in enumerate(got.chunks) if getattr(chunk, "lanewise", None))
    before, after = got.chunks[:position], got.chunks[position:]
    assert after[0].choices == []
    assert "".join(choice.delta.content or "" for chunk in before for choice in chunk.choices) == "Hello from"
    text = "".join(choice.delta.content or "" for chunk in after for choice in chunk.choices)
    assert text == "Hello from model-two"
    assert {chunk.id for chunk in after} == {after[-1].id}
    assert {chunk.model for chunk in after} == {"model-two"}
    assert not {chunk.id for chunk in before} & {chunk.id for chunk in after} or before[0].model == "model-one"
    assert after[-1].choices[0].finish_reason == "stop"

    first, second = got.call.attempts
    assert (got.call.route, got.call.outcome, got.call.failure) == ("second", Outcome.ANSWERED, None)
    assert (first.failure, second.failure) in (
        (FailureKind.STREAM_BROKEN, None),
        (FailureKind.TIMEOUT, None),
    )
    assert second.input_tokens == 12
    assert got.scope.call_for(got.reply) is got.call
    assert got.reply.response.headers["x-lanewise-route"] == "first"
    assert [send.cause for send in sends_of(got.call)] == ["first", "restart"]
    assert "starts over on second (equivalent)" in got.call.explain()


@each_stream
async def test_what_asks_never_goes_upstream(form: Form, stage: Stage) -> None:
    """Neither the wish nor anything else that begins with our name."""
    stage.first.script_all(CUT)
    async with router_of(stage) as router:
        await ask(router, form, extra_headers={**RESTART, "x-lanewise-else": "1", "x-app": "kept"})

    for received in stage.received():
        assert not [name for name in received.headers if name.lower().startswith("x-lanewise")]
        assert "x-app" in {name.lower() for name in received.headers}
        assert b"lanewise" not in received.body


@each_stream
async def test_what_a_call_wishes_is_checked_before_anything_is_sent(form: Form, stage: Stage) -> None:
    """A misspelt wish is no wish for an error."""
    async with router_of(stage) as router:
        got = await ask(router, form, extra_headers={"x-lanewise-on-break": "restarts"})

    assert isinstance(got.error, InvalidCall)
    assert "x-lanewise-on-break" in str(got.error)
    assert stage.first.request_count == 0


TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
REFUSED: dict[str, tuple[dict[str, object], dict[str, Any], str]] = {
    "nobody asked": ({}, {"extra_headers": {}}, ""),
    "asked for an error": ({}, {"extra_headers": {"x-lanewise-on-break": "error"}}, ""),
    "the task doesn't say so": ({"stream": {}}, {}, "stream.on_break"),
    "tools": ({}, {"tools": TOOLS}, "it has tools"),
    "functions": ({}, {"functions": [{"name": "f", "parameters": {}}]}, "it has tools"),
}


@each_stream
@pytest.mark.parametrize("case", REFUSED)
async def test_a_broken_stream_stays_broken(case: str, form: Form, stage: Stage) -> None:
    """Where it was not asked for, not allowed, or could not be understood; explain() says which."""
    task, options, why = REFUSED[case]
    stage.first.script_all(CUT)
    async with router_of(stage, task=task) as router:
        got = await ask(router, form, **{"extra_headers": RESTART, **options})

    assert isinstance(got.error, StreamBroken)
    assert got.text == "Hello from"
    assert (got.call.outcome, routes_of(got.call)) == (Outcome.FAILED, ["first"])
    assert stage.second.request_count == 0
    assert "belongs to its route" in got.call.explain()
    assert ("was to start over, but" in got.call.explain()) is bool(why)
    assert why in got.call.explain()


@each_stream
async def test_a_sensitive_stream_never_starts_over(form: Form, stage: Stage) -> None:
    """It fails closed, though the route that it would go to is approved too."""
    stage.first.script_all(CUT)
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with router_of(stage, task={"sensitive": "payment"}, more=more) as router:
        got = await ask_restart(router, form)

    assert isinstance(got.error, FailClosed)
    assert stage.second.request_count == 0
    assert "it is sensitive" in got.call.explain()


@each_stream
async def test_a_scope_that_becomes_sensitive_meanwhile_starts_nothing_over(form: Form, stage: Stage) -> None:
    """The rules of before let nothing out any more."""
    stage.first.script_all(CUT)
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with router_of(stage, more=more) as router:
        scope = router.scope()

        async def read(client: openai.AsyncOpenAI) -> None:
            stream = await create(client)
            await anext(stream)
            scope.raise_sensitivity("payment")
            with pytest.raises(FailClosed):
                await lanewise.collect(stream)

        def read_sync(client: openai.OpenAI) -> None:
            stream = create_sync(client)
            next(stream)
            scope.raise_sensitivity("payment")
            with pytest.raises(FailClosed):
                lanewise.collect(stream)

        await using(scope, form.client, read_sync if form.client == "sync" else read)
    assert stage.second.request_count == 0
    assert scope.calls[0].outcome is Outcome.REFUSED


async def create(client: openai.AsyncOpenAI) -> Any:
    return await client.chat.completions.create(model="both", messages=MESSAGES, stream=True, extra_headers=RESTART)


def create_sync(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="both", messages=MESSAGES, stream=True, extra_headers=RESTART)


@each_stream
async def test_no_helper_of_the_sdk_gets_two_answers(form: Form, stage: Stage) -> None:
    """Under .stream() both answers would be joined to one: there a broken stream is an error."""
    stage.first.script_all(CUT)
    options: Any = {"model": "both", "messages": MESSAGES, "extra_headers": RESTART}

    async def read(client: openai.AsyncOpenAI) -> None:
        async with client.chat.completions.stream(**options) as stream:
            async for _ in stream:
                pass

    def read_sync(client: openai.OpenAI) -> None:
        with client.chat.completions.stream(**options) as stream:
            for _ in stream:
                pass

    async with router_of(stage) as router:
        scope = router.scope()
        with pytest.raises(StreamBroken):
            await using(scope, form.client, read_sync if form.client == "sync" else read)
    assert stage.second.request_count == 0
    assert ".stream() helper" in scope.calls[0].explain()


@each_stream
async def test_a_responses_stream_never_starts_over(form: Form, stage: Stage) -> None:
    """One response id must hold throughout."""
    stage.first.script_all(CUT)
    options: Any = {"model": "both", "input": "hi", "stream": True, "extra_headers": RESTART}

    async def read(client: openai.AsyncOpenAI) -> None:
        async for _ in await client.responses.create(**options):
            pass

    def read_sync(client: openai.OpenAI) -> None:
        list(client.responses.create(**options))

    async with router_of(stage) as router:
        scope = router.scope()
        with pytest.raises(StreamBroken):
            await using(scope, form.client, read_sync if form.client == "sync" else read)
    assert stage.second.request_count == 0


@each_stream
async def test_a_stream_that_is_held_needs_no_restart(form: Form, stage: Stage) -> None:
    """Nothing of the broken one was shown: the switch is silent."""
    stage.first.script_all(CUT)
    async with router_of(stage, task={"stream": {"on_break": "restart", "hold": "all"}}) as router:
        got = await ask_restart(router, form)

    assert (got.error, got.text, told(got)) == (None, "Hello from model-two", [])


@each_stream
@pytest.mark.usefixtures("hurried")
async def test_a_restart_that_nobody_answers_is_a_broken_stream(form: Form, stage: Stage) -> None:
    """Not what the last route said: the app holds a piece of an answer that will not be continued."""
    stage.first.script_all(CUT)
    stage.second.script_all(Status(401))
    async with router_of(stage) as router:
        got = await ask_restart(router, form)

    assert isinstance(got.error, StreamBroken)
    assert got.error.call is got.call
    assert "second (equivalent)" in str(got.error)
    assert (got.text, told(got)) == ("Hello from", [])
    assert (got.call.outcome, routes_of(got.call)) == (Outcome.FAILED, ["first", "second"])


@each_stream
async def test_a_stream_whose_only_route_breaks_does_not_start_over_there(form: Form, stage: Stage) -> None:
    """A restart takes another route, also where the task would try again."""
    stage.first.script_all(CUT)
    task = {"equivalent": [], "retries": {"stream_broken": 2}}
    mapping = config(stage, task={**ALLOWED, **task})
    mapping["tasks"]["both"].pop("equivalent")  # type: ignore[index]
    async with Router.from_mapping(mapping) as router:
        got = await ask_restart(router, form)

    assert isinstance(got.error, StreamBroken)
    assert "no other route is left" in got.call.explain()
    assert stage.first.request_count == 1


@each_stream
async def test_the_lanes_say_which_breaks_lead_into_them(form: Form, stage: Stage) -> None:
    """A lane that does not list stream_broken is not started over on."""
    stage.first.script_all(CUT)
    lane = {"equivalent": {"routes": ["second"], "on": ["rate_limit"]}}
    async with router_of(stage, task=lane) as router:
        got = await ask_restart(router, form)

    assert isinstance(got.error, StreamBroken)
    assert "is not used after stream_broken" in got.call.explain()


@each_stream
async def test_an_answer_that_starts_over_twice(form: Form, stage: Stage) -> None:
    """Each restart begins on a route of its own, and each is told."""
    stage.first.script_all(CUT)
    stage.second.script("model-two", CUT)
    third = {"routes": {"third": {"provider": "second-provider", "model": "model-three"}}}
    mapping = config(stage, task={**ALLOWED, "degraded": "third"})
    mapping["routes"].update(third["routes"])  # type: ignore[attr-defined]
    async with Router.from_mapping(mapping) as router:
        got = await ask_restart(router, form)

    assert got.error is None
    assert [each["route"] for each in told(got)] == ["second", "third"]
    assert [each["lane"] for each in told(got)] == ["equivalent", "degraded"]
    assert routes_of(got.call) == ["first", "second", "third"]
    assert got.call.route == "third"


@each_stream
async def test_the_longest_time_of_a_stream_holds_over_its_restarts(form: Form, stage: Stage) -> None:
    """stream.max counts from the first content, and what is left of it bounds the new attempt."""
    stage.first.script_all(CUT)
    stage.second.script_all(StreamOf(chunks=["x"] * 200, interval=0.05))
    async with router_of(stage, task={"deadline": "2s", "stream": {"on_break": "restart", "max": "1s"}}) as router:
        got = await ask_restart(router, form)

    assert isinstance(got.error, StreamBroken)
    assert len(told(got)) == 1
    assert 2 <= got.text.count("x") < 40
    assert got.call.outcome is Outcome.FAILED
    assert got.call.attempts[1].failure is FailureKind.TIMEOUT


@each_stream
async def test_a_restart_that_takes_too_long_ends_with_the_stream(form: Form, stage: Stage) -> None:
    """A silent second route is waited for until stream.max at most."""
    stage.first.script_all(CUT)
    stage.second.script_all(Silence())
    async with router_of(stage, task={"deadline": "2s", "stream": {"on_break": "restart", "max": "500ms"}}) as router:
        got = await ask_restart(router, form)
        await anyio.to_thread.run_sync(stage.second.wait_until, lambda: stage.second.in_flight == 0)

    assert isinstance(got.error, StreamBroken)
    assert got.call.outcome is Outcome.FAILED


# -- collect -----------------------------------------------------------------------------------------------------------


@each_stream
async def test_collect_gives_the_answer_from_its_latest_beginning(form: Form, stage: Stage) -> None:
    """The text before the restart is not in it."""
    stage.first.script_all(CUT)

    async def read(client: openai.AsyncOpenAI) -> lanewise.Collected:
        return await lanewise.collect(await create(client))

    def read_sync(client: openai.OpenAI) -> lanewise.Collected:
        return lanewise.collect(create_sync(client))

    async with router_of(stage) as router:
        got = await using(router.scope(), form.client, read_sync if form.client == "sync" else read)
        assert got == lanewise.Collected("Hello from model-two", "stop", None, restarts=1)
        stage.first.script_all(StreamOf(chunks=(), refusal="I won't."))
        got = await using(router.scope(), form.client, read_sync if form.client == "sync" else read)
        assert got == lanewise.Collected("", "stop", "I won't.", restarts=0)


async def test_collect_reads_chat_only(stage: Stage) -> None:
    """Anything else is told apart at once."""
    async with router_of(stage) as router:
        client = router.scope().async_openai
        stream = await client.responses.create(model="both", input="hi", stream=True)
        with pytest.raises(TypeError, match="chat completions"):
            await lanewise.collect(stream)  # type: ignore[call-overload]
        await stream.close()


# -- the life of a restart ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", STREAMS, ids=str)
@pytest.mark.parametrize("end", ["hang up", "close", "router"])
async def test_ending_a_stream_while_it_starts_over(end: str, form: Form, stage: Stage) -> None:
    """The attempt in flight is closed at once, the reader gets its error, and the call is recorded as ended."""
    stage.first.script_all(CUT)
    stage.second.script_all(Silence())
    router = router_of(stage)
    await router.__aenter__()
    scope = router.scope()
    streams: list[Any] = []

    async def read(client: openai.AsyncOpenAI) -> None:
        streams.append(await create(client))
        await lanewise.collect(streams[0])

    def read_sync(client: openai.OpenAI) -> None:
        streams.append(create_sync(client))
        lanewise.collect(streams[0])

    reader = asyncio.create_task(using(scope, form.client, read_sync if form.client == "sync" else read))
    await anyio.to_thread.run_sync(stage.second.wait_until, lambda: stage.second.in_flight == 1)
    if end == "hang up":
        state_of(scope).hang_up()
    elif end == "router":
        await router.__aexit__(None, None, None)
    elif form.client == "sync":
        await anyio.to_thread.run_sync(streams[0].close)
    else:
        await streams[0].close()
    expected = {"hang up": CallerGone, "close": StreamBroken, "router": RouterClosed}[end]
    with pytest.raises(expected):
        await asyncio.wait_for(reader, LONG_ENOUGH)
    await anyio.to_thread.run_sync(stage.second.wait_until, lambda: stage.second.open_connections == 0)
    assert scope.calls[0].outcome is Outcome.CANCELLED
    assert [attempt.failure for attempt in scope.calls[0].attempts] == ["stream_broken", "cancelled"]
    if end != "router":
        await router.__aexit__(None, None, None)


async def test_cancelling_the_reader_while_its_stream_starts_over(stage: Stage) -> None:
    """In the router's own loop, its cancellation closes the attempt, and comes out as what it is."""
    stage.first.script_all(CUT)
    stage.second.script_all(Silence())
    async with router_of(stage) as router:
        scope = router.scope()

        async def read() -> None:
            await lanewise.collect(await create(scope.async_openai))

        reader = asyncio.create_task(read())
        await anyio.to_thread.run_sync(stage.second.wait_until, lambda: stage.second.in_flight == 1)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await anyio.to_thread.run_sync(stage.second.wait_until, lambda: stage.second.open_connections == 0)
        assert scope.calls[0].outcome is Outcome.CANCELLED


@pytest.mark.parametrize("k", [k if k % 4 == 1 else pytest.param(k, marks=pytest.mark.slow) for k in range(1, 14)])
async def test_cancelling_at_any_wait_leaves_nothing_open(k: int, stage: Stage) -> None:
    """Whatever the stream was waiting for: the exchange is closed, and the call has ended in one way."""
    stage.first.script_all(CUT)
    stage.second.script_all(StreamOf(interval=0.02))
    async with router_of(stage) as router:
        scope = router.scope()

        async def read() -> None:
            assert (await lanewise.collect(await create(scope.async_openai))).restarts == 1

        reading = CancelAt(read(), k)
        task = asyncio.ensure_future(_awaited(reading))
        await asyncio.wait((task,), timeout=LONG_ENOUGH)
        assert task.done()
        assert task.cancelled() is (reading.cancelled_at is not None)
        if task.cancelled():
            for provider in (stage.first, stage.second):
                await anyio.to_thread.run_sync(provider.wait_until, lambda p=provider: p.in_flight == 0)
        with anyio.fail_after(LONG_ENOUGH):
            while scope.calls[0].outcome is None:
                await anyio.sleep(0.01)
        expected = Outcome.CANCELLED if task.cancelled() else Outcome.ANSWERED
        assert scope.calls[0].outcome is expected


async def _awaited(steps: CancelAt) -> None:
    await steps


async def test_a_broken_stream_that_nobody_reads_on_is_let_go(stage: Stage) -> None:
    """Between the break and the read that would start over, forgetting the stream ends its call."""
    stage.first.script_all(StreamOf(chunks=("Hello",), cut_after=1))
    async with router_of(stage) as router:
        scope = router.scope()
        stream = await create(scope.async_openai)
        await anext(stream)
        del stream
        gc.collect()
        with anyio.fail_after(LONG_ENOUGH):
            while scope.calls[0].outcome is None:
                await anyio.sleep(0.01)
        assert scope.calls[0].outcome is Outcome.CANCELLED
        assert stage.second.request_count == 0


async def test_a_broken_stream_that_nobody_reads_ends_with_its_time(stage: Stage) -> None:
    """stream.max holds then too, and who comes back gets no clean end."""
    stage.first.script_all(CUT)
    async with router_of(stage, task={"stream": {"on_break": "restart", "max": "1500ms"}}) as router:
        scope = router.scope()
        stream = await create(scope.async_openai)
        for _ in range(2):
            await anext(stream)
        with anyio.fail_after(LONG_ENOUGH):
            while scope.calls[0].outcome is None:
                await anyio.sleep(0.02)
        assert scope.calls[0].outcome is Outcome.FAILED
        with pytest.raises(StreamBroken):
            await lanewise.collect(stream)
        assert stage.second.request_count == 0


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
def test_a_stream_starts_over_under_trio(stage: Stage) -> None:
    """As over any other loop than the router's: through the portal."""
    stage.first.script_all(CUT)

    async def main() -> lanewise.Collected:
        with router.scope() as scope:
            return await lanewise.collect(await create(scope.async_openai))

    with router_of(stage) as router:
        assert trio.run(main) == lanewise.Collected("Hello from model-two", "stop", None, restarts=1)


@each_stream
async def test_an_answer_that_breaks_its_contract_at_its_end_starts_over_too(form: Form, stage: Stage) -> None:
    """Shown already, and yet no answer: the next route's takes its place."""
    stage.first.script_all(StreamOf(chunks=('{"mood": ', "glad"), interval=0.4))
    stage.second.script_all(StreamOf(chunks=('{"mood": ', '"glad"}')))
    async with router_of(stage) as router:
        got = await ask_restart(router, form, response_format={"type": "json_object"})

    assert got.error is None
    assert [each["reason"] for each in told(got)] == ["contract"]
    assert got.text.endswith('{"mood": "glad"}')
    assert [choice.finish_reason for chunk in got.chunks for choice in chunk.choices if choice.finish_reason] == [
        "stop"
    ]
