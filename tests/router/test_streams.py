"""Streams: until real content comes every failure switches silently, and after it none does."""

from __future__ import annotations

from typing import Any

import anyio
import openai
import pytest

from lanewise import DeadlineExceeded, FailureKind, LaneName, Outcome, Router, StreamBroken
from lanewise.testing import Answer, Behaviour, Reset, Silence, Status, StreamOf, ToolCall
from router.driving import FIRST_MODEL, MESSAGES, STREAMS, WHOLE, Form, Stage, ask, config, using

pytestmark = pytest.mark.anyio

each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)
HOLDING = {"stream": {"hold": "all"}}

BEFORE_CONTENT = {
    "rate-limited": Status(429, retry_after=30),
    "reset": Reset("before_headers"),
    "reset-after-headers": Reset("after_headers"),
    "silence": Silence(),
    "cut-after-preamble": StreamOf(cut_after=0),
    "error-after-preamble": StreamOf(error_event_after=0),
    "malformed-after-preamble": StreamOf(malformed_after=0),
    "slow-first-token": StreamOf(first_token_delay=5),
    "slow-first-token-with-comments": StreamOf(first_token_delay=5, comments=0.02),
    "blank-deltas-for-ever": StreamOf(chunks=("", "", {"role": "assistant"}), stall_after=3),
    "ends-without-a-word": StreamOf(chunks=(), no_finish_reason=True),
}


