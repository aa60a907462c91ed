"""Stand-ins and abilities over HTTP: a call goes only to routes that can do it, or that say how they stand in."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from lanewise import CostStatus, FailClosed, FailureKind, Router
from lanewise.testing import Answer, RejectParameters, Silence, SlowHeaders, Status, ToolCall
from router.driving import FIRST_MODEL, SECOND_MODEL, WHOLE, Form, Stage, ask, ask_in, config, using
from router.test_contracts import BROKEN, GOOD, JSON_OBJECT, JSON_SCHEMA, SCHEMA, Summary, tool

pytestmark = pytest.mark.anyio

each_client = pytest.mark.parametrize("form", WHOLE, ids=str)

USER = {"role": "user", "content": "Where is my parcel?"}
PROMPTED = {"stand_in": {"response_format": "prompt"}}


def sent(stage: Stage, number: int = 0) -> dict[str, Any]:
    """What the first provider got."""
    return stage.first.journal[number].json


# -- response_format in the prompt -----------------------------------------------------------------------------------


@each_client
async def test_a_schema_goes_into_the_prompt_and_the_answer_is_checked(stage: Stage, form: Form) -> None:
    """The route gets no ``response_format``, and its answer must keep the schema all the same."""
    stage.first.script(FIRST_MODEL, Answer(GOOD), Answer(BROKEN))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first=PROMPTED)) as router:
        got = await ask(router, form, messages=[USER], response_format=JSON_SCHEMA)
        assert got.text == GOOD
        assert got.routes == ["first"]
        body = sent(stage)
        assert "response_format" not in body
        system, user = body["messages"]
        assert system["role"] == "system"
        assert user == USER
        assert json.loads(system["content"].rpartition("\n\n")[2]) == SCHEMA
        assert got.call.attempts[0].adapted == ("response_format in the prompt",)
        assert "standing in: response_format in the prompt" in got.call.explain()
        got = await ask(router, form, messages=[USER], response_format=JSON_SCHEMA)
    assert got.routes == ["first", "second"]
    assert got.call.attempts[0].failure is FailureKind.CONTRACT
    assert "response_format" in stage.second.journal[0].json


SYSTEMS: Mapping[str, tuple[object, object]] = {
    "a text": ("Be brief.", "Be brief.\n\nAnswer with one JSON object"),
    "parts": (
        [{"type": "text", "text": "Be brief."}],
        [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Answer with one JSON object"}],
    ),
}


@pytest.mark.parametrize(("given", "wanted"), SYSTEMS.values(), ids=SYSTEMS)
@each_client
async def test_a_system_message_is_added_to_whatever_its_content_is(
    stage: Stage, form: Form, given: Any, wanted: Any
) -> None:
    """Texts and lists of parts: both get what stands in for ``json_object``."""
    stage.first.script(FIRST_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first=PROMPTED)) as router:
        got = await ask(
            router, form, messages=[{"role": "system", "content": given}, USER], response_format=JSON_OBJECT
        )
    assert got.routes == ["first"]
    system = sent(stage)["messages"][0]["content"]
    if isinstance(wanted, str):
        assert system.startswith(wanted)
    else:
        assert system[0] == wanted[0]
        assert system[1]["text"].startswith(wanted[1]["text"])


@each_client
async def test_the_format_of_responses_goes_into_the_instructions(stage: Stage, form: Form) -> None:
    """What else the app says in ``text`` stays."""
    stage.first.script(FIRST_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first=PROMPTED)) as router:
        scope = router.scope()
        reply = await using(
            scope,
            form.client,
            lambda client: client.responses.parse(
                model="both", input="?", text_format=Summary, text={"verbosity": "low"}, instructions="Be brief."
            ),
        )
    assert reply.output_parsed.title == "Late parcel"
    body = sent(stage)
    assert body["text"] == {"verbosity": "low"}
    assert body["instructions"].startswith("Be brief.\n\nAnswer with JSON that keeps this JSON Schema")
    assert scope.calls[-1].attempts[0].adapted == ("text.format in the prompt",)


@each_client
async def test_what_is_dropped_and_stood_in_for_is_stood_in_for(stage: Stage, form: Form) -> None:
    """``drop`` alone passes the route over; with a stand-in it takes the call."""
    stage.first.script(FIRST_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first={"drop": ["response_format"], **PROMPTED})) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.routes == ["first"]
    assert "response_format" not in sent(stage)


@each_client
async def test_a_tasks_schema_is_stood_in_for_too(stage: Stage, form: Form) -> None:
    """Whoever asked for the format: the app, or its task."""
    stage.first.script(FIRST_MODEL, Answer(GOOD))
    contract = {"schema": SCHEMA}
    async with Router.from_mapping(config(stage, first=PROMPTED, task={"contract": contract})) as router:
        got = await ask(router, form)
    assert got.text == GOOD
    assert got.routes == ["first"]
    assert "response_format" not in sent(stage)


# -- the others ------------------------------------------------------------------------------------------------------


@each_client
async def test_strict_functions_are_checked_where_the_route_cannot_be_strict(stage: Stage, form: Form) -> None:
    """``strict`` is taken out, and the arguments must keep the schema all the same."""
    stage.first.script(FIRST_MODEL, Answer(tool_calls=[ToolCall("refund", '{"amount": "3"}')]))
    stage.second.script(SECOND_MODEL, Answer(tool_calls=[ToolCall("refund", '{"amount": 3}')]))
    async with Router.from_mapping(config(stage, first={"stand_in": {"strict_tools": "check"}})) as router:
        got = await ask(router, form, tools=[tool(strict=True)])
    assert got.routes == ["first", "second"]
    assert "strict" not in sent(stage)["tools"][0]["function"]
    assert sent(stage)["tools"][0]["function"]["name"] == "refund"
    assert got.call.attempts[0].adapted == ("strict tools checked here",)
    assert stage.second.journal[0].json["tools"] == [tool(strict=True)]


@each_client
async def test_developer_messages_become_system_messages(stage: Stage, form: Form) -> None:
    """Only the role changes."""
    developer = {"role": "developer", "content": [{"type": "text", "text": 'Be "developer" like.'}]}
    async with Router.from_mapping(config(stage, first={"stand_in": {"developer": "system"}})) as router:
        got = await ask(router, form, messages=[developer, USER])
    assert sent(stage)["messages"] == [{**developer, "role": "system"}, USER]
    assert got.call.attempts[0].adapted == ("developer messages as system messages",)


BY_CALLS = {"stand_in": {"n": "calls"}}


@each_client
async def test_several_answers_are_several_requests(stage: Stage, form: Form) -> None:
    """They are put together as one answer, with their usage added up, each under a key of its own."""
    stage.first.script(
        FIRST_MODEL, Answer("one", usage=(7, 1)), Answer("two", usage=(7, 2)), Answer("six", usage=(7, 3))
    )
    async with Router.from_mapping(config(stage, first=BY_CALLS)) as router:
        got = await ask(router, form, n=3)
    assert got.error is None
    assert got.routes == ["first"]
    choices = got.reply.choices
    assert [choice.index for choice in choices] == [0, 1, 2]
    assert sorted(choice.message.content for choice in choices) == ["one", "six", "two"]
    assert (got.reply.usage.prompt_tokens, got.reply.usage.completion_tokens) == (21, 6)
    assert len(stage.first.journal) == 3
    assert all("n" not in received.json for received in stage.first.journal)
    for name in "idempotency-key", "x-client-request-id":
        assert len({received.headers[name] for received in stage.first.journal}) == 3
    (attempt,) = got.call.attempts
    assert attempt.adapted == ("n by 3 calls",)
    assert (attempt.input_tokens, attempt.output_tokens) == (21, 6)


@each_client
async def test_one_of_several_requests_that_fails_fails_the_attempt(stage: Stage, form: Form) -> None:
    """The next route answers all of it."""
    stage.first.script(FIRST_MODEL, Answer("one"), Status(529), Answer("three"))
    async with Router.from_mapping(config(stage, first=BY_CALLS)) as router:
        got = await ask(router, form, n=3)
    assert got.routes == ["first", "second"]
    assert len(got.reply.choices) == 3
    assert stage.second.journal[0].json["n"] == 3


PRICED = {**BY_CALLS, "price": {"input": 2.0, "output": 10.0}}


@each_client
async def test_what_several_requests_cost_is_told_also_when_one_of_them_fails(stage: Stage, form: Form) -> None:
    """Those that were answered are added up, and the status is that of the one that failed."""
    stage.first.script(
        FIRST_MODEL,
        Answer("one", usage=(1000, 100)),
        SlowHeaders(0.5, then=Status(529)),
        Answer("three", usage=(1000, 300)),
    )
    async with Router.from_mapping(config(stage, first=PRICED)) as router:
        got = await ask(router, form, n=3)
    attempt = got.call.attempts[0]
    assert (attempt.http_status, attempt.failure) == (529, FailureKind.OUTAGE)
    assert (attempt.input_tokens, attempt.output_tokens) == (2000, 400)
    assert attempt.cost_usd == pytest.approx((2000 * 2 + 400 * 10) / 1e6)
    assert (attempt.cost_status, attempt.cost_upper_usd) == (CostStatus.KNOWN, None)


@each_client
async def test_what_requests_cost_that_were_cut_off_is_unknown(stage: Stage, form: Form) -> None:
    """The failure of one ends the others: those may be billed, so nothing is said to be free."""
    stage.first.script(FIRST_MODEL, Answer("one", usage=(1000, 100)), SlowHeaders(0.5, then=Status(529)), Silence())
    async with Router.from_mapping(config(stage, first=PRICED)) as router:
        got = await ask(router, form, n=3, max_tokens=500)
    attempt = got.call.attempts[0]
    assert (attempt.input_tokens, attempt.output_tokens) == (1000, 100)
    assert (attempt.cost_usd, attempt.cost_status) == (None, CostStatus.UNKNOWN)
    assert attempt.cost_upper_usd == pytest.approx(3 * 500 * 10 / 1e6, rel=0.2)


@each_client
async def test_tokens_of_several_requests_that_nobody_counted_are_estimated_for_all(stage: Stage, form: Form) -> None:
    """The question is read as often as it is asked."""
    stage.first.script(FIRST_MODEL, *[Answer("one", usage=None)] * 4)
    async with Router.from_mapping(config(stage, first=PRICED)) as router:
        several, single = await ask(router, form, n=3), await ask(router, form, n=1)
    three, one = several.call.attempts[0].input_tokens, single.call.attempts[0].input_tokens
    assert three is not None
    assert one is not None
    assert three == pytest.approx(3 * one, rel=0.1)


@each_client
async def test_each_of_several_requests_is_checked(stage: Stage, form: Form) -> None:
    """One that breaks the contract breaks it for all."""
    stage.first.script(FIRST_MODEL, Answer(GOOD), Answer(BROKEN))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first=BY_CALLS)) as router:
        got = await ask(router, form, n=2, response_format=JSON_OBJECT)
        assert got.routes == ["first"]  # any object will do
        got = await ask(router, form, n=2, response_format=JSON_SCHEMA)
    assert got.routes == ["first", "second"]


@each_client
async def test_a_sensitive_call_takes_no_answer_of_another_model_among_several(stage: Stage, form: Form) -> None:
    """All of the requests must be answered by the model that was asked for."""
    stage.first.script(FIRST_MODEL, Answer("one"), Answer("two", model="another"))
    mapping = config(stage, first=BY_CALLS, more={"sensitive": {"payment": {"routes": ["first"]}}})
    async with Router.from_mapping(mapping) as router:
        got = await ask_in(router.scope(sensitive="payment"), form, n=2)
    assert isinstance(got.error, FailClosed)
    assert got.call.attempts[0].failure is FailureKind.SUBSTITUTED


async def test_several_answers_are_no_stream(stage: Stage) -> None:
    """Streams of several calls can't be put together, and too many calls at once are none either."""
    async with Router.from_mapping(config(stage, first=BY_CALLS)) as router:
        got = await ask(router, Form("async", stream=True), n=2)
        assert got.routes == ["second"]
        assert "can't stream 2 answers at once" in got.call.explain()
        got = await ask(router, Form("async"), n=9)
        assert got.routes == ["second"]
        assert "can't give 9 answers" in got.call.explain()


