"""What is added to a request is taken out again where a server refuses it: a call fails only where the SDK's would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from lanewise import ContractViolated, FailClosed, FailureKind, Outcome, Router
from lanewise.testing import Answer, Behaviour, Html, JsonBody, Received, Status, StreamOf
from router.driving import STREAMS, WHOLE, Form, Got, Stage, ask, ask_in, config

pytestmark = pytest.mark.anyio

each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)

USAGE = "stream_options"
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
CONTRACT = {"contract": {"schema": SCHEMA}}
GOOD = '{"title": "Late parcel"}'
SUFFIX = {"system_suffix": "Return bullet points."}


def error(message: str, **more: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


NAMED: dict[str, Behaviour] = {
    "OpenAI": Status(400, {"code": "unknown_parameter", "param": USAGE, "message": f"Unknown parameter: '{USAGE}'."}),
    "unknown field": JsonBody(error(f"Unknown field: {USAGE}"), 400),
    "Azure": JsonBody(error(f"Unrecognized request argument supplied: {USAGE}"), 400),
    "Go": JsonBody({"error": f'json: unknown field "{USAGE}"'}, 400),
    "Groq": JsonBody(error(f"property '{USAGE}' is unsupported"), 400),
    "Anthropic": JsonBody({"type": "error", "error": {"message": f"{USAGE}: Extra inputs are not permitted"}}, 400),
    "FastAPI": JsonBody({"detail": [{"type": "extra_forbidden", "loc": ["body", USAGE], "msg": "Extra inputs"}]}, 422),
    "vLLM": JsonBody({"object": "error", "message": "[{'loc': ('body', 'stream_options')}]", "code": 400}, 400),
    "its own part": JsonBody(error("include_usage is not supported by this model"), 400),
    "camel case": JsonBody({"message": "ChatRequest.streamOptions is not allowed"}, 400),
    "words": JsonBody({"message": "Stream options are not available on this deployment"}, 422),
    "Databricks": JsonBody({"error_code": "BAD_REQUEST", "message": '{"external_model": "stream_options"}'}, 400),
    "text": Status(400, body="stream_options: unexpected property"),
    "404": JsonBody(error(f"no handler takes {USAGE}"), 404),
    "415": JsonBody(error(f"{USAGE}?"), 415),
    "500": JsonBody({"error": "create() got an unexpected keyword argument 'stream_options'"}, 500),
    "500 text": Status(500, body="TypeError: unexpected keyword argument 'stream_options'"),
    "501": JsonBody(error(f"{USAGE} is not implemented"), 501),
    "in a 200": JsonBody(error(f"Unknown field: {USAGE}", code=400)),
    "in an event": StreamOf(error_event_after=0, error={"message": f"{USAGE} is not supported", "code": 400}),
}
VAGUE: dict[str, Behaviour] = {
    "400": Status(400),
    "empty": Status(400, body=""),
    "html": Html(status=400),
    "404": JsonBody({"detail": "Not Found"}, 404),
    "415": Status(415),
    "422": JsonBody({"detail": "Unprocessable"}, 422),
    "parameters": Status(400, {"message": "No endpoints found that can handle the requested parameters."}),
    "in a 200": JsonBody(error("Invalid request", code=400)),
    "the stream": Status(400, {"message": "Usage of a stream can't be told.", "param": "stream"}),
    "GLM": JsonBody({"error": {"code": "1210", "message": "API 调用参数有误，请检查文档。"}}, 400),
}
OTHERS: dict[str, Behaviour] = {
    **{str(code): JsonBody(error(f"{USAGE} is not allowed"), code) for code in (401, 402, 403, 408, 409, 429)},
    **{str(code): JsonBody(error(f"{USAGE} is not allowed"), code) for code in (502, 503, 504, 520, 522, 524)},
    "500": Status(500),
    "a picture": Status(400, {"code": "invalid_image_url"}),
    "another parameter": Status(400, {"code": "invalid_value", "param": "temperature"}),
    "the model": Status(404),
    "the length": Status(400, {"code": "context_length_exceeded"}),
    "the content": Status(400, {"code": "content_filter"}),
    "the key": JsonBody({"error": "Incorrect API key provided"}, 400),
}


def refusing(refusal: Behaviour, *names: str, then: Behaviour | None = None) -> Callable[[Received], Behaviour]:
    """A server that answers only requests without all of these."""
    answer = then or StreamOf()
    return lambda received: refusal if any(name in received.json for name in names) else answer


def dropped(got: Got) -> list[tuple[str, ...]]:
    return [attempt.dropped for attempt in got.call.attempts]


@each_stream
@pytest.mark.parametrize("wording", NAMED)
async def test_a_server_that_names_what_it_refuses_gets_the_call_once_more_without(
    form: Form, wording: str, stage: Stage
) -> None:
    """As an attempt like any other; the next call leaves it out from the start, and nothing is opened."""
    stage.first.script_all(refusing(NAMED[wording], USAGE))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        then = await ask(router, form)

    assert (got.text, got.error) == ("Hello from the stream", None)
    assert got.routes == ["first", "first"]
    assert dropped(got) == [(), (USAGE,)]
    assert got.call.attempts[0].failure in (FailureKind.UNSUPPORTED_PARAMETER, FailureKind.BAD_REQUEST)
    assert (got.call.outcome, got.call.route) == (Outcome.ANSWERED, "first")
    keys = {received.headers["idempotency-key"] for received in stage.first.journal[:2]}
    assert len(keys) == 2
    assert (then.text, dropped(then)) == ("Hello from the stream", [(USAGE,)])


@each_stream
@pytest.mark.parametrize("wording", VAGUE)
async def test_a_refusal_without_a_word_is_remembered_when_it_happens_twice(
    form: Form, wording: str, stage: Stage
) -> None:
    """It may have had another cause; that the call is answered without twice tells."""
    stage.first.script_all(refusing(VAGUE[wording], USAGE))
    async with Router.from_mapping(config(stage)) as router:
        calls = [await ask(router, form) for _ in range(3)]

    assert [got.text for got in calls] == ["Hello from the stream"] * 3
    assert [dropped(got) for got in calls] == [[(), (USAGE,)], [(), (USAGE,)], [(USAGE,)]]


@each_stream
@pytest.mark.parametrize("wording", OTHERS)
@pytest.mark.usefixtures("hurried")
async def test_other_failures_take_nothing_out(form: Form, wording: str, stage: Stage) -> None:
    """Whatever their body quotes, and whatever a 400 is known to be about."""
    stage.first.script_all(OTHERS[wording])
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, form)

    assert all(USAGE in received.json for received in stage.first.journal)


@each_stream
async def test_a_request_that_is_wrong_fails_as_the_sdks_does(form: Form, stage: Stage) -> None:
    """Sent once more without, refused again: the app hears of it, and nothing is remembered."""
    stage.first.script_all(Status(400))
    async with Router.from_mapping(config(stage)) as router:
        calls = [await ask(router, form) for _ in range(3)]
        stage.first.script_all(StreamOf())
        then = await ask(router, form)

    for got in calls:
        assert isinstance(got.error, openai.BadRequestError)
        assert dropped(got) == [(), (USAGE,)]
        assert got.call.failure is FailureKind.BAD_REQUEST
    assert dropped(then) == [()]
    assert stage.second.request_count == 0


@each_stream
async def test_what_the_app_itself_asked_for_is_never_taken_out(form: Form, stage: Stage) -> None:
    """The plain SDK would fail so too."""
    stage.first.script_all(refusing(Status(400), USAGE))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, stream_options={"include_usage": True})

    assert isinstance(got.error, openai.BadRequestError)
    assert dropped(got) == [()]


@each_stream
async def test_the_second_try_needs_no_retry_and_no_attempt_of_a_later_lane(form: Form, stage: Stage) -> None:
    """Two failures of the route before it leave it its due."""
    seen: list[int] = []

    def behave(received: Received) -> Behaviour:
        seen.append(1)
        if len(seen) == 1:
            return Status(500)
        return Status(400) if USAGE in received.json else StreamOf()

    stage.first.script_all(behave)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert got.text == "Hello from the stream"
    assert dropped(got) == [(), (), (USAGE,)]


@each_client
@pytest.mark.parametrize("refusal", [JsonBody(error("response_format is not supported"), 400), Status(422)], ids=str)
async def test_a_tasks_format_goes_and_its_contract_stays(form: Form, refusal: Behaviour, stage: Stage) -> None:
    """The answer is checked all the same: what breaks the contract is none."""
    stage.first.script_all(refusing(refusal, "response_format", then=Answer(GOOD)))
    async with Router.from_mapping(config(stage, task=CONTRACT)) as router:
        got = await ask(router, form)
        stage.first.script_all(refusing(refusal, "response_format", then=Answer("no JSON")))
        stage.second.script_all(Answer("no JSON either"))
        broken = await ask(router, form)

    assert (got.text, dropped(got)) == (GOOD, [(), ("response_format",)])
    assert isinstance(broken.error, ContractViolated)


async def test_a_tasks_format_goes_from_a_response_too(stage: Stage) -> None:
    """``text`` stays as the app wrote it."""
    refusal = JsonBody(error("text.format of type json_schema is not supported"), 400)
    stage.first.script_all(lambda received: refusal if "format" in received.json.get("text", {}) else Answer(GOOD))
    async with Router.from_mapping(config(stage, task=CONTRACT)) as router:
        scope = router.scope()
        reply = await scope.async_openai.responses.create(model="both", input="Hi", text={"verbosity": "low"})

    assert reply.output_text == GOOD
    assert [attempt.dropped for attempt in scope.calls[-1].attempts] == [(), ("response_format",)]
    assert stage.first.journal[-1].json["text"] == {"verbosity": "low"}


@each_stream
async def test_two_additions_are_taken_out_one_after_the_other(form: Form, stage: Stage) -> None:
    """A server names one at a time."""

    def behave(received: Received) -> Behaviour:
        if USAGE in received.json:
            return JsonBody(error(f"Unknown field: {USAGE}"), 400)
        if "response_format" in received.json:
            return JsonBody(error("Unknown field: response_format"), 400)
        return StreamOf(chunks=(GOOD,))

    stage.first.script_all(behave)
    async with Router.from_mapping(config(stage, task=CONTRACT)) as router:
        got = await ask(router, form)
        then = await ask(router, form)

    assert (got.text, then.text) == (GOOD, GOOD)
    assert dropped(got) == [(), (USAGE,), ("response_format", USAGE)]
    assert dropped(then) == [("response_format", USAGE)]


@each_stream
async def test_a_parameter_of_the_apps_may_go_after_what_was_added(form: Form, stage: Stage) -> None:
    """Only then is the app's own request tried for the first time."""

    def behave(received: Received) -> Behaviour:
        if USAGE in received.json:
            return JsonBody(error(f"Unknown field: {USAGE}"), 400)
        refused = Status(400, {"code": "unsupported_parameter", "param": "seed"})
        return refused if "seed" in received.json else StreamOf()

    stage.first.script_all(behave)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, seed=7)
        then = await ask(router, form, seed=7)

    assert (got.text, got.routes) == ("Hello from the stream", ["first"] * 3)
    assert [sorted(names) for names in dropped(got)] == [[], [USAGE], ["seed", USAGE]]
    assert [sorted(names) for names in dropped(then)] == [["seed", USAGE]]