@each_stream
@pytest.mark.parametrize("behaviour", BEFORE_CONTENT.values(), ids=BEFORE_CONTENT.keys())
@pytest.mark.usefixtures("hurried")
async def test_a_failure_before_the_first_content_switches_silently(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """The app sees one clean stream: one role, one id, one model, one finish, nothing of the failed attempt."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(config(stage, first={"first_token": "400ms", "timeout": "1s"})) as router:
        got = await ask(router, form)

    assert got.error is None
    assert got.text == "Hello from model-two"
    assert got.roles == ["assistant"]
    assert {chunk.model for chunk in got.chunks} == {"model-two"}
    assert len({chunk.id for chunk in got.chunks}) == 1
    assert [choice.finish_reason for chunk in got.chunks for choice in chunk.choices if choice.finish_reason] == [
        "stop"
    ]
    assert (got.call.route, got.call.lane, got.call.outcome) == ("second", LaneName.EQUIVALENT, Outcome.ANSWERED)


@each_stream
async def test_the_first_token_is_waited_for_from_sending_on(form: Form, stage: Stage) -> None:
    """Headers that don't come are no better than content that doesn't."""
    stage.first.script_all(Silence())
    async with Router.from_mapping(config(stage, first={"first_token": "400ms", "timeout": "40s"})) as router:
        got = await ask(router, form)

    assert got.text == "Hello from model-two"
    assert got.call.attempts[0].failure is FailureKind.TIMEOUT
    assert (got.call.attempts[0].total_ms or 1e9) < 20_000


@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_a_whole_answer_has_no_first_token(form: Form, stage: Stage) -> None:
    """It comes at once, after whatever the model took."""
    stage.first.script_all(Answer(delay=0.3))
    async with Router.from_mapping(config(stage, first={"first_token": "50ms"})) as router:
        got = await ask(router, form)

    assert got.routes == ["first"]


AFTER_CONTENT = {
    "cut": StreamOf(interval=0.3, cut_after=2),
    "reset": StreamOf(interval=0.3, cut_after=2, cut="reset"),
    "error-event": StreamOf(interval=0.3, error_event_after=2),
    "malformed": StreamOf(interval=0.3, malformed_after=2),
    "stall": StreamOf(interval=0.3, stall_after=2),
    "comments-for-ever": StreamOf(interval=0.3, stall_after=2, comments=0.02),
    "ends-without-finish-or-done": StreamOf(
        interval=0.3, chunks=("Hello", " from"), no_finish_reason=True, no_done=True
    ),
    "done-without-finish": StreamOf(
        interval=0.3, chunks=("Hello", " from", b'data: {"choices": "x"}\n\n'), no_finish_reason=True
    ),
}


@each_stream
@pytest.mark.parametrize("behaviour", AFTER_CONTENT.values(), ids=AFTER_CONTENT.keys())
async def test_a_failure_after_the_first_content_is_a_broken_stream(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """What came before it is delivered; then StreamBroken, and nobody else is asked."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(config(stage, first={"stall": "3s"})) as router:
        got = await ask(router, form)
        await anyio.to_thread.run_sync(stage.first.wait_until, lambda: stage.first.in_flight == 0)

    assert got.text == "Hello from"
    assert isinstance(got.error, StreamBroken), repr(got.error)
    assert isinstance(got.error, openai.APIConnectionError)
    assert got.error.call is got.call
    assert got.call.outcome is Outcome.FAILED
    assert got.call.attempts[0].failure in (FailureKind.STREAM_BROKEN, FailureKind.TIMEOUT)
    assert "first (primary)" in str(got.error)
    assert stage.second.request_count == 0


@each_stream
@pytest.mark.parametrize("behaviour", AFTER_CONTENT.values(), ids=AFTER_CONTENT.keys())
async def test_a_stream_that_is_held_fails_over_whenever_it_breaks(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """With hold = "all" nothing reaches the app before all of it came, so that every failure switches."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(config(stage, first={"stall": "3s"}, task=HOLDING)) as router:
        got = await ask(router, form)

    assert got.error is None
    assert got.text == "Hello from model-two"
    assert got.roles == ["assistant"]
    assert got.routes == ["first", "second"]


@each_stream
async def test_the_deadline_covers_all_of_a_held_stream(form: Form, stage: Stage) -> None:
    """A held stream that is not whole in time is no answer, however much of it has come."""
    for provider in (stage.first, stage.second):
        provider.script_all(StreamOf(interval=5.0))
    async with Router.from_mapping(config(stage, task=HOLDING)) as router:
        got = await ask(router, form, timeout=1.5)

    assert isinstance(got.error, DeadlineExceeded)
    assert got.chunks == []


@each_stream
async def test_a_complete_stream_that_only_lacks_done_is_a_success(form: Form, stage: Stage) -> None:
    """Some providers never send [DONE]; also not those that end by closing the connection."""
    stage.first.script(FIRST_MODEL, StreamOf(no_done=True), StreamOf(no_done=True, framing="close"))
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(2):
            got = await ask(router, form)
            assert got.error is None
            assert got.text == "Hello from the stream"
            assert got.call.outcome is Outcome.ANSWERED


@each_stream
async def test_a_stream_is_read_however_its_bytes_come(form: Form, stage: Stage) -> None:
    """Split within lines and characters, with CRLF or CR, with comments in between: the same words."""
    words = ("Grüße", " 東京", " 🎭")
    streams = [StreamOf(chunks=words, split=3, line_ending=ending) for ending in ("\n", "\r\n", "\r")]
    stage.first.script(FIRST_MODEL, *streams, StreamOf(chunks=(b": comment\n\n", "".join(words), b"data:\n\n")))
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(4):
            assert (await ask(router, form)).text == "Grüße 東京 🎭"


@each_stream
async def test_an_event_without_data_says_nothing(form: Form, stage: Stage) -> None:
    """By the standard it is not dispatched; the SDK would take it for JSON, and stumble."""
    noise = (b"event: ping\n\n", b"retry: 10\n\n", b"id: 7\n\n")
    stage.first.script(FIRST_MODEL, StreamOf(chunks=(*noise, "Hello", *noise, " there", *noise)))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
    assert (got.error, got.text) == (None, "Hello there")


@each_stream
async def test_the_pauses_of_the_app_are_no_stall(form: Form, stage: Stage) -> None:
    """An app that reads slowly does not make its provider a silent one."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=[f"{number} " for number in range(5)], interval=0.02))
    async with Router.from_mapping(config(stage, first={"stall": "2s"})) as router:
        texts = await using(router.scope(), form.client, _slowly_sync if form.client == "sync" else _slowly)
    assert texts == [f"{number} " for number in range(5)]


async def _slowly(client: openai.AsyncOpenAI) -> list[str]:
    texts = []
    async for chunk in await client.chat.completions.create(model="both", messages=MESSAGES, stream=True):
        texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        if len(texts) == 1:
            await anyio.sleep(2.5)
    return texts


def _slowly_sync(client: openai.OpenAI) -> list[str]:
    texts = []
    for chunk in client.chat.completions.create(model="both", messages=MESSAGES, stream=True):
        texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        if len(texts) == 1:
            anyio.from_thread.run(anyio.sleep, 2.5)
    return texts


@each_stream
@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_obfuscation": False}])
async def test_usage_is_accounted_and_hidden_where_the_app_did_not_ask(form: Form, options: Any, stage: Stage) -> None:
    """The usage chunk is asked for on the wire, written into the record, and taken out of the app's stream."""
    stage.first.script(FIRST_MODEL, StreamOf(usage=(41, 7)))
    given = {} if options is None else {"stream_options": options}
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, **given)

    sent = stage.first.journal[0].json["stream_options"]
    assert sent == {**(options or {}), "include_usage": True}
    assert (got.call.attempts[0].input_tokens, got.call.attempts[0].output_tokens) == (41, 7)
    assert all(chunk.choices for chunk in got.chunks)
    assert not any(chunk.usage for chunk in got.chunks)


@each_stream
async def test_usage_is_kept_where_the_app_asked(form: Form, stage: Stage) -> None:
    """The app's own request for usage is left as it is, and so is the chunk."""
    stage.first.script(FIRST_MODEL, StreamOf(usage=(41, 7)))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, stream_options={"include_usage": True})

    assert got.chunks[-1].usage.prompt_tokens == 41
    assert got.chunks[-1].choices == []
    assert got.call.attempts[0].input_tokens == 41


