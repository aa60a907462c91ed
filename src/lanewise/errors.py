"""What the app catches: every final failure of a call, also as the ``openai`` class that the app knows already.

No error here holds a prompt, an answer, a key or text written by a provider: a provider's error is described by its
status, code, type and parameter. All of them survive ``pickle`` (Celery and multiprocessing need that).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import httpx2
import msgspec
import openai

from lanewise.types import Call

__all__ = [
    "AnswerCut",
    "BadResponse",
    "BudgetExceeded",
    "CallerGone",
    "ContractViolated",
    "DeadlineExceeded",
    "FailClosed",
    "InvalidCall",
    "NoRouteAvailable",
    "NotInScope",
    "NotRouted",
    "ReviewPending",
    "RouterClosed",
    "RoutingError",
    "StreamBroken",
    "UnknownTask",
    "Unreachable",
    "UpstreamAuthentication",
    "UpstreamBadRequest",
    "UpstreamConflict",
    "UpstreamError",
    "UpstreamNotFound",
    "UpstreamPermissionDenied",
    "UpstreamRateLimit",
    "UpstreamServerError",
    "UpstreamTimeout",
    "UpstreamUnprocessable",
]

BASE_URL: Final = "https://lanewise.invalid/v1/"
"""The placeholder that stands in errors and clients: what bypasses the router reaches nobody (RFC 2606)."""


class ErrorDetails(msgspec.Struct, frozen=True):
    """What an error knows besides its message: all of it safe to log and to pickle."""

    path: str = "chat/completions"
    status: int | None = None
    code: str | None = None
    param: str | None = None
    type: str | None = None
    retry_after: float | None = None
    request_id: str | None = None
    review_id: str | None = None
    location: str | None = None


class RoutingError(openai.OpenAIError):
    """A call that ended without an answer. ``call`` is its record, or ``None`` if it never became a call.

    ``retry_after`` is in seconds, where waiting may help.

    Example::

        try:
            reply = await scope.async_openai.chat.completions.create(model="ticket-summary", messages=messages)
        except lanewise.RoutingError as error:
            log.error("no summary: %s", error)
            print(error.call.explain())
    """

    call: Call | None
    retry_after: float | None

    def __init__(self, message: str, call: Call | None = None, facts: ErrorDetails | None = None) -> None:
        facts = facts or ErrorDetails()
        self._init_openai(message, facts)
        self.args = (message,)
        self.call = call
        self.retry_after = facts.retry_after
        self._facts = facts
        if isinstance(self, _StatusError | _ValidationError):
            milliseconds = 0.0 if call is None or call.total_ms is None else call.total_ms
            self.response.elapsed = timedelta(milliseconds=milliseconds)

    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        openai.OpenAIError.__init__(self, message)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.args[0], self.call, self._facts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.args[0]!r})"


class _StatusError(RoutingError, openai.APIStatusError):
    default_status = 500

    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        body = _body(message, facts)
        openai.APIStatusError.__init__(
            self, message, response=_response(facts, self.default_status, body), body=body["error"]
        )


class _ConnectionError(RoutingError, openai.APIConnectionError):
    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        openai.APIConnectionError.__init__(self, message=message, request=_request(facts))


class _TimeoutError(RoutingError, openai.APITimeoutError):
    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        openai.APITimeoutError.__init__(self, request=_request(facts))
        self.message = message


class _ValidationError(RoutingError, openai.APIResponseValidationError):
    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        response = _response(facts, 200, _body(message, facts))
        openai.APIResponseValidationError.__init__(self, response=response, body=None, message=message)


class FailClosed(RoutingError):
    """A sensitive call that no approved route answered. Not an ``APIError``: no outer layer may ask another model."""


class ReviewPending(RoutingError):
    """A sensitive call that waits for a person: nothing answered it, and a case was opened.

    ``review_id`` is what ``router.reviews.get`` takes; ``location`` is where the app's caller may ask for it, by the
    config's ``review_location``.
    """

    @property
    def review_id(self) -> str | None:
        """The case's id."""
        return self._facts.review_id

    @property
    def location(self) -> str | None:
        """The path or URL at which the app shows what became of the case."""
        return self._facts.location


