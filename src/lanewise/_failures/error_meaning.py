"""What a provider's error is about: by a known code, by a known phrase, and at last by words, which open nothing."""

from __future__ import annotations

from typing import Final

from lanewise._failures.dialects import error_phrases as phrases
from lanewise._failures.dialects.error_codes import STATUS_OF, Meaning, by_code
from lanewise._failures.dialects.error_words import by_words
from lanewise._failures.error_body import ErrorBody

__all__ = ["meaning_of", "meaning_of_500", "unsupported_name"]

_OF_REQUESTS: Final = frozenset({400, 404, 413, 415, 422})
"""Statuses that a 500 may name as what the request deserved."""
_CONTENT: Final = frozenset({"tools", "tool_choice", "tool_resources", "messages", "input", "metadata", "prompt"})
"""Parameters whose own keys, models and files an error may be about."""


def meaning_of(error: ErrorBody, model: str | None = None) -> Meaning | None:
    """What an error is about, or ``None``. ``model`` is the route's: one that a caller named opens nothing.

    Example::

        meaning_of(read_error(b'{"error": {"code": "Arrearage"}}'))  # Meaning.QUOTA
    """
    message = phrases.unwrapped(error.message).lower()
    code = by_code(error.codes)
    named = phrases.model_named(message)
    meaning = code if code is not None and code <= Meaning.MODEL else phrases.by_phrase(message)
    if meaning is None and named is not None:
        meaning = Meaning.MODEL
    if meaning is None:
        unsupported = Meaning.PARAMETER if unsupported_name(error) is not None else None
        likely = (code, unsupported, by_words(error.spelled), phrases.by_likely_phrase(message))
        meaning = min((one for one in likely if one is not None), default=None)
    if meaning is not None and Meaning.QUOTA <= meaning <= Meaning.LIKELY_KEY and _is_about_content(error, message):
        return Meaning.REQUEST
    if meaning is Meaning.QUOTA and phrases.is_of_one_user(message):
        return Meaning.LIKELY_QUOTA
    if meaning is Meaning.MODEL and named is not None and model is not None and not _is_same(named, model.lower()):
        return Meaning.LIKELY_MODEL
    return meaning


def meaning_of_500(error: ErrorBody) -> Meaning | None:
    """What a 500 is about: by a known code, else no more than that it may be the request's fault."""
    known = by_code(error.codes)
    if known is not None:
        return known
    if error.status in _OF_REQUESTS or any(STATUS_OF.get(code) in _OF_REQUESTS for code in error.codes):
        return Meaning.DOUBTED
    words = by_words(error.spelled)
    return Meaning.DOUBTED if words in (Meaning.CONTENT_POLICY, Meaning.REQUEST, Meaning.DOUBTED) else None


def unsupported_name(error: ErrorBody) -> str | None:
    """The parameter that an error's message says can't be taken."""
    found = (pattern.match(error.message) for pattern in phrases.UNSUPPORTED_PATTERNS)
    return next((match[1] for match in found if match), None)


def _is_same(named: str, model: str) -> bool:
    return named.rsplit("/", 1)[-1] == model.rsplit("/", 1)[-1]


def _is_about_content(error: ErrorBody, message: str) -> bool:
    """Whether a key, a model or a file is meant that the request itself names."""
    place = "" if error.param is None else error.param.replace("[", ".").split(".", 1)[0]
    return place in _CONTENT or phrases.is_about_content(message)
