"""A failure in the light of the request that was sent: what was added to it, and what few servers can take."""

from __future__ import annotations

from collections.abc import Callable

from lanewise._failures import failure_table as failures
from lanewise._failures.failure_table import Row
from lanewise.types import BreakerEffect, Failure, FailureKind

__all__ = ["of_attempt"]


def of_attempt(failure: Failure, *, added: tuple[str, ...], has_attachments: Callable[[], bool]) -> Failure:
    """The failure in the light of what was sent: ``added`` is what the app did not write.

    Example::

        of_attempt(failure, added=("stream_options",), has_attachments=lambda: False)
    """
    doubted = failure.http_status in (500, 501) or (failure.http_status == 200 and failure.kind is FailureKind.OUTAGE)
    if failure.names and (doubted or _is_refusal(failure)) and any(name in failure.names for name in added):
        return _again(failures.ADDITION_REFUSED, failure)
    if doubted and failure.breaker in (BreakerEffect.FAILURE, BreakerEffect.ROUTE) and has_attachments():
        row = failures.ATTACHMENT_REFUSED if failure.http_status == 501 else failures.ATTACHMENT_ERROR
        return _again(row, failure)
    return failure


def _is_refusal(failure: Failure) -> bool:
    """Whether a request was refused in a way that something in it may be the cause of."""
    if failure.kind in (FailureKind.BAD_REQUEST, FailureKind.UNSUPPORTED_PARAMETER):
        return failure.http_status is not None
    return failure.kind is FailureKind.MODEL_MISSING and failure.breaker is BreakerEffect.NEUTRAL


def _again(row: Row, failure: Failure) -> Failure:
    return row.failure(
        http_status=failure.http_status,
        code=failure.code,
        param=failure.param,
        retry_after=failure.retry_after,
        retry_refused=failure.retry_refused,
        executed=failure.executed,
        names=failure.names,
        about_content=failure.about_content,
    )
