"""Stand-ins, pure: what a route's body becomes, and how several answers become one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lanewise._transform.merge_choices import merged
from lanewise._transform.request_transform import RequestBody, RequestTransform
from lanewise.config import Route
from lanewise.types import Api

SCHEMA = {"type": "object", "required": ["a"]}


def route(**given: Any) -> Route:
    return Route(name="local", provider="p", model="m", **given)


def rendered(made: Route, api: Api = Api.CHAT, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = RequestBody.parse(json.dumps({"model": "task", **fields}).encode())
    result = RequestTransform(made).render(body, api)
    return json.loads(result.raw), result.adapted


@pytest.mark.parametrize(
    "broken",
    [{"response_format": 7}, {"response_format": {"type": 7}}, {"response_format": None}, {}],
    ids=str,
)
def test_a_format_that_makes_no_sense_is_not_told(broken: dict[str, Any]) -> None:
    """The route can't take it, so it is left out; the messages stay as they are."""
    messages = [{"role": "user", "content": "?"}]
    body, adapted = rendered(route(stand_in={"response_format": "prompt"}), messages=messages, **broken)
    assert body["messages"] == messages
    assert adapted == ()


def test_the_whole_text_goes_where_a_route_cannot_take_it() -> None:
    """``drop = ["text"]`` beside the stand-in takes what else is in it too."""
    text = {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"}
    made = route(drop=["text"], stand_in={"response_format": "prompt"})
    body, adapted = rendered(made, Api.RESPONSES, input="?", text=text)
    assert "text" not in body
    assert json.dumps(SCHEMA) in json.dumps(json.loads(body["instructions"].rpartition("\n\n")[2]))
    assert adapted == ("text.format in the prompt",)


def test_functions_of_responses_say_that_they_are_not_strict() -> None:
    """There a function is strict unless it says so."""
    tools = [{"type": "function", "name": "f", "strict": True, "parameters": SCHEMA}, {"type": "web_search"}]
    body, adapted = rendered(route(stand_in={"strict_tools": "check"}), Api.RESPONSES, input="?", tools=tools)
    assert [tool.get("strict") for tool in body["tools"]] == [False, None]
    assert adapted == ("strict tools checked here",)


def test_what_needs_no_adaptation_is_not_told_of() -> None:
    """A trace lists what was done, not what could have been."""
    every = {"response_format": "prompt", "strict_tools": "check", "n": "calls", "developer": "system"}
    tools = [{"type": "function", "function": {"name": "f", "description": 'no "strict" one'}}]
    messages = [{"role": "user", "content": 'the "developer"'}]
    body, adapted = rendered(route(stand_in=every), messages=messages, tools=tools, n=1)
    assert adapted == ()
    assert body == {"model": "m", "messages": messages, "tools": tools}


def test_another_stand_in_makes_another_key() -> None:
    """The final body is another one, so a provider must not take it for the same."""
    body = RequestBody.parse(b'{"messages": []}')
    prints = {
        RequestTransform(made).render(body, Api.CHAT).fingerprint
        for made in (route(), route(stand_in={"n": "calls"}), route(stand_in={"developer": "system"}))
    }
    assert len(prints) == 3


def test_embeddings_are_left_alone() -> None:
    """They have no messages, no format and no tools."""
    body, adapted = rendered(route(stand_in={"n": "calls"}), Api.EMBEDDINGS, input="?", n=4)
    assert body["n"] == 4
    assert adapted == ()


def test_answers_become_one() -> None:
    """Choices in order, counts added up at every depth; all else is the first one's."""
    answers = [
        {
            "id": f"c{number}",
            "choices": [{"index": 0, "message": {"content": str(number)}}],
            "usage": {"prompt_tokens": 5, "details": {"cached_tokens": number}, "tier": "a"},
        }
        for number in range(3)
    ]
    whole = json.loads(merged([json.dumps(answer).encode() for answer in answers]) or b"")
    assert whole["id"] == "c0"
    assert [(choice["index"], choice["message"]["content"]) for choice in whole["choices"]] == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
    ]
    assert whole["usage"] == {"prompt_tokens": 15, "details": {"cached_tokens": 3}, "tier": "a"}


def test_a_usage_that_one_answer_does_not_tell_is_not_told_of_all() -> None:
    """A part of the tokens would be taken for all of them."""
    whole = json.loads(merged([b'{"choices": [{}], "usage": {"prompt_tokens": 5}}', b'{"choices": [{}]}']) or b"")
    assert "usage" not in whole
    assert merged([b'{"choices": [{}]}', b'{"choices": 7}']) is None
