"""Reading a provider's error code that no table has by its words: ``image_too_wide``, ``TeamBudgetUsedUp``.

Words say whose fault an error is, and open no route and no account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from lanewise._failures.dialects.error_codes import Meaning

__all__ = ["by_words", "is_about_content"]

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_POLICY: Final = _words(
    "policy policies safety moderation moderated unsafe harmful sensitive prohibited blocklist inspection guardrail "
    "guardrails jailbreak flagged violation violence hate sexual nsfw profanity"
)
_FILTERED: Final = _words("filter filtered blocked")
_OTHER_POLICIES: Final = _words("access iam network org organization rate retry routing data budget key")
_SERVERS: Final = _words(
    "server internal upstream backend gateway service timeout overloaded overload unavailable capacity busy worker "
    "provider response network connection loading ready crashed rate throttled throttling"
)
_MONEY: Final = _words(
    "billing balance credit credits budget arrears arrearage overdue payment funds spend spending debt"
)
_ALLOWED: Final = _words("quota subscription plan")
_ACCOUNT: Final = _words("authentication authorization unauthorized unauthenticated credential credentials apikey")
_HOLDER: Final = _words("key account organization org project team tenant workspace country region location ip")
_TOKEN_REFUSED: Final = _words("invalid expired revoked wrong missing disabled")
"""Of a token that is a key: one that was used up is a piece of a text."""
_MODEL: Final = _words("model models deployment")
_ASKED: Final = _words(
    "image images picture audio video voice file files document pdf url media mime attachment tool tools function "
    "functions prompt message messages container conversation thread session"
)
_BROUGHT: Final = _words("mcp connector tool tools webhook")
"""What runs elsewhere, and is of the caller's choosing."""
_CONTENT: Final = _ASKED | _words("schema role parameter parameters param params argument arguments json")
_WHOLE: Final = _words("request input body payload value field format content")
_REFUSED: Final = _words(
    "invalid incorrect wrong unsupported missing malformed empty bad illegal unprocessable unrecognized unknown "
    "duplicate incompatible mismatch mismatched large small long short wide many few parse parsing validation decode "
    "corrupt download required exceeded exhausted insufficient reached expired revoked disabled deactivated inactive "
    "suspended locked blocked denied deprecated decommissioned retired offline not no"
)
_FAILED: Final = _words("failed error rejected found")


def by_words(codes: Iterable[str]) -> Meaning | None:
    """What the words of codes say, as they were spelled; never more than likely.

    Example::

        by_words(["TeamBudgetUsedUp"])  # Meaning.LIKELY_QUOTA
    """
    return min((meaning for code in codes if (meaning := _read(code)) is not None), default=None)


def is_about_content(code: str) -> bool:
    """Whether a code, as it was spelled, says that something in what was asked is wrong: a picture, a tool, a message.

    Example::

        assert is_about_content("invalid_image_url") and not is_about_content("invalid_parameter_error")
    """
    return bool(_in(code) & _ASKED)


def _in(code: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(code.replace("base64", "base")))


def _read(code: str) -> Meaning | None:
    words = _in(code)
    if (words & _POLICY and not words & _OTHER_POLICIES) or (words & _FILTERED and "content" in words):
        return Meaning.CONTENT_POLICY
    if words & _SERVERS:
        return Meaning.DOUBTED if words & _BROUGHT else None
    if {"user", "error"} <= words:
        return Meaning.REQUEST
    refused = bool(words & _REFUSED)
    if words & _MODEL and refused:
        return Meaning.LIKELY_MODEL
    if words & _MONEY or (words & _ALLOWED and refused):
        return Meaning.LIKELY_QUOTA
    if words & _ACCOUNT or (words & _HOLDER and refused) or ("token" in words and words & _TOKEN_REFUSED):
        return Meaning.LIKELY_KEY
    if words & (_CONTENT | _WHOLE) and refused:
        return Meaning.REQUEST
    return Meaning.DOUBTED if words & _CONTENT and words & _FAILED else None
