"""Contracts over HTTP: what an app asked for is what it gets, from whichever lane, or it gets an error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import openai
import pydantic
import pytest

from _contracts.hostile import PATTERN, TEXT, branching
from _contracts.test_contract import SCHEMA as TICKET
from _contracts.test_contract import malformed
from lanewise import ContractViolated, FailClosed, FailureKind, InvalidCall, Outcome, Router
from lanewise.testing import Answer, Status, StreamOf, ToolCall
from router.driving import (
    FIRST_MODEL,
    FORMS,
    SECOND_MODEL,
    STREAMS,
    WHOLE,
    Form,
    Spy,
    Stage,
    ask,
    ask_in,
    config,
    using,
)
from router.rows import is_of

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)
each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)

CANARY = "canary-answer"
GOOD = '{"title": "Late parcel", "urgent": true}'
BROKEN = f'{{"title": 7, "urgent": true, "{CANARY}": 1}}'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["title", "urgent"],
    "additionalProperties": False,
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "summary", "schema": SCHEMA}}
JSON_OBJECT = {"type": "json_object"}
HOLD = {"stream": {"hold": "all"}}


class Summary(pydantic.BaseModel):
    """What the tests' app wants of a ticket."""

    title: str
    urgent: bool

    @pydantic.field_validator("title")
    @classmethod
    def _not_shouted(cls, title: str) -> str:
        if title.isupper():
            raise ValueError(title)
        return title


def is_polite(text: str) -> bool:
    """A check of the tests' app."""
    if "raise" in text:
        raise LookupError(text)
    return "damn" not in text


async def is_late(text: str) -> bool:
    """No check: it is asynchronous."""
    return True


def answers(stage: Stage, first: Answer, second: Answer | None = None) -> None:
    stage.first.script(FIRST_MODEL, first)
    stage.second.script(SECOND_MODEL, second or Answer(GOOD))


def tool(*, strict: bool, name: str = "refund") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": strict}}


# -- what the request asks for ---------------------------------------------------------------------------------------

BREACHES: Mapping[str, tuple[dict[str, Any], Answer, str]] = {
    "no JSON": (JSON_OBJECT, Answer("The parcel is late."), "it is not JSON"),
    "a list": (JSON_OBJECT, Answer("[1]"), "it is no JSON object"),
    "a fence": (JSON_OBJECT, Answer(f"```json\n{GOOD}\n```"), "a code fence is around it"),
    "cut": (JSON_SCHEMA, Answer(GOOD[:-4]), "it is not JSON"),
    "silence": (JSON_SCHEMA, Answer("  "), "it has no text"),
    "another shape": (JSON_SCHEMA, Answer(BROKEN), "title: type; the top level: additionalProperties"),
    "a field is missing": (JSON_SCHEMA, Answer('{"title": ""}'), "the top level: required (urgent)"),
    "a call of nothing": (JSON_SCHEMA, Answer(tool_calls=[ToolCall("refund")]), "calls a function, and none was"),
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
@each_client
async def test_json_that_breaks_its_contract_takes_the_next_route(
    stage: Stage, form: Form, breach: tuple[dict[str, Any], Answer, str]
) -> None:
    """An answer that is not the JSON that was asked for does not count, on the primary route too."""
    response_format, answer, told = breach
    answers(stage, answer)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=response_format)
    assert got.error is None
    assert got.text == GOOD
    assert got.routes == ["first", "second"]
    assert got.call.attempts[0].failure is FailureKind.CONTRACT
    assert told in got.call.attempts[0].detail
    assert told in got.call.explain()
    assert CANARY not in got.call.explain() + repr(got.call)


@each_form
async def test_json_that_keeps_its_contract_is_the_answer(stage: Stage, form: Form) -> None:
    """What is as it was asked for is handed through."""
    answers(stage, Answer(GOOD))
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.error is None
    assert got.text == GOOD
    assert got.routes == ["first"]


@each_client
async def test_no_lane_gives_what_breaks_the_contract(stage: Stage, form: Form, spy: type[Spy]) -> None:
    """The last lane is checked as the first: the app gets an error, and never the answer."""
    answers(stage, Answer(BROKEN), Answer(BROKEN))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, ContractViolated)
    assert isinstance(got.error, openai.APIResponseValidationError)
    assert got.call.outcome is Outcome.FAILED
    assert got.call.failure is FailureKind.CONTRACT
    assert "title: type" in str(got.error)
    assert CANARY not in f"{got.error!s}{got.error!r}{got.error.args}"
    for failure in spy.seen:
        is_of(failure, "contract")


