"""Makes the error that a call or a stream ends in: its class, what it knows, and one line of what was tried."""

from __future__ import annotations

from itertools import groupby
from typing import Final

import msgspec

from lanewise._failures.failure_table import OVER_BUDGET
from lanewise.errors import (
    AnswerCut,
    BadResponse,
    BudgetExceeded,
    ContractViolated,
    DeadlineExceeded,
    ErrorDetails,
    FailClosed,
    InvalidCall,
    NoRouteAvailable,
    RoutingError,
    StreamBroken,
    Unreachable,
    UpstreamAuthentication,
    UpstreamBadRequest,
    UpstreamConflict,
    UpstreamError,
    UpstreamNotFound,
    UpstreamPermissionDenied,
    UpstreamRateLimit,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamUnprocessable,
)
from lanewise.types import Attempt, Call, Failure, FailureKind, LocalTrouble, Stop

__all__ = ["broken_stream", "class_of_status", "details_of", "error_for"]

_BY_STATUS: Final[dict[int, type[RoutingError]]] = {
    400: UpstreamBadRequest,
    401: UpstreamAuthentication,
    403: UpstreamPermissionDenied,
    404: UpstreamNotFound,
    409: UpstreamConflict,
    422: UpstreamUnprocessable,
    429: UpstreamRateLimit,
}
"""As the SDK maps statuses (``openai.AsyncOpenAI._make_status_error``)."""

_STATUS_OF_KIND: Final = {
    FailureKind.BAD_REQUEST: 400,
    FailureKind.UNSUPPORTED_PARAMETER: 400,
    FailureKind.CONTEXT_LENGTH: 400,
    FailureKind.CONTENT_POLICY: 400,
    FailureKind.AUTH: 401,
    FailureKind.MODEL_MISSING: 404,
    FailureKind.CONFLICT: 409,
    FailureKind.RATE_LIMIT: 429,
    FailureKind.QUOTA: 429,
    FailureKind.OUTAGE: 500,
}
"""For failures that came inside a 200 or a stream: the status that the provider would have sent."""

_WITHOUT_STATUS: Final[dict[FailureKind, type[RoutingError]]] = {
    FailureKind.DEADLINE: DeadlineExceeded,
    FailureKind.TIMEOUT: UpstreamTimeout,
    FailureKind.UNREACHABLE: Unreachable,
    FailureKind.CONFIG: Unreachable,
    FailureKind.STREAM_BROKEN: StreamBroken,
    FailureKind.BAD_RESPONSE: BadResponse,
    FailureKind.CONTRACT: ContractViolated,
    FailureKind.SUBSTITUTED: FailClosed,
    FailureKind.LOCAL: InvalidCall,
}


def error_for(call: Call, stop: Stop, *, path: str) -> RoutingError:
    """The error of a call that the plan stopped. A sensitive call always fails closed."""
    details = _details(call, stop.failure, path)
    kind = _class_for(call, stop, details.status)
    if kind is NoRouteAvailable:
        status, soonest = NoRouteAvailable.default_status, _soonest_reopening(stop)
        details = msgspec.structs.replace(details, status=status, retry_after=soonest)
    return kind(_describe(call, stop), call, details)


def class_of_status(status: int) -> type[RoutingError]:
    """The error of a status, as the SDK maps them."""
    return _BY_STATUS.get(status, UpstreamServerError if status >= 500 else UpstreamError)


def _soonest_reopening(stop: Stop) -> float:
    """The seconds until the first of the open routes may be tried again; one, if nobody knows."""
    waits = [skip.failure.retry_after for skip in stop.skipped if skip.failure is not None]
    return min((wait for wait in waits if wait is not None), default=1.0)


def broken_stream(call: Call, stop: Stop, *, path: str) -> RoutingError:
    """The error of a stream that broke, whatever by, after it had begun to answer."""
    kind: type[RoutingError] = ContractViolated if stop.failure.kind is FailureKind.CONTRACT else StreamBroken
    return (FailClosed if call.sensitive else kind)(_describe(call, stop), call, _details(call, stop.failure, path))


def _details(call: Call, failure: Failure, path: str) -> ErrorDetails:
    status = failure.http_status
    if status is None or status < 300:
        status = _STATUS_OF_KIND.get(failure.kind)
    return details_of(call, failure, path, status)


def details_of(call: Call, failure: Failure, path: str, status: int | None) -> ErrorDetails:
    """What an error says of the failure that a call ended in."""
    return ErrorDetails(
        path=path,
        status=status,
        code=failure.code or str(failure.kind),
        param=failure.param,
        type=str(failure.kind),
        retry_after=failure.retry_after,
        request_id=call.id,
    )


def _class_for(call: Call, stop: Stop, status: int | None) -> type[RoutingError]:
    failure = stop.failure
    if call.sensitive:
        return FailClosed
    if failure.detail == OVER_BUDGET.detail:
        return BudgetExceeded
    if not call.attempts and any(skip.failure is not None for skip in stop.skipped):
        return NoRouteAvailable
    if failure.trouble is not None:
        return DeadlineExceeded if failure.trouble is LocalTrouble.LOOP else Unreachable
    if failure.kind is FailureKind.BAD_RESPONSE and failure.outcome_unknown:
        return AnswerCut
    if failure.kind in (FailureKind.DEADLINE, FailureKind.SUBSTITUTED) or status is None:
        return _WITHOUT_STATUS.get(failure.kind, UpstreamError)
    if status >= 500:
        return UpstreamServerError
    return _BY_STATUS.get(status, UpstreamError)


def _describe(call: Call, stop: Stop) -> str:
    """One line that names each route that was tried or skipped, and what came of it."""
    tried = [_times(text, len(list(same))) for text, same in groupby(map(_describe_attempt, call.attempts))]
    skips = [skip for _, move in call.moves for skip in getattr(move, "skipped", ())]
    skipped = [f"{skip.route} ({skip.lane}) not tried: {skip.reason}" for skip in dict.fromkeys(skips)]
    details = "; ".join([*tried, *skipped]) or stop.failure.detail or "nothing was sent"
    closed = " (sensitive: fails closed)" if call.sensitive else ""
    return f"task {call.task!r} was not answered{closed}: {details}. Stopped: {stop.reason}. [call {call.id}]"


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text} ({count} times)"


def _describe_attempt(attempt: Attempt) -> str:
    parts = [str(attempt.http_status) if attempt.http_status else "no answer", str(attempt.failure or "answered")]
    if attempt.provider_error_code:
        parts.append(f"code {attempt.provider_error_code}")
    if attempt.detail:
        parts.append(attempt.detail)
    return f"{attempt.route} ({attempt.lane}) {', '.join(parts)}"
