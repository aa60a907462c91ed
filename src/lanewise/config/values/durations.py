"""Durations of a config, as texts with a unit and as seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from lanewise.config.mistakes import quoted
from lanewise.config.values.scalars import reads_file, wrong

__all__ = [
    "DURATION",
    "DURATION_PATTERN",
    "PositiveSeconds",
    "Seconds",
    "duration_text",
    "positive",
    "read_seconds",
    "seconds_of",
]

DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
DURATION: Final[dict[str, Any]] = {"type": "string", "pattern": DURATION_PATTERN}
"""The JSON Schema of a duration."""
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FIX = 'Write a number and a unit: "800ms", "12s", "5m" or "90d".'
_LONGEST = 3660 * 86400.0
"""Ten years, in seconds: a longer one is a mistake in writing."""


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


def read_seconds(value: object, info: ValidationInfo) -> float:
    """A duration of a config in seconds: from a file only with its unit."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        seconds = seconds_of(value)
        if seconds is None:
            raise wrong(f"{quoted(value)} is not a duration", _FIX)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("a duration belongs here", _FIX)
    elif reads_file(info) and abs(value) <= _LONGEST:
        raise wrong(f"the duration {quoted(value)} has no unit", f'Write "{value}s" for seconds.')
    else:
        # A whole number too large for a float is as wrong as infinity.
        seconds = float(value) if abs(value) <= _LONGEST else math.inf
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST:
        raise wrong(f"the duration {quoted(value)} is out of range", "It may be from 0 up to ten years.")
    return seconds


def positive(seconds: float) -> float:
    """Refuse a duration of nothing."""
    if seconds <= 0:
        raise wrong("the duration is zero", "It must be longer than that.")
    return seconds


Seconds = Annotated[float, BeforeValidator(read_seconds), WithJsonSchema(DURATION)]
PositiveSeconds = Annotated[float, BeforeValidator(read_seconds), AfterValidator(positive), WithJsonSchema(DURATION)]
