"""The validator of a stream: what commits, what counts as life, and what can never pass for a success."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._openai.usage.usage import Usage
from lanewise.types import Api, Failure, FailureKind, Retry


def chunk(delta: dict | None = None, finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    choice = {"index": index, "delta": delta if delta is not None else {}, "finish_reason": finish}
    return msgspec.json.encode({"id": "c1", "model": "m", "choices": [choice], **fields})


def chat(*, hide_usage: bool = True, choices: int = 1) -> StreamValidator:
    return StreamValidator(Api.CHAT, hide_usage=hide_usage, choices=choices)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "Hi"},
        {"content": [{"type": "text", "text": "Hi"}]},
        {"reasoning": "Hm"},
        {"reasoning_content": "Hm"},
        {"reasoning_details": [{"text": "Hm"}]},
        {"tool_calls": [{"index": 0, "id": "a"}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"refusal": "No"},
    ],
)
def test_any_real_piece_of_an_answer_commits(delta: dict) -> None:
    """Text, reasoning, tool calls, audio and refusals are signs of the model."""
    validator = chat()
    assert validator.feed(None, chunk(delta)) is StreamVerdict.CONTENT
    assert validator.committed


@pytest.mark.parametrize(
    "delta",
    [
        {"thinking": "Hm"},
        {"reasoning_text": "Hm"},
        {"thinking_blocks": [{"thinking": "Hm"}]},
        {"role": "assistant", "content": "", "thought": "Hm"},
        {"Reasoning-Summary": {"text": "Hm"}},
    ],
)
def test_thinking_commits_under_any_name(delta: dict) -> None:
    """The app is shown it as it comes."""
    validator = chat()
    assert validator.feed(None, chunk(delta)) is StreamVerdict.CONTENT
    assert validator.committed


@pytest.mark.parametrize("value", ["Hm", ["Hm"], {"text": "Hm"}])
def test_an_unknown_word_is_a_sign_of_life(value: object) -> None:
    """But nothing of the answer: it commits nothing."""
    validator = chat()
    assert validator.feed(None, chunk({"novelty": value})) is StreamVerdict.PROGRESS
    assert not validator.committed
    assert validator.feed(None, chunk({"role": "assistant", "novelty": value})) is StreamVerdict.PREAMBLE


@pytest.mark.parametrize("value", ["", [], {}, None, False, True, 7])
def test_an_unknown_field_without_a_word_is_none(value: object) -> None:
    """A flag or a count that comes along with keep-alives says nothing of the model."""
    assert chat().feed(None, chunk({"novelty": value})) is StreamVerdict.PREAMBLE


def test_the_preview_of_an_image_passes_at_once() -> None:
    """An app that asked for previews shows them while the image is made."""
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    kind = "response.image_generation_call.partial_image"
    assert (
        validator.feed(kind, json.dumps({"type": kind, "partial_image_b64": "AAAA"}).encode()) is StreamVerdict.CONTENT
    )
    assert validator.committed


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant"},
        {"content": ""},
        {"content": None},
        {"tool_calls": []},
        {"function_call": None},
        {"name": "x"},
    ],
)
def test_role_only_and_empty_deltas_are_no_sign_of_life(delta: dict) -> None:
    """They are held before commit, and passed on after it."""
    validator = chat()
    assert validator.feed(None, chunk(delta)) is StreamVerdict.PREAMBLE
    assert validator.feed(None, chunk({"content": "Hi"})) is StreamVerdict.CONTENT
    assert validator.feed(None, chunk(delta)) is StreamVerdict.PASS


def test_a_blank_data_line_is_not_malformed() -> None:
    """Some servers send one to keep the connection alive."""
    validator = chat()
    assert validator.feed(None, b"") is StreamVerdict.PREAMBLE
    validator.feed(None, chunk({"content": "Hi"}))
    assert validator.feed(None, b"  ") is StreamVerdict.PASS


def test_the_usage_chunk_is_hidden_only_if_the_app_did_not_ask() -> None:
    """It is accounted either way."""
    usage = msgspec.json.encode({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    ours, theirs = chat(hide_usage=True), chat(hide_usage=False)
    for validator in (ours, theirs):
        validator.feed(None, chunk({"content": "Hi"}))
    assert ours.feed(None, usage) is StreamVerdict.HIDE
    assert theirs.feed(None, usage) is StreamVerdict.PASS
    assert ours.usage == theirs.usage == Usage(input_tokens=7, output_tokens=3)


def test_a_null_usage_on_every_chunk_hides_nothing() -> None:
    """OpenAI sends ``"usage": null`` beside the text when usage was asked for."""
    assert chat().feed(None, chunk({"content": "Hi"}, usage=None)) is StreamVerdict.CONTENT


def test_a_complete_stream_that_only_lacks_done_is_a_success() -> None:
    """The finish reason says that the answer is whole."""
    validator = chat()
    validator.feed(None, chunk({"content": "Hi"}))
    validator.feed(None, chunk(finish="stop"))
    assert validator.end() is None


def test_an_answer_that_says_nothing_but_why_it_ended_is_a_success() -> None:
    """An empty text with a finish reason is what the model said."""
    validator = chat()
    assert validator.feed(None, chunk({"role": "assistant", "content": ""})) is StreamVerdict.PREAMBLE
    assert validator.feed(None, chunk(finish="stop")) is StreamVerdict.PREAMBLE
    assert validator.feed(None, b"[DONE]") is StreamVerdict.DONE
    assert validator.end() is None


def test_a_stream_with_fewer_finished_choices_than_asked_for_is_broken() -> None:
    """With ``n=2``, one finish reason is half an answer."""
    validator = chat(choices=2)
    validator.feed(None, chunk({"content": "Hi"}, "stop"))
    failure = validator.end()
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_BROKEN


def test_after_commit_no_failure_moves_the_stream_elsewhere() -> None:
    """A committed stream belongs to its route."""
    for last in (b"{", b'{"error": {"code": 429}}', None):
        validator = chat()
        validator.feed(None, chunk({"content": "Hi"}))
        failure = validator.end() if last is None else validator.feed(None, last)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.retry) == (FailureKind.STREAM_BROKEN, Retry.STOP)


def test_a_failed_stream_stays_failed_at_its_end() -> None:
    """A finish reason before an error event doesn't make it a success."""
    validator = chat()
    validator.feed(None, chunk({"content": "Hi"}, "stop"))
    validator.feed(None, b'{"error": {"message": "boom"}}')
    assert validator.end() is not None


