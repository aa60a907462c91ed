"""Calls through the endpoint, mounted in each framework: what goes in, what goes upstream, and what comes back."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from typing import Any

import openai
import pytest

from endpoint.stage import KEY, MESSAGES, OTHER_KEY, Caller, Stage, mounted
from lanewise.testing import Answer, Silence, Status, StreamOf

TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]


def sdk(endpoint: Caller, key: str = KEY) -> openai.OpenAI:
    """The official client, over connections that are closed with the caller's own."""
    http = endpoint.as_client(key).http
    return openai.OpenAI(base_url=endpoint.base_url, api_key=key, max_retries=5, http_client=http)


def test_a_whole_answer(endpoint: Caller, asked: Stage) -> None:
    """It is the provider's, with what the caller is told of the call, and nothing of the provider's account."""
    asked.first.script_all(
        Answer("Hello.", headers={"openai-organization": "canary-org", "x-ratelimit-limit-tokens": "9"})
    )
    answer = endpoint.post(headers={"X-Request-ID": "req-2026-000042"})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    assert answer.headers["x-request-id"] == "req-2026-000042"
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["x-lanewise-route"], answer.headers["x-lanewise-lane"]) == ("first", "primary")
    assert answer.headers["x-lanewise-attempts"] == "1"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-lanewise-call-id"])
    assert 0 <= float(answer.headers["x-lanewise-overhead-ms"]) < 30_000
    assert "canary-org" not in str(answer.headers)
    assert "x-ratelimit-limit-tokens" not in answer.headers


def test_what_goes_upstream_is_the_app_s(endpoint: Caller, asked: Stage) -> None:
    """The model is the route's, no header of the caller's goes along but the trace, and no query."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = {"X-Evil": "canary-1", "Cookie": "canary-2", "OpenAI-Organization": "canary-3", "X-Api-Key": "canary-4"}
    endpoint.http.post(
        "chat/completions?api-version=canary-5&base_url=canary-6",
        json={"model": "chat", "messages": MESSAGES, "seed": 7},
        headers={**told, "traceparent": trace, "X-Request-ID": "req-2026-000042", "Idempotency-Key": "canary-7"},
    )
    (received,) = asked.first.journal
    assert received.json["model"] == "model-one"
    assert received.json["seed"] == 7
    assert received.headers["traceparent"] == trace
    shown = f"{received.path} {[*received.headers.pairs]}"
    assert "canary" not in shown
    assert KEY not in shown


def test_a_stream_goes_on_as_it_comes(endpoint: Caller, asked: Stage) -> None:
    """Byte by byte what the provider sends, and to its end."""
    asked.first.script_all(StreamOf(chunks=["one ", "two ", "three"]))
    answer = endpoint.post(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-lanewise-route"] == "first"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert answer.text.endswith("data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "one two three"


def test_a_stream_switches_before_its_first_content(endpoint: Caller, asked: Stage) -> None:
    """The caller sees the answer of the next lane alone."""
    asked.first.script_all(Status(500))
    answer = endpoint.post(stream=True)
    assert (answer.status_code, answer.headers["x-lanewise-route"]) == (200, "second")
    assert "model-two" in answer.text


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_broken_stream_ends_with_an_error_and_without_its_mark(endpoint: Caller, asked: Stage, path: str) -> None:
    """So that clients raise: what came before is no answer."""
    asked.first.script_all(StreamOf(chunks=["one ", "two "], cut_after=1))
    client = sdk(endpoint)
    body: Any = {"messages": MESSAGES} if path == "chat/completions" else {"input": "canary-prompt"}
    text = endpoint.http.post(path, json={"model": "alone", "stream": True, **body}).text
    assert "[DONE]" not in text
    assert "response.completed" not in text
    last = json.loads(text.strip().rpartition("data: ")[2])
    assert last["error"]["code"] == "stream_broken"
    assert "canary" not in json.dumps(last)
    create: Any = client.chat.completions.create if path == "chat/completions" else client.responses.create
    with pytest.raises(openai.APIError, match="incomplete"):
        list(create(model="alone", stream=True, **body))


def test_responses_and_embeddings(endpoint: Caller, asked: Stage) -> None:
    """The SDK's other kinds of call."""
    client = sdk(endpoint)
    assert client.responses.create(model="chat", input="Hello?").output_text == "Hello from model-one"
    events = [event.type for event in client.responses.create(model="chat", input="Hello?", stream=True)]
    assert events[-1] == "response.completed"
    assert len(client.embeddings.create(model="chat", input=["a", "b"]).data) == 2


