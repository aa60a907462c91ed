"""openai-agents over a routed client: outputs, tools and streams of the standby, in both of OpenAI's dialects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agents import Agent, Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from agents.tracing import get_trace_provider

from lanewise import FailClosed, Router, Scope
from lanewise.testing import Answer, StreamOf
from libraries.stage import PARCEL, PARCEL_JSON, Parcel, Stage, uses_a_tool

pytestmark = pytest.mark.anyio

Kind = type[OpenAIChatCompletionsModel] | type[OpenAIResponsesModel]
each_api = pytest.mark.parametrize(
    "kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel], ids=["chat", "responses"]
)


@pytest.fixture(autouse=True)
def no_tracing() -> Iterator[None]:
    """The library would send its traces to OpenAI, around any client."""
    get_trace_provider().set_disabled(True)
    yield
    get_trace_provider().set_disabled(False)


def model(scope: Scope, task: str, kind: Kind) -> Model:
    return kind(model=task, openai_client=scope.async_openai)


@function_tool
def look_up(number: int) -> str:
    """Say where a parcel is."""
    return f"parcel {number} is in Bonn"


@each_api
async def test_a_structured_answer(kind: Kind, router: Router, stage: Stage) -> None:
    """Held to the schema of the output type."""
    stage.standby.script_all(Answer(PARCEL_JSON))
    with router.scope() as scope:
        agent = Agent(name="desk", model=model(scope, "desk", kind), output_type=Parcel)
        result = await Runner.run(agent, "Where is parcel 7?")
    assert result.final_output == PARCEL
    assert stage.answered_by_standby(scope)


@each_api
async def test_a_tool_is_called(kind: Kind, router: Router, stage: Stage) -> None:
    """Both turns are routed calls of one scope."""
    stage.standby.script_all(uses_a_tool("look_up", '{"number": 7}'))
    with router.scope() as scope:
        agent = Agent(name="desk", model=model(scope, "desk", kind), tools=[look_up])
        result = await Runner.run(agent, "Where is parcel 7?")
    assert result.final_output == "It says: parcel 7 is in Bonn"
    assert len(scope.calls) == 2
    assert stage.answered_by_standby(scope)


@each_api
async def test_a_stream(kind: Kind, router: Router, stage: Stage) -> None:
    """The text comes in pieces, all of one route."""
    stage.standby.script_all(StreamOf())
    with router.scope() as scope:
        result = Runner.run_streamed(Agent(name="desk", model=model(scope, "desk", kind)), "Hello?")
        pieces = [
            event.data.delta
            async for event in result.stream_events()
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
        ]
    assert pieces == ["Hello", " from", " the", " stream"]
    assert result.final_output == "Hello from the stream"
    assert stage.answered_by_standby(scope)


@pytest.mark.usefixtures("own_loop")
def test_a_synchronous_run(stage: Stage) -> None:
    """The library makes a loop of its own for it, which is no home of the router."""
    with Router.from_mapping(stage.config()) as router, router.scope() as scope:
        agent = Agent(name="desk", model=model(scope, "desk", OpenAIChatCompletionsModel))
        assert Runner.run_sync(agent, "Hello?").final_output == "Hello from sonnet-1"
    assert stage.answered_by_standby(scope)


@each_api
async def test_what_fails_closed_comes_out_as_it_is(kind: Kind, router: Router, stage: Stage) -> None:
    """The library neither wraps it nor tries again."""
    with router.scope() as scope, pytest.raises(FailClosed):
        await Runner.run(Agent(name="refunds", model=model(scope, "refund", kind)), "May I have my money back?")
    assert [call.task for call in scope.calls] == ["refund"]
    assert stage.standby.request_count == 0
