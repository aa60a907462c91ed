"""How many steps a search by a pattern of Python's takes at the most, told from the pattern's text alone."""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf
from typing import Final

__all__ = ["MOST_STEPS", "search_steps"]

MOST_STEPS: Final = 200_000
"""Steps (about 50 ns each) that a search may take between two turns of the event loop: 10 ms."""
_REPEATED_GROUP: Final = re.compile(r"\)[?*+{]")
_BACK_REFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_UNBOUNDED: Final = re.compile(r"[*+]|\{[0-9]*,\}")
_COUNTED: Final = re.compile(r"\{([0-9]*)(?:,([0-9]+))?\}")


def search_steps(pattern: str, length: int) -> float:
    """The most steps that a search takes in a text of so many characters. Escapes are not looked at, so it may be less.

    The engine goes back: each repeat multiplies the steps by how often it may repeat, each alternative doubles them,
    and a repeated group may do both within itself, without end.

    Example::

        assert search_steps("^(yes|no)$", 100) == 200 * 10
        assert search_steps("^(a+)+$", 100) == inf
    """
    unbounded, factor = _shape(pattern)
    if unbounded is None:
        return inf
    return float(max(length, 1)) ** (unbounded + 1) * factor


@lru_cache(256)
def _shape(pattern: str) -> tuple[int | None, float]:
    """How many repeats without a bound there are (``None``: they may be nested), and the factor of all the rest."""
    if _REPEATED_GROUP.search(pattern) or _BACK_REFERENCE.search(pattern):
        return None, 1.0
    factor = float(max(len(pattern), 1))
    for least, most in _COUNTED.findall(pattern):
        factor *= int(most or least or 1) + 1
    choices = pattern.count("|") + pattern.count("?")
    return min(len(_UNBOUNDED.findall(pattern)), 8), factor * 2.0 ** min(choices, 64)
