"""Whose fault an error is: of the errors that providers document, and of others of their kind, in every shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseError

from _failures.provider_errors import DOCUMENTED, RESPONSE_ERROR_CODES, Documented
from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error, from_status
from lanewise._failures.dialects.error_codes import Meaning, by_code, squashed
from lanewise._failures.dialects.error_words import by_words
from lanewise._openai.response_check import from_answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, BreakerEffect, Failure, FailureKind, Retry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OPENS = (BreakerEffect.ACCOUNT, BreakerEffect.ROUTE)
CALLERS = (FailureKind.BAD_REQUEST, FailureKind.CONTENT_POLICY)


def encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


@pytest.mark.parametrize("error", DOCUMENTED, ids=str)
def test_a_documented_error_is_whose_fault_it_is(error: Documented) -> None:
    """A caller's mistake stops the call and opens nothing; the account's moves it on, and opens what is certain."""
    failure = from_status(error.status, {}, encoded(error.body), now=NOW)
    assert failure.kind is error.kind
    assert (failure.breaker in OPENS) == error.opens
    if error.kind in CALLERS:
        assert (failure.retry, failure.breaker) == (Retry.STOP, BreakerEffect.NEUTRAL)
    elif error.kind is not FailureKind.RATE_LIMIT:
        assert failure.retry is not Retry.STOP


def test_the_codes_of_the_sdk_are_all_known() -> None:
    """A code that a newer SDK adds to its ``ResponseError`` is a question that somebody has to answer."""
    assert set(get_args(ResponseError.model_fields["code"].annotation)) <= RESPONSE_ERROR_CODES.keys()


PLACES: dict[str, Callable[[str], Failure | object]] = {
    "a response": lambda code: from_answer(Api.RESPONSES, msgspec.json.encode(_response(code))),
    "an error event": lambda code: _event({"type": "error", "code": code, "message": "m", "param": None}),
    "a failed event": lambda code: _event({"type": "response.failed", "response": _response(code)}),
    "a chat": lambda code: from_answer(Api.CHAT, msgspec.json.encode({"error": {"code": code, "message": "m"}})),
    "a chat stream": lambda code: StreamValidator(Api.CHAT, hide_usage=True).feed(
        None, msgspec.json.encode({"error": {"code": code, "message": "m", "type": "invalid_request_error"}})
    ),
    "embeddings": lambda code: from_answer(Api.EMBEDDINGS, msgspec.json.encode({"error": {"code": code}})),
    "a 400": lambda code: from_status(400, {}, msgspec.json.encode({"error": {"code": code}}), now=NOW),
}


def _response(code: str) -> dict[str, object]:
    error = {"code": code, "message": "m"}
    return {"id": "resp_1", "object": "response", "status": "failed", "model": "m", "output": [], "error": error}


def _event(event: dict[str, object]) -> object:
    validator = StreamValidator(Api.RESPONSES, hide_usage=False)
    validator.feed(None, b'{"type": "response.created", "response": {"id": "resp_1", "model": "m"}}')
    return validator.feed(None, msgspec.json.encode(event))


MORE_OF_CALLERS = (
    *("audio_too_long", "invalid_audio_format", "unsupported_file_type", "file_too_large", "document_parse_error"),
    *(
        "InvalidParameter",
        "missing_required_parameter",
        "invalid_function_parameters",
        "too_many_images",
        "url_not_allowed",
    ),
    *("invalid_json_schema", "video_download_failed", "pdf_page_limit_exceeded", "invalid_tool_call_id"),
    *("cyber_policy", "self_harm_policy_violation", "prompt_flagged", "unsafe_content", "jailbreak_detected"),
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("code", [code for code, kind in RESPONSE_ERROR_CODES.items() if kind in CALLERS])
def test_a_callers_mistake_is_one_wherever_it_is_said(code: str, place: str) -> None:
    """Inside a 200, in an event, in a stream: it stops the call, is not sent again, and opens nothing."""
    failure = PLACES[place](code)
    assert isinstance(failure, Failure)
    assert failure.kind is RESPONSE_ERROR_CODES[code]
    assert (failure.retry, failure.breaker, failure.code) == (Retry.STOP, BreakerEffect.NEUTRAL, code)


@pytest.mark.parametrize("place", ["a response", "an error event", "a chat", "embeddings"])
@pytest.mark.parametrize("code", MORE_OF_CALLERS)
def test_a_code_that_nobody_knows_is_read_by_its_words(code: str, place: str) -> None:
    """Tomorrow's codes are spelled like today's."""
    failure = PLACES[place](code)
    assert isinstance(failure, Failure)
    assert failure.kind in CALLERS
    assert (failure.retry, failure.breaker) == (Retry.STOP, BreakerEffect.NEUTRAL)


@pytest.mark.parametrize("place", ["a response", "an error event", "a chat", "a chat stream", "embeddings"])
@pytest.mark.parametrize("code", [code for code, kind in RESPONSE_ERROR_CODES.items() if kind not in CALLERS])
def test_a_providers_failure_stays_one(code: str, place: str) -> None:
    """The same places: it is tried again, and counts as its row says."""
    failure = PLACES[place](code)
    assert isinstance(failure, Failure)
    assert failure.kind is RESPONSE_ERROR_CODES[code]
    assert failure.retry in (Retry.SAME, Retry.WAIT)


@pytest.mark.parametrize("code", ["mcp_server_error", "tool_server_timeout", "file_search_failed", "image_error"])
def test_what_a_request_brought_along_may_fail_without_the_route(code: str) -> None:
    """A tool's server of one caller's, a file: the call is tried again and moves on, and the route stays open."""
    failure = from_inner_error(msgspec.json.encode({"error": {"code": code}}), otherwise=failures.INNER_ERROR)
    assert (failure.kind, failure.retry, failure.breaker) == (
        FailureKind.OUTAGE,
        Retry.SAME,
        BreakerEffect.NEUTRAL,
    )


FAILING_SERVERS = (
    *(
        "internal_server_error",
        "upstream_error",
        "bad_gateway",
        "model_overloaded",
        "worker_crashed",
        "invalid_response",
    ),
    *(
        "request_timeout",
        "service_unavailable",
        "engine_error",
        "unknown_error",
        "capacity_exceeded",
        "model_not_ready",
    ),
)


@pytest.mark.parametrize("code", FAILING_SERVERS)
def test_words_for_a_failing_server_are_nobodys_fault(code: str) -> None:
    """An error that says only that something failed counts as an outage does."""
    failure = from_inner_error(msgspec.json.encode({"error": {"code": code}}), otherwise=failures.INNER_ERROR)
    assert failure.kind in (FailureKind.OUTAGE, FailureKind.TIMEOUT)
    assert failure.breaker is BreakerEffect.FAILURE


CERTAIN = ("insufficient_quota", "invalid_api_key", "model_not_found", "content_filter", "context_length_exceeded")
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda code: code.replace("_", "-"),
    lambda code: code.replace("_", "."),
    lambda code: "".join(word.capitalize() for word in code.split("_")),
)
SHAPES: dict[str, Callable[[str], object]] = {
    "OpenAI": lambda code: {"error": {"code": code, "message": "m", "type": "invalid_request_error", "param": None}},
    "by its type": lambda code: {"error": {"type": code, "message": "m", "code": None}},
    "Anthropic": lambda code: {"type": "error", "error": {"type": code, "message": "m"}},
    "a list": lambda code: [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": code}]}}],
    "Azure": lambda code: {"error": {"code": "BadRequest", "innererror": {"code": code}}},
    "flat": lambda code: {"code": code, "message": "m", "request_id": "1"},
    "vLLM": lambda code: {"object": "error", "message": "m", "type": code, "code": 400},
    "beside a text": lambda code: {"error": "m", "code": code},
    "errors": lambda code: {"success": False, "errors": [{"code": code, "message": "m"}]},
    "error_code": lambda code: {"error_code": code, "error_msg": "m"},
    "nested": lambda code: {"error": {"message": "m", "error": {"code": code}}},
    "FastAPI": lambda code: {"detail": {"code": code, "message": "m"}},
    "in a string": lambda code: {"error": {"message": msgspec.json.encode({"error": {"code": code}}).decode()}},
    "OpenRouter": lambda code: {
        "error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": f'{{"code": "{code}"}}'}}
    },
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", CERTAIN)
def test_a_known_code_is_known_in_every_shape_and_spelling(code: str, shape: str) -> None:
    """Providers wrap each other's errors, and spell the same code as they spell their own."""
    expected = from_status(400, {}, msgspec.json.encode({"error": {"code": code}}), now=NOW)
    for spelled in SPELLINGS:
        failure = from_status(400, {}, msgspec.json.encode(SHAPES[shape](spelled(code))), now=NOW)
        assert (failure.kind, failure.breaker) == (expected.kind, expected.breaker), spelled(code)