@each_client
async def test_what_parse_asks_for_is_checked(stage: Stage, form: Form) -> None:
    """``.parse()`` with a pydantic model gets what it can parse."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage)) as router:

        def parse(client: Any) -> Any:
            messages = [{"role": "user", "content": "?"}]
            return client.chat.completions.parse(model="both", messages=messages, response_format=Summary)

        reply = await using(router.scope(), form.client, parse)
    assert reply.choices[0].message.parsed == Summary(title="Late parcel", urgent=True)


@each_client
async def test_responses_are_checked_by_their_text_format(stage: Stage, form: Form) -> None:
    """The Responses API names its format in ``text``; its ``.parse()`` gets what it can parse."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        reply = await using(
            scope, form.client, lambda client: client.responses.parse(model="both", input="?", text_format=Summary)
        )
    assert reply.output_parsed == Summary(title="Late parcel", urgent=True)
    assert [attempt.failure for attempt in scope.calls[-1].attempts] == [FailureKind.CONTRACT, None]


@each_client
async def test_each_of_several_choices_is_checked(stage: Stage, form: Form) -> None:
    """With ``n = 2`` one choice that breaks the contract breaks it for all."""
    stage.first.script(FIRST_MODEL, Answer(BROKEN))
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA, n=2)
    assert got.error is None
    assert "choice 1: title: type" in got.call.attempts[0].detail


STATED: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "a dialect of its own": (
        {"$schema": "https://spec.openapis.org/oas/3.1/dialect/base", **SCHEMA},
        '{"title": "Late", "urgent": true}',
        '{"title": 7, "urgent": true}',
    ),
    "annotations of other types": (
        {"title": None, "properties": {"description": {"type": "string", "description": None, "examples": "x"}}},
        '{"description": "Late"}',
        '{"description": 7}',
    ),
    "a property of a keyword's name": (
        {"properties": {"default": {"type": "string", "description": None}}},
        '{"default": "Late"}',
        '{"default": 7}',
    ),
    "an annotation in a value": ({"const": {"title": None}, "title": 7}, '{"title": null}', "{}"),
    "a list of items (draft 7)": (
        {"properties": {"pair": {"items": [{"type": "string"}, {"type": "integer"}]}}},
        '{"pair": ["a", 1]}',
        '{"pair": [1, 1]}',
    ),
    "a true exclusiveMinimum (draft 4)": (
        {"properties": {"amount": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}}},
        '{"amount": 1}',
        '{"amount": 0}',
    ),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
async def test_a_schema_is_judged_by_as_providers_read_it(stage: Stage, case: tuple[dict[str, Any], str, str]) -> None:
    """Of an older draft, an unknown dialect or with odd annotations: it is sent as it is, and answers keep it."""
    schema, good, bad = case
    answers(stage, Answer(bad), Answer(good))
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with Router.from_mapping(config(stage)) as router:
        reply = await router.scope().async_openai.chat.completions.create(
            model="both",
            messages=[{"role": "user", "content": "?"}],
            response_format=asked,  # type: ignore[arg-type]
        )
    assert reply.choices[0].message.content == good
    sent = [json.loads(received.body) for received in (*stage.first.journal, *stage.second.journal)]
    assert [body["response_format"] for body in sent] == [asked, asked]


# -- functions -------------------------------------------------------------------------------------------------------

CALLS: Mapping[str, tuple[bool, ToolCall, str]] = {
    "not JSON": (False, ToolCall("refund", '{"amount": '), "the arguments of refund are not JSON"),
    "nothing": (False, ToolCall("refund", ""), "the arguments of refund are not JSON"),
    "a list": (False, ToolCall("refund", "[3]"), "the arguments of refund are no JSON object"),
    "not offered": (False, ToolCall(CANARY), "it calls a function that was not offered"),
    "strict": (True, ToolCall("refund", '{"amount": "3"}'), "the arguments of refund: amount: type"),
}


