"""Behaviours as JSON, and the endpoints that a provider in another process is controlled by."""

from __future__ import annotations

import http.client
import json
from contextlib import closing

import pytest

from lanewise.testing import (
    Answer,
    Behaviour,
    Body,
    Cycle,
    FakeProvider,
    Flapping,
    Raw,
    RejectParameters,
    Reset,
    Silence,
    SlowHeaders,
    Status,
    StreamOf,
    TokenQuota,
    ToolCall,
)
from lanewise.testing.control import from_json, to_json


@pytest.mark.parametrize(
    "behaviour",
    [
        Answer(),
        Answer("x", usage=None, tool_calls=(ToolCall("pay", "{}", "call_9"),), headers={"a": "b"}),
        Status(429, {"code": "x", "param": None}, retry_after=1.5, body=b"\xff"),
        StreamOf(chunks=("a", b"\xfe", {"content": "b"}), stall_after=1, comments=0.1),
        Cycle((Answer(), SlowHeaders(1, Reset("mid_body")))),
        Flapping(2, down=Silence()),
        TokenQuota(5, then=RejectParameters(("a", "b"), style="gemini")),
        Raw(b"\x00"),
        Body("text", encoding="gzip"),
    ],
)
def test_a_behaviour_survives_json(behaviour: Behaviour) -> None:
    """What was written is read again, bytes and nested behaviours included."""
    assert from_json(json.loads(json.dumps(to_json(behaviour)))) == behaviour


def test_json_has_only_what_differs() -> None:
    """Short enough to be written by hand."""
    assert to_json(SlowHeaders(2)) == {"kind": "slow_headers", "seconds": 2}


def test_a_callable_cannot_be_sent() -> None:
    """It is an error that says what to do."""
    with pytest.raises(TypeError, match="Cycle"):
        to_json(lambda received: Answer())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "object with a kind"),
        ({"kind": "statsu"}, "known are answer, body"),
        ({"kind": "status"}, "missing 1 required"),
        ({"kind": "status", "status": 500, "codes": 1}, "status has no codes"),
        ({"kind": "status", "status": "500"}, "Expected `int`"),
        ({"kind": "raw", "data": {"base64": "?"}}, "not base64"),
        ({"kind": "reset", "when": "never"}, "Invalid enum value"),
    ],
)
def test_wrong_json_says_what_is_wrong(data: object, says: str) -> None:
    """Nothing is scripted then."""
    with pytest.raises(ValueError, match=says):
        from_json(data)


def test_the_control_endpoints_script_reset_and_count(fake_provider: FakeProvider) -> None:
    """They are not in the journal themselves."""

    def ask(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        with closing(http.client.HTTPConnection("127.0.0.1", fake_provider.port)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    order = {"model": "m", "behaviours": [{"kind": "status", "status": 418}]}
    assert ask("POST", "/_fake/script", order) == (200, {"scripted": 1})
    assert ask("POST", "/v1/chat/completions", {"model": "m"})[0] == 418
    counts = ask("GET", "/_fake/journal")[1]
    assert (counts["requests"], counts["by_model"], counts["in_flight"]) == (1, {"m": 1}, 0)
    assert ask("POST", "/_fake/script", {"behaviours": []})[0] == 400
    assert ask("POST", "/_fake/script", {"behaviours": [{"kind": "x"}]})[0] == 400
    assert ask("POST", "/_fake/reset") == (200, {})
    assert ask("GET", "/_fake/journal")[1]["requests"] == 0
    assert ask("GET", "/_fake/other")[0] == 404
    assert ask("POST", "/v1/chat/completions", {"model": "m"})[0] == 200
    assert fake_provider.request_count == 1
