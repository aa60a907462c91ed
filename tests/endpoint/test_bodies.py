"""What a body may not do: choose where it goes, be read in two ways, or cost more than it is worth."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint.stage import MESSAGES, Caller, Stage
from lanewise._openai.json_scan import repeated_name, top_level
from lanewise.web.openai_endpoint.endpoint_answers import EndpointError
from lanewise.web.openai_endpoint.endpoint_request import DEEPEST, LARGEST_BODY, BodyReader, RequestHead, depth_checks

PLAIN = {"model": "chat", "messages": MESSAGES}
FORBIDDEN = ["base_url", "api_base", "api_key", "extra_headers", "extra_query", "extra_body", "model_list", "fallbacks"]
KINDRED = ["headers", "default_headers", "api_version", "provider", "models", "route", "organization", "Base_URL"]
KINDRED += ["api-key", " api_base", "custom_llm_provider", "litellm_params", "aws_region_name", "azure_ad_token"]


@pytest.mark.parametrize("name", FORBIDDEN + KINDRED)
def test_a_caller_chooses_no_way(endpoint: Caller, asked: Stage, name: str) -> None:
    """Whatever value the field has: the answer names it, and nothing is sent."""
    for value in ("https://evil.example/v1", {"base_url": "x"}, None, []):
        answer = endpoint.send(json.dumps({**PLAIN, name: value}).encode())
        assert answer.status_code == 400
        assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("forbidden_field", name)
    assert asked.sent == 0


def test_a_name_in_escapes_is_the_same_name(endpoint: Caller, asked: Stage) -> None:
    """JSON has many ways to write one."""
    answer = endpoint.send(b'{"model": "chat", "messages": [], "base\\u005furl": "https://evil.example"}')
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "base_url")
    assert asked.sent == 0


def test_what_is_nested_chooses_nothing(endpoint: Caller, asked: Stage) -> None:
    """It is content: it goes to the route's own provider, as it is."""
    nested = {"base_url": "https://evil.example/v1", "api_key": "canary", "model": "model-two"}
    answer = endpoint.post(metadata=nested, messages=[{"role": "user", "content": "x", **nested}])
    assert answer.headers["x-lanewise-route"] == "first"
    assert asked.first.journal[0].json["metadata"] == nested
    assert asked.second.request_count == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "chat", "model": "pay", "messages": []}',
        b'{"model": "pay", "messages": [], "model": "chat"}',
        b'{"mod\\u0065l": "pay", "model": "chat", "messages": []}',
        b'{"model": "chat", "messages": [], "messages": [{"role": "user", "content": "x"}]}',
        b'{"stream": true, "model": "chat", "messages": [], "stream": false}',
    ],
)
def test_a_field_that_stands_there_twice_is_refused(endpoint: Caller, asked: Stage, body: bytes) -> None:
    """Of such a body each reader takes another value."""
    answer = endpoint.send(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "repeated_field")
    assert asked.sent == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"model=chat",
        b"null",
        b"[]",
        b'"chat"',
        b'{"model": "chat"',
        b'{"model": "chat"}{"model": "pay"}',
        b'{"model": NaN}',
        b"\xef\xbb\xbf" + json.dumps(PLAIN).encode(),
        json.dumps(PLAIN).encode("utf-16"),
        b'{"model": "chat", "messages": "\xff"}',
        b'{"model": "chat", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=range(14),
)
def test_what_is_no_json_is_told(endpoint: Caller, asked: Stage, body: bytes) -> None:
    """A 400 in OpenAI's shape, that quotes nothing of it."""
    answer = endpoint.send(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")
    assert asked.sent == 0


@pytest.mark.parametrize("model", [None, 7, ["chat"], {"id": "chat"}, True])
def test_a_model_that_is_no_name_is_told(endpoint: Caller, model: Any) -> None:
    """And so is one that is not there."""
    assert endpoint.post(model=model).json()["error"]["code"] == "missing_model"
    assert endpoint.send(b"{}").status_code == 400


@pytest.mark.parametrize(
    "model", ["chat\x00", " chat", "CHAT", "chat\n", "chat/", "../chat", "ｃｈａｔ", "x" * 100_000]
)
def test_a_model_is_a_task_s_name_to_the_letter(endpoint: Caller, asked: Stage, model: str) -> None:
    """And no long one is thrown back."""
    answer = endpoint.post(model=model)
    assert answer.status_code == 404
    assert len(answer.content) < 1000
    assert asked.sent == 0


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "utf-8"])
def test_another_encoding_is_refused(endpoint: Caller, encoding: str) -> None:
    """A 415 that says which one is read."""
    answer = endpoint.send(zlib.compress(json.dumps(PLAIN).encode()), headers={"Content-Encoding": encoding})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("cut", [0, 5, -1, -9])