@each_stream
async def test_a_message_for_a_suffix_goes_where_a_model_takes_no_system_message(form: Form, stage: Stage) -> None:
    """Where the app wrote one of its own it stays, with the suffix: the plain SDK would send it too."""

    def behave(received: Received) -> Behaviour:
        system = any(message["role"] == "system" for message in received.json["messages"])
        return JsonBody(error("System role not supported"), 400) if system else StreamOf()

    stage.first.script_all(behave)
    async with Router.from_mapping(config(stage, first=SUFFIX)) as router:
        got = await ask(router, form)
        own: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
        refused = await ask(router, form, messages=own)

    assert (got.text, dropped(got)) == ("Hello from the stream", [(), ("system_suffix",)])
    assert isinstance(refused.error, openai.BadRequestError)


@each_stream
async def test_of_a_sensitive_call_only_the_usage_goes(form: Form, stage: Stage) -> None:
    """What the app declared for it holds."""
    more = {"sensitive": {"payment": {"routes": ["first"]}}}
    stage.first.script_all(refusing(Status(400), USAGE))
    async with Router.from_mapping(config(stage, more=more)) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
    stage.first.script_all(refusing(JsonBody(error("response_format?"), 400), "response_format"))
    async with Router.from_mapping(config(stage, task=CONTRACT, more=more)) as router:
        closed = await ask_in(router.scope(sensitive="payment"), form)

    assert (got.text, dropped(got)) == ("Hello from the stream", [(), (USAGE,)])
    assert isinstance(closed.error, FailClosed)
    assert all("response_format" in received.json for received in stage.first.journal[2:])


