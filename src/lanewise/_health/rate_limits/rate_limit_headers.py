"""Rate limit headers of answers, so that a route whose limits are used up is left alone before it answers 429.

Read are OpenAI's headers (``x-ratelimit-remaining-requests``, ``x-ratelimit-reset-tokens``; Azure, Groq, Together and
Mistral write the same), Anthropic's (``anthropic-ratelimit-requests-remaining``), OpenRouter's and GitHub's
(``x-ratelimit-remaining``, ``x-ratelimit-reset``), and those of the IETF draft (``ratelimit-remaining``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from lanewise._failures.retry_after import parse_reset

__all__ = ["exhausted_for"]

_LONGEST: Final = 64
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)

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
    What can't be read is ignored. At most :data:`~lanewise._failures.retry_after.LONGEST_RETRY_AFTER`.

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


def _count(value: str | None) -> int | None:
    if value is None:
        return None
    match = _COUNT.match(value.strip()[:_LONGEST])
    return int(match[0]) if match else None