def test_tools_and_schemas_pass(endpoint: Caller, asked: Stage) -> None:
    """They are the caller's content: they go to the provider, and a contract in them holds."""
    endpoint.post(tools=TOOLS, tool_choice="auto")
    assert asked.first.journal[0].json["tools"] == TOOLS
    asked.first.script_all(Answer("no JSON"))
    asked.second.script_all(Answer('{"n": 1}'))
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    answer = endpoint.post(response_format=wanted)
    assert answer.headers["x-lanewise-route"] == "second"


@pytest.mark.parametrize("value", ["a\x01b", "a\x7fb", "\xff\xfe", "x" * 9000])
@pytest.mark.parametrize("name", ["openai-version", "content-type", "x-request-id", "x-lanewise-route"])
def test_a_header_of_the_provider_s_spoils_no_answer(endpoint: Caller, asked: Stage, name: str, value: str) -> None:
    """However odd it is: it stays behind, and the answer has the type that it is of."""
    for behaviour, kind in ((Answer("Hello."), "application/json"), (StreamOf(chunks=["Hello."]), "text/event-stream")):
        asked.first.script_all(replace(behaviour, headers={name: value}))
        answer = endpoint.post(stream=isinstance(behaviour, StreamOf))
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert "Hello." in answer.text
        assert value not in answer.headers.values()


def test_models_are_the_caller_s_tasks(endpoint: Caller) -> None:
    """Those that it may use, and no other's."""
    client = sdk(endpoint)
    assert [model.id for model in client.models.list()] == ["chat", "alone", "backup", "a/b"]
    assert client.models.retrieve("a/b").id == "a/b"
    other = sdk(endpoint, OTHER_KEY)
    assert [model.id for model in other.models.list()] == ["chat", "pay"]
    for unknown in ("alone", "nowhere"):
        with pytest.raises(openai.NotFoundError) as caught:
            other.models.retrieve(unknown)
        assert caught.value.code == "model_not_found"


def test_an_unknown_model_is_told_the_tasks(endpoint: Caller, asked: Stage) -> None:
    """A task that is not the caller's is answered like one that there is none of."""
    error = endpoint.post(model="caht").json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "Did you mean 'chat'" in error["message"]
    assert "chat, alone, backup, a/b" in error["message"]
    assert "pay" not in error["message"]
    messages = [
        endpoint.post(model=model).json()["error"]["message"].replace(model, "X") for model in ("pay", "zzz", "first")
    ]
    assert len(set(messages)) == 1
    assert asked.sent == 0


def test_the_name_of_a_route_s_model_tells_the_tasks_that_use_it(endpoint: Caller) -> None:
    """Clients hard-code such names."""
    message = endpoint.post(model="model-two").json()["error"]["message"]
    assert "tasks that use it are chat, backup, a/b" in message
    other = endpoint.as_client(OTHER_KEY).post(model="model-two").json()["error"]["message"]
    assert "tasks that use it are chat, pay" in other


