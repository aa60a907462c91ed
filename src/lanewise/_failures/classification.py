"""From a transport's signal, a status or a provider's error to a failure: which row of the table speaks.

Of a refusal the question is whose fault it is. What is wrong with the request stops the call; what is wrong with the
account, or on the way to it, moves the call on; and what one caller can cause opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures import provider_error_phrases as phrases
from lanewise._failures.error_body import ErrorBody, read_error
from lanewise._failures.error_meaning import meaning_of, told_with_failure, unsupported_name
from lanewise._failures.failure_table import Row
from lanewise._failures.provider_error_codes import STATUS_OF, Meaning, by_code, is_about_content
from lanewise._failures.retry_after import header, parse_retry_after
from lanewise._failures.shown_words import shown_code, shown_param
from lanewise._failures.signals import TransportSignal
from lanewise.types import BreakerEffect, Failure, FailureKind, LocalTrouble, Retry

__all__ = ["from_inner_error", "from_status", "from_transport"]

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

_BY_STATUS: Final = {
    405: failures.NOT_FOUND,
    408: failures.REQUEST_TIMEOUT,
    409: failures.CONFLICT,
    410: failures.NOT_FOUND,
    413: failures.CONTEXT_LENGTH,
    446: failures.CONTENT_POLICY,  # Portkey's guardrails
    451: failures.AUTH_UNRECOGNISED,
    498: failures.RATE_LIMIT,  # Groq
    499: failures.DEPENDENCY,
    505: failures.NOT_IMPLEMENTED,
    529: failures.OVERLOADED,
}

_REFUSED: Final = {
    Meaning.CONTENT_POLICY: failures.CONTENT_POLICY,
    Meaning.CONTEXT_LENGTH: failures.CONTEXT_LENGTH,
    Meaning.PARAMETER: failures.UNSUPPORTED_PARAMETER,
    Meaning.OUTPUT: failures.WITHHELD,
    Meaning.QUOTA: failures.BILLING_400,
    Meaning.KEY: failures.BAD_KEY_400,
    Meaning.MODEL: failures.MODEL_MISSING,
    Meaning.LIKELY_MODEL: failures.NOT_FOUND,
    Meaning.LIKELY_QUOTA: failures.QUOTA_UNSURE,
    Meaning.LIKELY_KEY: failures.AUTH_UNRECOGNISED,
    Meaning.REQUEST: failures.BAD_REQUEST,
    Meaning.DOUBTED: failures.BAD_REQUEST,
}
"""What a 400 is. Gemini, Anthropic, xAI, Alibaba and proxies say much by it that others say by a status."""

_FORBIDDEN: Final = {
    **_REFUSED,
    Meaning.PARAMETER: failures.AUTH_UNRECOGNISED,
    Meaning.OUTPUT: failures.AUTH_UNRECOGNISED,
    Meaning.KEY: failures.AUTH,
    Meaning.MODEL: failures.MODEL_FORBIDDEN,
    Meaning.REQUEST: failures.AUTH_UNRECOGNISED,
    Meaning.DOUBTED: failures.AUTH_UNRECOGNISED,
}
"""What a 403 is."""

_FAILED: Final = {
    **_REFUSED,
    Meaning.LIKELY_MODEL: failures.SERVER_ERROR,
    Meaning.LIKELY_QUOTA: failures.SERVER_ERROR,
    Meaning.LIKELY_KEY: failures.SERVER_ERROR,
    Meaning.REQUEST: failures.SERVER_ERROR_DOUBTED,
    Meaning.DOUBTED: failures.SERVER_ERROR_DOUBTED,
}
"""What a 500 with a known code is."""

_BY_STATUS_INSIDE: Final = {
    401: failures.AUTH_UNRECOGNISED,
    402: failures.QUOTA_UNSURE,
    403: failures.AUTH_UNRECOGNISED,
    429: failures.RATE_LIMIT,
}
"""What a 400 is whose body names another status: that of the provider behind a proxy."""

_SAME_ROUTE_IS_POINTLESS: Final = frozenset({FailureKind.CONTEXT_LENGTH, FailureKind.UNSUPPORTED_PARAMETER})


def from_transport(
    signal: TransportSignal,
    *,
    cause: str = "",
    trouble: LocalTrouble | None = None,
    half_of_normal_timeout: bool = True,
) -> Failure:
    """The failure of an attempt that got no (whole) answer; ``cause`` is what the transport knows, in our words.

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
    waits = parse_retry_after(headers, now)
    if waits is None:
        waits = error.retry_after
    row = _row(status, error, waits, bound, model)
    advice = header(headers, "x-should-retry")
    return row.failure(
        http_status=status,
        code=_code(error),
        param=shown_param(_param(row, error), sent),
        about_content=_is_about_content(error),
        retry_after=waits,
        retry=_advised(row, advice),
        retry_refused=advice == "false",
        names=error.names,
    )