@pytest.mark.parametrize("case", CALLS.values(), ids=CALLS)
@each_client
async def test_calls_of_functions_are_checked(stage: Stage, form: Form, case: tuple[bool, ToolCall, str]) -> None:
    """Arguments are JSON objects, those of strict functions keep the function's schema, and nothing else is called."""
    strict, call, told = case
    answers(stage, Answer(tool_calls=[call]), Answer(tool_calls=[ToolCall("refund", '{"amount": 3}')]))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, tools=[tool(strict=strict)])
    assert got.error is None
    assert got.routes == ["first", "second"]
    assert got.reply.choices[0].message.tool_calls[0].function.arguments == '{"amount": 3}'
    assert told in got.call.attempts[0].detail
    assert CANARY not in got.call.explain()


@each_client
async def test_arguments_of_functions_that_are_not_strict_may_break_their_schema(stage: Stage, form: Form) -> None:
    """Without ``strict`` the app has not asked for the schema to be kept."""
    answers(stage, Answer(tool_calls=[ToolCall("refund", '{"amount": "3"}')]))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, tools=[tool(strict=False)])
    assert got.error is None
    assert got.routes == ["first"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "refund"}}], ids=str)
@each_client
async def test_a_function_that_must_be_called_is_called(stage: Stage, form: Form, choice: Any) -> None:
    """``tool_choice`` that requires a call is no wish: a text instead of it does not count."""
    answers(stage, Answer("I'd refund 3."), Answer(tool_calls=[ToolCall("refund", '{"amount": 3}')]))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, tools=[tool(strict=True)], tool_choice=choice)
    assert got.routes == ["first", "second"]
    assert "it calls no function" in got.call.attempts[0].detail


@each_client
async def test_functions_of_responses_are_checked(stage: Stage, form: Form) -> None:
    """The Responses API lists functions flat, and answers with items."""
    answers(
        stage, Answer(tool_calls=[ToolCall("refund", "{}")]), Answer(tool_calls=[ToolCall("refund", '{"amount":3}')])
    )
    offered = {"type": "function", **tool(strict=True)["function"]}
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        await using(
            scope, form.client, lambda client: client.responses.create(model="both", input="?", tools=[offered])
        )
    detail = scope.calls[-1].attempts[0].detail
    assert "the arguments of refund: the top level: required (amount)" in detail


LATE = {"type": "function", "name": "late", "parameters": {"type": "object"}}
OFFERED_ELSEWHERE: Mapping[str, Mapping[str, Any]] = {
    "by an item": {"input": [{"type": "additional_tools", "role": "developer", "tools": [LATE]}]},
    "by a search for tools": {"input": [{"type": "tool_search_output", "call_id": "c", "tools": [LATE]}]},
    "by a stored prompt": {"prompt": {"id": "pmpt_1"}},
    "by a conversation": {"conversation": "conv_1"},
    "by an earlier response": {"previous_response_id": "resp_1"},
}


@pytest.mark.parametrize("name", ["prompt", "conversation", "previous_response_id"])
@pytest.mark.parametrize("wrong", [Answer(tool_calls=[ToolCall("late", "{}")]), Answer("Words")], ids=["call", "text"])
async def test_what_is_null_offers_nothing(stage: Stage, name: str, wrong: Answer) -> None:
    """The first turn of a loop names no response before it: its functions are those in its list."""
    answers(stage, wrong, Answer(tool_calls=[ToolCall("soon", "{}")]))
    asked: dict[str, Any] = {"tools": [{**LATE, "name": "soon"}], "tool_choice": "required", name: None}
    async with Router.from_mapping(config(stage)) as router:
        reply = await router.scope().async_openai.responses.create(model="both", input="?", **asked)
    assert reply.output[0].name == "soon"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["conversation", "previous_response_id"])
async def test_a_required_call_is_required_also_in_a_later_turn(stage: Stage, name: str) -> None:
    """Functions may have been offered before, and calls of them are seen: an answer in words alone is none."""
    answers(stage, Answer("Words"))
    asked: dict[str, Any] = {"tools": [{**LATE, "name": "soon"}], "tool_choice": "required", name: "x_1"}
    async with Router.from_mapping(config(stage)) as router:
        with pytest.raises(ContractViolated, match="it calls no function, and one was required"):
            await router.scope().async_openai.responses.create(model="both", input="?", **asked)


