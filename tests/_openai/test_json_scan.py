"""The top level of a body: the same as a parser gives, however long the texts in it are."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai.json_scan import LONG, top_level
from lanewise._openai.request_body import BadBody, RequestBody

PARSER = msgspec.json.Decoder(dict[str, msgspec.Raw])
LONG_HERE = 8
"""So that the texts of small bodies are long."""

texts = (
    st.text(st.sampled_from('ab"\\é\n~{}[],: '), max_size=24) | st.just("~long text 00000000~") | st.text(max_size=30)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
bodies = st.builds(
    lambda fields, indent, ascii_only: json.dumps(fields, indent=indent, ensure_ascii=ascii_only).encode(),
    st.dictionaries(texts, values, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
)


def read(raw: bytes, *, long: int) -> dict[str, bytes] | str:
    """The values as bytes, or that it is no object."""
    try:
        return {name: bytes(value) for name, value in top_level(raw, long=long).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "no JSON object"


def parsed(raw: bytes) -> dict[str, bytes] | str:
    """The same by the parser alone."""
    try:
        return {name: bytes(value) for name, value in PARSER.decode(raw).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "no JSON object"


@given(bodies)
def test_long_texts_change_nothing(raw: bytes) -> None:
    """Byte by byte what a parser gives, wherever the long texts are and whatever is in them."""
    assert read(raw, long=LONG_HERE) == parsed(raw)


@given(
    bodies, st.integers(0, 400), st.sampled_from([b"", b'"', b"\\", b"{", b"]", b",", b'\\"', b"~long text 00000000~"])
)
def test_what_is_no_json_is_none_whatever_is_long_in_it(raw: bytes, at: int, put_in: bytes) -> None:
    """Cut or with something put in, a body is refused as a parser refuses it."""
    at = min(at, len(raw))
    for broken in raw[:at], raw[:at] + put_in + raw[at:], raw[:at] + put_in + raw[at + 1 :]:
        assert read(broken, long=LONG_HERE) == parsed(broken)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"messages": "%(x)s", "messages": ["%(x)s", 1, "%(x)s"], "model": "m"}',
        b'{"%(x)s": 1, "model": "m"}',
        b'{"messages": ["%(x)s"], "user": "~long text 00000000~", "model": "m"}',
        b'{"messages": ["%(x)s\\\\"], "model": "m"}',
        b'{"messages": ["\\\\", "%(x)s", "\\"%(x)s"], "model": "m"}',
        b'{"a": {"%(x)s": ["%(x)s"]}, "b": "%(x)s", "model": "m"} ',
        b'{"messages": ["' + b"\\\\" * 50 + b'", "%(x)s"], "model": "m"}',
    ],
)
def test_texts_that_are_really_long(raw: bytes) -> None:
    """Twice of a name, as a name, beside what looks like our own mark, and with backslashes before their end."""
    raw = raw.replace(b"%(x)s", b"x" * LONG)
    assert read(raw, long=LONG) == parsed(raw)
    assert RequestBody.parse(raw).model == "m"


def test_a_body_of_backslashes_takes_no_time_of_its_own() -> None:
    """A million of them before each quotation mark are not counted one by one."""
    raw = b'{"model": "m", "messages": ["' + b"\\\\" * 500_000 + b'\\"", "' + b"x" * LONG + b'"]}'
    assert read(raw, long=LONG) == parsed(raw)


def test_a_long_text_may_not_break_utf_8() -> None:
    """What is passed over is looked at for that."""
    with pytest.raises(BadBody, match="not UTF-8"):
        RequestBody.parse(b'{"model": "m", "messages": "' + b"x" * LONG + b"\xff" + b'"}')
