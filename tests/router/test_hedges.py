"""Hedges over real HTTP: a second request to the next route when the first has not begun to answer."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise import CostStatus, Router
from lanewise.testing import Answer, SlowHeaders, Status
from router.driving import FIRST_MODEL, SECOND_MODEL, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

ASYNC, STREAM, SYNC = Form("async"), Form("async", stream=True), Form("sync")
LATE = SlowHeaders(40.0, then=Answer("Late."))
PRICE = {"price": {"input": 1.0, "output": 1.0}, "max_output": 1000}


def router(stage: Stage, *, share: float = 1.0, after: str = "50ms", more: Any = None, **task: object) -> Router:
    """A router whose task ``both`` is hedged."""
    hedge = {"after": after, "share": share}
    return Router.from_mapping(config(stage, first=PRICE, second=PRICE, task={"hedge": hedge, **task}, more=more))


async def until_closed(stage: Stage) -> None:
    """Wait until the first provider has seen its connection closed."""
    async with asyncio.timeout(LONG_ENOUGH):
        while not any(received.client_gone for received in stage.first.journal):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", [ASYNC, STREAM, SYNC], ids=str)
async def test_the_next_route_answers_for_a_slow_one(stage: Stage, form: Form) -> None:
    """The slow request is closed and recorded: unknown cost, with what it can be at the most."""
    stage.first.script(FIRST_MODEL, LATE)
    async with router(stage) as routed:
        got = await ask(routed, form)
        assert got.call.route == "second"
        assert got.text == "Hello from model-two"
        assert got.routes == ["first", "second"]
        lost, answered = got.call.attempts
        assert (lost.failure, lost.cost_status, lost.cost_usd) == ("cancelled", CostStatus.UNKNOWN, None)
        assert lost.cost_upper_usd is not None
        assert answered.failure is None
        assert "hedges with second (equivalent)" in got.call.explain()
        await until_closed(stage)


async def test_a_first_route_that_answers_after_all_wins(stage: Stage) -> None:
    """The hedge is closed, and what answered is the last of the attempts."""
    stage.first.script(FIRST_MODEL, SlowHeaders(1.0))
    stage.second.script(SECOND_MODEL, LATE)
    async with router(stage) as routed:
        got = await ask(routed, ASYNC)
    assert got.call.route == "first"
    assert got.routes == ["second", "first"]
    assert [attempt.failure for attempt in got.call.attempts] == ["cancelled", None]
    assert sorted(attempt.attempt_number for attempt in got.call.attempts) == [1, 2]


async def test_a_hedge_that_fails_changes_nothing(stage: Stage) -> None:
    """The first is waited for; and if it fails too, the call ends as it would have."""
    stage.second.script(SECOND_MODEL, Status(400))
    stage.first.script(FIRST_MODEL, SlowHeaders(1.0))
    async with router(stage) as routed:
        got = await ask(routed, ASYNC)
        assert got.call.route == "first"
        stage.first.script(FIRST_MODEL, SlowHeaders(1.0, then=Status(400)))  # type: ignore[arg-type]
        failed = await ask(routed, ASYNC)
    assert failed.error is not None
    assert failed.call.outcome == "failed"


async def test_a_first_route_that_fails_leaves_the_hedge(stage: Stage) -> None:
    """Its answer is the call's; nothing is sent a third time."""
    stage.first.script(FIRST_MODEL, SlowHeaders(1.0, then=Status(529)))  # type: ignore[arg-type]
    stage.second.script(SECOND_MODEL, SlowHeaders(2.5, then=Answer("Well.")))
    async with router(stage) as routed:
        got = await ask(routed, ASYNC)
    assert got.text == "Well."
    assert [(attempt.route, attempt.failure is None) for attempt in got.call.attempts] == [
        ("first", False),
        ("second", True),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"n": 2},
        {"store": True},
    ],
    ids=["tools", "several answers", "stored"],
)
async def test_what_must_not_be_asked_twice_is_not(stage: Stage, options: dict[str, Any]) -> None:
    """However slow it is."""
    stage.first.script(FIRST_MODEL, SlowHeaders(0.3))
    async with router(stage) as routed:
        got = await ask(routed, ASYNC, **options)
    assert got.routes == ["first"]
    assert stage.second.request_count == 0