@pytest.mark.parametrize("listed", [None, [], [{**LATE, "name": "soon"}]], ids=["no list", "empty", "a list"])
@pytest.mark.parametrize("extra", OFFERED_ELSEWHERE.values(), ids=OFFERED_ELSEWHERE)
async def test_functions_that_no_list_of_tools_names_may_be_called(
    stage: Stage, extra: Mapping[str, Any], listed: list[Any] | None
) -> None:
    """What a stored prompt, a conversation or an item of the input brings along is offered too, beside a contract."""
    answers(stage, Answer(tool_calls=[ToolCall("late", "{}")]))
    asked = {"input": "?", "tools": openai.omit if listed is None else listed, **extra}
    json_object = {"format": {"type": "json_object"}}
    async with Router.from_mapping(config(stage)) as router:
        for text in (openai.omit, json_object):
            reply = await router.scope().async_openai.responses.create(model="both", text=text, **asked)  # type: ignore[call-overload]
            assert reply.output[0].name == "late"
    assert stage.second.request_count == 0


async def test_a_tool_of_the_providers_own_has_no_name_to_be_offered_by(stage: Stage) -> None:
    """Gemini's search is written without a type and a name, and called by one."""
    answers(stage, Answer(tool_calls=[ToolCall("google_search", "{}")]))
    async with Router.from_mapping(config(stage)) as router:
        reply = await router.scope().async_openai.chat.completions.create(
            model="both",
            messages=[{"role": "user", "content": "?"}],
            tools=[tool(strict=True), {"google_search": {}}],  # type: ignore[list-item]
        )
    assert reply.choices[0].message.tool_calls is not None
    assert stage.second.request_count == 0


# -- refusals and length ---------------------------------------------------------------------------------------------


@each_form
async def test_a_refusal_is_the_apps_to_read(stage: Stage, form: Form) -> None:
    """A model that declines has not broken the contract: the SDK has a place for that."""
    answers(stage, Answer(refusal="I can't do that."))
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.error is None
    assert got.routes == ["first"]


@each_client
async def test_json_that_ends_by_its_length_takes_the_next_route(stage: Stage, form: Form, spy: type[Spy]) -> None:
    """``finish_reason = "length"`` while JSON was asked for counts, also where what came happens to be JSON."""
    answers(stage, Answer(GOOD, finish_reason="length"))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.error is None
    assert got.routes == ["first", "second"]
    is_of(spy.seen[0], "length")


@each_client
async def test_where_all_end_by_their_length_the_sdk_says_so(stage: Stage, form: Form) -> None:
    """If every lane's JSON ends by its length, ``.parse()`` raises the SDK's own class for that."""
    answers(stage, Answer(GOOD[:9], finish_reason="length"), Answer(GOOD[:9], finish_reason="length"))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()

        def parse(client: Any) -> Any:
            messages = [{"role": "user", "content": "?"}]
            return client.chat.completions.parse(model="both", messages=messages, response_format=Summary)

        with pytest.raises(openai.LengthFinishReasonError):
            await using(scope, form.client, parse)
    assert [attempt.failure for attempt in scope.calls[-1].attempts] == [FailureKind.CONTRACT] * 2


@each_client
async def test_one_that_broke_its_shape_and_one_that_was_cut_are_no_answer(stage: Stage, form: Form) -> None:
    """Only if all lanes end alike is a cut answer the app's to read."""
    answers(stage, Answer(BROKEN), Answer(GOOD[:9], finish_reason="length"))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, ContractViolated)


# -- streams ---------------------------------------------------------------------------------------------------------


@each_stream
async def test_a_held_stream_that_breaks_its_contract_takes_the_next_route(stage: Stage, form: Form) -> None:
    """With ``hold = "all"`` nothing of a stream is passed on before all of it was checked."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.error is None
    assert got.text == GOOD
    assert got.routes == ["first", "second"]


@each_stream
async def test_a_stream_that_breaks_its_contract_raises_at_its_end(stage: Stage, form: Form) -> None:
    """A stream that is not held has begun to answer: it may not end as if it were whole."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=[BROKEN[:9], BROKEN[9:]], interval=0.05))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, ContractViolated)
    assert got.routes == ["first"]
    assert got.call.outcome is Outcome.FAILED
    assert got.call.failure is FailureKind.CONTRACT
    assert CANARY not in f"{got.error!s}{got.error!r}{got.call.explain()}"


FINISH = b'data: {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'