def test_a_broken_gzip_is_told(endpoint: Caller, cut: int) -> None:
    """Half of one, none at all, or one with something behind it."""
    packed = gzip.compress(json.dumps(PLAIN).encode())[: cut or None] + (b"x" if not cut else b"")
    answer = endpoint.send(packed, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")


def test_a_body_has_a_size(endpoint: Caller, asked: Stage) -> None:
    """What is told, what is sent in pieces, and what comes out of a small gzip."""
    large = b'{"model": "chat", "messages": [], "x": "' + b"y" * LARGEST_BODY + b'"}'
    assert endpoint.send(large).status_code == 413
    packed = gzip.compress(large, 1)
    assert len(packed) < LARGEST_BODY / 50
    assert endpoint.send(packed, headers={"Content-Encoding": "gzip"}).status_code == 413
    assert endpoint.send(gzip.compress(packed), headers={"Content-Encoding": "gzip"}).status_code == 400
    assert asked.sent == 0


def test_a_head_has_a_size(endpoint: Caller) -> None:
    """Where the server lets it through at all."""
    answer = endpoint.http.get("models", headers={f"x-{number}": "y" for number in range(200)})
    assert answer.status_code == 431
    assert answer.headers.get("x-request-id") != ""


def head(**headers: str) -> RequestHead:
    """The head of a call with these headers."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return RequestHead("POST", "chat/completions", named)


def test_a_size_that_is_told_is_refused_before_it_comes() -> None:
    """Without a byte of it."""
    for length in (str(LARGEST_BODY + 1), "9" * 30):
        with pytest.raises(EndpointError, match="larger"):
            BodyReader(head(content_length=length))


def test_a_gzip_of_nothing_without_end_is_refused() -> None:
    """What comes in has a size too, whatever comes of it."""
    reader = BodyReader(head(content_encoding="gzip"))
    reader.feed(gzip.compress(b"{"))
    empty = gzip.compress(b"") * 3000
    for _ in range(LARGEST_BODY // len(empty)):
        reader.feed(empty)
    with pytest.raises(EndpointError, match="larger"):
        reader.feed(empty)


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=8), st.booleans())
def test_a_body_is_the_same_in_whatever_pieces_it_comes(body: bytes, sizes: list[int], packed: bool) -> None:
    """Packed or not."""
    sent = gzip.compress(body) if packed else body
    reader = BodyReader(head(content_encoding="gzip") if packed else head())
    for size in sizes:
        reader.feed(sent[:size])
        sent = sent[size:]
    reader.feed(sent)
    assert reader.finish() == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "[[{", "}]"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=30,
)


@given(JSON, st.integers(0, 300))
def test_depth_is_counted_as_json_has_it(value: object, around: int) -> None:
    """Brackets within texts are none."""
    text = json.dumps(value)
    body = ("[" * around + text + "]" * around).encode()
    assert refuses_depth(body) is (around + depth_of(value) > DEEPEST)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def refuses_depth(body: bytes) -> bool:
    try:
        list(depth_checks(body))
    except EndpointError:
        return True
    return False


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Of them others have their turn in between."""
    body = b'{"input": [' + b"[1]," * 200_000 + b"[]]}"
    assert len(list(depth_checks(body))) > 3


NAMES = st.sampled_from(["model", "messages", "a", "\u00e9", "x/y", 'q"', "b\\"]) | st.text(max_size=3)


SPACES = st.sampled_from(["", "", " ", "\n\t ", "\r"])


@given(st.lists(st.tuples(NAMES, JSON, SPACES), max_size=6), st.booleans(), SPACES, st.booleans())
def test_a_name_that_comes_twice_is_found(
    pairs: list[tuple[str, object, str]], is_ascii: bool, space: str, as_python: bool
) -> None:
    """However it and what is around it are written."""
    if as_python:
        written = ", ".join(f"{json.dumps(n, ensure_ascii=is_ascii)}: {json.dumps(v)}" for n, v, _ in pairs)
    else:
        written = ",".join(f"{s}{json.dumps(n, ensure_ascii=is_ascii)}{s}:{json.dumps(v)}{s}" for n, v, s in pairs)
    raw = f"{space}{{{written}}}{space}".encode("utf-8", "surrogatepass")
    try:
        fields = top_level(raw)
    except (ValueError, RecursionError):
        return  # lone surrogates, which no body may have
    names = [name for name, _, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1}
    found = repeated_name(raw, fields)
    assert found in repeated if repeated else found is None
