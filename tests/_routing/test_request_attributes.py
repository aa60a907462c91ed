"""What rules can ask of a call."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai.request_body import RequestBody
from lanewise._openai.token_estimate import at_least, at_most, likely, text_bytes
from lanewise._routing.selection.request_attributes import RequestAttributes
from lanewise.config.rules.tree import FACTS, FactKind
from lanewise.types import Api

PICTURE = base64.b64encode(random.Random(7).randbytes(30_000)).decode()


def facts(api: Api = Api.CHAT, **fields: object) -> RequestAttributes:
    body = RequestBody.parse(json.dumps({"model": "t", **fields}).encode())
    return RequestAttributes(body, api, task="t", labels={"size": "short"}, subject=True, hour=lambda: 14)


def said(*parts: object) -> list[object]:
    return [{"role": "user", "content": list(parts)}]


IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}
TEXT = {"type": "text", "text": 'Is "input_audio" or ;base64, a word?'}


@pytest.mark.parametrize(
    ("name", "api", "fields", "expected"),
    [
        ("tools", Api.CHAT, {"tools": [{}, {}], "functions": [{}]}, 3),
        ("tools", Api.CHAT, {"tools": None}, 0),
        ("tools", Api.CHAT, {"tools": "x"}, 0),
        ("images", Api.CHAT, {"messages": said(TEXT, IMAGE, IMAGE)}, 2),
        ("images", Api.RESPONSES, {"input": said({"type": "input_image", "image_url": "https://h/x.png"})}, 1),
        ("images", Api.CHAT, {"messages": said(TEXT)}, 0),
        ("images", Api.CHAT, {"messages": [{"role": "user", "content": '{"type": "image_url"}'}]}, 0),
        ("audio", Api.CHAT, {"messages": said(SOUND)}, 1),
        ("audio", Api.CHAT, {"messages": said(IMAGE)}, 0),
        ("json", Api.CHAT, {"response_format": {"type": "json_schema", "json_schema": {}}}, True),
        ("json", Api.CHAT, {"response_format": {"type": "text"}}, False),
        ("json", Api.RESPONSES, {"text": {"format": {"type": "json_object"}}}, True),
        ("json", Api.RESPONSES, {"text": {"verbosity": "low"}}, False),
        ("json", Api.CHAT, {"response_format": 5}, False),
        ("max_tokens", Api.CHAT, {"max_tokens": 5}, 5),
        ("max_tokens", Api.CHAT, {"max_completion_tokens": 6}, 6),
        ("max_tokens", Api.RESPONSES, {"max_output_tokens": 7}, 7),
        ("max_tokens", Api.CHAT, {"max_tokens": "many"}, 0),
        ("max_tokens", Api.CHAT, {}, 0),
        ("stream", Api.CHAT, {"stream": True}, True),
        ("reasoning", Api.CHAT, {"reasoning_effort": "low"}, True),
        ("reasoning", Api.RESPONSES, {"reasoning": {"effort": "none"}}, False),
        ("hour", Api.CHAT, {}, 14),
        ("subject", Api.CHAT, {}, True),
        ("api", Api.EMBEDDINGS, {}, "embeddings"),
        ("task", Api.CHAT, {}, "t"),
    ],
)
def test_each_fact_is_read_from_the_shape_of_its_api(name: str, api: Api, fields: Any, expected: object) -> None:
    """What is malformed counts as not sent."""
    assert facts(api, **fields).value(name) == expected


def test_every_fact_of_the_language_has_a_value_of_its_kind() -> None:
    """The table of names and the reader of calls can't part."""
    kinds = {FactKind.NUMBER: int, FactKind.TEXT: str, FactKind.FLAG: bool}
    for name, (kind, about) in FACTS.items():
        assert isinstance(facts().value(name), kinds[kind]), name
        assert about


@pytest.mark.parametrize("part", [IMAGE, SOUND])
def test_images_and_recordings_are_no_text(part: object) -> None:
    """A picture of 40 kB does not make a question long; what quotes its words does not make it short."""
    alone = facts(messages=said(TEXT)).value("tokens")
    with_part = facts(messages=said(TEXT, part, TEXT)).value("tokens")
    assert isinstance(alone, int)
    assert isinstance(with_part, int)
    assert alone < with_part < alone + 80


def test_a_semicolon_in_every_line_costs_no_picture() -> None:
    """However many there are before it."""
    raw = json.dumps({"messages": said({"type": "text", "text": "a;" * 1000}, IMAGE)}).encode()
    assert text_bytes(raw) < 2500


@given(st.binary(max_size=300) | st.text('";base64,_input_audio"data:', max_size=200).map(str.encode))
def test_any_bytes_have_a_size(raw: bytes) -> None:
    """Between nothing and all of them."""
    assert 0 <= text_bytes(raw) <= len(raw)


@given(st.integers(0, 10**9))
def test_the_bounds_of_a_count_hold_the_likeliest(size: int) -> None:
    """The least, the likeliest and the most."""
    assert at_least(size) <= likely(size) <= at_most(size)
