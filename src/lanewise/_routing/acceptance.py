"""Whether a route's answer counts as the call's, and whether one that does not goes to the app all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lanewise._failures import failure_table as failures
from lanewise._openai.response_check import Answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._routing.model_match import is_substitute
from lanewise.config import Route
from lanewise.types import Attempt, Failure, FailureKind

__all__ = ["READ_BY_THE_APP", "may_be_read", "unacceptable"]

READ_BY_THE_APP: Final = frozenset({FailureKind.CONTENT_POLICY, FailureKind.CONTRACT})
"""The failures whose answer the app may get all the same, if no other route gives a better one."""


def unacceptable(
    answer: Answer | StreamValidator, route: Route, *, sensitive: bool, refusals_move: bool
) -> Failure | None:
    """The failure of an answer that does not count: another model gave it to a sensitive call, or it is a refusal, and
    refusals move the call on."""
    if sensitive and is_substitute(route.model, answer.model, route.answers_as):
        return failures.SUBSTITUTED.failure(http_status=200)
    if answer.content_policy and refusals_move:
        return failures.CONTENT_FILTERED.failure(http_status=200)
    return None


def may_be_read(failure: Failure, before: Sequence[Attempt], *, json_asked: bool) -> bool:
    """Whether an answer that failed so goes to the app if all end so: it is read by a class of the SDK's own.

    A refusal is one, and JSON that the app itself asked for and that ended by its length, on all routes alike:
    ``before`` are the attempts before this one.
    """
    if failure.kind is FailureKind.CONTENT_POLICY:
        return True
    if not json_asked or failure.detail != failures.LENGTH.detail:
        return False
    return all(attempt.detail == failures.LENGTH.detail for attempt in before)