async def test_a_hedged_call_is_one_call_to_a_budget(stage: Stage) -> None:
    """And what a loser may have cost stays reserved."""
    stage.first.script(FIRST_MODEL, LATE)
    more = {"budgets": {"free": {"limit": "1 call", "window": "1d"}, "usd": {"limit": "1 USD", "window": "1d"}}}
    async with router(stage, more=more) as routed:
        got = await ask(routed, ASYNC)
        assert got.routes == ["first", "second"]
        over = await ask(routed, ASYNC)
    assert "budget free is used up: 1 of 1 calls" in str(over.error)


async def test_sensitive_calls_are_not_hedged(stage: Stage) -> None:
    """Not even where both routes are approved."""
    stage.first.script(FIRST_MODEL, SlowHeaders(0.3))
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with router(stage, more=more, sensitive="payment") as routed:
        got = await ask(routed, ASYNC)
    assert got.routes == ["first"]


async def test_a_route_that_is_open_or_limited_is_no_hedge(stage: Stage) -> None:
    """What it was closed by lasts."""
    stage.second.script(SECOND_MODEL, Status(429, retry_after=60))
    stage.first.script(FIRST_MODEL, LATE, SlowHeaders(0.3))
    async with router(stage, deadline="4s") as routed:
        await ask(routed, ASYNC, timeout=1.5)
        before = stage.second.request_count
        got = await ask(routed, ASYNC)
    assert got.routes == ["first"]
    assert stage.second.request_count == before


async def test_a_caller_that_goes_away_closes_both(stage: Stage) -> None:
    """Nothing of either is left."""
    stage.first.script(FIRST_MODEL, LATE)
    stage.second.script(SECOND_MODEL, LATE)
    async with router(stage) as routed:
        with routed.scope() as scope:
            made = asyncio.ensure_future(
                scope.async_openai.chat.completions.create(model="both", messages=[{"role": "user", "content": "?"}])
            )
            async with asyncio.timeout(LONG_ENOUGH):
                while not stage.second.request_count:
                    await asyncio.sleep(0.01)
            made.cancel()
            with pytest.raises(asyncio.CancelledError):
                await made
        assert [attempt.failure for attempt in scope.calls[-1].attempts] == ["cancelled", "cancelled"]
        assert scope.calls[-1].outcome == "cancelled"
        await until_closed(stage)


CONTRACT = {"contract": {"must_match": "^[0-9]+$"}}


@pytest.mark.parametrize("form", [ASYNC, SYNC], ids=str)
async def test_a_hedge_that_breaks_the_contract_changes_nothing(stage: Stage, form: Form) -> None:
    """The first is waited for, however long the hedge has been there with what does not count."""
    stage.first.script(FIRST_MODEL, SlowHeaders(1.2, then=Answer("42")))
    stage.second.script(SECOND_MODEL, Answer("What?"))
    async with router(stage, **CONTRACT) as routed:
        got = await ask(routed, form)
    assert (got.text, got.call.route, got.call.outcome) == ("42", "first", "answered")
    assert [(each.route, each.failure) for each in got.call.attempts] == [("second", "contract"), ("first", None)]
    assert got.call.attempts[0].cost_status == CostStatus.KNOWN


async def test_a_first_answer_that_breaks_the_contract_leaves_the_hedge(stage: Stage) -> None:
    """Its answer counts, and what the first took is known."""
    stage.first.script(FIRST_MODEL, SlowHeaders(1.0, then=Answer("What?")))
    stage.second.script(SECOND_MODEL, SlowHeaders(2.5, then=Answer("42")))
    async with router(stage, **CONTRACT) as routed:
        got = await ask(routed, ASYNC)
    assert (got.text, got.call.route) == ("42", "second")
    assert [(each.route, each.failure) for each in got.call.attempts] == [("first", "contract"), ("second", None)]
    assert got.call.attempts[0].cost_status == CostStatus.KNOWN


@pytest.mark.parametrize("status", [400, 422])
async def test_what_would_end_a_call_ends_a_hedged_one(stage: Stage, status: int) -> None:
    """A request that the first route refuses is not answered by the second because that was asked already."""
    stage.first.script(FIRST_MODEL, SlowHeaders(1.0, then=Status(status)))  # type: ignore[arg-type]
    stage.second.script(SECOND_MODEL, LATE)
    async with router(stage) as routed:
        got = await ask(routed, ASYNC)
        async with asyncio.timeout(LONG_ENOUGH):
            while not any(received.client_gone for received in stage.second.journal):
                await asyncio.sleep(0.01)
    assert isinstance(got.error, openai.APIStatusError)
    assert got.error.status_code == status
    assert got.call.outcome == "failed"


