"""What the OpenAI endpoint answers besides the answers of models: errors in OpenAI's shape, whole and in a stream."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from lanewise.errors import (
    ContractViolated,
    DeadlineExceeded,
    FailClosed,
    InvalidCall,
    NotRouted,
    ReviewPending,
    RoutingError,
    UnknownTask,
)
from lanewise.scope import Scope, state_of
from lanewise.types import Api
from lanewise.web.call_errors import is_hang_up, log_hang_up
from lanewise.web.problems import problem_for

__all__ = [
    "EndpointAnswer",
    "EndpointError",
    "HeaderList",
    "answer_for",
    "broken_stream_event",
    "json_answer",
    "log_failure",
]

_log: Final = logging.getLogger("lanewise")

HeaderList = list[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")
_FINAL: Final = (b"x-should-retry", b"false")
"""Obeyed by the SDKs: the router has retried already."""
_CODES: Final = {
    "bad-request": "bad_request",
    "context-length": "context_length_exceeded",
    "content-policy": "content_filter",
    "deadline": "deadline_exceeded",
    "contract": "contract_violated",
    "local": "internal_error",
    "budget": "budget_exceeded",
    "unavailable": "unavailable",
    "fail-closed": "fail_closed",
    "review-pending": "review_pending",
}
"""By the last part of a problem's type."""
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class EndpointAnswer(msgspec.Struct, frozen=True):
    """A whole answer, without the headers that every answer has."""

    status: int
    headers: HeaderList
    body: bytes


class EndpointError(Exception):
    """A request that is answered with an error before it becomes a call. Its text is sent to the caller."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = headers

    def answer(self) -> EndpointAnswer:
        """The answer in OpenAI's shape."""
        body = _error_body(self.status, self.code, str(self), self.param)
        return EndpointAnswer(self.status, [_JSON, _FINAL, *self.headers], msgspec.json.encode(body))


def json_answer(content: object) -> EndpointAnswer:
    """A 200 with JSON."""
    return EndpointAnswer(200, [_JSON], msgspec.json.encode(content))


def log_failure(status: int, error: RoutingError, scope: Scope) -> None:
    """Say in the log why a call was not answered. Nothing of a prompt or an answer is in it."""
    if is_hang_up(error):  # also where it was a middleware around the endpoint that heard of it
        log_hang_up(error, scope)
        return
    call_id = error.call.id if error.call is not None else None
    _log.log(
        logging.ERROR if status == 500 else logging.INFO if status in (202, 400, 404) else logging.WARNING,
        "a request of the client %s was answered with %d: %s [request %s]",
        state_of(scope).client,
        status,
        error,
        scope.request_id,
        extra={"request_id": scope.request_id, "call_id": call_id},
    )


def answer_for(error: RoutingError) -> EndpointAnswer:
    """The answer to a call that ended without one: status and headers are those of the problem that an app answers.

    No provider, model, key, prompt or upstream text is in one. What only the caller can have done is told in full.

    Example::

        answer = answer_for(error)
    """
    own = _callers_fault(error)
    if own is not None:
        return own.answer()
    problem = problem_for(error)
    told = msgspec.json.decode(problem.body)
    code = _CODES[told["type"].rpartition(":")[2]]
    body = _error_body(problem.status, code, told["title"], told.get("parameter"))
    for name in ("call_id", "review_id"):
        if name in told:
            body["error"][name] = told[name]
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in problem.headers]
    return EndpointAnswer(problem.status, [_JSON, _FINAL, *headers], msgspec.json.encode(body))


def _callers_fault(error: RoutingError) -> EndpointError | None:
    """What is a mistake of the app where the app makes the call, is one of the caller here."""
    if not isinstance(error, InvalidCall | UnknownTask | NotRouted) or error.call is not None:
        return None
    status = 400 if isinstance(error, InvalidCall) else 404
    return EndpointError(status, error.code or "bad_request", error.message, param=error.param)


def broken_stream_event(error: RoutingError, api: Api) -> bytes:
    """The last event of a stream that broke: the SDKs raise at it, and no ``[DONE]`` follows.

    What came before ends with a whole event.
    """
    code, message = _broken(error)
    body: dict[str, object] = {"error": {"message": message, "type": "server_error", "code": code, "param": None}}
    if error.call is not None:
        body["error"] = {**body["error"], "call_id": error.call.id}  # type: ignore[dict-item]
    if api is not Api.RESPONSES:
        return b"data: %s\n\n" % msgspec.json.encode(body)
    event = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0, **body}
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode(event)


def _broken(error: RoutingError) -> tuple[str, str]:
    if isinstance(error, FailClosed | ReviewPending):
        return "fail_closed", "This request can't be answered to its end; what came before is no answer"
    if isinstance(error, ContractViolated):
        return "contract_violated", "The answer broke its contract at its end; what came before is no answer"
    if isinstance(error, DeadlineExceeded):
        return "deadline_exceeded", "The answer took too long, and is incomplete"
    return "stream_broken", "The stream broke, and what came before it is incomplete"


def _error_body(status: int, code: str, message: str, param: str | None) -> dict[str, dict[str, object]]:
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}
