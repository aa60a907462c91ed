"""Calls of functions as servers send them: read for the contract as an app would read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lanewise._contracts.tool_calls import tool_rules
from lanewise._openai.choices import ToolCall, read_choices
from lanewise._openai.streams.stream_accumulator import StreamAccumulator
from lanewise.types import Api

TOOLS = json.dumps([
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "required": ["a"]}}},
]).encode()  # fmt: skip


def breach(calls: tuple[ToolCall, ...]) -> str | None:
    rules = tool_rules(TOOLS, None)
    assert rules is not None
    return rules.breach(calls)


def whole(call: Any) -> tuple[ToolCall, ...]:
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    said = read_choices(
        Api.CHAT, json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    )
    assert said is not None
    return said[0].calls


def streamed(*deltas: Any) -> tuple[ToolCall, ...]:
    accumulator = StreamAccumulator(Api.CHAT, 1_000_000)
    for calls in deltas:
        accumulator.add(json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).encode())
    said = accumulator.choices()
    assert said is not None
    return said[0].calls


def call(name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """A call of a function, or a piece of one; what is ``None`` is left out."""
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


@pytest.mark.parametrize("arguments", ["", " ", None, "null", "{}", "\n{}"])
def test_a_function_without_parameters_needs_no_arguments(arguments: str | None) -> None:
    """Apps read nothing as an empty object."""
    given = {"type": "function", "function": {"name": "now", "arguments": arguments}}
    assert breach(whole(given)) is None
    assert breach(streamed([{**given, "index": 0, "id": "a"}])) is None
    assert breach(whole({"type": "function", "function": {"name": "now"}})) is None


@pytest.mark.parametrize("arguments", ["", None, "null"])
def test_a_function_that_needs_arguments_needs_them(arguments: str | None) -> None:
    """Nothing is not JSON there."""
    assert breach(whole({"type": "function", "function": {"name": "add", "arguments": arguments}})) is not None


@pytest.mark.parametrize("arguments", [{"a": 1}, '{"a": NaN}', '{"a": 1e999}'])
def test_arguments_are_read_as_python_reads_them(arguments: object) -> None:
    """Also an object where the API has a text: the plain SDK hands it on."""
    assert breach(whole({"type": "function", "function": {"name": "add", "arguments": arguments}})) is None


NOW = ToolCall("now", "{}")
ADD = ToolCall("add", '{"a": 1}')
SHAPES: dict[str, tuple[list[list[Any]], list[ToolCall]]] = {
    "as it should be": (
        [[call("add", "", index=0, id="a")], [call(None, '{"a":', index=0)], [call(None, " 1}", index=0)]],
        [ADD],
    ),
    "no index": ([[call("add", "", id="a")], [call(None, '{"a": 1}')]], [ADD]),
    "no index, two": ([[call("now", "{}", id="a")], [call("add", '{"a": 1}', id="b")]], [NOW, ADD]),
    "no index, no id, two": ([[call("now", "{}")], [call("add", '{"a": 1}')]], [NOW, ADD]),
    "no index, two at once": ([[call("now", ""), call("add", '{"a": 1}')]], [ToolCall("now", ""), ADD]),
    "all index 0": ([[call("now", "{}", index=0, id="a")], [call("add", '{"a": 1}', index=0, id="b")]], [NOW, ADD]),
    "all index 0 at once": (
        [[call("now", "{}", index=0, id="a"), call("add", '{"a": 1}', index=0, id="b")]],
        [NOW, ADD],
    ),
    "index from 1": ([[call("now", "", index=1, id="a")], [call(None, "{}", index=1)]], [NOW]),
    "index as text": ([[call("now", "", index="0", id="a")], [call(None, "{}", index="0")]], [NOW]),
    "interleaved": (
        [
            [call("now", "", index=0, id="a")],
            [call("add", "", index=1, id="b")],
            [call(None, "{}", index=0)],
            [call(None, '{"a": 1}', index=1)],
        ],
        [NOW, ADD],
    ),
    "a name in two pieces": ([[call("n", "", index=0, id="a")], [call("ow", "{}", index=0)]], [NOW]),
    "a name again and again": (
        [[call("now", "", index=0, id="a")], [call("now", "{", index=0)], [call("now", "}", index=0)]],
        [NOW],
    ),
    "an empty name later": ([[call("now", "", index=0, id="a")], [call("", "{}", index=0, id="")]], [NOW]),
    "nothing in between": (
        [[call("now", "", index=0, id="a")], [None], [{"index": 0, "function": None}], [call(None, "{}", index=0)]],
        [NOW],
    ),
    "no list": ([[call("now", "{}", index=0, id="a")], {}, ""], [NOW]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pieces_of_a_stream_are_put_together(shape: str) -> None:
    """Whatever of index, id and name a server leaves out, repeats or gives to all."""
    deltas, calls = SHAPES[shape]
    assert list(streamed(*deltas)) == calls


def test_the_calls_of_a_response_are_read_likewise() -> None:
    """Responses has its calls flat."""
    for arguments in ("", None, "{}", {}):
        item = {"type": "function_call", "name": "now", "arguments": arguments}
        said = read_choices(Api.RESPONSES, json.dumps({"output": [None, item], "status": "completed"}).encode())
        assert said is not None
        assert breach(said[0].calls) is None


BLANK = [{"name": None, "arguments": None}, {"name": "", "arguments": ""}, {"name": ""}, {"arguments": "{}"}, {}]


@pytest.mark.parametrize("function", BLANK)
def test_a_call_of_nothing_is_none(function: dict[str, Any]) -> None:
    """Servers fill in the fields of a call that there is not, beside a text."""
    message = {"role": "assistant", "content": "Hi", "function_call": function}
    said = read_choices(Api.CHAT, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert said is not None
    assert said[0].calls == whole({"index": 0, "type": "function", "function": function}) == ()
    assert streamed([{"index": 0, "function": function}]) == ()


@pytest.mark.parametrize(
    ("arguments", "is_cut"),
    [('{"a": 1}', False), (' {"a": NaN}\n', False), ("{}", False), ('{"a": ', True), ("", True), (None, False)],
)
def test_cut_arguments_are_no_json(arguments: str | None, is_cut: bool) -> None:
    """Of an answer that ended by its length; the free input of a custom tool is a text like others."""
    assert ToolCall("add", arguments).is_cut is is_cut
