"""Whatever a caller sends is answered in OpenAI's shape, and chooses nothing upstream but a task and its content."""

from __future__ import annotations

import gzip
import json
import logging
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, MARKED_KEY, MESSAGES, OTHER_KEY, USERS_KEY, WAYS, Caller, Stage, mounted
from lanewise.testing import Received

OURS = {"host", "content-type", "accept", "accept-encoding", "user-agent", "content-length"}
OURS |= {"x-client-request-id", "idempotency-key", "traceparent", "x-test-stage"}  # the last is the config's
CANARY = "canary"
SERVERS_OWN_METHODS = ("HEAD", "TRACE", "BREW")
SERVERS_OWN_PATHS = ("..", "%2e", "//")
"""What the server or the framework answers itself."""


@pytest.fixture(scope="module", params=WAYS)
def anyone(request: pytest.FixtureRequest, standing: Stage) -> Iterator[Caller]:
    """An endpoint in each of its ways, which all examples share."""
    with mounted(request.param, standing.router()) as caller:
        yield caller


NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**30), 2**63, 1e308, 0, -1, 1])
TEXTS = st.text(max_size=6) | st.sampled_from(["", "\0", "\ufeff", "chat", "pay", "auto", "x" * 70_000, "\U0001f600"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = [
    "model",
    "messages",
    "input",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "text",
    "n",
    "seed",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "temperature",
    "top_p",
    "logprobs",
    "logit_bias",
    "user",
    "metadata",
    "store",
    "service_tier",
    "modalities",
    "audio",
    "prediction",
    "reasoning",
    "reasoning_effort",
    "parallel_tool_calls",
    "instructions",
    "previous_response_id",
    "conversation",
    "prompt",
    "include",
    "truncation",
    "background",
    "dimensions",
    "encoding_format",
    "verbosity",
    "web_search_options",
    "prompt_cache_key",
    "safety_identifier",
    "base_url",
    "api_key",
    "extra_headers",
    "extra_body",
    "model_list",
    "fallbacks",
    "provider",
    "models",
    "headers",
    "litellm_params",
]
FIELDS = st.sampled_from(PARAMETERS) | st.text(max_size=4)
ODD_FIELDS = st.dictionaries(FIELDS, VALUES, max_size=4)
MODELS = st.sampled_from(["chat", "alone", "pay", "a/b", "model-one", "first", "", "Chat", "chat\n", "\ud800"])
PATHS = st.sampled_from(["chat/completions", "responses", "embeddings"]) | st.sampled_from(
    [
        "models",
        "models/chat",
        "models/a%2Fb",
        "models/%00",
        "models/%ff",
        "files",
        "chat/completions/",
        "/chat//completions",
        "chat%2Fcompletions",
        "chat/completions/../files",
        "..%2f..%2fhealthz",
        "%2e%2e/v1/models",
        "responses/resp_1/cancel",
    ]
)
METHODS = st.sampled_from(["POST"] * 8 + ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
KEYS = st.sampled_from([KEY] * 4 + [OTHER_KEY, MARKED_KEY, USERS_KEY, "", "lw_x", "ä"])
HEADER_NAMES = [
    "x-request-id",
    "idempotency-key",
    "x-request-timeout",
    "x-stainless-read-timeout",
    "x-stainless-timeout",
    "x-stainless-helper-method",
    "x-lanewise-on-break",
    "x-lanewise-route",
    "x-lanewise-sensitive",
    "traceparent",
    "tracestate",
    "baggage",
    "cookie",
    "origin",
    "x-user-id",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "accept",
    "accept-encoding",
    "content-language",
    "user-agent",
    "authorization",
    "api-key",
    "x-api-key",
    "x-http-method-override",
    "x-client-request-id",
    "te",
    "from",
    "range",
]
HEADER_VALUES = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "nan",
        "1e9",
        "restart",
        "error",
        "x" * 256,
        "x" * 9000,
        "gzip",
        "identity",
        CANARY,
        "\xff\xfe",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "a b",
        "'\";--",
        "%0d%0a",
        "{}",
        "*",
        "application/json; charset=utf-16",
    ]
)
HEADERS = st.lists(st.tuples(st.sampled_from(HEADER_NAMES), HEADER_VALUES), max_size=4)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    """A body, and the header that tells how it is written."""
    content = {"model": draw(MODELS), "messages": MESSAGES, "input": "x", **draw(ODD_FIELDS)}
    kind = draw(st.sampled_from(["json"] * 6 + ["spaced", "gzip", "cut", "noise", "twice"]))
    raw = json.dumps(content, separators=(", ", " : ") if kind == "spaced" else (",", ":"))
    body = raw.encode("utf-8", "surrogatepass")
    if kind == "gzip":
        return gzip.compress(body), {"content-encoding": "gzip"}
    if kind == "cut":
        return body[: draw(st.integers(0, len(body)))], {}
    if kind == "noise":
        return draw(st.binary(max_size=60)), draw(st.sampled_from([{}, {"content-encoding": "gzip"}]))
    return (body[:-1] + b',"model":"pay"}' if kind == "twice" else body), {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(method=METHODS, path=PATHS, key=KEYS, headers=HEADERS, body=bodies())
def test_whatever_is_sent_is_answered(
    anyone: Caller,
    standing: Stage,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    key: str,
    headers: list[tuple[str, str]],
    body: tuple[bytes, dict[str, str]],
) -> None:
    """Never with a 500, and with nothing upstream that the caller chose beyond a task and its content."""
    caplog.clear()
    standing.first.reset()
    standing.second.reset()
    raw, kind = body
    headers += [*kind.items(), ("authorization", f"Bearer {key}"), ("x-odd", CANARY), ("content-length", str(len(raw)))]
    status, content = ask(anyone, f"{method} {path}", headers, raw)
    told = (method, path, key, headers, raw[:300], status, content[:300])
    assert status < 500 or is_told(content), told
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], told
    if status != 200 and method not in SERVERS_OWN_METHODS and not any(part in path for part in SERVERS_OWN_PATHS):
        assert set(json.loads(content)["error"]) >= {"message", "type", "code", "param"}, told
    for received in (*standing.first.journal, *standing.second.journal):
        check_upstream(received, raw, kind)


def ask(endpoint: Caller, what: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
    """One request as it is written, which no client would send; the status and the body of its answer."""
    method, _, path = what.partition(" ")
    host, _, root = endpoint.base_url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{method} /{root}/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"
    with socket.create_connection((name, int(port)), timeout=LONG_ENOUGH) as connection:
        connection.sendall(head.encode("latin-1") + body)
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.read()


def is_told(content: bytes) -> bool:
    """Whether an answer says that no lane answered: of a deadline that the caller set, or of a task's own routes."""
    return json.loads(content)["error"]["code"] in ("deadline_exceeded", "fail_closed", "unavailable")


def check_upstream(received: Received, raw: bytes, kind: dict[str, str]) -> None:
    """It is the config's own request, with the caller's content in it."""
    assert received.path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
    assert {name.lower() for name in received.headers} <= OURS
    assert not any(CANARY in value for _, value in received.headers.pairs)
    written = json.loads(gzip.decompress(raw) if kind else raw)
    sent: dict[str, Any] = dict(received.json)
    assert sent.pop("model") in ("model-one", "model-two")
    if sent.get("stream_options") == {"include_usage": True}:
        del sent["stream_options"]
        written.pop("stream_options", None)
    assert sent.keys() <= written.keys()
    assert KEY.encode() not in received.body
