"""The failure table, row by row: each signal gives the failure, retry and breaker's effect that the table says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error, from_status, from_transport, with_request
from lanewise._failures.failure_page import document
from lanewise._failures.failure_table import SUCCESSES, TABLE
from lanewise._failures.signals import TransportSignal
from lanewise._openai.response_check import Answer, check_answer, from_answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Failure

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "CANARY sk-canary my prompt"
FINISHED_TWICE = (
    b'{"model": "m", "choices": [{"message": {"content": "H"}, "finish_reason": "length", "finish_reason": "stop"}]}'
)
DELTA = b'{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}'
PREAMBLE = b'{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}'


def status(code: int, inner: str = "", *, bound: bool = False, **headers: str) -> Callable[[], object]:
    body = msgspec.json.encode({"error": {"code": inner or None, "message": CANARY, "param": "temperature"}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: from_status(code, named, body, now=NOW, bound=bound)


def message(code: int, text: str, error_type: str = "invalid_request_error") -> Callable[[], object]:
    body = msgspec.json.encode({"type": "error", "error": {"type": error_type, "message": text}})
    return lambda: from_status(code, {}, body, now=NOW)


def sent(code: int, text: str, *, has_attachments: bool = False) -> Callable[[], object]:
    """A plain text to a request that holds our ``stream_options``."""
    failure = from_status(code, {}, text.encode(), now=NOW)
    return lambda: with_request(failure, added=("stream_options",), has_attachments=lambda: has_attachments)


def transport(signal: TransportSignal, *, half: bool = True) -> Callable[[], object]:
    return lambda: from_transport(signal, half_of_normal_timeout=half)


def answer(body: bytes, api: Api = Api.CHAT) -> Callable[[], object]:
    return lambda: from_answer(api, body, "application/json")


def stream(*events: bytes) -> Callable[[], object]:
    """What the last of the events is, or the end after it."""

    def judged() -> object:
        validator = StreamValidator(Api.CHAT, hide_usage=False)
        verdicts = [validator.feed(None, event) for event in events]
        return verdicts[-1] if verdicts and isinstance(verdicts[-1], Failure) else validator.end()

    return judged


def judge_after(*events: bytes) -> StreamValidator:
    validator = StreamValidator(Api.CHAT, hide_usage=False)
    for event in events:
        validator.feed(None, event)
    return validator


CASES: dict[str, list[tuple[Callable[[], object], str]]] = {
    "local": [(transport(TransportSignal.LOCAL), "local X 0")],
    "key-unavailable": [(failures.KEY_UNAVAILABLE.failure, "auth N 0")],
    "capped": [(failures.CAPPED.failure, "rate_limit N 0")],
    "over-budget": [(failures.OVER_BUDGET.failure, "rate_limit N 0")],
    "too-long": [(failures.TOO_LONG.failure, "context_length X 0")],
    "bound-gone": [(failures.BOUND_GONE.failure, "bad_request X 0")],
    "unjudged": [(failures.UNJUDGED.failure, "bad_request X 0")],
    "no-room": [(failures.NO_ROOM.failure, "rate_limit N 0")],
    "cancelled": [(failures.CANCELLED.failure, "cancelled X 0")],
    "hedged": [(failures.HEDGED.failure, "cancelled X 0")],
    "deadline": [(failures.DEADLINE.failure, "deadline X 0")],
    "deadline-long": [(failures.DEADLINE_LONG.failure, "deadline X F")],
    "unreachable": [(transport(TransportSignal.UNREACHABLE), "unreachable S F")],
    "connect-timeout": [(transport(TransportSignal.CONNECT_TIMEOUT), "unreachable N F")],
    "stale-connection": [(transport(TransportSignal.STALE_CONNECTION), "unreachable S 0")],
    "tls": [(transport(TransportSignal.TLS), "config N T")],
    "timeout": [
        (transport(TransportSignal.TIMEOUT), "timeout N F"),
        (transport(TransportSignal.RESET_AFTER_WRITE), "timeout N F"),
        (transport(TransportSignal.RESET_AFTER_WRITE, half=False), "timeout N F"),
    ],
    "local-trouble": [(transport(TransportSignal.LOCAL_TROUBLE), "local S 0")],
    "local-trouble-after-write": [
        (transport(TransportSignal.LOCAL_TROUBLE_AFTER_WRITE), "local N 0"),
        (lambda: judge_after(PREAMBLE).broken(TransportSignal.LOCAL_TROUBLE_AFTER_WRITE), "local N 0"),
        (lambda: judge_after(DELTA).broken(TransportSignal.LOCAL_TROUBLE_AFTER_WRITE), "local X 0"),
    ],
    "loop-late": [
        (transport(TransportSignal.LOOP_LATE), "local X 0"),
        (lambda: judge_after(DELTA).broken(TransportSignal.LOOP_LATE), "local X 0"),
    ],
    "timeout-short": [(transport(TransportSignal.TIMEOUT, half=False), "timeout N 0")],
    "redirect": [(status(301), "config N T"), (status(307), "config N T"), (status(308), "config N T")],
    "context-length": [
        (status(400, "context_length_exceeded"), "context_length N 0"),
        (status(400, "exceed_context_size_error"), "context_length N 0"),
        (message(400, "prompt is too long: 210000 tokens > 200000 maximum"), "context_length N 0"),
        (status(413), "context_length N 0"),
    ],
    "unsupported-parameter": [
        (status(400, "unsupported_parameter"), "unsupported_parameter N 0"),
        (status(400, "unsupported_value"), "unsupported_parameter N 0"),
        (status(422, "extra_forbidden"), "unsupported_parameter N 0"),
        (message(400, 'Invalid JSON payload received. Unknown name "seed": ...'), "unsupported_parameter N 0"),
    ],
    "addition-refused": [
        (sent(400, "Unknown field: stream_options"), "unsupported_parameter N 0"),
        (sent(404, "no route for stream_options"), "unsupported_parameter N 0"),
        (sent(500, "unexpected keyword argument 'stream_options'"), "unsupported_parameter N 0"),
        (sent(501, "include_usage"), "unsupported_parameter N 0"),
    ],
    "content-policy": [
        (status(446), "content_policy X 0"),
        (status(400, "content_filter"), "content_policy X 0"),
        (status(400, "content_policy_violation"), "content_policy X 0"),
        (status(400, "ResponsibleAIPolicyViolation"), "content_policy X 0"),
        (status(403, "moderation"), "content_policy X 0"),
    ],
    "billing-400": [
        (message(400, "Your credit balance is too low to access the Anthropic API."), "quota N A"),
        (status(400, "billing_hard_limit_reached"), "quota N A"),
        (status(403, "insufficient_user_quota"), "quota N A"),
    ],
    "quota-unsure": [
        (message(400, "ExceededBudget: End User=u1 over budget.", "budget_exceeded"), "quota N 0"),
        (message(402, "This request requires more credits, or fewer max_tokens."), "quota N 0"),
        (status(412), "quota N 0"),
        (status(400, "TeamBudgetUsedUp"), "quota N 0"),
    ],
    "bad-key-400": [
        (status(400, "API_KEY_INVALID"), "auth N A"),
        (message(400, "API key not valid. Please pass a valid API key."), "auth N A"),
    ],
    "bad-request": [
        (status(400), "bad_request X 0"),
        (status(422), "bad_request X 0"),
        (status(415), "bad_request X 0"),
        (message(400, CANARY), "bad_request X 0"),
    ],
    "withheld": [(status(400, "tool_use_failed"), "bad_response N 0")],
    "not-about-content": [
        (status(code), "outage N 0")
        for code in (406, 407, 411, 414, 416, 418, 421, 423, 425, 426, 428, 431, 444, 460, 463, 494, 495, 496, 497)
    ],
    "auth": [(status(401), "auth N A"), (status(403, "invalid_api_key"), "auth N A")],
    "auth-unrecognised": [
        (status(403), "auth N 0"),
        (status(403, "waf_blocked"), "auth N 0"),
        (status(451), "auth N 0"),
        (status(403, "permission_denied"), "auth N 0"),
        (message(400, "This API key has been disabled."), "auth N 0"),
    ],
    "model-forbidden": [(status(403, "model_not_found"), "model_missing N T")],
    "payment": [(status(402), "quota N A")],
    "payment-later": [(status(402, retry_after="5"), "rate_limit W 0")],
    "model-missing": [
        (status(404, "model_not_found"), "model_missing N T"),
        (status(400, "invalid_model"), "model_missing N T"),
    ],
    "not-found": [
        (status(404), "model_missing N 0"),
        (status(405), "model_missing N 0"),
        (status(410), "model_missing N 0"),
        (message(404, "No endpoints found that support image input"), "model_missing N 0"),
    ],
    "not-found-bound": [(status(404, bound=True), "bad_request X 0"), (status(405, bound=True), "bad_request X 0")],
    "request-timeout": [(status(408), "timeout S F")],
    "conflict": [(status(409), "conflict W 0")],
    "dependency": [(status(424), "outage N F"), (status(499), "outage N F")],
    "rate-limit": [
        (status(429), "rate_limit W 0"),
        (status(429, "rate_limit_exceeded"), "rate_limit W 0"),
        (message(429, "You exceeded your current quota, please check your plan"), "rate_limit W 0"),
        (status(498), "rate_limit W 0"),
    ],
    "rate-too-large": [(message(429, "Request too large for gpt-4o on tokens per min (TPM)"), "context_length N 0")],
    "billing-429": [
        (status(429, "insufficient_quota"), "quota N A"),
        (status(429, "billing_hard_limit_reached"), "quota N A"),
        (status(429, "spend_limit_exceeded"), "quota N A"),
        (status(429, "credits_exhausted"), "quota N A"),
    ],
    "server-error": [(status(500), "outage S F")],
    "server-error-doubted": [(message(500, "no"), "outage S 0")],
    "attachment-error": [
        (sent(500, "no", has_attachments=True), "outage S P"),
        (
            lambda: with_request(
                from_inner_error(b'{"error": {"message": "no"}}', otherwise=failures.INNER_ERROR),
                added=(),
                has_attachments=lambda: True,
            ),
            "outage S P",
        ),
    ],
    "attachment-refused": [(sent(501, "no", has_attachments=True), "config N P")],
    "gateway": [(status(code), "outage S F") for code in (502, 504, *range(520, 528), 530, 507, 599)],
    "unavailable": [(status(503), "outage S F")],
    "unavailable-later": [
        (status(503, retry_after="1"), "outage W F"),
        (status(503, "server_is_overloaded", retry_after="1"), "outage W F"),
    ],
    "overloaded": [
        (status(503, "server_is_overloaded"), "outage N F"),
        (status(529), "outage N F"),
        (status(529, retry_after="1"), "outage N F"),
    ],
    "not-implemented": [(status(501), "config N T"), (status(505), "config N T")],
    "odd-status": [
        (status(100), "bad_response N F"),
        (status(204), "bad_response N F"),
        (status(999), "bad_response N F"),
    ],
    "inner-error": [
        (answer(b'{"error": {"message": "no"}}'), "outage S F"),
        (answer(b'{"error": {"code": "insufficient_quota"}}'), "quota N A"),
        (answer(b'{"error": {"code": 429}}'), "rate_limit W 0"),
        (answer(b'{"error": {"code": "content_filter"}}'), "content_policy X 0"),
    ],
    "not-json": [
        (answer(b"<html></html>"), "bad_response N F"),
        (answer(b"OK"), "bad_response N F"),
        (answer(b"[]"), "bad_response N F"),
        (answer(b'{"choices": [{"mess'), "bad_response N F"),
        (answer(b'{"choices": "none"}'), "bad_response N F"),
        (answer(b'{"choices": [{"message": {"content": "\xff"}, "finish_reason": "stop"}]}'), "bad_response N F"),
    ],
    "cut": [
        (transport(TransportSignal.CUT), "bad_response N F"),
        (transport(TransportSignal.UNDECODABLE), "bad_response N F"),
        (transport(TransportSignal.MALFORMED_HTTP), "bad_response N F"),
    ],
    "empty-embeddings": [
        (answer(b'{"data": []}', Api.EMBEDDINGS), "bad_response N F"),
        (answer(b'{"data": [{"embedding": []}]}', Api.EMBEDDINGS), "bad_response N F"),
        (answer(b"{}", Api.EMBEDDINGS), "bad_response N F"),
    ],
    "too-large": [(transport(TransportSignal.TOO_LARGE), "bad_response N 0")],
    "no-choices": [
        (answer(b'{"choices": null}'), "bad_response S F"),
        (answer(b'{"choices": []}'), "bad_response S F"),
        (answer(b'{"choices": [{"finish_reason": "stop"}]}'), "bad_response S F"),
        (answer(b'{"output": []}', Api.RESPONSES), "bad_response S F"),
    ],
    "stream-error": [
        (stream(PREAMBLE, b'{"error": {"message": "no"}}'), "outage S F"),
        (stream(PREAMBLE, b'{"error": {"code": "rate_limit_exceeded"}}'), "rate_limit W 0"),
    ],
    "stream-error-late": [
        (stream(DELTA, b'{"error": {"code": "server_error"}}'), "stream_broken X F"),
        (stream(DELTA, b'{"error": {"code": "content_filter"}}'), "stream_broken X 0"),
    ],
    "stream-cut": [
        (stream(), "stream_broken N F"),
        (stream(PREAMBLE), "stream_broken N F"),
        (stream(DELTA), "stream_broken X F"),
        (lambda: judge_after(DELTA).broken(TransportSignal.CUT), "stream_broken X F"),
    ],
    "malformed-event": [
        (stream(PREAMBLE, b"{"), "stream_broken N F"),
        (stream(DELTA, b"{"), "stream_broken X F"),
        (stream(b'{"choices": [{"delta": {"content": "\xff"}}]}'), "stream_broken N F"),
    ],
    "stream-too-large": [(lambda: judge_after().broken(TransportSignal.TOO_LARGE), "stream_broken N 0")],
    "no-content": [(lambda: judge_after(PREAMBLE).stalled(), "timeout N F")],
    "stalled": [(lambda: judge_after(DELTA).stalled(), "timeout X F")],
    "content-filtered": [(failures.CONTENT_FILTERED.failure, "content_policy N 0")],
    "length": [(failures.LENGTH.failure, "contract N 0")],
    "finish-error": [
        (answer(b'{"choices": [{"message": {"content": "H"}, "finish_reason": "error"}]}'), "outage S F"),
        (stream(b'{"choices": [{"delta": {}, "finish_reason": "error"}]}'), "outage S F"),
    ],
    "in-doubt": [
        (lambda: check_answer(Api.CHAT, FINISHED_TWICE, sensitive=True).result, "bad_response N 0"),
    ],
    "slow": [(failures.SLOW.failure, "timeout N F")],
    "silent": [(failures.SILENT.failure, "timeout N F")],
    "unforeseen": [(failures.UNFORESEEN.failure, "bad_response N 0")],
    "contract": [(failures.CONTRACT.failure, "contract N 0")],
    "substituted": [(failures.SUBSTITUTED.failure, "substituted N 0")],
    "no-done": [(stream(DELTA, b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}'), "success")],
    "odd-json": [
        (answer(b'{"choices": [{"index": "0", "message": {"content": "Hi"}}], "error": {}, "score": NaN}'), "success"),
        (answer('{"choices": [{"message": {"content": "Hi"}}]}'.encode("utf-16")), "success"),
    ],
    "odd-http": [(answer(b"\xef\xbb\xbf" + b'{"choices": [{"message": {"content": "Hi"}}]}'), "success")],
    "odd-events": [(stream(b"null", DELTA, b"null", b"[DONE] "), "success")],
    "odd-calls": [
        (
            stream(b'{"choices": [{"delta": {"tool_calls": [{"function": {"name": "now"}}]}, "finish_reason": "x"}]}'),
            "success",
        ),
    ],
    "null-finish": [(answer(b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": null}]}'), "success")],
}


def test_every_row_of_the_table_is_tested() -> None:
    """A row that is added without a case fails here."""
    assert CASES.keys() == {row.id for row in TABLE} | {fine.id for fine in SUCCESSES}
    assert len({row.id for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        pytest.param(signal, expected, id=f"{row} {n}")
        for row, cases in CASES.items()
        for n, (signal, expected) in enumerate(cases)
    ],
)
def test_a_signal_is_treated_as_its_row_says(signal: Callable[[], object], expected: str) -> None:
    """Kind, retry and breaker, spelled out here again rather than read from the table."""
    failure = signal()
    if expected == "success":
        assert failure is None or isinstance(failure, Answer)
        return
    assert isinstance(failure, Failure)
    assert f"{failure.kind} {failure.retry} {failure.breaker}" == expected
    assert failure.detail
    assert CANARY not in repr(failure)


def test_the_documentation_is_printed_from_the_table() -> None:
    """docs/failures.md can't lie: ``make docs`` writes it anew."""
    page = Path(__file__).parents[2] / "docs" / "failures.md"
    assert page.read_text(encoding="utf-8") == document()
    assert all(row.signal in document() for row in TABLE)


@pytest.mark.parametrize("signal", TransportSignal)
def test_every_transport_signal_has_a_row(signal: TransportSignal) -> None:
    """None is forgotten when a signal is added."""
    assert isinstance(from_transport(signal), Failure)
