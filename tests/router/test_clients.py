"""Clients and scopes: what is bound to what, for how long, and what a scope remembers."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import openai
import pytest

from lanewise import LaneName, Outcome, Router, UnknownTask, current_scope
from lanewise.testing import Answer, Silence, Status
from router.driving import (
    FIRST_KEY,
    FIRST_MODEL,
    FORMS,
    MESSAGES,
    WHOLE,
    Form,
    Stage,
    ask_in,
    config,
    using,
)

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)


@each_client
async def test_a_client_is_bound_to_its_scope_for_life(form: Form, stage: Stage) -> None:
    """Also its copies, and whatever scope is the current one when they are used."""
    async with Router.from_mapping(config(stage)) as router:
        scope, other = router.scope(), router.scope()
        with other:
            for change in (
                lambda client: client,
                lambda client: client.copy(),
                lambda client: client.with_options(max_retries=3),
                lambda client: client.with_options(timeout=3).copy(),
                copy.copy,
            ):
                await using(
                    scope,
                    form.client,
                    lambda client, change=change: change(client).chat.completions.create(
                        model="both", messages=MESSAGES
                    ),
                )
    assert len(scope.calls) == 5
    assert other.calls == ()


async def test_foreign_clients_follow_the_current_scope(stage: Stage) -> None:
    """Libraries that make SDK clients themselves get http clients of ours; the base URL is theirs to invent."""
    async with Router.from_mapping(config(stage)) as router:
        theirs = openai.AsyncOpenAI(
            http_client=router.http_client(), base_url="https://elsewhere.example/openai/v1", api_key="canary"
        )
        theirs_sync = openai.OpenAI(http_client=router.sync_http_client(), api_key="canary")
        assert [task.id async for task in theirs.models.list()] == ["both", "alone"]
        with router.scope() as scope:
            reply = await theirs.chat.completions.create(model="both", messages=MESSAGES)
            create = theirs_sync.chat.completions.create
            await anyio.to_thread.run_sync(lambda: create(model="both", messages=MESSAGES))
        await theirs.chat.completions.create(model="both", messages=MESSAGES)  # in a scope of its own
        await theirs.close()
        with router.scope() as second:
            await router.scope().async_openai.close()
            stream = await openai.AsyncOpenAI(http_client=router.http_client(), api_key="x").chat.completions.create(
                model="both", messages=MESSAGES, stream=True
            )
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello from model-one"

    assert scope.call_for(reply) is scope.calls[0]
    assert [len(scope.calls), len(second.calls)] == [2, 1]
    assert {received.headers["authorization"] for received in stage.first.journal} == {f"Bearer {FIRST_KEY}"}


async def test_closing_a_client_closes_nothing_shared(stage: Stage) -> None:
    """Neither close() nor a with block takes the router's connections away."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        async with scope.async_openai as client:
            await client.chat.completions.create(model="both", messages=MESSAGES)
        with scope.openai:
            pass
        await scope.async_openai.close()
        got = await ask_in(scope, Form("async"))
        also = await ask_in(router.scope(), Form("sync"))
    assert got.error is None
    assert also.error is None


async def test_wrap_carries_the_scope_into_an_executor(stage: Stage) -> None:
    """A context variable is empty in a thread of one's own."""
    async with Router.from_mapping(config(stage)) as router:
        client = openai.OpenAI(http_client=router.sync_http_client(), api_key="-")

        def summarise() -> bool:
            client.chat.completions.create(model="both", messages=MESSAGES)
            return current_scope() is not None

        with router.scope() as scope, ThreadPoolExecutor(2) as executor:
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(executor, scope.wrap(summarise))
            assert not await loop.run_in_executor(executor, summarise)
    assert len(scope.calls) == 1


