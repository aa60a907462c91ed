"""Money, shares, times and counts as a person reads them, and untrusted texts without control characters."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["NOTHING", "dollars", "duration", "number", "percent", "plain", "token_count"]

NOTHING: Final = "·"
"""Shown where there is no value."""
_LEAST_USD: Final = 0.0001
"""The least that is shown: a smaller amount is not shown as zero."""
_WRITTEN: Final = "\n\t\u200c\u200d"
"""Control characters that belong to texts: the last two join letters, in Persian and in emoji."""


def dollars(usd: float) -> str:
    """US dollars: in cents from one dollar on, below that in hundredths of a cent.

    Example::

        assert dollars(1234.5) == "$1,234.50"
        assert dollars(0.00002) == "<$0.0001"
    """
    if 0 < usd < _LEAST_USD:
        return f"<${_LEAST_USD}"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def percent(share: float | None) -> str:
    """A share from 0 to 1. Never rounded to 0 or 100 %: one call in a thousand without an answer must show.

    Example::

        assert percent(0.99999) == "99.9 %"
    """
    if share is None:
        return NOTHING
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def duration(milliseconds: float | None) -> str:
    """A time: in milliseconds below a second, else in seconds."""
    if milliseconds is None:
        return NOTHING
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:,.1f} s"


def token_count(tokens: int) -> str:
    """A count of tokens, in three digits."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g} {letter}"
    return str(tokens)


def number(count: int) -> str:
    """A count; a dot for 0."""
    return f"{count:,}" if count else NOTHING


def plain(text: str) -> str:
    """A text without control characters, which could hide or overwrite others on a terminal.

    Example::

        assert plain("\\x1b[2J") == "\\ufffd[2J"
    """
    return "".join("\ufffd" if _hides(character) else character for character in text)


def _hides(character: str) -> bool:
    """Whether it is a control character: of an escape sequence, of writing direction, or a lone surrogate."""
    return character not in _WRITTEN and unicodedata.category(character) in ("Cc", "Cf", "Cs")
