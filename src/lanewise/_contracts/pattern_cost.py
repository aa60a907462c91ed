"""An upper bound of the work of a search by a pattern, from its text: by Python's engine, and by the linear one of
jsonschema-rs."""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf, prod
from typing import Final

__all__ = ["LARGEST_PATTERN", "MOST_STEPS", "compiled_size", "linear_units", "search_steps"]

MOST_STEPS: Final = 200_000
"""Steps (about 50 ns each) that a search may take between two turns of the event loop: 10 ms."""
_REPEATED_GROUP: Final = re.compile(r"\)[?*+{]")
LARGEST_PATTERN: Final = 20_000
"""Characters that a pattern may have with its counted repeats written out: to compile a larger one takes long."""
_LINEAR_UNITS: Final = ((10_000, 0.4), (200_000, 8.0), (1_000_000, 16.0))
"""Of a pattern that compiles within so many bytes, the units a character (measured: 10, 190 and 310 ns)."""
_COUNTS: Final = re.compile(r"\{([0-9]{1,9})(?:,([0-9]{0,9}))?\}")
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


def linear_units(pattern: str) -> float | None:
    """The work of the linear engine for each character, in units of 25 ns; ``None`` if it can't take the pattern.

    Example::

        assert linear_units("^[a-z]+$") == 0.4
        assert linear_units("(?=a)b") is None  # look-ahead needs an engine that goes back
    """
    import jsonschema_rs

    if compiled_size(pattern) > LARGEST_PATTERN:
        return None
    for size, units in _LINEAR_UNITS:
        try:
            jsonschema_rs.validator_for(
                {"pattern": pattern}, offline=True, pattern_options=jsonschema_rs.RegexOptions(size_limit=size)
            )
        except jsonschema_rs.ValidationError:
            continue
        return units
    return None


def compiled_size(pattern: str) -> int:
    """About how large a pattern becomes, compiled, in characters: counted repeats are written out."""
    counts = [int(most or least) for least, most in _COUNTS.findall(pattern)]
    return len(pattern) * max(prod(counts) if _REPEATED_GROUP.search(pattern) else sum(counts), 1)