async def test_a_scope_may_be_entered_by_many_at_once_and_again(stage: Stage) -> None:
    """Tasks and threads of one request share its scope; each finds it current until it has left it."""
    router = Router.from_mapping(config(stage))
    scope, inner = router.scope(), router.scope()

    async def in_task(seconds: float) -> None:
        with scope:
            await asyncio.sleep(seconds)
            assert current_scope() is scope
        assert current_scope() is None

    def in_thread(_: int) -> None:
        with scope, inner, scope:
            assert current_scope() is scope
        assert current_scope() is None

    await asyncio.gather(in_task(0.02), in_task(0.01), in_task(0.0))
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(in_thread, range(8)))
    with scope:
        with inner, scope:
            pass
        assert current_scope() is scope


async def test_a_scope_may_be_left_out_of_order_and_in_another_context(stage: Stage) -> None:
    """Generators are closed where it suits the loop: that is no error, and no other scope takes its place."""
    router = Router.from_mapping(config(stage))
    first, second = router.scope(), router.scope()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert current_scope() is second
    contextvars.Context().run(second.__exit__, None, None, None)
    assert current_scope() is second
    second.__exit__(None, None, None)
    assert current_scope() is None


async def test_calls_are_live_and_stay_readable(stage: Stage) -> None:
    """A call is in its scope from its start, and readable after the scope has closed."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            task = asyncio.create_task(scope.async_openai.chat.completions.create(model="alone", messages=MESSAGES))
            await anyio.to_thread.run_sync(stage.first.wait_for, 1)
            call = scope.calls[0]
            assert (call.outcome, len(call.attempts), call.attempts[0].total_ms) == (None, 1, None)
            assert "running" in call.explain()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert scope.calls == (call,)
    assert call.outcome is Outcome.CANCELLED


async def test_a_scope_keeps_its_last_256_calls(stage: Stage) -> None:
    """A long job does not grow without end. Which lanes have answered is not forgotten."""
    stage.first.script(FIRST_MODEL, Status(404, error={"code": "model_not_found"}), Answer())
    async with Router.from_mapping(config(stage, more={"router": {"health": {"breakers": False}}})) as router:
        scope = router.scope()
        await ask_in(scope, Form("async"))
        for _ in range(13):
            await asyncio.gather(*(ask_in(scope, Form("async"), "alone") for _ in range(20)))
    assert stage.first.request_count == 261
    assert len(scope.calls) == 256
    assert {call.lane for call in scope.calls} == {LaneName.PRIMARY}
    assert scope.lanes == (LaneName.PRIMARY, LaneName.EQUIVALENT)
    assert not scope.degraded


@each_form
async def test_a_drill_starts_in_the_lane_that_it_names(form: Form, stage: Stage) -> None:
    """start = "degraded" shows the degraded lane before the outage does; the lanes before it come last."""
    mapping: Any = config(stage, task={"degraded": "third"})
    mapping["routes"]["third"] = {"provider": "second-provider", "model": "model-three"}
    async with Router.from_mapping(mapping) as router:
        drill = await ask_in(router.scope(start="degraded"), form)
        stage.second.script("model-three", Status(429, retry_after=60))
        round_again = await ask_in(router.scope(start="degraded"), form)
        with pytest.raises(ValueError, match="unknown lane 'worst'"):
            router.scope(start="worst")
    assert (drill.text, drill.call.lane) == ("Hello from model-three", LaneName.DEGRADED)
    assert round_again.routes == ["third", "first"]


@each_client
async def test_an_unknown_task_lists_the_tasks(form: Form, stage: Stage) -> None:
    """A NotFoundError of ours, with the nearest name; nothing is sent."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        with pytest.raises(UnknownTask) as caught:
            await using(
                scope,
                form.client,
                lambda client: client.chat.completions.create(model="alon", messages=MESSAGES),
            )
    assert isinstance(caught.value, openai.NotFoundError)
    assert "Did you mean 'alone'?" in str(caught.value)
    assert "both, alone" in str(caught.value)
    assert caught.value.call is None
    assert stage.received() == []