@each_stream
@pytest.mark.parametrize("chunks", [[BROKEN[:9], BROKEN[9:], FINISH, b": a pause\n\n"], [BROKEN, FINISH]], ids=len)
async def test_what_ends_a_stream_is_kept_back_until_its_contract_is_found_kept(
    chunks: list[Any], stage: Stage, form: Form
) -> None:
    """Its finish reason may come well before its end: an app that has read one takes the answer for whole."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=chunks, interval=0.05))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
        fine = StreamOf(chunks=[GOOD[:3], GOOD[3:], FINISH, b": a pause\n\n"], interval=0.05)
        stage.first.script(FIRST_MODEL, fine)
        kept = await ask(router, form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, ContractViolated)
    assert not [choice for chunk in got.chunks for choice in chunk.choices if choice.finish_reason]
    assert (kept.error, kept.text) == (None, GOOD)
    assert [choice for chunk in kept.chunks for choice in chunk.choices if choice.finish_reason]


@each_stream
async def test_calls_of_functions_in_a_held_stream_are_checked(stage: Stage, form: Form) -> None:
    """Arguments that come in pieces are checked as a whole."""
    answers(
        stage,
        Answer(tool_calls=[ToolCall("refund", '{"amount": "3"}')]),
        Answer(tool_calls=[ToolCall("refund", '{"amount": 3}')]),
    )
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        got = await ask(router, form, tools=[tool(strict=True)])
    assert got.error is None
    assert got.routes == ["first", "second"]
    assert "the arguments of refund: amount: type" in got.call.attempts[0].detail


@pytest.mark.parametrize("client", ["async", "sync"])
async def test_a_held_stream_of_responses_is_checked(stage: Stage, client: str) -> None:
    """The events of a Responses stream are checked by what they end in."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        scope = router.scope()
        options: dict[str, Any] = {"text": {"format": {"type": "json_schema", "name": "summary", "schema": SCHEMA}}}

        if client == "sync":
            text = await using(scope, client, lambda sync: _text_of_response(sync, options))
        else:
            stream = await scope.async_openai.responses.create(model="both", input="?", stream=True, **options)
            text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert text == GOOD
    assert [attempt.failure for attempt in scope.calls[-1].attempts] == [FailureKind.CONTRACT, None]


def _text_of_response(client: Any, options: dict[str, Any]) -> str:
    stream = client.responses.create(model="both", input="?", stream=True, **options)
    return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


# -- what a task declares --------------------------------------------------------------------------------------------

SUMMARY = f"{__name__}:Summary"
POLITE = f"{__name__}:is_polite"


@each_client
async def test_a_tasks_model_is_asked_for_and_checked(stage: Stage, form: Form) -> None:
    """The task's schema becomes the ``response_format`` that the app did not give, on every route."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage, task={"contract": SUMMARY})) as router:
        got = await ask(router, form)
    assert got.error is None
    assert got.text == GOOD
    for received in stage.received():
        asked = received.json["response_format"]
        assert asked["type"] == "json_schema"
        assert asked["json_schema"]["name"] == "Summary"
        assert asked["json_schema"]["strict"] is True


@each_client
async def test_a_tasks_model_is_the_format_of_responses_too(stage: Stage, form: Form) -> None:
    """For the Responses API it goes into ``text``, beside what the app says there."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage, task={"contract": SUMMARY})) as router:
        reply = await using(
            router.scope(),
            form.client,
            lambda client: client.responses.create(model="both", input="?", text={"verbosity": "low"}),
        )
    assert reply.output_text == GOOD
    asked = stage.first.journal[0].json["text"]
    assert asked["verbosity"] == "low"
    assert asked["format"]["name"] == "Summary"


@each_client
async def test_a_models_own_validators_count(stage: Stage, form: Form) -> None:
    """What the schema can't say, the model does; the value stays out of what is told."""
    answers(stage, Answer('{"title": "CANARY", "urgent": true}'))
    async with Router.from_mapping(config(stage, task={"contract": SUMMARY})) as router:
        got = await ask(router, form)
    assert got.text == GOOD
    assert "title: value_error" in got.call.attempts[0].detail
    assert "CANARY" not in got.call.explain()


DECLARED: Mapping[str, tuple[dict[str, object], str, str]] = {
    "max_chars": ({"max_chars": 40}, "A text that is longer than the forty characters.", "max_chars: it is longer"),
    "must_match": ({"must_match": r"^\{.*\}$"}, "No braces.", "must_match: the pattern is not in it"),
    "check": ({"check": POLITE}, "damn", "check: the app's function says no"),
    "check raises": ({"check": POLITE}, "raise", "check: the app's function raised LookupError"),
}


