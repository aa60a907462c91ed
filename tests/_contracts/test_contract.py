"""The contract of a call, pure: what is asked for, what breaks it, and that nothing malformed passes for an answer."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from _routing.planning import BAD_REQUEST, CONTRACT, OUTAGE, TOO_LONG, layout
from lanewise._contracts.contract import Contract, DeclaredContract, JsonRule
from lanewise._contracts.json_schema import BadSchema, Schema
from lanewise._contracts.request_contract import BadFormat, contract_of, with_declared_format
from lanewise._openai.choices import Choice, ToolCall, read_choices
from lanewise._openai.request_body import RequestBody
from lanewise._openai.streams.stream_accumulator import StreamAccumulator
from lanewise._routing.plan import Plan
from lanewise._transform.repair import repaired
from lanewise.types import Api, Failure, Send, Stop, Switch

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
        "customer": {"$ref": "#/$defs/customer"},
        "priority": {"enum": ["low", "high"]},
    },
    "required": ["title", "tags", "customer", "priority"],
    "additionalProperties": False,
    "$defs": {
        "customer": {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}},
            "required": ["id", "name"],
            "additionalProperties": False,
        }
    },
}
WELL: dict[str, Any] = {
    "title": "Late parcel",
    "tags": ["parcel", "late"],
    "customer": {"id": 7, "name": None},
    "priority": "high",
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": SCHEMA}}


def body(**fields: Any) -> RequestBody:
    return RequestBody.parse(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}], **fields}).encode()
    )


def contract(api: Api = Api.CHAT, declared: DeclaredContract | None = None, **fields: Any) -> Contract:
    found = contract_of(body(**fields), api, declared)
    assert found is not None
    return found


def chat(text: object, *, finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]}).encode()


def failure_of(rules: Contract, answer: bytes, api: Api = Api.CHAT) -> Failure | None:
    found = rules.breach(read_choices(api, answer))
    return None if found is None else found.failure


# -- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"response_format": None},
        {"response_format": {"type": "text"}},
        {"response_format": "nonsense"},
        {"tools": []},
        {"tools": None},
    ],
    ids=str,
)
def test_a_call_that_asks_for_no_shape_has_no_contract(fields: dict[str, Any]) -> None:
    """Anything will do, and nothing is checked; what makes no sense is the provider's to refuse."""
    assert contract_of(body(**fields), Api.CHAT, None) is None


def test_embeddings_have_no_contract() -> None:
    """Vectors have no text, whatever the body says."""
    assert contract_of(body(response_format=FORMAT), Api.EMBEDDINGS, DeclaredContract(max_chars=1)) is None


