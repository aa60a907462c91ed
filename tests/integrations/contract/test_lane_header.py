"""``tell_callers``: the app's own answers say which lane their AI answers came from, the worst one of several."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from integrations.contract.actions import MESSAGES, text_of, text_of_sync
from integrations.contract.asking import Reply
from integrations.contract.harness import Answer, AppPlan, Ask, Driver, EndpointSpec, Stream
from integrations.contract.served_apps import ServedApp, Stage, config, started
from lanewise import LaneName, Router
from lanewise.testing import Behaviour, Status, StreamOf

LANES = {"good": "primary", "fair": "equivalent", "worse": "degraded"}
CASES = ["", "good", "fair", "worse", "good,worse,fair", "fair,good", "good,good"]


def tasks_of(ask: Ask) -> list[str]:
    """The tasks that the caller wants asked, in order."""
    return [task for task in ask.query.get("tasks", "").split(",") if task]


def worst(tasks: str) -> str | None:
    """The lane that the caller is told."""
    lanes = [LANES[task] for task in tasks.split(",") if task]
    return max(lanes, key=list(LaneName).index) if lanes else None


async def whole(ask: Ask) -> Answer:
    """Ask one after the other, then answer with what the app itself knows."""
    for task in tasks_of(ask):
        await text_of(ask.async_openai, task)
    return {"lanes": list(ask.scope.lanes), "degraded": ask.scope.degraded}


def whole_sync(ask: Ask) -> Answer:
    """So with the synchronous client."""
    for task in tasks_of(ask):
        text_of_sync(ask.openai, task)
    return {"lanes": list(ask.scope.lanes), "degraded": ask.scope.degraded}


async def fails_after(ask: Ask) -> Answer:
    """Ask, and then fail as apps do."""
    for task in tasks_of(ask):
        await text_of(ask.async_openai, task)
    raise ZeroDivisionError("the app's own")


async def unanswered_after(ask: Ask) -> Answer:
    """Ask, and then what nobody answers."""
    for task in tasks_of(ask):
        await text_of(ask.async_openai, task)
    return {"text": await text_of(ask.async_openai, "down")}


def streamed_late_sync(ask: Ask) -> Answer:
    """Ask for the first time when the answer has begun; a piece for each answer."""

    def pieces() -> Iterator[str]:
        for task in tasks_of(ask):
            stream = ask.openai.chat.completions.create(model=task, messages=MESSAGES, stream=True)
            for chunk in stream:
                for choice in chunk.choices:
                    yield choice.delta.content or ""

    return Stream(pieces())


async def streamed_late(ask: Ask) -> Answer:
    """So with the asynchronous client."""

    async def pieces() -> AsyncIterator[str]:
        for task in tasks_of(ask):
            stream = await ask.async_openai.chat.completions.create(model=task, messages=MESSAGES, stream=True)
            async for chunk in stream:
                for choice in chunk.choices:
                    yield choice.delta.content or ""

    return Stream(pieces())


def lanes_config(stage: Stage, *, tells: bool = True) -> dict[str, Any]:
    """A task that is answered by each lane, and one that nobody answers."""
    lanes = {"primary": "first", "equivalent": "second", "degraded": "backup"}
    tasks = {task: {**lanes, "start": lane} for task, lane in LANES.items()}
    settings = config(stage, tasks={**tasks, "down": {"primary": "hasty"}})
    settings["router"]["tell_callers"] = tells
    return settings


def asked(driver: Driver, stage: Stage, action: Any, tasks: str, *, tells: bool = True, path: str = "") -> Reply:
    """The answer to one request."""
    stage.approved.script("model-hasty", Status(500))
    router = Router.from_mapping(lanes_config(stage, tells=tells))
    with started(driver, AppPlan(router, [EndpointSpec("/ask", action)]), stage) as served:
        return served.get(path or f"/ask?tasks={tasks}")


@pytest.mark.parametrize("tasks", CASES)
@pytest.mark.parametrize("action", [whole, whole_sync], ids=lambda action: action.__name__)
def test_an_answer_tells_the_worst_lane(action: Any, tasks: str, driver: Driver, stage: Stage) -> None:
    """The scope knows all of them, best first; without a call there is no header."""
    reply = asked(driver, stage, action, tasks)
    lanes = sorted({LANES[task] for task in tasks.split(",") if task}, key=list(LaneName).index)
    assert reply.json == {"lanes": lanes, "degraded": "degraded" in lanes}
    assert reply.all("x-lanewise-lane") == ([] if worst(tasks) is None else [worst(tasks)])


@pytest.mark.parametrize("tasks", ["", "good", "worse", "worse,good", "good,worse"])
def test_a_streamed_answer_tells_what_is_known_at_its_first_byte(tasks: str, driver: Driver, stage: Stage) -> None:
    """The calls are made while the answer is under way: its headers wait for its first piece, and for no more."""
    action = streamed_late if driver.async_streams else streamed_late_sync
    reply = asked(driver, stage, action, tasks)
    assert (reply.status, reply.whole) == (200, True)
    first = tasks.split(",")[0]
    assert reply.all("x-lanewise-lane") == ([LANES[first]] if first else [])


@pytest.mark.parametrize("action", [fails_after, unanswered_after], ids=lambda action: action.__name__)
@pytest.mark.parametrize("tasks", ["", "worse", "fair,good"])
def test_an_error_tells_it_too(action: Any, tasks: str, driver: Driver, stage: Stage) -> None:
    """The framework's own 500, and the problem of a call that nobody answered: what was answered before counts."""
    reply = asked(driver, stage, action, tasks)
    assert reply.status == (500 if action is fails_after else 503)
    assert reply.all("x-lanewise-lane") == ([] if worst(tasks) is None else [worst(tasks)])


