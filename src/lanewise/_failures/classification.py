"""From a transport's signal, a status or a provider's error to a failure: which row of the table speaks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures import provider_error_codes as spellings
from lanewise._failures.error_body import ErrorBody, read_error
from lanewise._failures.failure_table import Row
from lanewise._failures.retry_after import header, parse_retry_after
from lanewise._failures.signals import TransportSignal
from lanewise.types import BreakerEffect, Failure, FailureKind, Retry

__all__ = ["from_inner_error", "from_status", "from_transport"]

_BY_SIGNAL: Final = {
    TransportSignal.LOCAL: failures.LOCAL,
    TransportSignal.UNREACHABLE: failures.UNREACHABLE,
    TransportSignal.STALE_CONNECTION: failures.STALE_CONNECTION,
    TransportSignal.TLS: failures.TLS,
    TransportSignal.TIMEOUT: failures.TIMEOUT,
    TransportSignal.RESET_AFTER_WRITE: failures.TIMEOUT,
    TransportSignal.CUT: failures.CUT,
    TransportSignal.TOO_LARGE: failures.TOO_LARGE,
    TransportSignal.UNDECODABLE: failures.CUT,
    TransportSignal.MALFORMED_HTTP: failures.CUT,
}

_BY_STATUS: Final = {
    402: failures.PAYMENT,
    405: failures.NOT_FOUND,
    408: failures.REQUEST_TIMEOUT,
    409: failures.CONFLICT,
    410: failures.NOT_FOUND,
    413: failures.CONTEXT_LENGTH,
    424: failures.DEPENDENCY,
    451: failures.AUTH_UNRECOGNISED,
    498: failures.RATE_LIMIT,  # Groq
    499: failures.DEPENDENCY,
    500: failures.SERVER_ERROR,
    501: failures.NOT_IMPLEMENTED,
    505: failures.NOT_IMPLEMENTED,
    529: failures.OVERLOADED,
}

_BY_CODE: Final = (
    (spellings.CONTENT_POLICY, failures.CONTENT_POLICY),
    (spellings.QUOTA, failures.BILLING_400),
    (spellings.CONTEXT_LENGTH, failures.CONTEXT_LENGTH),
    (spellings.UNSUPPORTED_PARAMETER, failures.UNSUPPORTED_PARAMETER),
    (spellings.MODEL_MISSING, failures.MODEL_MISSING),
)

_SAME_ROUTE_IS_POINTLESS: Final = frozenset({FailureKind.CONTEXT_LENGTH, FailureKind.UNSUPPORTED_PARAMETER})


def from_transport(signal: TransportSignal, *, cause: str = "", half_of_normal_timeout: bool = True) -> Failure:
    """The failure of an attempt that got no (whole) answer; ``cause`` is what the transport knows, in our words.

    ``half_of_normal_timeout`` says whether the attempt had at least half of its route's normal timeout: a shorter
    one says nothing of the route's health.

    Example::

        from_transport(TransportSignal.UNREACHABLE).retry  # Retry.SAME
    """
    if signal is TransportSignal.TIMEOUT and not half_of_normal_timeout:
        return failures.TIMEOUT_SHORT.failure(cause=cause)
    return _BY_SIGNAL[signal].failure(cause=cause)


def from_status(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime, bound: bool = False) -> Failure:
    """The failure that an answer with a status other than 200 is. Never raises, whatever the answer holds.

    ``now`` (aware) dates a Retry-After. ``bound`` says that the call rests on one provider's memory, so that a 404
    means a stale id. Names of ``headers`` may have any case.

    Example::

        from_status(429, {"retry-after": "2"}, b"", now=datetime.now(UTC)).retry_after  # 2.0
    """
    error = read_error(body)
    waits = parse_retry_after(headers, now)
    if waits is None:
        waits = error.retry_after
    row = _row(status, error, waits, bound)
    advice = header(headers, "x-should-retry")
    return row.failure(
        http_status=status,
        code=error.code,
        param=_param(row, error),
        retry_after=waits,
        retry=_advised(row, advice),
        retry_refused=advice == "false",
    )


def from_inner_error(body: bytes | msgspec.Raw, *, otherwise: Row) -> Failure:
    """The failure that an error inside a 200 or a stream is; ``otherwise`` where it does not say which.

    A retry of it takes another idempotency key: a provider that honours the key would replay the 200.
    """
    error = read_error(body)
    status = error.status or _status_of(error)
    row = otherwise if status is None else _row(status, error, error.retry_after, bound=False)
    return row.failure(
        http_status=200, code=error.code, param=_param(row, error), retry_after=error.retry_after, executed=True
    )


def _status_of(error: ErrorBody) -> int | None:
    """The status that an error without one would have come with."""
    by_name = next((spellings.STATUS_OF[code] for code in error.codes if code in spellings.STATUS_OF), None)
    if by_name is not None:
        return by_name
    if error.names_any_of(spellings.AUTH):
        return 401
    return 400 if _by_code(error) is not None else None


def _row(status: int, error: ErrorBody, waits: float | None, bound: bool) -> Row:
    if status == 401:
        return failures.AUTH
    if status == 402 and waits is not None:
        return failures.PAYMENT_LATER
    if status == 403:
        return _forbidden(error)
    if status == 404:
        return _not_found(error, bound)
    if status == 429:
        return _rate_limited(error)
    if status == 503:
        return _unavailable(error, waits)
    if status in (405, 410) and bound:
        return failures.NOT_FOUND_BOUND
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 300 <= status <= 399:
        return failures.REDIRECT
    if 400 <= status <= 499:
        return _bad_request(error)
    return failures.GATEWAY if 500 <= status <= 599 else failures.ODD_STATUS


def _bad_request(error: ErrorBody) -> Row:
    """A 400 or 422, by code, then by phrase. Gemini and Anthropic say much by a 400 that others say by a status."""
    row = _by_code(error)
    if row is not None:
        return row
    if error.names_any_of(spellings.AUTH):
        return failures.BAD_KEY_400
    message = error.message.lower()
    if message.startswith(spellings.QUOTA_PHRASES):
        return failures.BILLING_400
    if message.startswith(spellings.KEY_INVALID_PHRASES):
        return failures.BAD_KEY_400
    if any(phrase in message for phrase in spellings.CONTEXT_LENGTH_PHRASES):
        return failures.CONTEXT_LENGTH
    if _unsupported_name(error) is not None:
        return failures.UNSUPPORTED_PARAMETER
    return failures.MODEL_MISSING if _about_a_model(message) else failures.BAD_REQUEST


def _forbidden(error: ErrorBody) -> Row:
    row = _by_code(error)
    if row is failures.MODEL_MISSING or _about_a_model(error.message.lower()):
        return failures.MODEL_FORBIDDEN
    if row in (failures.CONTENT_POLICY, failures.BILLING_400):
        return row
    return failures.AUTH if error.names_any_of(spellings.AUTH) else failures.AUTH_UNRECOGNISED


def _not_found(error: ErrorBody, bound: bool) -> Row:
    if error.names_any_of(spellings.MODEL_MISSING) or error.param == "model" or _about_a_model(error.message.lower()):
        return failures.MODEL_MISSING
    return failures.NOT_FOUND_BOUND if bound else failures.NOT_FOUND


def _rate_limited(error: ErrorBody) -> Row:
    if error.names_any_of(spellings.QUOTA):  # never by its message: Gemini says "quota" of any limit
        return failures.BILLING_429
    if error.message[: len(spellings.TOO_LARGE_PHRASE)].lower() == spellings.TOO_LARGE_PHRASE:
        return failures.RATE_TOO_LARGE
    return failures.RATE_LIMIT


def _unavailable(error: ErrorBody, waits: float | None) -> Row:
    if waits is not None:
        return failures.UNAVAILABLE_LATER
    return failures.OVERLOADED if error.names_any_of(spellings.OVERLOADED) else failures.UNAVAILABLE


def _by_code(error: ErrorBody) -> Row | None:
    return next((row for codes, row in _BY_CODE if error.names_any_of(codes)), None)


def _about_a_model(message: str) -> bool:
    return any(pattern.match(message) for pattern in spellings.MODEL_MISSING_PATTERNS)


def _unsupported_name(error: ErrorBody) -> str | None:
    found = (pattern.match(error.message) for pattern in spellings.UNSUPPORTED_PATTERNS)
    return next((match[1] for match in found if match), None)


def _param(row: Row, error: ErrorBody) -> str | None:
    if error.param is None and row is failures.UNSUPPORTED_PARAMETER:
        return _unsupported_name(error)
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
