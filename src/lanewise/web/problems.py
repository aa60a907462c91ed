"""How the caller of an app is answered when a call ends without an answer: problem details (RFC 9457).

No provider, model, key, prompt or upstream text is ever in one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from lanewise.config import Config
from lanewise.config.tables.sensitive import goes_to_review
from lanewise.errors import (
    BudgetExceeded,
    ContractViolated,
    DeadlineExceeded,
    FailClosed,
    InvalidCall,
    NotInScope,
    NotRouted,
    ReviewPending,
    RouterClosed,
    RoutingError,
    StreamBroken,
    UnknownTask,
    Unreachable,
)
from lanewise.types import FailureKind

__all__ = ["MEDIA_TYPE", "Problem", "answers_of", "problem_for"]

MEDIA_TYPE: Final = "application/problem+json"

_LEAST_WAIT: Final = 1
_LONGEST_WAIT: Final = 300
"""Seconds: the bounds of a Retry-After."""


class Problem(msgspec.Struct, frozen=True):
    """An answer of the media type ``application/problem+json``."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers with the media type and the length."""
        return (("content-type", MEDIA_TYPE), ("content-length", str(len(self.body))), *self.headers)


_UNAVAILABLE: Final = (503, "The service that writes this answer is not available", "unavailable")
_OVER_BUDGET: Final = (429, "What may be spent on such answers is used up for now", "budget")
_CLOSED: Final = (503, "This request can't be answered now", "fail-closed")
_BUGS: Final = (NotInScope, NotRouted, UnknownTask, RouterClosed, InvalidCall)
_BY_KIND: Final = {
    FailureKind.BAD_REQUEST: (422, "The request can't be answered in this form", "bad-request"),
    FailureKind.UNSUPPORTED_PARAMETER: (422, "The request can't be answered in this form", "bad-request"),
    FailureKind.CONTEXT_LENGTH: (422, "The request is too long", "context-length"),
    FailureKind.CONTENT_POLICY: (422, "The request was refused by a content policy", "content-policy"),
    FailureKind.DEADLINE: (504, "The answer took too long", "deadline"),
    FailureKind.CONTRACT: (502, "No answer had the form that it must have", "contract"),
    FailureKind.LOCAL: (500, "The server made a mistake", "local"),
}
_CURED_BY_TIME: Final = frozenset(
    {FailureKind.RATE_LIMIT, FailureKind.OUTAGE, FailureKind.TIMEOUT, FailureKind.UNREACHABLE, FailureKind.CONFLICT}
)


def problem_for(error: RoutingError, *, request_id: str | None = None) -> Problem:
    """The problem that an error is to the app's caller.

    Example::

        problem = problem_for(error, request_id=scope.request_id)
        return Response(problem.body, problem.status, dict(problem.all_headers))
    """
    status, title, name = _case(error)
    headers: list[tuple[str, str]] = []
    wait = _wait(error)
    if status in (429, 503) and wait is not None:
        headers.append(("retry-after", str(wait)))
    if isinstance(error, FailClosed | ReviewPending):
        headers.append(("cache-control", "no-store"))
    if isinstance(error, ReviewPending) and error.location is not None:
        headers.append(("location", error.location))
    content: dict[str, object] = {"type": f"urn:lanewise:problem:{name}", "title": title, "status": status}
    parameter = getattr(error, "param", None)
    if status == 422 and isinstance(parameter, str):
        content["parameter"] = parameter
    if request_id is not None:
        content["request_id"] = request_id
    if error.call is not None:
        content["call_id"] = error.call.id
    if isinstance(error, ReviewPending) and error.review_id is not None:
        content["review_id"] = error.review_id
    return Problem(status, tuple(headers), msgspec.json.encode(content))


def answers_of(categories: Iterable[str], config: Config) -> tuple[tuple[int, str], ...]:
    """The statuses, each with what it says, that an endpoint answers with where a call of it has no answer.

    For OpenAPI documents. ``categories`` are the sensitive ones that hold for it: ``fail`` beats ``review``.

    Example::

        for status, description in answers_of(endpoint.categories, router.config):
            operation["responses"].setdefault(str(status), {"description": description})
    """
    known = [config.sensitive[name] for name in categories if name in config.sensitive]
    if not known:
        return (
            (422, "The question can't be answered in this form."),
            (503, "No route could answer."),
            (504, "The answer took too long."),
        )
    closed = (503, "No approved route could answer.")
    if goes_to_review(known):
        return (closed, (202, "The answer waits for a person."))
    return (closed,)


def _case(error: RoutingError) -> tuple[int, str, str]:
    if isinstance(error, ReviewPending):
        return (202, "The answer waits for a person", "review-pending")
    if isinstance(error, FailClosed):
        return _CLOSED
    if isinstance(error, BudgetExceeded):
        return _OVER_BUDGET
    if isinstance(error, _BUGS):
        return _BY_KIND[FailureKind.LOCAL]
    if isinstance(error, DeadlineExceeded):
        return _BY_KIND[FailureKind.DEADLINE]
    if isinstance(error, ContractViolated):
        return _BY_KIND[FailureKind.CONTRACT]
    if isinstance(error, Unreachable | StreamBroken):  # also where this process was to blame, which is no bug of its
        return _UNAVAILABLE
    kind = error.call.failure if error.call is not None else None
    return _BY_KIND.get(kind, _UNAVAILABLE) if kind is not None else _UNAVAILABLE


def _wait(error: RoutingError) -> int | None:
    """Seconds after which the caller may try again, if time cures the failure at all."""
    kind = error.call.failure if error.call is not None else None
    if isinstance(error, FailClosed) and kind not in _CURED_BY_TIME:
        return None
    longest = math.inf if isinstance(error, BudgetExceeded) else _LONGEST_WAIT
    return max(_LEAST_WAIT, round(min(longest, error.retry_after or _LEAST_WAIT)))