BREAKS: dict[str, Behaviour] = {"cut": StreamOf(interval=0.02, cut_after=2), "refused": Status(400)}


@pytest.mark.parametrize("name", BREAKS)
def test_a_stream_that_breaks_has_told_its_lane(name: str, driver: Driver, stage: Stage) -> None:
    """If it began; of one that did not, nobody answered."""
    stage.approved.script("model-one", BREAKS[name])
    action = streamed_late if driver.async_streams else streamed_late_sync
    reply = asked(driver, stage, action, "good")
    assert reply.whole is (name == "refused")
    assert reply.all("x-lanewise-lane") == (["primary"] if name == "cut" else [])


def test_a_page_that_is_not_found_tells_nothing(driver: Driver, stage: Stage) -> None:
    """No call was made."""
    reply = asked(driver, stage, whole, "", path="/nowhere")
    assert (reply.status, reply.all("x-lanewise-lane")) == (404, [])


def test_nobody_is_told_unless_it_is_asked_for(driver: Driver, stage: Stage) -> None:
    """It is off by default: which lane answers is the app's business."""
    reply = asked(driver, stage, whole, "worse", tells=False)
    assert reply.json["degraded"] is True
    assert reply.all("x-lanewise-lane") == []


def test_calls_of_scopes_within_the_request_count(driver: Driver, stage: Stage) -> None:
    """They are part of what its caller gets."""
    router = Router.from_mapping(lanes_config(stage))

    async def inside(ask: Ask) -> Answer:
        for task in tasks_of(ask):
            with router.scope() as inner:
                await text_of(inner.async_openai, task)
        return {"lanes": list(ask.scope.lanes)}

    with started(driver, AppPlan(router, [EndpointSpec("/ask", inside)]), stage) as served:
        assert isinstance(served, ServedApp)
        reply = served.get("/ask?tasks=good,worse")
    assert reply.json == {"lanes": ["primary", "degraded"]}
    assert reply.all("x-lanewise-lane") == ["degraded"]
