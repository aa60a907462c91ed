"""What was judged is what is delivered: an odd body or event is written anew from the value that was judged."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai import choices, wire_types
from lanewise._openai.lenient_json import NoAnswer, as_far_as_it_fits, read_json, write_json
from lanewise._openai.response_check import Answer, check_answer
from lanewise._openai.streams.sse import EventSplitter
from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Failure

GOOD = b'{"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]%s}'
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "index",
                    "finish_reason",
                    "usage",
                    "error",
                    "output",
                    "type",
                    "status",
                    "response",
                    "data",
                    "embedding",
                    "model",
                    "id",
                    "tool_calls",
                    "function",
                ]
            )
            | st.text(),
            inner,
        )
    ),
    max_leaves=30,
)


def test_a_good_body_goes_on_as_it_came() -> None:
    """Byte for byte."""
    body = GOOD % b""
    checked = check_answer(Api.CHAT, body)
    assert checked.body is body
    assert checked.lenient == ()


@pytest.mark.parametrize(
    ("more", "lenient"),
    [
        (b', "score": NaN', "json"),
        (b', "x": "\\ud83d"', "json"),
        (b', "x": "\xed\xa0\xbd"', "json"),
        (b', "usage": [1]', ""),
        (b', "model": 5', "types"),
        (b', "choices": [null, {"message": {"content": "No"}}]', "types"),
    ],
)
def test_an_odd_body_is_written_anew(more: bytes, lenient: str) -> None:
    """And what was odd is told."""
    checked = check_answer(Api.CHAT, GOOD % more)
    assert isinstance(checked.result, Answer)
    assert "".join(checked.lenient) == lenient
    assert repr(json.loads(checked.body)) == repr(json.loads(GOOD % more))
    assert checked.body.isascii() or not lenient


@given(VALUES, st.sampled_from(list(Api)))
def test_judging_never_raises(value: object, api: Api) -> None:
    """Whatever the value is, whole or as an event; and a body that is written anew is the value that was judged."""
    body = json.dumps(value).encode()
    checked = check_answer(api, body)
    assert isinstance(checked.result, Answer | Failure)
    if isinstance(checked.result, Answer):
        assert repr(json.loads(checked.body)) == repr(value)
    validator = StreamValidator(api, hide_usage=False)
    assert isinstance(validator.feed(None, body), StreamVerdict | Failure)
    if validator.rewritten is not None:
        (event,) = EventSplitter().feed(validator.rewritten)
        assert event is not None
        assert event.data is not None
        assert repr(json.loads(event.data)) == repr(value)


@given(VALUES)
def test_every_type_can_be_read_as_far_as_it_fits(value: object) -> None:
    """Or it is no answer: nothing else is raised."""
    for kind in (
        wire_types.ChatAnswer,
        wire_types.ChatChunk,
        wire_types.ResponsesAnswer,
        wire_types.ResponsesEvent,
        wire_types.EmbeddingsAnswer,
        choices._Chat,
        choices.Response,
    ):
        try:
            read = as_far_as_it_fits(kind, value)
        except NoAnswer:
            continue
        assert isinstance(read, kind)


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    """As ASCII, with NaN as Python writes it."""
    assert repr(read_json(write_json(value))) == repr(value)
    assert write_json(math.nan) == b"NaN"


@pytest.mark.parametrize(
    ("raw", "passed_on"),
    [
        (b'id: 7\ndata: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
        (b'\xef\xbb\xbfdata: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
        (b'retry: 5\nevent: x\ndata: {"a":\ndata: 1}\n\n', b'event: x\ndata: {"a":\ndata: 1}\n\n'),
        (b': \xff\ndata: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
        (b'data: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
        (b': hi\ndata:{"a": 1}\n\n', b': hi\ndata:{"a": 1}\n\n'),
    ],
)
def test_an_event_that_readers_stumble_over_is_written_anew(raw: bytes, passed_on: bytes) -> None:
    """An id stays with the SDK, which then takes each empty line for an event; a mark of byte order hides the first."""
    (event,) = EventSplitter().feed(raw)
    assert event is not None
    assert event.passed_on == passed_on


def test_the_last_event_gets_the_empty_line_that_it_lacks() -> None:
    """Without it no reader would see it."""
    splitter = EventSplitter()
    assert list(splitter.feed(b'data: {"a": 1}\n')) == []
    (event,) = splitter.end()
    assert event is not None
    assert event.passed_on == b'data: {"a": 1}\n\n'


@pytest.mark.parametrize("embedding", ["AACAPwAAAEA=", "AACA\nPwAAAEA=", "//+APwAAAEA=", "AACAPw=="])
def test_an_embedding_in_base64_is_one(embedding: str) -> None:
    """However its text is written."""
    body = json.dumps({"data": [{"embedding": embedding}]}).replace("/", "\\/").encode()
    assert isinstance(check_answer(Api.EMBEDDINGS, body).result, Answer)


@pytest.mark.parametrize("embedding", ["AACAPw", "AAA=", "no numbers"])
def test_an_embedding_that_is_no_numbers_is_no_answer(embedding: str) -> None:
    """The SDK would raise an error of its own, after the call was answered."""
    assert isinstance(
        check_answer(Api.EMBEDDINGS, json.dumps({"data": [{"embedding": embedding}]}).encode()).result, Failure
    )
