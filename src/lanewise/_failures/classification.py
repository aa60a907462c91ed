"""From a transport's signal, a status or a provider's error to a failure.

Of a refusal the question is whose fault it is. What is wrong with the request stops the call; what is wrong with the
account, or on the way to it, moves the call on; and what one caller can cause opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.dialects.error_words import is_about_content
from lanewise._failures.error_body import ErrorBody, read_error
from lanewise._failures.error_meaning import unsupported_name
from lanewise._failures.failure_table import Row
from lanewise._failures.retry_after import header, parse_retry_after
from lanewise._failures.shown_words import shown_code, shown_param
from lanewise._failures.signals import TransportSignal
from lanewise._failures.status_rows import row_of, status_of
from lanewise.types import BreakerEffect, Failure, FailureKind, LocalTrouble, Retry

__all__ = ["from_inner_error", "from_status", "from_transport", "with_request"]

_BY_SIGNAL: Final = {
    TransportSignal.LOCAL: failures.LOCAL,
    TransportSignal.UNREACHABLE: failures.UNREACHABLE,
    TransportSignal.CONNECT_TIMEOUT: failures.CONNECT_TIMEOUT,
    TransportSignal.STALE_CONNECTION: failures.STALE_CONNECTION,
    TransportSignal.TLS: failures.TLS,
    TransportSignal.TIMEOUT: failures.TIMEOUT,
    TransportSignal.RESET_AFTER_WRITE: failures.TIMEOUT,
    TransportSignal.CUT: failures.CUT,
    TransportSignal.TOO_LARGE: failures.TOO_LARGE,
    TransportSignal.UNDECODABLE: failures.CUT,
    TransportSignal.MALFORMED_HTTP: failures.CUT,
    TransportSignal.LOCAL_TROUBLE: failures.LOCAL_TROUBLE,
    TransportSignal.LOCAL_TROUBLE_AFTER_WRITE: failures.LOCAL_TROUBLE_AFTER_WRITE,
    TransportSignal.LOOP_LATE: failures.LOOP_LATE,
}

_SAME_ROUTE_IS_POINTLESS: Final = frozenset({FailureKind.CONTEXT_LENGTH, FailureKind.UNSUPPORTED_PARAMETER})


def from_transport(
    signal: TransportSignal,
    *,
    cause: str = "",
    trouble: LocalTrouble | None = None,
    half_of_normal_timeout: bool = True,
) -> Failure:
    """The failure of an attempt that got no (whole) answer; ``cause`` is the transport's own text.

    ``trouble`` is what this process lacked, if it was that.

    ``half_of_normal_timeout`` says whether the attempt had at least half of its route's normal timeout: a shorter
    one says nothing of the route's health.

    Example::

        from_transport(TransportSignal.UNREACHABLE).retry  # Retry.SAME
    """
    if signal is TransportSignal.TIMEOUT and not half_of_normal_timeout:
        return failures.TIMEOUT_SHORT.failure(cause=cause)
    return _BY_SIGNAL[signal].failure(cause=cause, trouble=trouble)


def from_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    bound: bool = False,
    model: str | None = None,
    sent: Callable[[], Container[str]] = tuple,
) -> Failure:
    """The failure that an answer with a status other than 200 is. Never raises, whatever the answer holds.

    ``now`` (aware) dates a Retry-After. ``bound`` says that the call rests on one provider's memory, so that a 404
    means a stale id. ``model`` is the route's: where an error names another one, the route is not at fault. ``sent``
    gives the names of the request's parameters. Names of ``headers`` may have any case.

    Example::

        from_status(429, {"retry-after": "2"}, b"", now=datetime.now(UTC)).retry_after  # 2.0
    """
    error = read_error(body)
    retry_after = parse_retry_after(headers, now)
    if retry_after is None:
        retry_after = error.retry_after
    row = row_of(status, error, retry_after, bound, model)
    advice = header(headers, "x-should-retry")
    return row.failure(
        http_status=status,
        code=_code(error),
        param=shown_param(_param(row, error), sent),
        about_content=_is_about_content(error),
        retry_after=retry_after,
        retry=_advised(row, advice),
        retry_refused=advice == "false",
        names=error.names,
    )


def from_inner_error(body: bytes | msgspec.Raw, *, otherwise: Row) -> Failure:
    """The failure that an error inside a 200 or a stream is; ``otherwise`` where it does not say which.

    A retry of it takes another idempotency key: a provider that honours the key would replay the 200.
    """
    error = read_error(body)
    status = error.status or status_of(error)
    row = otherwise if status is None else row_of(status, error, error.retry_after, bound=False, model=None)
    return row.failure(
        http_status=200,
        code=_code(error),
        param=shown_param(_param(row, error)),
        about_content=_is_about_content(error),
        retry_after=error.retry_after,
        executed=True,
        names=error.names,
    )


def with_request(failure: Failure, *, added: tuple[str, ...], has_attachments: Callable[[], bool]) -> Failure:
    """The failure, where what was sent explains it: ``added`` is what the app did not write.

    Example::

        with_request(failure, added=("stream_options",), has_attachments=lambda: False)
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


def _code(error: ErrorBody) -> str | None:
    return None if error.code is None else shown_code((error.code, *error.spelled))


def _is_about_content(error: ErrorBody) -> bool:
    return error.code is not None and is_about_content(error.code)


def _param(row: Row, error: ErrorBody) -> str | None:
    if error.param is None and row is failures.UNSUPPORTED_PARAMETER:
        return unsupported_name(error)
    return error.param


def _advised(row: Row, advice: str | None) -> Retry:
    """The row's retry, as the provider's ``x-should-retry`` overrides it (the OpenAI SDK obeys the same header)."""
    if advice == "false" and row.retry in (Retry.SAME, Retry.WAIT):
        return Retry.NEXT
    if advice == "true" and row.retry in (Retry.WAIT, Retry.NEXT) and _may_cure(row):
        return Retry.SAME
    return row.retry


def _may_cure(row: Row) -> bool:
    return row.breaker not in (BreakerEffect.ACCOUNT, BreakerEffect.ROUTE) and row.kind not in _SAME_ROUTE_IS_POINTLESS
