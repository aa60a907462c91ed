"""What decides in an answer to a sensitive call: read strictly, once, and of its declared type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lanewise._failures import failure_table as failures
from lanewise._openai.deciding_fields import Uncertainty, doubt_about
from lanewise._openai.response_check import Answer, check_answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Failure

CALL = {"id": "a", "type": "function", "function": {"name": "refund", "arguments": "{}"}}


def chat(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "Hi", **fields.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **fields.pop("choice", {})}
    return json.dumps({"id": "c", "model": "m", "choices": [choice], **fields}).encode()


def chunk(**fields: Any) -> bytes:
    delta = {"content": "Hi", **fields.pop("delta", {})}
    choice = {"index": 0, "delta": delta, "finish_reason": None, **fields.pop("choice", {})}
    return json.dumps({"id": "c", "model": "m", "choices": [choice], **fields}).encode()


def response(**fields: Any) -> bytes:
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    return json.dumps({"id": "r", "model": "m", "status": "completed", "output": [item], **fields}).encode()


WELL = [
    (Api.CHAT, chat()),
    (Api.CHAT, chat(message={"content": None, "tool_calls": [CALL]})),
    (Api.RESPONSES, response()),
    (Api.CHAT, chat(score=float("nan"))),
    (Api.CHAT, b"\xef\xbb\xbf" + chat()),
    (Api.CHAT, chat(created="now", usage=[])),
    (Api.CHAT, chat(choice={"index": "0", "logprobs": 5})),
    (Api.RESPONSES, response(tools={}, usage="none")),
    (Api.EMBEDDINGS, b'{"model": "m", "data": [{"index": "0", "embedding": [0.1]}]}'),
]
DOUBTFUL = [
    (Api.CHAT, chat(choice={"finish_reason": 0})),
    (Api.CHAT, chat(choice={"finish_reason": ["stop"]})),
    (Api.CHAT, chat(message={"refusal": False})),
    (Api.CHAT, chat(message={"refusal": {"text": "no"}})),
    (Api.CHAT, chat(message={"tool_calls": {}})),
    (Api.CHAT, chat(message={"tool_calls": [None]})),
    (Api.CHAT, chat(message={"tool_calls": [{**CALL, "function": {"name": "refund", "arguments": {}}}]})),
    (Api.CHAT, chat(message={"tool_calls": [{**CALL, "function": {"name": "refund"}}]})),
    (Api.CHAT, chat(message={"function_call": "refund"})),
    (Api.CHAT, chat().replace(b'"content"', b'"refusal": "no", "refusal": null, "content"')),
    (Api.CHAT, chat().replace(b'"choices"', b'"choices": [], "choices"')),
    (Api.CHAT, chat().replace(b'"finish_reason"', b'"finish_reason": "length", "finish_\\u0072eason"')),
    (Api.CHAT, chat().decode().encode("utf-16")),
    (Api.CHAT, chat().decode().encode("utf-32-be")),
    (Api.RESPONSES, response(status=1)),
    (Api.RESPONSES, response(incomplete_details="none")),
    (Api.RESPONSES, response().replace(b'"status"', b'"status": "failed", "status"')),
]
SWAPPED = [
    (Api.CHAT, chat(model=5)),
    (Api.CHAT, chat(model=["m"])),
    (Api.CHAT, chat().replace(b'"model"', b'"model": "x", "model"')),
    (Api.EMBEDDINGS, b'{"model": {"m": 1}, "data": [{"embedding": [0.1]}]}'),
    (Api.RESPONSES, response().replace(b'"model"', b'"model": "x", "mod\\u0065l"')),
]


@pytest.mark.parametrize(("api", "body"), WELL)
def test_what_does_not_decide_may_be_odd(api: Api, body: bytes) -> None:
    """A sensitive call takes it too."""
    assert doubt_about(api, body) is None
    assert isinstance(check_answer(api, body, sensitive=True).result, Answer)


@pytest.mark.parametrize(("api", "body"), DOUBTFUL)
def test_what_decides_may_not_be_in_doubt(api: Api, body: bytes) -> None:
    """Of another type, there twice, or in an encoding that others may read otherwise."""
    assert doubt_about(api, body) is Uncertainty.ANSWER
    told = check_answer(api, body, sensitive=True).result
    assert isinstance(told, Failure)
    assert told.detail == failures.IN_DOUBT.detail


@pytest.mark.parametrize(("api", "body"), SWAPPED)
def test_nor_may_the_model_that_answered(api: Api, body: bytes) -> None:
    """In doubt it is another one."""
    assert doubt_about(api, body) is Uncertainty.MODEL
    told = check_answer(api, body, sensitive=True).result
    assert isinstance(told, Failure)
    assert told.kind == failures.SUBSTITUTED.kind


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (chunk(choice={"finish_reason": 0}), failures.IN_DOUBT),
        (chunk(delta={"refusal": []}), failures.IN_DOUBT),
        (chunk(delta={"tool_calls": [{"function": {"name": "refund"}}]}), failures.IN_DOUBT),
        (chunk().replace(b'"content"', b'"content": "No", "content"'), failures.IN_DOUBT),
        (chunk(model=7), failures.SUBSTITUTED),
        (chunk().replace(b'"model"', b'"model": "x", "model"'), failures.SUBSTITUTED),
    ],
)
def test_an_event_in_doubt_breaks_a_stream(event: bytes, row: Any) -> None:
    """Before its first content too, so that the next approved route can be asked."""
    validator = StreamValidator(Api.CHAT, hide_usage=False, accepts=lambda _: True)
    told = validator.feed(None, event)
    assert isinstance(told, Failure)
    assert told.detail == row.detail
    assert told.retry == row.retry
    assert not validator.committed


def test_odd_events_that_decide_nothing_pass() -> None:
    """As for any call."""
    validator = StreamValidator(Api.CHAT, hide_usage=False, accepts=lambda _: True)
    for event in (b"null", chunk(score=float("nan")), chunk(created=[]), b'{"type": "ping"}', b"[DONE] "):
        assert not isinstance(validator.feed(None, event), Failure)


RESPONSE: dict[str, Any] = {
    "model": "m",
    "status": "completed",
    "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "yes"}, {"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "name": "pay", "arguments": "{}", "call_id": "c"},
    ],
}


@pytest.mark.parametrize("name", ["text", "refusal", "name", "arguments", "call_id", "content", "output", "status"])
@pytest.mark.parametrize("other", ["null", '"x"', "[]", "{}"])
def test_a_response_that_two_readers_read_differently_is_in_doubt(name: str, other: str) -> None:
    """Whether a reader takes the first or the last of what is there twice."""
    body = json.dumps(RESPONSE)
    key = f'"{name}": '
    for twice in (body.replace(key, f"{key}{other}, {key}", 1), body.replace(key, f'"zz": 1, {key}', 1)):
        result = check_answer(Api.RESPONSES, twice.encode(), sensitive=True).result
        assert isinstance(result, Answer) is ("zz" in twice)