def test_final_errors_are_openai_s(endpoint: Caller, asked: Stage) -> None:
    """With a status that the app would give, and the word that ends the SDKs' own retries."""
    for provider in (asked.first, asked.second):
        provider.script_all(Status(500, {"message": "canary-detail", "code": "canary_code"}))
    with pytest.raises(openai.InternalServerError) as caught:
        sdk(endpoint).chat.completions.create(model="chat", messages=MESSAGES)  # type: ignore[arg-type]
    answer = caught.value.response
    error = answer.json()["error"]
    assert answer.status_code == 503
    assert answer.headers["x-should-retry"] == "false"
    assert int(answer.headers["retry-after"]) >= 1
    assert (error["code"], error["type"], error["param"]) == ("unavailable", "server_error", None)
    assert error["call_id"]
    assert "canary" not in answer.text
    attempts = (*asked.first.journal, *asked.second.journal)
    calls = {attempt.headers["x-client-request-id"].rpartition("-")[0] for attempt in attempts}
    assert calls == {error["call_id"]}, "the SDK did not try again"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Status(400, {"message": "no", "param": "temperature", "type": "invalid_request_error"}), 422, "bad_request"),
        (Status(400, {"message": "too long", "code": "context_length_exceeded"}), 422, "context_length_exceeded"),
        (Status(400, {"message": "no", "code": "content_policy_violation"}), 422, "content_filter"),
        (Status(401), 503, "unavailable"),
        (Status(429, retry_after=100), 503, "unavailable"),
    ],
)
def test_a_failure_has_the_status_that_an_app_would_give(
    endpoint: Caller, asked: Stage, failure: Status, status: int, code: str
) -> None:
    """By the one table of both."""
    asked.first.script_all(failure)
    answer = endpoint.post(model="alone")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("header", ["X-Request-Timeout", "x-stainless-read-timeout", "x-stainless-timeout"])
def test_a_caller_tightens_the_deadline(endpoint: Caller, asked: Stage, header: str) -> None:
    """By the header of its own, or by what the SDKs say of their time-out."""
    asked.first.script_all(Silence())
    answer = endpoint.post(model="alone", headers={header: "1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "1e3", ""])
def test_a_deadline_that_is_none_is_told(endpoint: Caller, asked: Stage, value: str) -> None:
    """What the caller itself asks for; of the SDKs' own headers such a value is passed over."""
    answer = endpoint.post(headers={"X-Request-Timeout": value})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_header")
    assert endpoint.post(headers={"x-stainless-read-timeout": value}).status_code == 200


def test_gzip_is_decoded(endpoint: Caller, asked: Stage) -> None:
    """Of a request's body; members in a row are one."""
    body = json.dumps({"model": "chat", "messages": MESSAGES}).encode()
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert endpoint.send(packed, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert asked.first.journal[0].json["messages"] == MESSAGES


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "chat/completions", 405),
        ("PUT", "responses", 405),
        ("POST", "models", 405),
        ("DELETE", "models/chat", 405),
        ("OPTIONS", "chat/completions", 405),
        ("POST", "files", 404),
        ("GET", "responses/resp_1", 404),
        ("POST", "chat/completions/../files", 404),
        ("POST", "audio/speech", 404),
        ("GET", "", 404),
        ("POST", "v1/chat/completions", 404),
    ],
)
def test_what_is_not_routed_is_told(endpoint: Caller, method: str, path: str, status: int) -> None:
    """In OpenAI's shape, with what is; and without a header that would let web pages in."""
    answer = endpoint.http.request(method, path, headers={"Origin": "https://evil.example"})
    assert answer.status_code == status
    assert "POST chat/completions" in answer.json()["error"]["message"]
    assert ("allow" in answer.headers) is (status == 405)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("mount", ["starlette", "flask"])
def test_a_client_s_own_deadline_and_labels_hold(stage: Stage, mount: str) -> None:
    """It may tighten the task's, and rules see the labels."""
    config = stage.config()
    config["clients"]["node"] |= {"deadline": "1s", "labels": {"tier": "internal"}}
    config["tasks"]["ruled"] = {
        "primary": "first",
        "equivalent": "second",
        "start": [{"when": "labels.tier == 'internal'", "lane": "equivalent"}],
    }
    with mounted(mount, stage.router(**config)) as endpoint:
        assert endpoint.post(model="ruled").headers["x-lanewise-route"] == "second"
        assert endpoint.as_client(OTHER_KEY).post(model="chat").headers["x-lanewise-route"] == "first"
        stage.first.script_all(Silence())
        assert endpoint.post(model="alone").status_code == 504