@pytest.mark.parametrize("case", DECLARED.values(), ids=DECLARED)
@each_client
async def test_a_tasks_own_rules_are_kept(stage: Stage, form: Form, case: tuple[dict[str, object], str, str]) -> None:
    """Length, pattern and the app's own function hold for any text, without JSON."""
    contract, text, told = case
    answers(stage, Answer(text))
    async with Router.from_mapping(config(stage, task={"contract": contract})) as router:
        got = await ask(router, form)
    assert got.error is None
    assert got.text == GOOD
    assert told in got.call.attempts[0].detail
    assert "response_format" not in stage.first.journal[0].json


@each_client
async def test_a_schema_in_a_file_is_relative_to_the_config(
    stage: Stage, form: Form, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is read from beside the TOML file, wherever the app was started."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "summary.json").write_text(json.dumps(SCHEMA))
    mapping = config(stage, task={"contract": "schemas/summary.json"})
    from lanewise import Config

    answers(stage, Answer(BROKEN))
    async with Router(Config.from_mapping(mapping, tmp_path / "lanewise.toml")) as router:
        got = await ask(router, form)
    assert got.text == GOOD
    assert got.routes == ["first", "second"]


@each_client
async def test_the_apps_own_schema_stands_in_place_of_the_tasks(stage: Stage, form: Form) -> None:
    """What the call asks for is more exact than what its task does; the rest of the task's contract still holds."""
    answers(stage, Answer('{"n": 1}'))
    own = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "required": ["n"]}}}
    async with Router.from_mapping(config(stage, task={"contract": {"schema": SUMMARY, "max_chars": 20}})) as router:
        got = await ask(router, form, response_format=own)
        assert got.text == '{"n": 1}'
        assert got.routes == ["first"]
        stage.first.script(FIRST_MODEL, Answer('{"n": 1' + " " * 20 + "}"))
        got = await ask(router, form, response_format=own)
        assert "max_chars" in got.call.attempts[0].detail


@each_client
async def test_a_route_that_cannot_take_the_tasks_format_is_skipped(stage: Stage, form: Form) -> None:
    """The format that a task adds is as much a part of the call as one that the app sent."""
    answers(stage, Answer(GOOD))
    async with Router.from_mapping(
        config(stage, first={"drop": ["response_format"]}, task={"contract": SUMMARY})
    ) as router:
        got = await ask(router, form)
    assert got.routes == ["second"]
    assert "can't take response_format" in got.call.explain()


async def test_embeddings_have_no_contract(stage: Stage) -> None:
    """A task's contract is for its texts."""
    async with Router.from_mapping(config(stage, task={"contract": SUMMARY})) as router:
        reply = await router.scope().async_openai.embeddings.create(model="both", input="?")
    assert reply.data


# -- what can't be checked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "text"}}}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "https://a.example/s"}}}},
            "response_format",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": 7}}}]},
            "tools",
        ),
    ],
    ids=["no schema", "fetches", "tool"],
)
@each_client
async def test_a_schema_that_cannot_be_compiled_is_told_and_nothing_is_sent(
    stage: Stage, form: Form, options: dict[str, Any], param: str
) -> None:
    """It is the app's bug, and no provider is asked; schemas never fetch."""
    async with Router.from_mapping(config(stage)) as router:
        got = await ask_in(router.scope(), form, **options)
    assert isinstance(got.error, InvalidCall)
    assert got.error.param == param
    assert "a.example" not in str(got.error)
    assert stage.received() == []


@each_client
async def test_a_sensitive_call_fails_closed_on_a_broken_contract(stage: Stage, form: Form) -> None:
    """No unapproved route mends what an approved one got wrong."""
    answers(stage, Answer(BROKEN))
    mapping = config(stage, more={"sensitive": {"payment": {"routes": ["first"]}}})
    async with Router.from_mapping(mapping) as router:
        got = await ask_in(router.scope(sensitive="payment"), form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, FailClosed)
    assert got.routes == ["first"]


@each_client
async def test_a_contract_that_is_kept_after_an_outage_is_the_answer(stage: Stage, form: Form) -> None:
    """Contracts and transport failures go together in one call."""
    stage.first.script(FIRST_MODEL, Status(529))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=JSON_OBJECT)
    assert got.text == GOOD
    assert got.routes == ["first", "second"]


