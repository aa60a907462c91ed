"""What a provider says of its limits beside each answer, so that a route is left alone before it says 429.

Read are OpenAI's headers (``x-ratelimit-remaining-requests``, ``x-ratelimit-reset-tokens``; Azure, Groq, Together and
Mistral write the same), Anthropic's (``anthropic-ratelimit-requests-remaining``), OpenRouter's and GitHub's
(``x-ratelimit-remaining``, ``x-ratelimit-reset``), and those of the IETF draft (``ratelimit-remaining``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from understudy.policy.retry_after import LONGEST_RETRY_AFTER

__all__ = ["exhausted_for", "parse_reset"]

_MOST_DIGITS: Final = 15
_COUNT = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}", re.ASCII)
_NUMBER = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}(?:\.[0-9]{{0,{_MOST_DIGITS}}})?", re.ASCII)
_GO_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|ms|m|s|us|µs|ns))+", re.ASCII)
_GO_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|ms|m|s|us|µs|ns)")
_GO_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST: Final = 64
_EPOCH: Final = 1e9
"""A number of seconds from which it is a date: no reset is 30 years off."""
_EPOCH_MS: Final = 1e12

_REQUESTS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
)
_TOKENS: Final = (
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
)


def exhausted_for(headers: Mapping[str, str], tokens: int, now: datetime) -> float | None:
    """The seconds for which the limits of an answer's headers leave no room for another call; ``None`` if they do.

    ``headers`` have lower-case names, ``tokens`` is what a call like this one takes, ``now`` (aware) dates a reset.
    What can't be read says nothing. At most :data:`~understudy.policy.retry_after.LONGEST_RETRY_AFTER`.

    Example::

        exhausted_for({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 100, now)  # 300.0
    """
    waits = [
        wait
        for pairs, needed in ((_REQUESTS, 1), (_TOKENS, tokens))
        for remaining, reset in pairs
        if (left := _count(headers.get(remaining))) is not None
        and left < max(1, needed)
        and (wait := parse_reset(headers.get(reset), now)) is not None
    ]
    return max(waits, default=None)


def parse_reset(value: str | None, now: datetime) -> float | None:
    """The seconds until a reset: seconds, a Go duration (``6m0s``), RFC 3339, seconds or milliseconds since 1970, or an
    HTTP date. ``None`` for what is none of these, or over.

    Example::

        assert parse_reset("1m30.5s", now) == 90.5
    """
    if value is None or len(value) > _LONGEST:
        return None
    text = value.strip()
    seconds = _from_number(text, now) if _NUMBER.fullmatch(text) else _from_duration(text) or _from_date(text, now)
    return min(seconds, LONGEST_RETRY_AFTER) if seconds is not None and seconds > 0 else None


def _count(value: str | None) -> int | None:
    if value is None:
        return None
    match = _COUNT.match(value.strip()[:_LONGEST])
    return int(match[0]) if match else None


def _from_number(text: str, now: datetime) -> float:
    number = float(text)
    if number >= _EPOCH_MS:
        return number / 1000 - now.timestamp()
    return number - now.timestamp() if number >= _EPOCH else number


def _from_duration(text: str) -> float | None:
    if not _GO_DURATION.fullmatch(text):
        return None
    return sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))


def _from_date(text: str, now: datetime) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):  # what the parser of the standard library lets out
            return None
    try:
        return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except OverflowError:
        return None
