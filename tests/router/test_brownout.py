"""A provider that fails in part, or for a while, over HTTP: what the last route still gets, and what calls are told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise import Router, RoutingError
from lanewise.testing import Answer, Close, Cycle, FakeProvider, Html, Reset, Status
from router.driving import FIRST_MODEL, MESSAGES, Form, Got, Stage, ask, ask_in, config

pytestmark = pytest.mark.anyio

ASYNC = Form("async")


@pytest.fixture(autouse=True)
def quick(hurried: None) -> None:
    """Back-offs are short."""


def alone(stage: Stage, **more: Any) -> dict[str, object]:
    """A config whose calls have one route, and don't wait for the end of a throttle."""
    mapping: Any = config(stage, more=more)
    mapping["tasks"]["alone"]["patience"] = "0s"
    return mapping  # type: ignore[no-any-return]


async def until_throttled(router: Router, **scope: Any) -> Got:
    """Calls, some at a time, until one is refused at once."""
    end = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < end:
        for got in await asyncio.gather(*(ask_in(router.scope(**scope), ASYNC, "alone") for _ in range(8))):
            if not got.call.attempts:
                return got
        await asyncio.sleep(0.05)
    raise AssertionError("it was not throttled")


@pytest.mark.parametrize("sensitive", [False, True])
async def test_a_last_route_that_has_long_not_answered_is_throttled_and_comes_back(
    stage: Stage, sensitive: bool
) -> None:
    """Calls are told so and when the next probe goes; about one attempt a second goes on; an answer ends it for all."""
    stage.first.script_all(Status(503))
    payment = {"sensitive": {"payment": {"routes": ["first"]}}} if sensitive else {}
    marks = {"sensitive": "payment"} if sensitive else {}
    async with Router.from_mapping(alone(stage, **payment)) as router:
        refused = await until_throttled(router, **marks)
        before, since = stage.first.request_count, time.monotonic()
        for _ in range(60):
            got = await ask_in(router.scope(**marks), ASYNC, "alone")
            assert got.error is not None
            await asyncio.sleep(0.03)
        sent, took = stage.first.request_count - before, time.monotonic() - since
        stage.first.script_all(Status(503))
        stage.first.reset()
        end = time.monotonic() + LONG_ENOUGH
        while (got := await ask_in(router.scope(**marks), ASYNC, "alone")).error is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        after = await asyncio.gather(*(ask_in(router.scope(**marks), ASYNC, "alone") for _ in range(20)))

    assert isinstance(refused.error, RoutingError)
    if sensitive:
        assert type(refused.error).__name__ == "FailClosed"
    else:
        assert refused.error.status_code == 503  # type: ignore[attr-defined]
        assert refused.error.retry_after is not None
        assert 0 <= refused.error.retry_after <= 1.0
    assert "throttled: " in refused.call.explain()
    assert " failures in a row; the next probe in " in refused.call.explain()
    assert sent <= took + 2
    assert all(got.error is None for got in after)
    assert stage.second.request_count == 0


async def test_throttle_false_refuses_the_last_route_as_any_other(stage: Stage) -> None:
    """After five failures in a row, for as long as it is open."""
    stage.first.script_all(Status(503))
    async with Router.from_mapping(alone(stage, router={"health": {"throttle": False}})) as router:
        for _ in range(4):
            got = await ask(router, ASYNC, "alone")
    assert got.call.attempts == ()
    assert "first (primary): is open after outage" in got.call.explain()
    assert stage.first.request_count == 5


async def test_breakers_false_opens_and_throttles_nothing(stage: Stage) -> None:
    """Each call has the attempts that the plain SDK makes, however long nothing is answered."""
    stage.first.script_all(Status(503))
    async with Router.from_mapping(alone(stage, router={"health": {"breakers": False}})) as router:
        for _ in range(16):
            got = await asyncio.gather(*(ask(router, ASYNC, "alone") for _ in range(4)))
            assert all(len(one.call.attempts) == 3 for one in got[1:]), "a fourth is made while most are answered"
            await asyncio.sleep(0.08)
        stage.first.reset()
        assert (await ask(router, ASYNC, "alone")).error is None


@pytest.mark.parametrize(
    "behaviour", [Status(500), Status(503), Reset(), Close(), Html()], ids=lambda one: str(one)[:12]
)
@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
async def test_an_outage_costs_the_primary_five_attempts(stage: Stage, behaviour: Any, at_once: int) -> None:
    """Of fifteen calls, one after the other or a few at a time; all are answered by the next lane."""
    stage.first.script_all(behaviour)
    turns = asyncio.Semaphore(at_once)

    async with Router.from_mapping(config(stage)) as router:

        async def one() -> Got:
            async with turns:
                return await ask(router, ASYNC)

        got = await asyncio.gather(*(one() for _ in range(15)))
    assert all(answered.error is None for answered in got)
    assert stage.first.request_count <= 5


@pytest.mark.parametrize(
    ("behaviour", "attempts"),
    [(Status(401), 1), (Status(402), 1), (Status(404, error={"code": "model_not_found"}), 1), (Status(307), 1)],
    ids=["auth", "quota", "model_missing", "config"],
)
async def test_a_last_route_that_no_call_can_be_answered_by_stays_refused(
    stage: Stage, behaviour: Any, attempts: int
) -> None:
    """A key, a bill, a model or an address is not mended by trying again."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(alone(stage)) as router:
        for _ in range(12):
            got = await ask(router, ASYNC, "alone")
    assert got.call.attempts == ()
    assert stage.first.request_count == attempts


async def test_a_route_that_rate_limits_some_for_long_goes_on_answering_the_others(stage: Stage) -> None:
    """What a large request is told by a limit of tokens keeps no small one away: as by the plain SDK."""
    stage.first.script_all(Status(429, retry_after=60))
    async with Router.from_mapping(alone(stage)) as router:
        assert (await ask(router, ASYNC, "alone")).error is not None
        assert (await ask(router, ASYNC, "alone")).call.attempts == (), "all seem to be limited"
        stage.first.reset()
        end = time.monotonic() + LONG_ENOUGH
        while (await ask(router, ASYNC, "alone")).error is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        stage.first.script(FIRST_MODEL, *[Status(429, retry_after=60)] * 3, Answer())
        got = [await ask(router, ASYNC, "alone") for _ in range(6)]
    assert [one.error is None for one in got] == [False] * 3 + [True] * 3
    assert [len(one.call.attempts) for one in got] == [1] * 6


async def test_in_a_brown_out_calls_of_one_route_are_answered_as_by_the_plain_sdk(fake_provider: FakeProvider) -> None:
    """Two failures and an answer by turns: both answer all."""
    fake_provider.script_all(Cycle([Status(503), Status(503), Answer()]))
    mapping = {
        "providers": {"one": {"base_url": fake_provider.base_url}},
        "routes": {"only": {"provider": "one", "model": "m"}},
        "tasks": {"task": {"primary": "only"}},
    }
    async with (
        Router.from_mapping(mapping) as router,
        openai.AsyncOpenAI(base_url=fake_provider.base_url, api_key="k") as plain,
    ):
        for _ in range(3):
            await plain.chat.completions.create(model="m", messages=MESSAGES)
        for _ in range(12):
            with router.scope() as scope:
                await scope.async_openai.chat.completions.create(model="task", messages=MESSAGES)