class NotInScope(RoutingError):
    """A call outside any scope on a router that an adapter serves. Open one with ``router.scope()``."""


class RouterClosed(RoutingError):
    """The router was closed while the call ran, or is not open."""


class DeadlineExceeded(_TimeoutError):
    """The call's deadline passed before an answer came."""


class UpstreamTimeout(_TimeoutError):
    """The last attempt timed out, and no other route could be tried."""


class CallerGone(_ConnectionError):
    """The caller of the request hung up while the call ran: its upstream attempt was closed."""


class Unreachable(_ConnectionError):
    """The last provider could not be reached."""


class StreamBroken(_ConnectionError):
    """A stream that was cut, stalled or malformed after it had begun to answer. What came before it is incomplete."""


class BadResponse(_ValidationError):
    """The last provider answered with something that is no answer."""


class AnswerCut(BadResponse, openai.APIConnectionError):
    """The last provider's answer broke off, or its bytes could not be read: no whole answer came over the wire."""

    def _init_openai(self, message: str, facts: ErrorDetails) -> None:
        # Neither class's own __init__: each calls the other's, which takes other arguments.
        self.response = _response(facts, 200, _body(message, facts))
        self.status_code = self.response.status_code
        openai.APIError.__init__(self, message, self.response.request, body=None)


class ContractViolated(_ValidationError):
    """No answer kept the contract. Of a stream: it broke the contract at its end, and what came before is no answer."""


class NoRouteAvailable(_StatusError, openai.InternalServerError):
    """Nothing could be sent: every route is open. ``retry_after`` tells when the first may be tried again."""

    default_status = 503


class BudgetExceeded(_StatusError, openai.RateLimitError):
    """A budget of the config is used up, or has too little left for the call: the text names it. ``retry_after`` tells
    when there may be room."""

    default_status = 429


class UnknownTask(_StatusError, openai.NotFoundError):
    """The ``model`` of the call names no task of the configuration."""

    default_status = 404


class NotRouted(_StatusError, openai.NotFoundError):
    """The router does not route this path (files, batches, audio, realtime, ...)."""

    default_status = 404


class InvalidCall(_StatusError, openai.BadRequestError):
    """The call can't be sent as the app made it. Nothing was sent."""

    default_status = 400


class UpstreamError(_StatusError):
    """The last attempt got an HTTP error that has no class of its own in the SDK."""


class UpstreamBadRequest(_StatusError, openai.BadRequestError):
    """The last attempt got a 400."""


class UpstreamAuthentication(_StatusError, openai.AuthenticationError):
    """The last attempt got a 401."""


class UpstreamPermissionDenied(_StatusError, openai.PermissionDeniedError):
    """The last attempt got a 403."""


class UpstreamNotFound(_StatusError, openai.NotFoundError):
    """The last attempt got a 404."""


class UpstreamConflict(_StatusError, openai.ConflictError):
    """The last attempt got a 409."""


class UpstreamUnprocessable(_StatusError, openai.UnprocessableEntityError):
    """The last attempt got a 422."""


class UpstreamRateLimit(_StatusError, openai.RateLimitError):
    """The last attempt got a 429."""


class UpstreamServerError(_StatusError, openai.InternalServerError):
    """The last attempt got a 5xx."""


def _request(facts: ErrorDetails) -> httpx2.Request:
    return httpx2.Request("POST", BASE_URL + facts.path)


def _body(message: str, facts: ErrorDetails) -> dict[str, dict[str, str | None]]:
    return {"error": {"message": message, "type": facts.type, "code": facts.code, "param": facts.param}}


def _response(facts: ErrorDetails, default_status: int, body: object) -> httpx2.Response:
    headers = {"x-should-retry": "false"}
    if facts.retry_after is not None:
        headers["retry-after"] = f"{max(1, round(facts.retry_after))}"
    if facts.request_id is not None:
        headers["x-request-id"] = facts.request_id
    status = facts.status if facts.status is not None else default_status
    return httpx2.Response(status, headers=headers, json=body, request=_request(facts))
