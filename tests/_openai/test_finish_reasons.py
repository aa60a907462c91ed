"""Ends that are no ends: the words of other APIs for a limit, a filter and a failure."""

from __future__ import annotations

import pytest

from lanewise._failures import failure_table as failures
from lanewise._openai.finish_reasons import in_chats_words
from lanewise._openai.response_check import Answer, from_answer
from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Failure

WORDS = {
    "length": ["length", "MAX_TOKENS", "max_tokens", "max_output_tokens", "FINISH_REASON_MAX_TOKENS", "model_length",
               "model_context_window_exceeded", "token_limit", "ERROR_LIMIT", "repetition_truncation", "maxTokens"],
    "content_filter": ["content_filter", "SAFETY", "content_filter: SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII",
                       "sensitive", "refusal", "guardrail_intervened", "content-filter", "ERROR_TOXIC", "BLOCKLIST"],
    "error": ["error", "ERROR", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled",
              "timeout", "TIMEOUT", "internal_error", "not_finished", "user_cancel", "Network Error"],
    "malformed_function_call": ["MALFORMED_FUNCTION_CALL", "function_call_filter: MALFORMED_FUNCTION_CALL",
                                "malformed_tool_use", "UNEXPECTED_TOOL_CALL"],
}  # fmt: skip
UNKNOWN = [
    "stop",
    "tool_calls",
    "function_call",
    "STOP",
    "end_turn",
    "eos",
    "stop_sequence",
    "COMPLETE",
    "OTHER",
    "é",
    "",
]


@pytest.mark.parametrize(("means", "word"), [(means, word) for means, words in WORDS.items() for word in words])
def test_a_known_word_is_read_in_chats_words(means: str, word: str) -> None:
    """However it is spelled."""
    assert in_chats_words(word) == means


@pytest.mark.parametrize("word", UNKNOWN)
def test_an_unknown_word_stays_what_it_is(word: str) -> None:
    """And so a success."""
    assert in_chats_words(word) == word
    if word:
        assert isinstance(whole(word), Answer)


def whole(word: str, content: str = '"half an ans"') -> Failure | Answer:
    body = f'{{"choices": [{{"message": {{"content": {content}}}, "finish_reason": "{word}"}}], "model": "m"}}'
    return from_answer(Api.CHAT, body.encode())


def chunk(delta: str, word: str) -> bytes:
    return (f'{{"choices": [{{"index": 0, "delta": {delta}, "finish_reason": "{word}"}}]}}').encode()


@pytest.mark.parametrize("word", WORDS["error"])
def test_half_an_answer_is_none(word: str) -> None:
    """Whole, in a stream before its first content, and after it."""
    told = whole(word)
    assert isinstance(told, Failure)
    assert told.detail == failures.FINISH_ERROR.detail
    early = StreamValidator(Api.CHAT, hide_usage=False).feed(None, chunk('{"content": "x"}', word))
    assert isinstance(early, Failure)
    assert early.kind == failures.FINISH_ERROR.kind
    validator = StreamValidator(Api.CHAT, hide_usage=False)
    assert validator.feed(None, b'{"choices": [{"index": 0, "delta": {"content": "x"}}]}') is StreamVerdict.CONTENT
    late = validator.feed(None, chunk("{}", word))
    assert isinstance(late, Failure)
    assert late.kind == failures.STREAM_ERROR_LATE.kind


@pytest.mark.parametrize("word", WORDS["content_filter"])
def test_a_filter_is_a_filter(word: str) -> None:
    """The app's to read, and a refusal where a lane lists it."""
    answer = whole(word)
    assert isinstance(answer, Answer)
    assert answer.content_policy


@pytest.mark.parametrize("word", WORDS["malformed_function_call"])
def test_a_call_that_its_server_could_not_read_is_no_answer(word: str) -> None:
    """Unless something was said beside it."""
    told = whole(word, "null")
    assert isinstance(told, Failure)
    assert told.kind == failures.NO_CHOICES.kind
    assert isinstance(whole(word), Answer)
    assert isinstance(StreamValidator(Api.CHAT, hide_usage=False).feed(None, chunk("{}", word)), Failure)


@pytest.mark.parametrize("status", ["failed", "cancelled", "canceled", "error", "aborted"])
def test_a_response_that_broke_off_is_no_answer(status: str) -> None:
    """Whole, and as the last event of a stream by any name."""
    item = '{"type": "message", "content": [{"type": "output_text", "text": "half"}]}'
    body = f'{{"id": "r", "status": "{status}", "output": [{item}]}}'
    assert isinstance(from_answer(Api.RESPONSES, body.encode()), Failure)
    for name in ("response.completed", "response.done"):
        event = f'{{"type": "{name}", "response": {body}}}'
        assert isinstance(StreamValidator(Api.RESPONSES, hide_usage=False).feed(None, event.encode()), Failure)


def test_response_done_ends_a_stream() -> None:
    """As some servers write it."""
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    validator.feed(None, b'{"type": "response.output_text.delta", "delta": "Hi"}')
    assert validator.feed(None, b'{"type": "response.done", "response": {"status": "completed"}}') is StreamVerdict.DONE
    assert validator.end() is None