OF_THEIR_OWN = {400, 401, 402, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 424, 429, 446, 451, 498}
NOT_ABOUT_CONTENT = sorted({*range(400, 500)} - OF_THEIR_OWN)


@pytest.mark.parametrize("status", NOT_ABOUT_CONTENT)
def test_a_status_that_is_not_about_the_content_moves_the_call_on(status: int) -> None:
    """Whatever the gateway: the next route, no try of the same, and nothing opened but by what counts today."""
    failure = from_status(status, {}, b"", now=NOW)
    assert (failure.kind, failure.retry) == (FailureKind.OUTAGE, Retry.NEXT)
    assert failure.breaker is (BreakerEffect.FAILURE if status == 499 else BreakerEffect.NEUTRAL)
    assert failure.retry_refused == (status != 499)


def test_an_error_about_another_model_than_the_routes_opens_nothing() -> None:
    """A tool's model, say, is a caller's choice."""
    body = encoded({"error": {"code": "model_not_found", "message": "The model `gpt-image-9` does not exist."}})
    for status in (400, 404):
        assert from_status(status, {}, body, now=NOW, model="gpt-5.5").breaker is BreakerEffect.NEUTRAL
        assert from_status(status, {}, body, now=NOW, model="openai/gpt-image-9").breaker is BreakerEffect.ROUTE


WORDS = ("image", "model", "quota", "key", "invalid", "not", "too", "policy", "server", "tool", "request", "limit", "x")
words = st.lists(
    st.sampled_from(
        ["image", "model", "quota", "key", "invalid", "not", "too", "policy", "server", "tool", "request", "limit", "x"]
    ),
    max_size=5,
)


@given(code=words.map("_".join))
def test_what_only_words_tell_opens_nothing(code: str) -> None:
    """A made-up code may stop a call or move it on, whatever it says; a route stays as it is."""
    if by_code([squashed(code)]) is not None:
        return
    assert by_words([code]) not in (Meaning.QUOTA, Meaning.KEY, Meaning.MODEL)
    failure = from_status(400, {}, encoded({"error": {"code": code, "message": code.replace("_", " ")}}), now=NOW)
    assert failure.breaker is BreakerEffect.NEUTRAL