def test_the_first_model_named_is_kept() -> None:
    """A first event without a name (Azure's filter results) doesn't count."""
    validator = chat()
    validator.feed(None, b'{"choices": [], "model": "", "id": ""}')
    validator.feed(None, chunk({"role": "assistant"}))
    assert (validator.model, validator.response_id) == ("m", "c1")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("response.created", StreamVerdict.PREAMBLE),
        ("response.queued", StreamVerdict.PREAMBLE),
        ("response.in_progress", StreamVerdict.PREAMBLE),
        ("keepalive", StreamVerdict.PREAMBLE),
        ("response.output_item.added", StreamVerdict.PROGRESS),
        ("response.web_search_call.in_progress", StreamVerdict.PROGRESS),
        ("response.reasoning_summary_part.added", StreamVerdict.PROGRESS),
        ("response.output_item.done", StreamVerdict.CONTENT),
    ],
)
def test_typed_events_are_preamble_progress_or_content(name: str, verdict: StreamVerdict) -> None:
    """Progress is a sign of life that doesn't commit."""
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    assert validator.feed(name, msgspec.json.encode({"type": name})) is verdict


def test_a_typed_event_may_be_named_by_its_event_line_only() -> None:
    """Lenient servers leave ``type`` out of the data."""
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    assert validator.feed("response.output_text.delta", b'{"delta": "Hi"}') is StreamVerdict.CONTENT
    assert validator.feed("response.output_text.delta", b'{"delta": ""}') is StreamVerdict.PASS


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES])
def test_a_model_that_may_not_answer_ends_the_stream_wherever_it_is_named(api: Api) -> None:
    """Before commit and after it; what is accepted goes on."""

    def event(model: str, text: str = "Hi") -> bytes:
        if api is Api.CHAT:
            return msgspec.json.encode({"model": model, "choices": [{"delta": {"content": text}}]})
        return msgspec.json.encode({"type": "response.in_progress", "response": {"model": model}})

    for before in ((), (event("asked"), event("asked-2026-03-01"))):
        validator = StreamValidator(api, hide_usage=False, accepts=lambda model: model.startswith("asked"))
        assert all(isinstance(validator.feed(None, each), StreamVerdict) for each in before)
        failure = validator.feed(None, event("else"))
        assert isinstance(failure, Failure)
        assert (failure.kind, validator.model) == (FailureKind.SUBSTITUTED, "else")
        assert failure.retry is Retry.STOP or not validator.committed


