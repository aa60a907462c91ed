"""Conversations over real HTTP: they go on where their prompt is cached, whatever picks the route of the first call."""

from __future__ import annotations

from typing import Any

import pytest

from lanewise import Router
from lanewise.testing import Status
from router.driving import FIRST_MODEL, SECOND_MODEL, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

ASYNC, STREAM = Form("async"), Form("async", stream=True)


def router(stage: Stage, select: str | None, **task: object) -> Router:
    """A router whose task ``both`` has both routes in its primary lane, and keeps conversations together."""
    price = {"price": {"input": 1.0, "output": 1.0, "cached_input": 0.1}}
    mapping: Any = config(stage, first=price, second=price, task={"sticky": "conversation", **task})
    mapping["tasks"]["both"]["primary"] = ["first", "second"]
    del mapping["tasks"]["both"]["equivalent"]
    if select is not None:
        mapping["tasks"]["both"]["select"] = select
    return Router.from_mapping(mapping)


def turns(name: str, count: int) -> list[Any]:
    """The messages of the last turn of a conversation that has so many."""
    messages = [{"role": "user", "content": name}]
    for number in range(1, count):
        messages += [{"role": "assistant", "content": "..."}, {"role": "user", "content": f"and {number}?"}]
    return messages


@pytest.mark.parametrize("select", [None, "order", "weight", "cheapest", "fastest"])
@pytest.mark.parametrize("form", [ASYNC, STREAM], ids=str)
async def test_a_conversation_stays_on_its_route(stage: Stage, select: str | None, form: Form) -> None:
    """With every way to pick a route; without a failure none moves."""
    async with router(stage, select) as routed:
        for name in ("one", "two", "three", "four", "five"):
            routes = {(await ask(routed, form, messages=turns(name, turn))).call.route for turn in range(1, 6)}
            assert len(routes) == 1


async def test_conversations_are_shared_out_the_same_in_every_process(stage: Stage) -> None:
    """By rendezvous hashing: two routers agree, and each route has about half."""
    names = [f"conversation {number}" for number in range(40)]
    async with router(stage, None) as one, router(stage, None) as two:
        first = [(await ask(one, ASYNC, messages=turns(name, 1))).call.route for name in names]
        second = [(await ask(two, ASYNC, messages=turns(name, 4))).call.route for name in names]
    assert first == second
    assert 8 <= first.count("first") <= 32


@pytest.mark.parametrize("select", ["order", "cheapest"])
async def test_a_failover_is_paid_once(stage: Stage, select: str) -> None:
    """The route that took a conversation over keeps it, when the first is well again; a new one goes to the first."""
    stage.first.script(FIRST_MODEL, Status(529), Status(529), Status(529))
    async with router(stage, select, retries={"outage": 0, "rate_limit": 0}) as routed:
        over = await ask(routed, ASYNC, messages=turns("one", 1))
        assert over.call.route == "second"
        stage.first.reset()
        for turn in (2, 3, 4):
            assert (await ask(routed, ASYNC, messages=turns("one", turn))).routes == ["second"]
        assert stage.first.journal == []
        assert (await ask(routed, ASYNC, messages=turns("two", 1))).routes == ["first"]


async def test_the_app_may_name_its_conversations(stage: Stage) -> None:
    """By ``prompt_cache_key``, which goes upstream as ever."""
    async with router(stage, "weight") as routed:
        routes = {
            (await ask(routed, ASYNC, messages=turns(f"{number}", 1), prompt_cache_key="ticket-7")).call.route
            for number in range(12)
        }
    assert len(routes) == 1
    assert {received.json["prompt_cache_key"] for received in stage.received()} == {"ticket-7"}


async def test_over_http_the_share_that_a_cache_can_give(stage: Stage) -> None:
    """Of 30 conversations of 6 turns: how many turns meet a provider that had the one before; with affinity all do."""
    met: dict[str | None, float] = {}
    for sticky in ("conversation", None):
        seen: set[tuple[str, str]] = set()
        hits = 0
        async with router(stage, "weight", sticky=sticky) as routed:
            for turn in range(1, 7):
                for number in range(30):
                    name = f"{sticky} {number}"
                    route = (await ask(routed, ASYNC, messages=turns(name, turn))).call.route or ""
                    hits += (name, route) in seen
                    seen.add((name, route))
        met[sticky] = hits / (30 * 5)
    print(f"turns that meet the provider of an earlier one: {met['conversation']:.0%} with affinity, {met[None]:.0%}")
    assert met["conversation"] == 1.0
    assert (met[None] or 0.0) < 0.95
    assert stage.second.journal[0].json["model"] == SECOND_MODEL