@pytest.mark.parametrize("schema", [{"type": "no such type"}, {"$ref": "https://schemas.example/x"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_compiled_is_told_by_its_parameter(schema: dict[str, Any]) -> None:
    """Nothing of the schema but the place is in the words, and nothing is fetched."""
    with pytest.raises(BadFormat) as caught:
        contract_of(body(response_format={"type": "json_schema", "json_schema": {"schema": schema}}), Api.CHAT, None)
    assert caught.value.param == "response_format"
    assert "example" not in str(caught.value)
    assert caught.value.__context__ is None or not isinstance(caught.value.__context__, BadSchema)


def test_a_tasks_schema_is_asked_for_where_the_app_asked_for_none() -> None:
    """``{"type": "text"}`` is what goes without saying; a JSON of the app's own stays."""
    declared = DeclaredContract(json=JsonRule(Schema(SCHEMA)), formats={Api.CHAT: json_raw(FORMAT)})
    for given in ({}, {"response_format": None}, {"response_format": {"type": "text"}}):
        plain = body(**given)
        asking = with_declared_format(plain, Api.CHAT, declared)
        assert json.loads(bytes(asking.fields["response_format"])) == FORMAT
        assert asking.digest != plain.digest
    own = body(response_format={"type": "json_object"})
    assert with_declared_format(own, Api.CHAT, declared) is own


def json_raw(value: object) -> Any:
    return RequestBody.parse(json.dumps({"raw": value}).encode()).fields["raw"]


def test_a_tasks_schema_holds_where_the_app_asked_for_any_object() -> None:
    """An app that wants JSON of no particular shape gets the task's."""
    declared = DeclaredContract(json=JsonRule(Schema(SCHEMA)))
    rules = contract(declared=declared, response_format={"type": "json_object"})
    assert failure_of(rules, chat(json.dumps(WELL))) is None
    assert failure_of(rules, chat("{}")) is not None


# -- what breaks it --------------------------------------------------------------------------------------------------


def test_a_breach_tells_places_and_keywords_and_no_value() -> None:
    """Names that only the answer has are no place: they may be anything."""
    rules = contract(response_format=FORMAT)
    answer = {**WELL, "title": 9, "tags": ["a", 5], "customer": {"id": "secret", "name": None, "canary": 1}}
    failure = failure_of(rules, chat(json.dumps(answer)))
    assert failure is not None
    assert failure.cause == "breaks the contract: title: type; tags[1]: type; customer.id: type"
    assert "canary" not in repr(failure)
    assert "secret" not in repr(failure)


def test_what_an_answer_says_is_in_no_repr() -> None:
    """Of what is read for the check only sizes are shown."""
    said = Choice("canary", (ToolCall("f", "canary"),))
    shown = repr(said) + repr(said.calls) + repr(contract(tools=[{"type": "function", "function": {"name": "canary"}}]))
    assert "canary" not in shown


@pytest.mark.parametrize("content", [["a"], {"text": "{}"}, 7, [{"type": "text", "text": 9}]], ids=str)
def test_content_of_a_strange_type_is_no_text(content: object) -> None:
    """What is neither a text nor a list of text parts says nothing."""
    failure = failure_of(contract(response_format=FORMAT), chat(content))
    assert failure is not None
    assert "it has no text" in failure.cause


def test_a_text_in_parts_is_read_as_one() -> None:
    """Some providers answer with a list of parts."""
    text = json.dumps(WELL)
    parts = [{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}]
    assert failure_of(contract(response_format=FORMAT), chat(parts)) is None


def test_a_text_beside_calls_must_keep_the_format_too() -> None:
    """The SDK's ``.parse()`` would stumble over it; calls alone are fine."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    rules = contract(response_format=FORMAT, tools=tools)
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert failure_of(rules, chat(None, tool_calls=calls, finish_reason="tool_calls")) is None
    assert failure_of(rules, chat("Let me see.", tool_calls=calls)) is not None


def test_other_tools_may_be_called_where_others_are_offered() -> None:
    """A list with tools that are no functions is not closed: names of such calls are the provider's."""
    rules = contract(Api.RESPONSES, tools=[{"type": "web_search"}, {"type": "function", "name": "f"}])
    answer = {"output": [{"type": "function_call", "name": "other", "arguments": "{}"}]}
    assert failure_of(rules, json.dumps(answer).encode(), Api.RESPONSES) is None


@pytest.mark.parametrize(
    ("declared", "text", "fine"),
    [
        (DeclaredContract(max_chars=3), "abc", True),
        (DeclaredContract(max_chars=3), "abcd", False),
        (DeclaredContract(must_match=re.compile("parcel")), "The parcel is late.", True),
        (DeclaredContract(must_match=re.compile("^parcel")), "The parcel is late.", False),
        (DeclaredContract(check=lambda text: len(text) > 2), "abc", True),
        (DeclaredContract(check=lambda text: None), "abc", False),
    ],
)
def test_a_tasks_own_rules(declared: DeclaredContract, text: str, fine: bool) -> None:
    """Each of them holds for the text; a check that says nothing has not said yes."""
    assert (failure_of(contract(declared=declared), chat(text)) is None) is fine


# -- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_gathered_by_choice_and_by_call() -> None:
    """Texts and arguments come in pieces, of several choices in turn."""
    accumulator = StreamAccumulator(Api.CHAT, 10_000)
    for index, delta, reason in (
        (0, {"content": "Hel"}, None),
        (1, {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, None),
        (1, {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}, None),
        (0, {"content": "lo"}, "stop"),
        (1, {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}, "tool_calls"),
    ):
        accumulator.add(json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}).encode())
    said = accumulator.choices()
    assert said == (Choice("Hello", (), False, "stop"), Choice("", (ToolCall("f", '{"a": 1}'),), False, "tool_calls"))


def test_a_stream_that_is_too_long_to_keep_is_no_kept_contract() -> None:
    """What can't be checked does not count."""
    accumulator = StreamAccumulator(Api.CHAT, 50)
    accumulator.add(b'{"choices": [{"delta": {"content": "%s"}}]}' % (b"a" * 50))
    assert accumulator.choices() is None
    assert contract(response_format=FORMAT).breach(accumulator.choices()) is not None


# -- a thousand malformed answers ------------------------------------------------------------------------------------

Spoil = Callable[[random.Random, str], str]


def _cut(draw: random.Random, text: str) -> str:
    return text[: draw.randrange(len(text))]


def _fence(draw: random.Random, text: str) -> str:
    return f"```{draw.choice(['', 'json', 'JSON'])}\n{text}\n```"


def _words(draw: random.Random, text: str) -> str:
    return draw.choice(["Here you are: {}", "{} Hope that helps!", "<json>{}</json>", "{}{}"]).replace("{}", text)


def _quotes(draw: random.Random, text: str) -> str:
    return text.replace('"', draw.choice(["'", "\u201c", '\\"']))


def _comma(draw: random.Random, text: str) -> str:
    return draw.choice([text.replace("}", ",}"), text.replace(",", "", 1), text.replace(":", "", 1)])


def _character(draw: random.Random, text: str) -> str:
    """A structural character is lost: what is left is no JSON."""
    at = draw.choice([match.start() for match in re.finditer(r'[{}\[\]":]', text)])
    return text[:at] + text[at + 1 :]


def _constant(draw: random.Random, text: str) -> str:
    return text.replace("7", draw.choice(["NaN", "Infinity", "-Infinity", "07", "+7", "7.", "1e999", "0x7"]))


def _python(draw: random.Random, text: str) -> str:
    return text.replace("null", draw.choice(["None", "undefined", "nil", "True"]))


def _wrapped(draw: random.Random, text: str) -> str:
    return json.dumps(draw.choice([[json.loads(text)], {"result": json.loads(text)}, text, 7, None, [], {}, True]))


def _field(draw: random.Random, text: str) -> str:
    """A field too few, one too many, or one of a wrong type, somewhere in the object."""
    value = json.loads(text)
    place = draw.choice([value, value["customer"]])
    name = draw.choice(list(place))
    how = draw.randrange(3)
    if how == 0:
        del place[name]
    elif how == 1:
        place[f"{name}_"] = place[name]
    else:
        place[name] = draw.choice([1.5, {}, [None], {"a": 1}, False])
    return json.dumps(value)


def _tags(draw: random.Random, text: str) -> str:
    value = json.loads(text)
    value["tags"].insert(draw.randrange(3), draw.choice([None, 1, {}, []]))
    return json.dumps(value)


def _nothing(draw: random.Random, text: str) -> str:
    return draw.choice(["", " ", "\n", "{", "}", "null", "\ufeff", "\u200b", "...", "I can't tell."])


def _deep(draw: random.Random, text: str) -> str:
    depth = draw.choice([300, 3000])
    return "[" * depth + "]" * depth


SPOILERS: tuple[Spoil, ...] = (
    *(_cut, _fence, _words, _quotes, _comma, _character, _constant, _python, _wrapped, _field, _tags, _nothing, _deep),
)


def malformed(seed: int, count: int) -> Iterator[str]:
    """Answers that are near to :data:`WELL` and not it, each way in turn."""
    draw = random.Random(seed)
    for number in range(count):
        yield SPOILERS[number % len(SPOILERS)](draw, json.dumps(WELL))


def test_a_thousand_malformed_answers_never_pass() -> None:
    """Whatever is wrong with them: as a whole answer, and as a stream in pieces."""
    rules = contract(response_format=FORMAT)
    assert failure_of(rules, chat(json.dumps(WELL))) is None
    for number, text in enumerate(malformed(20261127, 1300)):
        failure = failure_of(rules, chat(text))
        assert failure is not None, (number, text)
        assert failure.kind == "contract"
        accumulator = StreamAccumulator(Api.CHAT, 1_000_000)
        for at in range(0, len(text), 11):
            piece = {"choices": [{"delta": {"content": text[at : at + 11]}}]}
            accumulator.add(json.dumps(piece).encode())
        assert rules.breach(accumulator.choices()) is not None, (number, text)


def test_a_thousand_malformed_arguments_never_pass() -> None:
    """The same, as arguments of a strict function."""
    tools = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": SCHEMA}}]
    rules = contract(tools=tools)
    well = [{"type": "function", "function": {"name": "f", "arguments": json.dumps(WELL)}}]
    assert failure_of(rules, chat(None, tool_calls=well)) is None
    for number, text in enumerate(malformed(20261128, 1300)):
        calls = [{"type": "function", "function": {"name": "f", "arguments": text}}]
        assert failure_of(rules, chat(None, tool_calls=calls)) is not None, (number, text)


TREE: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#/$defs/node"}}]}},
}


def test_a_deep_answer_does_not_hold_up_everybody_else() -> None:
    """Of a schema that refers to itself it is only looked where an answer breaks it if that takes no time."""
    rule = JsonRule(Schema(TREE))
    began = time.process_time()
    for depth in (9, 100, 500, 900):
        assert rule.breach("[" * depth + "7" + "]" * depth) is None
        assert "too deep to say where" in str(rule.breach("[" * depth + "null" + "]" * depth))
    assert time.process_time() - began < 0.5  # 5 s if it were told
    assert rule.breach("[[null]]") == "the top level: anyOf"
    flat = JsonRule(Schema({"properties": {"title": {"type": "string"}}}))  # it does not go round
    assert flat.breach(json.dumps({"title": [[[[[[[[[[9]]]]]]]]]]})) == "title: type"


def test_a_large_answer_does_not_hold_up_everybody_else() -> None:
    """A model that repeats itself breaks a schema ten thousand times: of many breaches one is told, of more none."""
    optional = {"anyOf": [{"type": "string"}, {"type": "boolean"}]}
    rule = JsonRule(Schema({"type": "array", "items": optional}))
    assert rule.breach(json.dumps([7] * 100)) == "[0]: anyOf; [1]: anyOf; [2]: anyOf"
    assert rule.breach(json.dumps([*[True] * 1000, 7, 7])) == "[1000]: anyOf"
    began = time.process_time()
    assert "too large" in str(rule.breach(json.dumps([7] * 100_000)))
    assert time.process_time() - began < 0.5  # 10 s if it were told


FUNCTION = {"type": "function", "function": {"name": "refund"}}
CALLED = [{"type": "function", "function": {"name": "refund", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("choice", "without_calls", "with_calls"),
    [
        ("auto", None, None),
        ("none", None, "it calls a function, and none was to be called"),
        ("required", "it calls no function, and one was required", None),
        ({"type": "function", "function": {"name": "refund"}}, "it calls no function, and one was required", None),
        ({"type": "function", "function": {"name": "other"}}, "it calls no function, and one was required", "not call"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [FUNCTION]}}, None, None),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [FUNCTION]}},
            "it calls no function, and one was required",
            None,
        ),
    ],
    ids=str,
)
def test_a_choice_of_tools_is_kept(choice: object, without_calls: str | None, with_calls: str | None) -> None:
    """Whether a function may be called, must be, and which."""
    rules = contract(tools=[FUNCTION], tool_choice=choice)
    for answer, told in (chat("Done."), without_calls), (chat(None, tool_calls=CALLED), with_calls):
        failure = failure_of(rules, answer)
        assert (failure is None) is (told is None)
        assert told is None or told in str(failure)