# -- abilities -------------------------------------------------------------------------------------------------------

PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
SPEECH = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}
ABILITIES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tools": ({"tools": [tool(strict=False)]}, {"tools": []}),
    "strict_tools": ({"tools": [tool(strict=True)]}, {"tools": [tool(strict=False)]}),
    "vision": ({"messages": [PICTURE]}, {"messages": [{"role": "user", "content": 'a "image_url" of words'}]}),
    "audio": ({"messages": [SPEECH]}, {"messages": [PICTURE]}),
    "json": ({"response_format": JSON_OBJECT}, {"response_format": {"type": "text"}}),
    "json_schema": ({"response_format": JSON_SCHEMA}, {"response_format": JSON_OBJECT}),
    "reasoning": ({"reasoning_effort": "high"}, {"reasoning_effort": "none"}),
    "n": ({"n": 2}, {"n": 1}),
    "developer": ({"messages": [{"role": "developer", "content": "?"}]}, {"messages": [USER]}),
}


@pytest.mark.parametrize(("ability", "case"), ABILITIES.items(), ids=ABILITIES)
@each_client
async def test_a_route_is_passed_over_by_calls_that_it_cannot_do(
    stage: Stage, form: Form, ability: str, case: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Nothing is sent to it, and the trace says why; calls that don't need it go there as ever."""
    needs, does_not = case
    stage.first.script(FIRST_MODEL, Answer(GOOD))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, first={"cannot": [ability]})) as router:
        got = await ask(router, form, **needs)
        assert got.routes == ["second"]
        assert f"can't do {ability}" in got.call.explain()
        got = await ask(router, form, **does_not)
        assert got.routes == ["first"]


# -- what is learned -------------------------------------------------------------------------------------------------


@each_client
async def test_what_was_learned_is_reported_as_a_line_of_the_config(
    stage: Stage, form: Form, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, and in the trace of the call that found out."""
    stage.first.script(FIRST_MODEL, RejectParameters("temperature"))
    with caplog.at_level(logging.WARNING, "lanewise"):
        async with Router.from_mapping(config(stage, first={"drop": ["seed"]})) as router:
            got = await ask(router, form, temperature=0.2, seed=1)
            await ask(router, form, temperature=0.2)
    told = [record.getMessage() for record in caplog.records if "can't take temperature" in record.getMessage()]
    assert len(told) == 1
    assert 'drop = ["seed", "temperature"] under [routes.first]' in told[0]
    assert 'hint: drop = ["seed", "temperature"] under [routes.first]' in got.call.explain()
