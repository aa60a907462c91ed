"""What is made of statuses and bodies, hostile ones too: whether the request ran, and that nothing leaks."""

from __future__ import annotations

import pickle
import string
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error, from_status
from lanewise._failures.error_body import read_error
from lanewise._openai.response_check import Answer, check_answer, from_answer
from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, BreakerEffect, Failure, FailureKind, Retry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "CANARY sk-canary my prompt"


def status(code: int, inner: str = "", *, bound: bool = False, **headers: str) -> Callable[[], object]:
    body = msgspec.json.encode({"error": {"code": inner or None, "message": CANARY, "param": "temperature"}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: from_status(code, named, body, now=NOW, bound=bound)


def message(code: int, text: str, error_type: str = "invalid_request_error") -> Callable[[], object]:
    body = msgspec.json.encode({"type": "error", "error": {"type": error_type, "message": text}})
    return lambda: from_status(code, {}, body, now=NOW)


@pytest.mark.parametrize(
    ("code", "unknown", "executed"),
    [
        (408, False, False), (409, False, False), (429, False, False), (500, False, True), (502, True, False),
        (503, False, False), (504, True, False), (522, True, False), (529, False, False),
    ],
)  # fmt: skip
def test_a_status_says_whether_the_request_ran(code: int, unknown: bool, executed: bool) -> None:
    """What decides whether a retry sends the same idempotency key."""
    failure = from_status(code, {}, b"", now=NOW)
    assert (failure.outcome_unknown, failure.executed) == (unknown, executed)


def test_an_error_inside_a_200_is_retried_with_another_key() -> None:
    """A provider that honours the key would replay the same 200."""
    failure = from_inner_error(b'{"error": {"code": 429}}', otherwise=failures.INNER_ERROR)
    assert failure.executed
    assert from_answer(Api.CHAT, b'{"choices": []}').executed  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("code", "inner", "advice", "retry"),
    [
        (500, "", "false", "N"), (429, "", "false", "N"), (500, "", "true", "S"), (429, "", "true", "S"),
        (529, "", "true", "S"), (424, "", "true", "S"), (400, "", "true", "X"), (401, "", "true", "N"),
        (413, "", "true", "N"), (400, "unsupported_value", "true", "N"), (404, "model_not_found", "true", "N"),
        (500, "", "perhaps", "S"), (400, "", "false", "X"),
    ],
)  # fmt: skip
def test_the_providers_advice_overrides_the_retry(code: int, inner: str, advice: str, retry: str) -> None:
    """``x-should-retry``, but not where the app is at fault, nor where the same route would only say the same."""
    failure = status(code, inner, X_Should_Retry=advice)()
    assert isinstance(failure, Failure)
    assert failure.retry == retry


def test_a_status_without_a_body_is_still_classified() -> None:
    """Nothing but the status is needed."""
    assert from_status(429, {}, b"", now=NOW).kind is FailureKind.RATE_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "insufficient_quota", "score": NaN}}',
        b'\xef\xbb\xbf{"error": {"code": "insufficient_quota"}}',
        '{"error": {"code": "insufficient_quota"}}'.encode("utf-16"),
    ],
    ids=["NaN", "a byte order mark", "UTF-16"],
)
def test_an_error_is_read_as_python_reads_json(body: bytes) -> None:
    """An account without credit says so however its JSON is written."""
    assert from_status(400, {}, body, now=NOW).kind is FailureKind.QUOTA


def test_a_parameters_name_is_an_identifier_or_nothing() -> None:
    """A sentence of a prompt never passes for a name, nor does a name that is too long."""
    for param in ("tell me a secret", "a" * 101, "a\nb", "é", "", 12.5, ["x"], {"a": "b"}):
        body = msgspec.json.encode({"error": {"code": "unsupported_value", "param": param}})
        assert from_status(400, {}, body, now=NOW).param is None
    body = b'{"error": {"code": "unsupported_value", "param": "messages[0].content"}}'
    assert from_status(400, {}, body, now=NOW).param == "messages[0].content"


def test_a_user_who_quotes_an_error_opens_nothing() -> None:
    """Phrases that open an account or a route count only at the start of a message, which no user writes."""
    for quoted in ("Your credit balance is too low", "API key not valid", "model: x", "The model `x` does not exist"):
        failure = message(400, f"Invalid value: '{quoted}'")()
        assert isinstance(failure, Failure)
        assert failure.breaker is BreakerEffect.NEUTRAL


