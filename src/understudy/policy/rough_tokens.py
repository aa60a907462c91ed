"""How many tokens a text can have at the most, by its bytes alone: for the hot path, which must not count."""

from __future__ import annotations

from typing import Final

__all__ = ["at_most", "likely"]

_SAFE_BYTES: Final = 2.5
"""Bytes a token, safely few: measured on OpenAI's encodings over code, JSON and non-Latin scripts."""
_ENGLISH_BYTES: Final = 4.7
"""Bytes a token of English prose in OpenAI's encodings."""


def at_most(size: int) -> int:
    """The tokens that this many bytes of UTF-8 are at the most (some texts of rare symbols excepted).

    Example::

        assert at_most(1000) == 400
    """
    return -int(-size // _SAFE_BYTES)


def likely(size: int) -> int:
    """The tokens of this many bytes, if they are English prose.

    Example::

        assert likely(4700) == 1000
    """
    return -int(-size // _ENGLISH_BYTES)