async def test_responses_are_hedged_where_no_provider_keeps_them(stage: Stage) -> None:
    """One that it keeps is not asked for twice, nor is an embedding asked for in another model's space."""
    stage.first.script(FIRST_MODEL, *[SlowHeaders(1.2)] * 3)
    async with router(stage) as routed:
        with routed.scope() as scope:
            await scope.async_openai.embeddings.create(model="both", input="Where?")
            await scope.async_openai.responses.create(model="both", input="Where?", store=False)
            await scope.async_openai.responses.create(model="both", input="Where?")
    assert [call.route for call in scope.calls] == ["first", "second", "first"]


async def test_a_half_open_route_is_no_hedge(stage: Stage) -> None:
    """One call in its turn finds out whether it is well again, not a second one beside another."""
    stage.second.script(SECOND_MODEL, *[Status(500)] * 20)
    health = {"consecutive_failures": 2, "break_duration": "200ms", "max_break_duration": "200ms"}
    more = {"router": {"health": health}}
    async with router(stage, more=more, retries={"outage": 0}) as routed:
        stage.first.script(FIRST_MODEL, *[Status(500)] * 4)
        for _ in range(4):
            await ask(routed, ASYNC)
        stage.first.reset()
        stage.second.reset()
        await asyncio.sleep(0.5)
        before = stage.second.request_count
        stage.first.script(FIRST_MODEL, SlowHeaders(0.3), SlowHeaders(0.3))
        got = await ask(routed, ASYNC)
        again = await ask(routed, ASYNC)
    assert (got.routes, again.routes) == (["first"], ["first"])
    assert stage.second.request_count == before


async def test_a_hedge_beyond_a_budget_is_not_sent(stage: Stage) -> None:
    """The first is waited for, and takes what it takes; a hedge that is sent says what it reserves."""
    slow = SlowHeaders(0.3)
    stage.first.script(FIRST_MODEL, slow, slow)
    more = {"budgets": {"tokens": {"limit": "2080 tokens", "window": "1d"}}}
    async with router(stage, more=more) as routed:
        got = await ask(routed, ASYNC, max_tokens=1000)
        assert got.routes == ["first", "second"]
        assert got.call.explain().count("of budget tokens (") == 2
        over = await ask(routed, ASYNC, max_tokens=530)
    assert over.routes == ["first"]


@pytest.mark.slow
async def test_over_http_p95_and_a_twentieth_cut_the_tail(stage: Stage) -> None:
    """By the defaults: one answer in 40 late by half a second, p99 cut by half or more at 5 % more requests."""
    draw = random.Random(7)
    scripts = [SlowHeaders(0.5 if draw.random() < 0.025 else 0.002) for _ in range(1000)]
    figures = {}
    for hedged in (True, False):
        stage.first.script(FIRST_MODEL, *scripts)
        stage.second.reset()
        before = stage.first.request_count + stage.second.request_count
        hedge: dict[str, object] = {"hedge": {"after": "p95"}} if hedged else {}
        async with Router.from_mapping(config(stage, task=hedge)) as routed:
            times = []
            for _ in range(1000):
                began = time.monotonic()
                await ask(routed, ASYNC)
                times.append(time.monotonic() - began)
        more = stage.first.request_count + stage.second.request_count - before - 1000
        figures[hedged] = sorted(times)[989], more / 1000
    print(f"p99 {figures[False][0]:.2f} s without hedges, {figures[True][0]:.2f} s with {figures[True][1]:.1%} more")
    assert figures[True][1] <= 0.05
    assert figures[True][0] <= figures[False][0] / 2


async def test_over_http_the_tail_is_cut_at_little_cost(stage: Stage) -> None:
    """One answer in 40 is late by a second: hedges at 20 %, by time, cut the 99th percentile by half."""
    late = SlowHeaders(1.0)
    figures = {}
    for hedged in (True, False):
        stage.first.script(FIRST_MODEL, *([Answer()] * 19 + [late] + [Answer()] * 20) * 4)
        stage.second.reset()
        before = stage.first.request_count
        routed = router(stage, share=0.2) if hedged else Router.from_mapping(config(stage))
        async with routed:
            times = []
            for _ in range(160):
                began = time.monotonic()
                await ask(routed, ASYNC)
                times.append(time.monotonic() - began)
        more = stage.first.request_count + stage.second.request_count - before - 160
        figures[hedged] = sorted(times)[157], more
        assert stage.second.request_count <= 0.2 * 160
    print(
        f"p99 {figures[False][0]:.2f} s without hedges, {figures[True][0]:.2f} s with {figures[True][1] / 160:.1%} more"
    )
    assert figures[False][0] >= 1.0
    assert figures[True][0] <= figures[False][0] / 2