MISTAKES: Sequence[tuple[object, str, str]] = [
    ("no.such.module:Summary", "tasks.both.contract.schema", "there is no module"),
    (f"{__name__}:Nothing", "tasks.both.contract.schema", "has no 'Nothing'"),
    (f"{__name__}:CANARY", "tasks.both.contract.schema", "is no schema"),
    ("nowhere.json", "tasks.both.contract.schema", "there is no file"),
    ({"schema": {"type": "text"}}, "tasks.both.contract.schema", "no JSON Schema"),
    ({"check": f"{__name__}:CANARY"}, "tasks.both.contract.check", "is no plain function"),
    ({"check": f"{__name__}:is_late"}, "tasks.both.contract.check", "is no plain function"),
]


@pytest.mark.parametrize(("contract", "place", "problem"), MISTAKES)
async def test_a_contract_that_cannot_be_used_is_told_when_the_router_opens(
    stage: Stage, contract: object, place: str, problem: str
) -> None:
    """What a contract names is looked up at once, and each mistake has its place."""
    from lanewise import ConfigError

    router = Router.from_mapping(config(stage, task={"contract": contract}))
    with pytest.raises(ConfigError) as caught:
        await router.__aenter__()
    assert [mistake.place for mistake in caught.value.mistakes] == [place]
    assert problem in str(caught.value)


# -- repair ----------------------------------------------------------------------------------------------------------

REPAIR = {"contract": {"on_violation": "repair"}}


@each_client
async def test_a_route_may_mend_its_answer_once(stage: Stage, form: Form) -> None:
    """The same route is shown its answer and the breach, under another idempotency key."""
    stage.first.script(FIRST_MODEL, Answer(BROKEN), Answer(GOOD))
    async with Router.from_mapping(config(stage, task=REPAIR)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.text == GOOD
    assert got.routes == ["first", "first"]
    first, second = stage.first.journal
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    *before, answer, breach = second.json["messages"]
    assert before == first.json["messages"]
    assert answer == {"role": "assistant", "content": BROKEN}
    assert "title: type" in breach["content"]
    assert "asks to mend the answer of first" in got.call.explain()
    assert CANARY not in got.call.explain()


@each_client
async def test_a_route_that_cannot_mend_its_answer_is_left(stage: Stage, form: Form) -> None:
    """One time a call, and then the next route, which gets the question as it was."""
    answers(stage, Answer(BROKEN), Answer(BROKEN))
    async with Router.from_mapping(config(stage, task=REPAIR)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert isinstance(got.error, ContractViolated)
    assert got.routes == ["first", "first", "second"]
    assert len(stage.second.journal[0].json["messages"]) == 1


@each_client
async def test_a_repair_that_is_refused_takes_the_next_route(stage: Stage, form: Form) -> None:
    """The longer question may be too long for the route: the call goes on as without a repair."""
    stage.first.script(FIRST_MODEL, Answer(BROKEN), Status(400, {"code": "context_length_exceeded"}))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, task=REPAIR)) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.text == GOOD
    assert got.routes == ["first", "first", "second"]


async def test_repairs_are_charged_to_the_retry_allowance(stage: Stage) -> None:
    """A model that breaks every contract is not asked twice for each answer: five repairs, and what comes back."""
    answers(stage, Answer(BROKEN), Answer(BROKEN))
    async with Router.from_mapping(config(stage, task=REPAIR)) as router:
        got = [await ask(router, Form("async"), response_format=JSON_SCHEMA) for _ in range(12)]
    assert got[0].routes == ["first", "first", "second"]
    assert got[-1].routes == ["first", "second"]
    assert stage.first.request_count <= 12 + 7


@each_stream
async def test_a_held_stream_may_be_mended(stage: Stage, form: Form) -> None:
    """Nothing of it has been passed on."""
    stage.first.script(FIRST_MODEL, Answer(BROKEN), Answer(GOOD))
    async with Router.from_mapping(config(stage, task={**REPAIR, **HOLD})) as router:
        got = await ask(router, form, response_format=JSON_SCHEMA)
    assert got.text == GOOD
    assert got.routes == ["first", "first"]


# -- quality is not transport ---------------------------------------------------------------------------------------


@each_client
async def test_broken_contracts_open_no_breaker(stage: Stage, form: Form) -> None:
    """However many answers of a route break theirs, the next call asks it again."""
    answers(stage, Answer(BROKEN))
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(12):
            got = await ask(router, form, response_format=JSON_SCHEMA)
            assert got.routes == ["first", "second"]
    assert got.call.attempts[0].failure is FailureKind.CONTRACT


