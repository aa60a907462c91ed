"""The rows of the failure table as scenarios: what a provider does, and what that must come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from lanewise import AnswerCut, BadResponse, Retry, StreamBroken
from lanewise._failures.failure_table import TABLE
from lanewise.testing import (
    Answer,
    Behaviour,
    Body,
    Close,
    Drip,
    Html,
    JsonBody,
    Raw,
    Redirect,
    Reset,
    Silence,
    Status,
    StreamOf,
    TruncatedBody,
)
from lanewise.types import Failure
from router.driving import FORMS, STREAMS, WHOLE, Form

__all__ = ["BY_LETTER", "CASES", "LATER", "NAMES", "ROWS", "Case", "is_of"]

ROWS = {row.id: row for row in TABLE}

STOP, NEXT, SAME, WAIT = [1], [1, 2], [1, 1, 2], [1, 1, 2]
"""The providers of the attempts, by the letter of the row."""
BY_LETTER = {Retry.STOP: STOP, Retry.NEXT: NEXT, Retry.SAME: SAME, Retry.WAIT: WAIT}
NAMES = {1: "first", 2: "second"}


@dataclass(frozen=True)
class Case:
    """A row's signal: what the first provider does to every request, and the class of the error where it is alone.

    ``says`` is the row's detail where the signal refines it. ``moves`` are those of the row's letter unless given.
    ``alone_for`` is the time in seconds that the call gives where the provider is alone.
    """

    row: str
    behaviour: Behaviour
    error: type[openai.OpenAIError]
    forms: Sequence[Form] = FORMS
    moves: Sequence[int] | None = None
    note: str = ""
    says: str | None = None
    status: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    first: Mapping[str, object] = field(default_factory=dict)
    second: Mapping[str, object] = field(default_factory=dict)
    task: Mapping[str, object] = field(default_factory=dict)
    router: Mapping[str, object] = field(default_factory=dict)
    alone_for: float | None = None
    is_vague: bool = False
    """Nothing says what is refused: a stream is asked for once more, without what was added."""

    @property
    def name(self) -> str:
        return f"{self.row}-{self.note}" if self.note else self.row


def _error(message: str = "canary-provider-text", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None, **fields}}


SOON = {"retry-after-ms": "10"}
TOO_LARGE_EVENT = StreamOf(chunks=(b"data: " + b"x" * 200_000,))
QUICK = {"timeout": "500ms"}
BAD_REQUEST = openai.BadRequestError
SERVER_ERROR = openai.InternalServerError
RATE_LIMIT = openai.RateLimitError
NOT_FOUND = openai.NotFoundError
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]

CASES = (
    Case("timeout", Silence(), openai.APITimeoutError, first=QUICK, note="silence"),
    Case("timeout", Reset("before_headers"), openai.APITimeoutError, note="reset"),
    Case("timeout", Close("before_headers"), openai.APITimeoutError, note="closed"),
    Case("timeout", Drip(0.05, 4), openai.APITimeoutError, WHOLE, first=QUICK, note="drip"),
    Case("redirect", Redirect("/v1/elsewhere"), openai.APIError, status=307),
    Case("redirect", Redirect("/v1/elsewhere", 301), openai.APIError, status=301, note="301"),
    Case(
        "context-length",
        Status(400, {"code": "context_length_exceeded"}),
        BAD_REQUEST,
        first={"context_window": 8000},
        second={"context_window": 16000},
        task={"equivalent": {"routes": ["second"], "on": ["context_length"]}},
        note="larger",
    ),
    Case(
        "context-length",
        Status(400, {"code": "context_length_exceeded"}),
        BAD_REQUEST,
        first={"context_window": 8000},
        second={"context_window": 8000},
        task={"equivalent": {"routes": ["second"], "on": ["context_length"]}},
        moves=STOP,
        note="same-window",
    ),
    Case(
        "context-length",
        Status(400, {"code": "context_length_exceeded"}),
        BAD_REQUEST,
        first={"context_window": 8000},
        second={"context_window": 16000},
        task={"equivalent": {"routes": ["second"], "on": ["default", "context_length"]}},
        note="listed-beside-the-default",
    ),
    Case(
        "gateway",
        Status(502),
        SERVER_ERROR,
        task={"equivalent": {"routes": ["second"], "on": ["default", "context_length"]}},
        note="of-the-default",
    ),
    Case("context-length", Status(413), openai.APIStatusError, moves=STOP, note="413"),
    Case(
        "unsupported-parameter",
        Status(400, {"code": "unsupported_parameter", "param": "tools"}),
        BAD_REQUEST,
        note="not-droppable",
        options={"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    ),
    Case("content-policy", Status(400, {"code": "content_filter"}), BAD_REQUEST),
    Case("content-policy", Status(400, {"code": "content_policy_violation"}), BAD_REQUEST, note="violation"),
    Case(
        "content-policy",
        Status(403, {"code": "moderation_blocked"}),
        openai.PermissionDeniedError,
        note="403",
    ),
    Case(
        "content-policy",
        Status(400, {"code": "content_filter"}),
        BAD_REQUEST,
        task={"equivalent": {"routes": ["second"], "on": ["content_policy"]}},
        moves=NEXT,
        note="listed",
    ),
    Case("billing-400", Status(400, {"type": "billing_error"}), BAD_REQUEST),
    Case(
        "bad-key-400",
        JsonBody(
            [
                {
                    "error": {
                        "code": 400,
                        "status": "INVALID_ARGUMENT",
                        "message": "API key not valid.",
                        "details": [{"reason": "API_KEY_INVALID"}],
                    }
                }
            ],
            400,
        ),
        BAD_REQUEST,
    ),
    Case("bad-request", Status(400), BAD_REQUEST, is_vague=True),
    Case("bad-request", Status(422), openai.UnprocessableEntityError, note="422", is_vague=True),
    Case("bad-request", Status(415), openai.APIStatusError, note="415", is_vague=True),
    Case("bad-request", Status(400, {"code": "invalid_image_url"}), BAD_REQUEST, note="picture"),
    Case("withheld", Status(400, {"code": "tool_use_failed"}), BAD_REQUEST),
    Case("not-about-content", Status(418), openai.APIStatusError, note="418"),
    Case("not-about-content", Html(status=494), openai.APIStatusError, note="494"),
    Case(
        "quota-unsure",
        Status(400, {"message": "ExceededBudget: End User=u over budget.", "type": "budget_exceeded"}),
        BAD_REQUEST,
    ),
    Case("quota-unsure", Status(412), openai.APIStatusError, note="412"),
    Case("model-missing", Status(400, {"message": "Model Not Exist"}), BAD_REQUEST, note="in-a-400"),
    Case("bad-key-400", JsonBody({"error": "Incorrect API key provided: xa***."}, 400), BAD_REQUEST, note="xai"),
    Case("billing-400", Status(400, {"code": "Arrearage"}), BAD_REQUEST, note="arrears"),
    Case("auth", Status(401), openai.AuthenticationError),
    Case("auth", Status(403, {"code": "invalid_api_key"}), openai.PermissionDeniedError, note="403"),
    Case("auth-unrecognised", Html(status=403), openai.PermissionDeniedError),
    Case("model-forbidden", Status(403, {"code": "model_not_found"}), openai.PermissionDeniedError),
    Case("payment", Status(402), openai.APIStatusError),
    Case("payment-later", Status(402, headers=SOON), openai.APIStatusError),
    Case("model-missing", Status(404), NOT_FOUND),
    Case("not-found", Html(status=404), NOT_FOUND, is_vague=True),
    Case("not-found", Status(405, {"code": None}), openai.APIStatusError, note="405"),
    Case("request-timeout", Status(408), openai.APIStatusError),
    Case("conflict", Status(409), openai.ConflictError),
    Case("dependency", Status(424), openai.APIStatusError),
    Case("rate-limit", Status(429), RATE_LIMIT),
    Case("rate-limit", Status(429, headers=SOON), RATE_LIMIT, note="retry-after"),
    Case("rate-limit", Status(429, retry_after=3), RATE_LIMIT, moves=NEXT, note="long", alone_for=0.5),
    Case(
        "rate-too-large",
        Status(429, {"message": "Request too large for model-one on tokens per min: Limit 10.", "type": "tokens"}),
        RATE_LIMIT,
        moves=STOP,
    ),
    Case("billing-429", Status(429, {"code": "insufficient_quota"}), RATE_LIMIT),
    Case("server-error", Status(500), SERVER_ERROR),
    Case("server-error-doubted", Status(500, {"type": "invalid_request_error"}), SERVER_ERROR),
    Case("attachment-error", Status(500), SERVER_ERROR, options={"messages": PICTURE}),
    Case("attachment-refused", Status(501), SERVER_ERROR, options={"messages": PICTURE}),
    Case("gateway", Status(502), SERVER_ERROR),
    Case("gateway", Html(status=504), SERVER_ERROR, note="504"),
    Case("gateway", Status(520), SERVER_ERROR, note="520"),
    Case("unavailable", Status(503), SERVER_ERROR),
    Case("unavailable-later", Status(503, headers=SOON), SERVER_ERROR),
    Case("overloaded", Status(503, {"code": "server_is_overloaded"}), SERVER_ERROR),
    Case("overloaded", Status(529), SERVER_ERROR, note="529"),
    Case("not-implemented", Status(501), SERVER_ERROR),
    Case("odd-status", JsonBody({"id": "x"}, 202), BadResponse),
    Case("inner-error", JsonBody(_error(type="odd", code="odd")), SERVER_ERROR),
    Case("rate-limit", JsonBody(_error(code="rate_limit_exceeded")), RATE_LIMIT, note="in-a-200"),
    Case("not-json", Html(), BadResponse, says="the answer is HTML: is the base URL right?", note="html"),
    Case("not-json", JsonBody([1, 2]), BadResponse, note="list"),
    Case("not-json", Body("canary-answer", "text/plain"), BadResponse, WHOLE, note="text"),
    Case("not-json", Body(b"", "application/json"), BadResponse, says="the answer is empty", note="empty"),
    Case("cut", TruncatedBody(), AnswerCut, WHOLE),
    Case("cut", Reset("mid_body"), AnswerCut, WHOLE, note="reset"),
    Case("cut", Body("{}", encoding="gzip", compress=False), BadResponse, note="undecodable"),
    Case("cut", Raw("SSH-2.0-OpenSSH_9.9\r\n"), AnswerCut, note="not-http"),
    Case("too-large", Answer("x" * 5000), BadResponse, WHOLE, router={"max_answer_bytes": 4000}),
    Case("no-choices", JsonBody({"choices": None}), BadResponse, note="null"),
    Case("no-choices", JsonBody({"choices": []}), BadResponse, note="empty"),
    Case("no-choices", JsonBody({"choices": [{"index": 0}]}), BadResponse, note="no-message"),
    Case("finish-error", Answer(finish_reason="error"), SERVER_ERROR, WHOLE),
    Case("finish-error", StreamOf(chunks=(), finish_reason="error"), SERVER_ERROR, STREAMS, note="stream"),
    Case("stream-error", StreamOf(error_event_after=0, error={"message": "m"}), SERVER_ERROR, STREAMS),
    Case("server-error", StreamOf(error_event_after=0), SERVER_ERROR, STREAMS, note="event"),
    Case(
        "rate-limit",
        StreamOf(error_event_after=0, error={"message": "m", "code": "rate_limit_exceeded"}),
        RATE_LIMIT,
        STREAMS,
        note="event",
    ),
    Case("stream-cut", StreamOf(cut_after=0), StreamBroken, STREAMS),
    Case("stream-cut", StreamOf(cut_after=0, cut="reset"), StreamBroken, STREAMS, note="reset"),
    Case("stream-cut", StreamOf(chunks=(), no_finish_reason=True), StreamBroken, STREAMS, note="nothing-in-it"),
    Case("malformed-event", StreamOf(malformed_after=0), StreamBroken, STREAMS),
    Case("stream-too-large", TOO_LARGE_EVENT, StreamBroken, STREAMS, router={"max_event_bytes": 4000}),
    Case(
        "no-content",
        StreamOf(stall_after=0),
        openai.APITimeoutError,
        STREAMS,
        first={"first_token": "500ms"},
        alone_for=1.5,
    ),
    Case(
        "no-content",
        StreamOf(stall_after=0, comments=0.03),
        openai.APITimeoutError,
        STREAMS,
        first={"first_token": "500ms"},
        alone_for=1.5,
        note="comments",
    ),
)

LATER = {"length", "contract", "unjudged", "addition-refused"}
LATER |= {"local-trouble", "local-trouble-after-write", "loop-late"}
"""Rows that only contracts, additions and trouble of our own emit: tests of their own show them."""


def is_of(failure: Failure, row_id: str, says: str | None = None) -> None:
    """Check that a failure is the row's, in all that the row says."""
    row = ROWS[row_id]
    assert (failure.kind, failure.retry, failure.breaker, failure.detail, failure.outcome_unknown) == (
        row.kind,
        row.retry,
        row.breaker,
        says or row.detail,
        row.outcome_unknown,
    )
