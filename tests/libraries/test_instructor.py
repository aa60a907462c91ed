"""instructor over a routed client: structured answers of the standby, whole and as they grow."""

from __future__ import annotations

from typing import Any

import anyio
import instructor
import pytest
from instructor.core import InstructorRetryException

from lanewise import FailClosed, Router
from lanewise.testing import Answer, StreamOf, ToolCall
from libraries.stage import PARCEL, PARCEL_JSON, Parcel, Stage

pytestmark = pytest.mark.anyio

ASK: dict[str, Any] = {"response_model": Parcel, "messages": [{"role": "user", "content": "Where is parcel 7?"}]}
ANSWERS = {
    instructor.Mode.TOOLS: Answer(tool_calls=[ToolCall("Parcel", PARCEL_JSON)]),
    instructor.Mode.JSON_SCHEMA: Answer(PARCEL_JSON),
    instructor.Mode.JSON: Answer(PARCEL_JSON),
}
modes = pytest.mark.parametrize("mode", ANSWERS)


@modes
async def test_a_structured_answer(mode: instructor.Mode, router: Router, stage: Stage) -> None:
    """By tool call or as JSON, from the route that stands in."""
    stage.standby.script_all(ANSWERS[mode])
    with router.scope() as scope:
        client = instructor.from_openai(scope.async_openai, mode=mode)
        parcel = await client.chat.completions.create(model="desk", **ASK)
    assert parcel.model_dump() == PARCEL.model_dump()
    assert stage.answered_by_standby(scope)
    assert scope.call_for(parcel._raw_response) is scope.calls[0]


@modes
async def test_a_structured_answer_in_a_thread(mode: instructor.Mode, router: Router, stage: Stage) -> None:
    """The synchronous client does the same."""
    stage.standby.script_all(ANSWERS[mode])
    with router.scope() as scope:
        client = instructor.from_openai(scope.openai, mode=mode)
        parcel = await anyio.to_thread.run_sync(lambda: client.chat.completions.create(model="desk", **ASK))
    assert parcel.model_dump() == PARCEL.model_dump()
    assert stage.answered_by_standby(scope)


async def test_an_answer_that_grows(router: Router, stage: Stage) -> None:
    """A partial stream comes whole from one route: none of it is of the stream that broke before."""
    stage.primary.script_all(StreamOf(cut_after=0))
    stage.standby.script_all(StreamOf(chunks=(PARCEL_JSON[:12], PARCEL_JSON[12:])))
    with router.scope() as scope:
        client = instructor.from_openai(scope.async_openai, mode=instructor.Mode.JSON_SCHEMA)
        parts = [part async for part in client.chat.completions.create_partial(model="desk", **ASK)]
    assert parts[-1].model_dump() == PARCEL.model_dump()
    assert stage.answered_by_standby(scope)


async def test_its_own_second_try_is_a_call_of_its_own(router: Router, stage: Stage) -> None:
    """An answer that doesn't validate is asked for again by the library, and routed again."""
    stage.standby.script("sonnet-1", Answer('{"number": "seven"}'), Answer(PARCEL_JSON))
    with router.scope() as scope:
        client = instructor.from_openai(scope.async_openai, mode=instructor.Mode.JSON)
        assert (await client.chat.completions.create(model="desk", **ASK)).place == PARCEL.place
    assert len(scope.calls) == 2
    assert stage.answered_by_standby(scope)


async def test_what_fails_closed_stays_closed(router: Router, stage: Stage) -> None:
    """The library wraps the error, tries nothing else, and keeps it as the cause."""
    with router.scope() as scope:
        client = instructor.from_openai(scope.async_openai)
        with pytest.raises(InstructorRetryException) as caught:
            await client.chat.completions.create(model="refund", **ASK)
    assert isinstance(caught.value.__cause__, FailClosed)
    assert len(scope.calls) == 1
    assert stage.standby.request_count == 0