@each_stream
async def test_a_provider_that_refuses_to_be_asked_for_usage_is_not_asked(form: Form, stage: Stage) -> None:
    """What we added is taken back at once; the tokens are then estimated, and marked as that."""
    refused = Status(400, {"code": "unsupported_parameter", "param": "stream_options"})
    stage.first.script(FIRST_MODEL, refused, StreamOf())
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert got.routes == ["first", "first"]
    assert "stream_options" not in stage.first.journal[1].json
    assert got.text == "Hello from the stream"
    attempt = got.call.attempts[1]
    assert attempt.tokens_estimated
    assert attempt.input_tokens
    assert attempt.output_tokens
    assert not got.call.attempts[0].tokens_estimated


@each_stream
async def test_tool_calls_commit_a_stream(form: Form, stage: Stage) -> None:
    """A piece of a tool call is real content: what breaks after it is a broken stream."""
    whole = StreamOf(chunks=(), tool_calls=[ToolCall("look_up", '{"id": 7}')])
    start = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    stage.first.script(FIRST_MODEL, whole, StreamOf(chunks=(start, "x"), interval=0.1, cut_after=1))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        assert got.error is None
        assert got.chunks[-1].choices[0].finish_reason == "tool_calls"
        broken = await ask(router, form)

    assert len(broken.chunks) == 2
    assert isinstance(broken.error, StreamBroken) or broken.routes == ["first", "second"]


@each_stream
async def test_several_choices_are_complete_when_each_has_its_finish_reason(form: Form, stage: Stage) -> None:
    """With n = 2 a stream that ends after the first choice's finish reason is cut."""

    def chunk(index: int, content: str, reason: str | None = None) -> bytes:
        finish = "null" if reason is None else f'"{reason}"'
        return (
            f'data: {{"id":"c","model":"m","choices":[{{"index":{index},"delta":{{"content":"{content}"}},'
            f'"finish_reason":{finish}}}]}}\n\n'
        ).encode()

    cut = StreamOf(chunks=(chunk(0, "a"), chunk(0, "b", "stop")), no_done=True, no_finish_reason=True)
    whole = StreamOf(chunks=(chunk(0, "a", "stop"), chunk(1, "b", "stop")), no_done=True, no_finish_reason=True)
    stage.first.script(FIRST_MODEL, cut, whole)
    async with Router.from_mapping(config(stage, task=HOLDING)) as router:
        first = await ask(router, form, n=2)
        second = await ask(router, form, n=2)

    assert first.routes == ["first", "second"]
    assert second.routes == ["first"]


@each_stream
@pytest.mark.parametrize(
    "behaviour",
    [
        StreamOf(cut_after=0),
        StreamOf(error_event_after=0),
        StreamOf(error_event_after=0, error_event="response.failed"),
        StreamOf(malformed_after=0),
        StreamOf(first_token_delay=5),
    ],
    ids=["cut", "error", "failed", "malformed", "slow"],
)
@pytest.mark.usefixtures("hurried")
async def test_a_responses_stream_switches_before_its_first_content(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """response.created and its kin are held: the app sees one response id throughout."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(config(stage, first={"first_token": "400ms"})) as router:
        scope = router.scope()
        events = await using(scope, form.client, _events_sync if form.client == "sync" else _events)

    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello from model-two"
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1
    call = scope.calls[-1]
    assert (call.route, call.outcome) == ("second", Outcome.ANSWERED)
    assert call.attempts[-1].input_tokens == 12


async def _events(client: openai.AsyncOpenAI) -> list[Any]:
    return [event async for event in await client.responses.create(model="both", input="hi", stream=True)]


def _events_sync(client: openai.OpenAI) -> list[Any]:
    return list(client.responses.create(model="both", input="hi", stream=True))


@each_stream
@pytest.mark.parametrize(
    "behaviour",
    [
        StreamOf(interval=0.1, cut_after=2),
        StreamOf(interval=0.1, error_event_after=2),
        StreamOf(interval=0.1, error_event_after=2, error_event="response.failed"),
        StreamOf(interval=0.1, chunks=("a", "b"), no_finish_reason=True),
    ],
    ids=["cut", "error", "failed", "ends"],
)
async def test_a_responses_stream_breaks_after_its_first_content(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """An end without response.completed is never a success."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        with pytest.raises(StreamBroken):
            await using(scope, form.client, _events_sync if form.client == "sync" else _events)

    assert scope.calls[-1].outcome is Outcome.FAILED
    assert stage.second.request_count == 0


@each_stream
async def test_a_stream_over_its_longest_time_is_broken(form: Form, stage: Stage) -> None:
    """stream.max bounds what the deadline no longer does after the commit."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=["x"] * 100, interval=0.2))
    async with Router.from_mapping(config(stage, task={"stream": {"max": "2s"}})) as router:
        got = await ask(router, form)

    assert isinstance(got.error, StreamBroken)
    assert 2 <= len(got.text) < 60


@each_stream
async def test_the_connection_of_a_finished_stream_is_used_again(form: Form, stage: Stage) -> None:
    """A stream that came to its end gives its connection back."""
    stage.first.script(FIRST_MODEL, StreamOf(), Answer())
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(3):
            assert (await ask(router, form)).error is None
    assert {received.connection for received in stage.first.journal} == {1}
