"""From a status and a provider's error to a row of the failure table."""

from __future__ import annotations

from typing import Final

from lanewise._failures import failure_table as failures
from lanewise._failures.dialects import error_phrases as phrases
from lanewise._failures.dialects.error_codes import STATUS_OF, Meaning, by_code
from lanewise._failures.error_body import ErrorBody
from lanewise._failures.error_meaning import meaning_of, meaning_of_500
from lanewise._failures.failure_table import Row

__all__ = ["row_of", "status_of"]

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


def status_of(error: ErrorBody) -> int | None:
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


def row_of(status: int, error: ErrorBody, retry_after: float | None, bound: bool, model: str | None) -> Row:
    """The row of an answer with this status and error. ``retry_after`` is in seconds, from its headers or its body.

    Example::

        row_of(429, read_error(b""), None, bound=False, model=None)  # RATE_LIMIT
    """
    meaning = meaning_of(error, model)
    match status:
        case 401:
            return failures.AUTH
        case 402:
            return _payment(error, retry_after)
        case 403:
            return failures.AUTH_UNRECOGNISED if meaning is None else _FORBIDDEN[meaning]
        case 404:
            return _not_found(error, meaning, bound)
        case 412:
            return _REFUSED[meaning] if meaning in (Meaning.QUOTA, Meaning.KEY) else failures.QUOTA_UNSURE
        case 424:
            return failures.BAD_REQUEST if by_code(error.codes) is Meaning.REQUEST else failures.DEPENDENCY
        case 429:
            return _rate_limited(error, retry_after)
        case 500:
            meaning_inside = meaning_of_500(error)
            return failures.SERVER_ERROR if meaning_inside is None else _FAILED[meaning_inside]
        case 501:
            return _not_implemented(error)
        case 503:
            return _unavailable(error, retry_after)
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


def _payment(error: ErrorBody, retry_after: float | None) -> Row:
    if retry_after is not None:
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


def _rate_limited(error: ErrorBody, retry_after: float | None) -> Row:
    code = by_code(error.codes)  # never by its message: Gemini says "quota" of any limit
    message = error.message.lower()
    if code is Meaning.QUOTA and not message.startswith(phrases.RATE_CALLED_QUOTA):
        return failures.QUOTA_UNSURE if phrases.is_of_one_user(message) else failures.BILLING_429
    if code in (Meaning.LIKELY_QUOTA, Meaning.LIKELY_KEY, Meaning.LIKELY_MODEL) and retry_after is None:
        return _REFUSED[code]
    return failures.RATE_TOO_LARGE if message.startswith(phrases.TOO_LARGE) else failures.RATE_LIMIT


def _not_implemented(error: ErrorBody) -> Row:
    if by_code(error.codes) is Meaning.PARAMETER:
        return failures.UNSUPPORTED_PARAMETER
    return failures.NOT_FOUND if "unimplemented" in error.codes else failures.NOT_IMPLEMENTED


def _unavailable(error: ErrorBody, retry_after: float | None) -> Row:
    if retry_after is not None:
        return failures.UNAVAILABLE_LATER
    if by_code(error.codes) is Meaning.MODEL:  # one-api and its forks: no channel has it
        return failures.NOT_FOUND
    overloaded = any(STATUS_OF.get(code) in (503, 529) and "overload" in code for code in error.codes)
    return failures.OVERLOADED if overloaded else failures.UNAVAILABLE
