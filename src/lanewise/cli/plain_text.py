"""Texts from outside as a terminal may have them."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["plain"]

_WRITTEN: Final = "\n\t\u200c\u200d"
"""Control characters that belong to texts: the last two join letters, in Persian and in emoji."""


def plain(text: str) -> str:
    """A text without what would hide or move others on a terminal.

    Example::

        assert plain("\\x1b[2J") == "\\ufffd[2J"
    """
    return "".join("\ufffd" if _hides(character) else character for character in text)


def _hides(character: str) -> bool:
    """Whether it is a control character: an escape sequence's, one that turns the direction of writing, half a pair."""
    return character not in _WRITTEN and unicodedata.category(character) in ("Cc", "Cf", "Cs")
