"""Durations as they are written in a config, to and from seconds."""

from __future__ import annotations

import math
import re

__all__ = ["DURATION_PATTERN", "LONGEST", "duration_text", "seconds_of"]

DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
"""For the JSON Schema of the config."""
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 3660 * 86400.0
"""Ten years, in seconds: more is a slip of the pen."""


def seconds_of(text: str) -> float | None:
    """The seconds that ``"800ms"``, ``"12s"``, ``"5m"``, ``"2h"`` or ``"90d"`` stand for; ``None`` if it is none.

    Example::

        assert seconds_of("5m") == 300.0
    """
    match = _WRITTEN.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS[match[2]]


def duration_text(seconds: float) -> str:
    """Seconds as a config would write them, in the largest unit that needs no more than one decimal.

    Example::

        assert duration_text(0.8) == "800ms" and duration_text(90.0) == "90s" and duration_text(600.0) == "10m"
    """
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    for unit in ("d", "h", "m"):
        count = seconds / _UNITS[unit]
        if count >= 1 and math.isclose(count, round(count)):
            return f"{round(count)}{unit}"
    return f"{round(seconds, 1):g}s"