def test_a_completed_response_without_any_output_is_no_answer() -> None:
    """As a 200 with an empty output is none."""
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    event = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    failure = validator.feed(None, msgspec.json.encode(event))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry) == (FailureKind.BAD_RESPONSE, Retry.SAME)


@given(
    api=st.sampled_from(Api),
    events=st.lists(
        st.tuples(st.none() | st.sampled_from(["error", "ping", "response.failed"]), st.binary(max_size=60))
    ),
)
def test_no_event_makes_the_judge_raise(api: Api, events: list[tuple[str | None, bytes]]) -> None:
    """Arbitrary bytes are a verdict or a failure."""
    validator = StreamValidator(api, hide_usage=True)
    for name, data in events:
        assert isinstance(validator.feed(name, data), StreamVerdict | Failure)
    validator.end()


pieces = st.sampled_from([
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hi"}),
    chunk({"content": "Hé"}),
    chunk({"tool_calls": [{"index": 0, "id": "a"}]}),
    chunk({"content": "x"}, index=1),
    b"",
    b'{"choices": [], "usage": {"prompt_tokens": 1}}',
])  # fmt: skip


@given(st.lists(pieces))
def test_a_stream_without_finish_reason_and_done_is_never_a_success(events: list[bytes]) -> None:
    """Wherever it is cut."""
    validator = chat()
    for event in events:
        assert validator.feed(None, event) is not StreamVerdict.DONE
    assert validator.end() is not None


@given(st.lists(pieces))
def test_content_commits_once_and_for_all(events: list[bytes]) -> None:
    """Nothing is held after the first content, and nothing is passed on before it."""
    validator = chat()
    for event in events:
        before = validator.committed
        verdict = validator.feed(None, event)
        assert not (before and verdict is StreamVerdict.PREAMBLE)
        assert before or verdict is not StreamVerdict.PASS
        assert validator.committed is (before or verdict is StreamVerdict.CONTENT)


ODD_ERRORS = (
    {"message": "no", "statusCode": 500},
    {"fault": {"faultstring": "no"}},
    {"errno": 111, "err": "no"},
    {"data": {"error": "no"}},
    {"object": "error", "message": "no", "type": "SomeError"},
    {"header": {"code": 10013, "message": "no"}},
)


@pytest.mark.parametrize("error", ODD_ERRORS)
@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES])
def test_an_error_in_words_that_nobody_knows_breaks_what_does_not_end_after_it(api: Api, error: dict) -> None:
    """``[DONE]`` alone makes no half answer whole; an end of the answer's own does, whatever came before."""
    begun = (
        chunk({"content": "Half"}) if api is Api.CHAT else b'{"type": "response.output_text.delta", "delta": "Half"}'
    )
    ended = chunk(finish="stop") if api is Api.CHAT else b'{"type": "response.completed", "response": {}}'
    told = msgspec.json.encode(error)
    broken, whole = (StreamValidator(api, hide_usage=False) for _ in range(2))
    for stream in (broken, whole):
        assert stream.feed(None, begun) is StreamVerdict.CONTENT
        assert isinstance(stream.feed(None, told), StreamVerdict)
    assert isinstance(broken.feed(None, b"[DONE]"), Failure)
    assert isinstance(whole.feed(None, ended), StreamVerdict)
    assert whole.feed(None, b"[DONE]") is StreamVerdict.DONE or api is Api.RESPONSES
    assert whole.complete


@pytest.mark.parametrize(
    "event",
    [{"type": "ping"}, {"status": "processing"}, {"message": "", "code": 0}, {"msg": "success"}, {"timings": {}}],
)
def test_what_is_no_error_breaks_nothing(event: dict) -> None:
    """A server without finish reasons ends by ``[DONE]`` alone."""
    stream = chat()
    assert stream.feed(None, chunk({"content": "Hi"})) is StreamVerdict.CONTENT
    assert stream.feed(None, msgspec.json.encode(event)) is StreamVerdict.PASS
    assert stream.feed(None, b"[DONE]") is StreamVerdict.DONE


def test_an_answer_that_goes_on_was_not_broken_by_what_came_before() -> None:
    """Search results have titles, and the server that sends them no finish reasons."""
    stream = chat()
    stream.feed(None, chunk({"content": "Hi"}))
    stream.feed(None, b'{"object": "results", "results": [{"title": "A page"}]}')
    assert stream.feed(None, chunk({"content": " there"})) is StreamVerdict.CONTENT
    assert stream.feed(None, b"[DONE]") is StreamVerdict.DONE