def test_a_tool_of_the_providers_own_is_a_call_too() -> None:
    """In Responses a web search meets ``required``, whether or not it shows, and never a function that is named."""
    answer = json.dumps({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Found."}]}]})
    flat = {"type": "function", "name": "refund", "parameters": {}}
    for tools, choice, kept in (
        ([{"type": "web_search"}, flat], "required", True),
        ([{"type": "web_search"}], {"type": "allowed_tools", "mode": "required", "tools": []}, True),
        ([{"type": "web_search"}, flat], {"type": "function", "name": "refund"}, False),
        ([flat], "required", False),
    ):
        rules = contract(Api.RESPONSES, tools=tools, tool_choice=choice)
        assert (failure_of(rules, answer.encode(), Api.RESPONSES) is None) is kept


# -- repair ----------------------------------------------------------------------------------------------------------


def test_a_route_is_shown_its_answer_and_what_is_wrong_with_it() -> None:
    """The question stays as it was; the answer and the breach come behind it, in another body with another digest."""
    asked = body()
    mended = repaired(asked, Api.CHAT, Choice('{"title": 7}'), "title: type")
    assert mended is not None
    question, answer, breach = json.loads(bytes(mended.fields["messages"]))
    assert question == {"role": "user", "content": "?"}
    assert answer == {"role": "assistant", "content": '{"title": 7}'}
    assert breach["role"] == "user"
    assert "title: type" in breach["content"]
    assert mended.digest != asked.digest


def test_the_short_form_of_input_becomes_a_list() -> None:
    """Responses takes a text for a list of one message."""
    asked = RequestBody.parse(b'{"model": "m", "input": "?"}')
    mended = repaired(asked, Api.RESPONSES, Choice("", (ToolCall("f", "{"),)), "the arguments of f are not JSON")
    assert mended is not None
    listed = json.loads(bytes(mended.fields["input"]))
    assert [message["role"] for message in listed] == ["user", "assistant", "user"]
    assert listed[1]["content"] == "f({)"


def plan(**lanes: str) -> Plan:
    """A plan that has made its first attempt."""
    made = Plan(layout(**lanes), deadline=60, budget=60, patience=2)
    made.begin(0)
    return made


def test_a_repair_goes_to_the_same_route_at_once() -> None:
    """It is an attempt as any other: one, within the caps."""
    made = plan(primary="a", equivalent="b")
    move = made.failed(CONTRACT, 1, 0.5, repairable=True)
    assert isinstance(move, Send)
    assert (move.route, move.cause) == ("a", "repair")
    move = made.failed(CONTRACT, 2, 0.5)
    assert isinstance(move, Switch)
    assert move.route == "b"


@pytest.mark.parametrize("refused", [TOO_LONG, BAD_REQUEST], ids=lambda failure: str(failure.kind))
def test_a_repair_that_is_refused_says_nothing_of_the_request(refused: Failure) -> None:
    """What was refused is what we had added: the breach goes on deciding, and is what the app is told."""
    made = plan(primary="a", equivalent="b")
    made.failed(CONTRACT, 1, 0.5, repairable=True)
    move = made.failed(refused, 2, 0.5)
    assert isinstance(move, Switch)
    assert move.route == "b"
    alone = plan(primary="a")
    alone.failed(CONTRACT, 1, 0.5, repairable=True)
    stop = alone.failed(refused, 2, 0.5)
    assert isinstance(stop, Stop)
    assert stop.failure is CONTRACT


def test_no_repair_where_the_attempts_are_kept_for_later_lanes() -> None:
    """A lane that is there is worth more than a second try here."""
    made = plan(primary="ab", equivalent="c", degraded="d")
    made.failed(OUTAGE, 1, 0.5)  # goes to b
    move = made.failed(CONTRACT, 3, 0.5, repairable=True)
    assert isinstance(move, Switch)
    assert move.route == "c"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"kind": {"const": "refund"}, "n": {"minimum": 0, "exclusiveMinimum": True}}},
        {"properties": {"pair": {"items": [{"type": "string"}]}}},
        {"title": None},
    ],
)
def test_a_schema_of_an_older_draft_is_refused_in_a_config(schema: dict[str, object]) -> None:
    """There it can be mended; of a request it goes out as it is, and is judged by what it means."""
    with pytest.raises(BadSchema, match="it is no JSON Schema"):
        Schema(schema, compiled=True)


@pytest.mark.parametrize(
    "newer",
    [
        {"properties": {"kind": {"const": "refund"}}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"dependentRequired": {"a": ["b"]}},
        {"$defs": {"t": {"type": "string"}}, "properties": {"t": {"$ref": "#/$defs/t", "maxLength": 3}}},
        {"unevaluatedProperties": False},
    ],
)
def test_no_keyword_is_left_out_for_an_older_one(newer: dict[str, object]) -> None:
    """A schema that mixes drafts has no meaning by which all of it holds."""
    old = {"old": {"minimum": 0, "exclusiveMinimum": True}, "list": {"items": [{"type": "string"}]}}
    for name, part in old.items():
        mixed = {**newer, "properties": {**newer.get("properties", {}), name: part}}  # type: ignore[dict-item]
        with pytest.raises(BadSchema):
            Schema(mixed, lenient=True)