@each_stream
async def test_a_server_that_fails_at_what_was_added_is_not_down(form: Form, stage: Stage) -> None:
    """Its 500 names our field: the route stays open for all, and nothing is remembered without an answer."""
    failing = JsonBody({"error": f"KeyError: {USAGE}"}, 500)
    stage.first.script_all(refusing(failing, USAGE, then=Status(400)))
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(8):
            await ask(router, form)

    assert [USAGE in received.json for received in stage.first.journal] == [True, False] * 8
    assert stage.second.request_count == 0


@each_stream
@pytest.mark.parametrize(
    ("extra", "passed"),
    [
        ({}, False),
        ({"citations": ["https://example.org"]}, True),
        ({"timings": {"predicted_ms": 3.5}, "cost": 1}, True),
    ],
)
async def test_the_hidden_usage_chunk_passes_on_what_else_it_holds(
    form: Form, extra: dict[str, object], passed: bool, stage: Stage
) -> None:
    """Without the usage, and with a choice: apps that asked for no usage read ``choices[0]`` of every chunk."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage, **extra}
    event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    stage.first.script_all(StreamOf(chunks=("Hello", event), usage=None))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert got.text == "Hello"
    assert all(chunk.choices and chunk.usage is None for chunk in got.chunks)
    found = [chunk.model_extra for chunk in got.chunks if chunk.model_extra]
    assert found == ([extra] if passed else [])
    assert got.call.attempts[0].input_tokens == 3