@each_stream
async def test_a_stream_that_breaks_its_contract_starts_over_where_that_is_asked_for(stage: Stage, form: Form) -> None:
    """At its end, as one that is cut would: the app is told, and gets the whole answer of the next route."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=[BROKEN[:9], BROKEN[9:]], interval=0.05))
    stage.second.script(SECOND_MODEL, Answer(GOOD))
    async with Router.from_mapping(config(stage, task={"stream": {"on_break": "restart"}})) as router:
        headers = {"x-lanewise-on-break": "restart"}
        got = await ask(router, form, response_format=JSON_SCHEMA, extra_headers=headers)
    assert got.error is None
    assert got.routes == ["first", "second"]
    assert got.text.endswith(GOOD)
    (told,) = [chunk.lanewise for chunk in got.chunks if getattr(chunk, "lanewise", None)]
    assert told["restart"] is True
    assert told["reason"] == "contract"


# -- malformed answers, over HTTP ------------------------------------------------------------------------------------


async def _never_passes(stage: Stage, form: Form, seed: int, count: int) -> None:
    """Ask once for each malformed answer, on both lanes alike: the app must get an error and no text."""
    given = iter(malformed(seed, count))
    both = ""

    def next_answer(_: object) -> Answer:
        return Answer(both)

    stage.first.script(FIRST_MODEL, next_answer)
    stage.second.script(SECOND_MODEL, next_answer)
    asked = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": TICKET}}
    async with Router.from_mapping(config(stage, task=HOLD)) as router:
        for both in given:
            got = await ask(router, form, response_format=asked)
            assert isinstance(got.error, ContractViolated), both
            assert got.text == ""
            assert got.routes == ["first", "second"]


@each_form
async def test_malformed_answers_never_get_through(stage: Stage, form: Form) -> None:
    """A few of each kind: whole or held as a stream, no client is ever given one."""
    await _never_passes(stage, form, seed=7, count=13)


@pytest.mark.slow
@each_form
async def test_a_thousand_malformed_answers_never_get_through(stage: Stage, form: Form) -> None:
    """The same, at length."""
    await _never_passes(stage, form, seed=20261127, count=1001)


# -- what would take too long ----------------------------------------------------------------------------------------

ENDLESS = {"type": "json_schema", "json_schema": {"name": "x", "schema": branching(60)}}


@each_form
async def test_a_schema_that_cannot_be_judged_in_time_is_refused(stage: Stage, form: Form) -> None:
    """The call's own schema is the reason: no other route is asked, and none is the worse for it."""
    answers(stage, Answer('"x"'))
    async with Router.from_mapping(config(stage, task={"deadline": "2s", "stream": {"hold": "all"}})) as router:
        got = await ask(router, form, response_format=ENDLESS)
        after = await ask(router, form)
    assert isinstance(got.error, openai.BadRequestError)
    assert "schema_takes_too_long" in str(got.error)
    assert got.call.attempts[0].provider_error_code == "schema_takes_too_long"
    assert got.routes == ["first"]
    assert after.routes == ["first"]


@each_stream
async def test_a_stream_whose_schema_cannot_be_judged_breaks_at_its_end(
    stage: Stage, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came was passed on, and is not taken for whole."""
    monkeypatch.setattr("lanewise._runtime.call.attempts.attempt_runner.LONGEST", 0.5)
    stage.first.script_all(StreamOf(chunks=('"', "x", '"'), interval=0.1))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=ENDLESS)
    assert got.error is not None
    assert got.call.outcome is Outcome.FAILED
    assert got.text == '"x'


@each_client
async def test_a_pattern_of_the_task_that_takes_too_long_takes_the_next_route(
    stage: Stage, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that can't be judged does not count, and the next may be one that can."""
    monkeypatch.setattr("lanewise._runtime.call.attempts.attempt_runner.LONGEST", 0.5)
    answers(stage, Answer(TEXT), Answer("aaa"))
    async with Router.from_mapping(config(stage, task={"contract": {"must_match": PATTERN}})) as router:
        got = await ask(router, form)
    assert got.error is None
    assert got.text == "aaa"
    assert got.routes == ["first", "second"]
    assert "can't be judged in time" in got.call.attempts[0].detail


@each_client
async def test_what_is_judged_elsewhere_counts_as_it_would_here(stage: Stage, form: Form) -> None:
    """A schema of many branches, of which one fits."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": branching(20)}}
    answers(stage, Answer("[]"))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, response_format=schema)
    assert got.text == "[]"
    assert got.routes == ["first"]
