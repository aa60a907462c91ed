"""Validates the score that an app gives to a call."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from lanewise._routing import idempotency as keys
from lanewise.config.values.scalars import NAME
from lanewise.types import Score

__all__ = ["score_of"]


def score_of(call_id: str, value: float, name: str) -> Score:
    """The score, as of now. Raises ValueError, TypeError: it can't be recorded."""
    if not isinstance(value, int | float):
        raise TypeError(f"a score is a number, not {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError("a score is a finite number")
    if keys.accept_request_id([call_id]) is None:
        raise ValueError("this is no call's id: give scope.call_for(reply).id, or the answer's x-lanewise-call-id")
    if not NAME.fullmatch(name):
        raise ValueError("a score's name has up to 64 letters, digits and any of . _ : / -")
    return Score(call_id=call_id, name=name, value=float(value), at=datetime.now(UTC))
