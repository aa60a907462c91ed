"""Amounts of money, as people read them."""

from __future__ import annotations

from typing import Final

__all__ = ["dollars"]

_LEAST: Final = 0.0001
"""The least that is told: what is less is no nothing either."""


def dollars(usd: float) -> str:
    """US dollars: in cents from one dollar on, below that in hundredths of a cent.

    Example::

        assert dollars(1234.5) == "$1,234.50"
        assert dollars(0.00002) == "<$0.0001"
    """
    if 0 < usd < _LEAST:
        return f"<${_LEAST}"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"