def from_inner_error(body: bytes | msgspec.Raw, *, otherwise: Row) -> Failure:
    """The failure that an error inside a 200 or a stream is; ``otherwise`` where it does not say which.

    A retry of it takes another idempotency key: a provider that honours the key would replay the 200.
    """
    error = read_error(body)
    status = error.status or _status_of(error)
    row = otherwise if status is None else _row(status, error, error.retry_after, bound=False, model=None)
    return row.failure(
        http_status=200,
        code=_code(error),
        param=shown_param(_param(row, error)),
        about_content=_is_about_content(error),
        retry_after=error.retry_after,
        executed=True,
        names=error.names,
    )


def _status_of(error: ErrorBody) -> int | None:
    """The status that an error without one would have come with."""
    by_name = next((STATUS_OF[code] for code in error.codes if code in STATUS_OF), None)
    if by_name is not None:
        return by_name
    meaning = meaning_of(error)
    match meaning:
        case None:
            return None
        case Meaning.KEY:
            return 401
        case Meaning.DOUBTED:
            return 500
    return 400


def _row(status: int, error: ErrorBody, waits: float | None, bound: bool, model: str | None) -> Row:
    meaning = meaning_of(error, model)
    match status:
        case 401:
            return failures.AUTH
        case 402:
            return _payment(error, waits)
        case 403:
            return failures.AUTH_UNRECOGNISED if meaning is None else _FORBIDDEN[meaning]
        case 404:
            return _not_found(error, meaning, bound)
        case 412:
            return _REFUSED[meaning] if meaning in (Meaning.QUOTA, Meaning.KEY) else failures.QUOTA_UNSURE
        case 424:
            return failures.BAD_REQUEST if by_code(error.codes) is Meaning.REQUEST else failures.DEPENDENCY
        case 429:
            return _rate_limited(error, waits)
        case 500:
            meaning_inside = told_with_failure(error)
            return failures.SERVER_ERROR if meaning_inside is None else _FAILED[meaning_inside]
        case 501:
            return _not_implemented(error)
        case 503:
            return _unavailable(error, waits)
        case 400 | 415 | 422:
            return _refused(error, meaning)
        case 405 | 410 if bound:
            return failures.NOT_FOUND_BOUND
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 300 <= status <= 399:
        return failures.REDIRECT
    if 400 <= status <= 499:
        certain = by_code(error.codes)
        return failures.NOT_ABOUT_CONTENT if certain in (None, Meaning.REQUEST) else _REFUSED[certain]
    return failures.GATEWAY if 500 <= status <= 599 else failures.ODD_STATUS


def _refused(error: ErrorBody, meaning: Meaning | None) -> Row:
    if meaning in (None, Meaning.REQUEST, Meaning.DOUBTED):
        if error.param == "model":
            return failures.NOT_FOUND
        return _BY_STATUS_INSIDE.get(error.status or 400, failures.BAD_REQUEST)
    return _REFUSED[meaning]


def _payment(error: ErrorBody, waits: float | None) -> Row:
    if waits is not None:
        return failures.PAYMENT_LATER
    message = phrases.unwrapped(error.message).lower()
    of_one = phrases.is_price_of_one_request(message) or phrases.is_of_one_user(message)
    return failures.QUOTA_UNSURE if of_one else failures.PAYMENT


def _not_found(error: ErrorBody, meaning: Meaning | None, bound: bool) -> Row:
    if meaning is Meaning.MODEL or (error.param == "model" and meaning is not Meaning.LIKELY_MODEL):
        return failures.MODEL_MISSING
    if meaning in (Meaning.CONTENT_POLICY, Meaning.PARAMETER, Meaning.QUOTA):
        return _REFUSED[meaning]
    return failures.NOT_FOUND_BOUND if bound or by_code(error.codes) is Meaning.REQUEST else failures.NOT_FOUND


def _rate_limited(error: ErrorBody, waits: float | None) -> Row:
    code = by_code(error.codes)  # never by its message: Gemini says "quota" of any limit
    message = error.message.lower()
    if code is Meaning.QUOTA and not message.startswith(phrases.RATE_CALLED_QUOTA):
        return failures.QUOTA_UNSURE if phrases.is_of_one_user(message) else failures.BILLING_429
    if code in (Meaning.LIKELY_QUOTA, Meaning.LIKELY_KEY, Meaning.LIKELY_MODEL) and waits is None:
        return _REFUSED[code]
    return failures.RATE_TOO_LARGE if message.startswith(phrases.TOO_LARGE) else failures.RATE_LIMIT


def _not_implemented(error: ErrorBody) -> Row:
    if by_code(error.codes) is Meaning.PARAMETER:
        return failures.UNSUPPORTED_PARAMETER
    return failures.NOT_FOUND if "unimplemented" in error.codes else failures.NOT_IMPLEMENTED


def _unavailable(error: ErrorBody, waits: float | None) -> Row:
    if waits is not None:
        return failures.UNAVAILABLE_LATER
    if by_code(error.codes) is Meaning.MODEL:  # one-api and its forks: no channel has it
        return failures.NOT_FOUND
    overloaded = any(STATUS_OF.get(code) in (503, 529) and "overload" in code for code in error.codes)
    return failures.OVERLOADED if overloaded else failures.UNAVAILABLE


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
