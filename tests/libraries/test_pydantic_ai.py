"""pydantic-ai over a routed client: typed outputs, tools and streams of the standby, and its own FallbackModel."""

from __future__ import annotations

import pytest
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from lanewise import FailClosed, Router, Scope, StreamBroken
from lanewise.testing import Answer, StreamOf, ToolCall
from libraries.stage import PARCEL, PARCEL_JSON, Parcel, Stage, uses_a_tool

pytestmark = pytest.mark.anyio

Model = type[OpenAIChatModel] | type[OpenAIResponsesModel]
each_api = pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel], ids=["chat", "responses"])


def model(scope: Scope, task: str, kind: Model = OpenAIChatModel) -> OpenAIChatModel | OpenAIResponsesModel:
    return kind(task, provider=OpenAIProvider(openai_client=scope.async_openai))


async def pieces_of(agent: Agent) -> list[str]:
    """What it says, as a stream."""
    async with agent.run_stream("May I have my money back?") as streamed:
        return [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]


@each_api
async def test_a_structured_answer(kind: Model, router: Router, stage: Stage) -> None:
    """By tool call and by schema."""
    with router.scope() as scope:
        stage.standby.script_all(Answer(tool_calls=[ToolCall("final_result", PARCEL_JSON)]))
        by_tool = await Agent(model(scope, "desk", kind), output_type=Parcel).run("Where is parcel 7?")
        stage.standby.script_all(Answer(PARCEL_JSON))
        by_schema = await Agent(model(scope, "desk", kind), output_type=NativeOutput(Parcel)).run("Where is parcel 7?")
    assert by_tool.output == by_schema.output == PARCEL
    assert stage.answered_by_standby(scope)


@each_api
async def test_a_tool_is_called(kind: Model, router: Router, stage: Stage) -> None:
    """Both turns are routed calls of one scope."""
    stage.standby.script_all(uses_a_tool("look_up", '{"number": 7}'))
    with router.scope() as scope:
        agent = Agent(model(scope, "desk", kind))

        @agent.tool_plain
        def look_up(number: int) -> str:
            return f"parcel {number} is in Bonn"

        assert (await agent.run("Where is parcel 7?")).output == "It says: parcel 7 is in Bonn"
    assert len(scope.calls) == 2
    assert stage.answered_by_standby(scope)


@each_api
async def test_a_stream(kind: Model, router: Router, stage: Stage) -> None:
    """The text comes in pieces, all of one route."""
    stage.standby.script_all(StreamOf())
    with router.scope() as scope:
        assert "".join(await pieces_of(Agent(model(scope, "desk", kind)))) == "Hello from the stream"
    assert stage.answered_by_standby(scope)


async def test_a_stream_that_breaks_is_an_error(router: Router, stage: Stage) -> None:
    """In the library's words, with ours as the cause."""
    stage.primary.script_all(StreamOf(interval=0.15, cut_after=2))
    with router.scope() as scope, pytest.raises(ModelAPIError) as caught:
        await pieces_of(Agent(model(scope, "desk")))
    assert isinstance(caught.value.__cause__, StreamBroken)


@pytest.mark.usefixtures("own_loop")
def test_a_synchronous_run(stage: Stage) -> None:
    """The library makes a loop of its own for it, which is no home of the router."""
    with Router.from_mapping(stage.config()) as router, router.scope() as scope:
        assert Agent(model(scope, "desk")).run_sync("Hello?").output == "Hello from sonnet-1"
    assert stage.answered_by_standby(scope)


async def test_a_model_that_is_made_once_follows_the_scopes(router: Router, stage: Stage) -> None:
    """With the router's http client an agent can be a global, as the library's own examples have it."""
    provider = OpenAIProvider(http_client=router.http_client(), api_key="none", base_url="https://routed.invalid/v1")
    agent = Agent(OpenAIChatModel("desk", provider=provider))
    for _ in range(2):
        with router.scope() as scope:
            await agent.run("Hello?")
        assert len(scope.calls) == 1
        assert stage.answered_by_standby(scope)


async def test_its_fallback_model_takes_over_after_an_ordinary_error(router: Router, stage: Stage) -> None:
    """What is no matter of sensitivity is caught as the plain client's errors are."""
    stage.standby.script_all(Answer("From elsewhere."))
    mapping = stage.config()
    mapping["tasks"] = {"alone": {"primary": "flagship"}, "other": {"primary": "sonnet"}}
    async with Router.from_mapping(mapping) as other:
        with other.scope() as scope:
            both = FallbackModel(model(scope, "alone"), model(scope, "other"))
            assert (await Agent(both).run("Hello?")).output == "From elsewhere."
        assert [call.outcome for call in scope.calls] == ["failed", "answered"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_fails_closed_escapes_its_fallback_model(stream: bool, router: Router, stage: Stage) -> None:
    """No other model is asked."""
    with router.scope() as scope:
        agent = Agent(FallbackModel(model(scope, "refund"), model(scope, "desk")))
        with pytest.raises(FailClosed):
            await (pieces_of(agent) if stream else agent.run("May I have my money back?"))
    assert [call.task for call in scope.calls] == ["refund"]
    assert stage.standby.request_count == 0
