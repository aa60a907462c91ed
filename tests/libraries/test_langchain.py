"""langchain-openai over the router's http clients: structured output, tools and streams, and its own fallbacks."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import OpenAIConnectionError

from lanewise import FailClosed, Router
from lanewise.testing import Answer, StreamOf, ToolCall
from libraries.stage import PARCEL, PARCEL_JSON, Parcel, Stage

pytestmark = pytest.mark.anyio

METHODS = {
    "json_schema": Answer(PARCEL_JSON),
    "function_calling": Answer(tool_calls=[ToolCall("Parcel", PARCEL_JSON)]),
    "json_mode": Answer(PARCEL_JSON),
}


@tool
def look_up(number: int) -> str:
    """Say where a parcel is."""
    return f"parcel {number} is in Bonn"


def model(router: Router, task: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=task,
        api_key="none",
        http_client=router.sync_http_client(),
        http_async_client=router.http_client(),
        **options,
    )


@pytest.mark.parametrize("method", METHODS)
async def test_a_structured_answer(method: str, router: Router, stage: Stage) -> None:
    """By schema, by tool call, as bare JSON: asynchronous and in a thread."""
    stage.standby.script_all(METHODS[method])
    structured = model(router, "desk").with_structured_output(Parcel, method=method)
    with router.scope() as scope:
        assert await structured.ainvoke("Where is parcel 7? Answer in JSON.") == PARCEL
    assert stage.answered_by_standby(scope)


def test_a_structured_answer_of_the_synchronous_client(stage: Stage) -> None:
    """By its synchronous methods."""
    stage.standby.script_all(METHODS["json_schema"])
    with Router.from_mapping(stage.config()) as router, router.scope() as scope:
        assert model(router, "desk").with_structured_output(Parcel).invoke("Where is parcel 7?") == PARCEL
    assert stage.answered_by_standby(scope)


async def test_a_tool_is_asked_for(router: Router, stage: Stage) -> None:
    """With the arguments that the standby gave."""
    stage.standby.script_all(Answer(tool_calls=[ToolCall("look_up", '{"number": 7}')]))
    with router.scope() as scope:
        reply = await model(router, "desk").bind_tools([look_up]).ainvoke("Where is parcel 7?")
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("look_up", {"number": 7})]
    assert stage.answered_by_standby(scope)


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
async def test_a_stream(responses: bool, router: Router, stage: Stage) -> None:
    """The text comes in pieces, all of one route."""
    stage.standby.script_all(StreamOf())
    with router.scope() as scope:
        chunks = [chunk async for chunk in model(router, "desk", use_responses_api=responses).astream("Hello?")]
    assert "".join(chunk.text for chunk in chunks) == "Hello from the stream"
    assert stage.answered_by_standby(scope)


async def test_a_stream_that_breaks_is_an_error(router: Router, stage: Stage) -> None:
    """In the library's words, which are the SDK's."""
    stage.primary.script_all(StreamOf(interval=0.15, cut_after=2))
    said: list[str] = []

    async def read() -> None:
        async for chunk in model(router, "desk").astream("Hello?"):
            said.append(chunk.text)

    with router.scope(), pytest.raises(OpenAIConnectionError):
        await read()
    assert "".join(said) == "Hello from"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_fails_closed_escapes_its_fallbacks(stream: bool, router: Router, stage: Stage) -> None:
    """Told to handle the SDK's errors, it asks no other model."""
    guarded = model(router, "refund").with_fallbacks([model(router, "desk")], exceptions_to_handle=(openai.APIError,))
    question = "May I have my money back?"
    with router.scope() as scope, pytest.raises(FailClosed):
        await (anext(guarded.astream(question)) if stream else guarded.ainvoke(question))
    assert [call.task for call in scope.calls] == ["refund"]
    assert stage.standby.request_count == 0


async def test_fallbacks_that_catch_everything_get_no_further(router: Router, stage: Stage) -> None:
    """By default the library catches every exception; in the scope, the same question stays closed."""
    guarded = model(router, "refund").with_fallbacks([model(router, "desk")])
    with router.scope() as scope, pytest.raises(FailClosed):
        await guarded.ainvoke("May I have my money back?")
    assert [call.task for call in scope.calls] == ["refund", "desk"]
    assert stage.standby.request_count == 0
