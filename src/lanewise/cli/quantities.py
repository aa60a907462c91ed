"""Shares, times and counts, as people read them."""

from __future__ import annotations

from typing import Final

__all__ = ["NOTHING", "duration", "number", "percent", "token_count"]

NOTHING: Final = "·"
"""Stands where there is nothing to tell."""


def percent(share: float | None) -> str:
    """A share from 0 to 1. Never rounded to all or nothing: one in a thousand that got no answer is what is asked for.

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
    """A count, and nothing for 0."""
    return f"{count:,}" if count else NOTHING