FIELDS = (
    *("error", "code", "type", "param", "message", "status", "details", "reason", "innererror", "metadata", "raw"),
    *("detail", "loc", "msg", "choices", "delta", "content", "finish_reason", "output", "response", "usage", "data"),
    *("embedding", "index", "model", "id", "retryDelay"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(CANARY),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=200) | json_values.map(msgspec.json.encode)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "Retry-After", "retry-after-ms", "x-should-retry"]),
    st.text(max_size=40)
    | st.sampled_from(["nan", "inf", "-1", "1e9", "true", "false", "Sun, 22 Nov 2026 12:00:30 GMT"]),
)


@given(code=st.integers(-10, 1000), body=bodies, headers=headers, bound=st.booleans())
def test_no_answer_makes_the_classification_raise_or_leak(
    code: int, body: bytes, headers: dict[str, str], bound: bool
) -> None:
    """Arbitrary statuses, headers and bodies: a failure, of which only identifiers are the provider's."""
    failure = from_status(code, headers, body, now=NOW, bound=bound)
    assert failure.http_status == code
    assert failure.retry_after is None or 0 <= failure.retry_after <= 300
    assert_only_identifiers(failure)


@given(api=st.sampled_from(Api), body=bodies, content_type=st.none() | st.text(max_size=20))
def test_no_body_of_a_200_makes_the_judgement_raise_or_leak(api: Api, body: bytes, content_type: str | None) -> None:
    """Arbitrary bodies: an answer or a failure."""
    judged = from_answer(api, body, content_type)
    if isinstance(judged, Failure):
        assert_only_identifiers(judged)


def assert_only_identifiers(failure: Failure) -> None:
    allowed = set(string.ascii_letters + string.digits + "_.-[]:/")
    for name in (failure.code, failure.param):
        assert name is None or (len(name) <= 100 and set(name) <= allowed)
    assert "CANARY" not in repr(failure)
    assert b"CANARY" not in pickle.dumps(failure)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"error":' * 20_000,
        b'{"error": {"message": "' + b"a" * 5_000_000 + b'"}}',
        b'{"error": {"code": "\x00", "message": "\xff\xfe"}}',
        b'{"error": {"message": "' + b"a: " * 600 + b'"}}',
        b"\x00" * 1000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=["deep list", "deep object", "huge", "not UTF-8", "many near matches", "NUL", "huge number"],
)
def test_a_hostile_body_is_neither_an_exception_nor_slow(body: bytes) -> None:
    """Deep, huge or broken bodies fall back to the status; only the first 64 kB are looked at."""
    for code in (400, 403, 404, 429, 503):
        assert isinstance(from_status(code, {}, body, now=NOW), Failure)
    for api in Api:
        assert isinstance(from_answer(api, body), Failure)
    assert StreamValidator(Api.CHAT, hide_usage=False).feed(None, body) not in (
        StreamVerdict.CONTENT,
        StreamVerdict.DONE,
    )


def test_a_parsed_error_does_not_show_the_providers_message() -> None:
    """Its repr is safe in a traceback with local variables."""
    assert "CANARY" not in repr(read_error(msgspec.json.encode({"error": {"message": CANARY, "param": CANARY}})))


def test_an_answer_holds_no_text() -> None:
    """What is kept of an answer is numbers, names and reasons."""
    body = msgspec.json.encode(
        {"choices": [{"message": {"content": CANARY, "refusal": CANARY}, "finish_reason": "stop"}]}
    )
    judged = from_answer(Api.CHAT, body)
    assert isinstance(judged, Answer)
    assert "CANARY" not in repr(judged)
    assert Retry.NEXT is failures.CONTENT_FILTERED.retry


@pytest.mark.parametrize(
    ("vectors", "counts"),
    [([[0.1], []], True), ([[0.1], ""], True), ([[], []], False), ([[]], False), ([[0.1], None], False)],
)
def test_a_vector_of_nothing_beside_others_is_an_answer(vectors: list, counts: bool) -> None:
    """As some servers answer an empty text; null is no vector."""
    body = msgspec.json.encode({"model": "m", "data": [{"embedding": vector} for vector in vectors]})
    assert isinstance(from_answer(Api.EMBEDDINGS, body), Answer) is counts


def test_embeddings_that_the_app_decodes_may_be_any_text() -> None:
    """``ubinary`` and ``int8`` are packed otherwise than the floats that the SDK unpacks."""
    body = b'{"data": [{"embedding": "AAEC"}]}'
    assert isinstance(check_answer(Api.EMBEDDINGS, body).result, Failure)
    assert isinstance(check_answer(Api.EMBEDDINGS, body, sdk_decodes=False).result, Answer)
