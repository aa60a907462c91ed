"""The kinds of value that a config holds, each with the check that says what is wrong with a bad one.

A check raises pydantic's own custom error with a ``problem`` and a ``fix``; ``parsing.py`` turns it into a mistake.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from lanewise.config.durations import DURATION_PATTERN, LONGEST, duration_text, seconds_of
from lanewise.config.mistakes import nearest, quoted
from lanewise.types import NEVER_MOVE, FailureKind

__all__ = [
    "DEFAULT",
    "DEFAULT_ON",
    "NAME",
    "AttemptCount",
    "Bool",
    "Count",
    "Dollars",
    "FailureKey",
    "FailureSet",
    "HedgeDelay",
    "JsonTable",
    "Names",
    "NonEmpty",
    "NonNegative",
    "ParameterTable",
    "Parameters",
    "PositiveSeconds",
    "Renames",
    "RetryCount",
    "Seconds",
    "Share",
    "SlowCall",
    "SlowCallField",
    "Text",
    "Undeclared",
    "Weight",
    "reads_file",
    "wrong",
]

NAME = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
"""What a task, route, provider or category may be called."""

# What a route may not drop, rename or set: the model is the route's own, the question and how it is answered the app's.
_OWN_PARAMETERS = frozenset({"model", "messages", "input", "stream"})
_DOLLARS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?USD")
_TIMES = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)x")
_DURATION = 'Write a number and a unit: "800ms", "12s", "5m" or "90d".'
REVIEW_LOCATION = re.compile(
    r"^(https://[A-Za-z0-9.:-]+)?/[!$&'()*+,/:;=?@A-Za-z0-9._~-]*\{id\}[!$&'()*+,/:;=?@A-Za-z0-9._~-]*$"
)
DEFAULT = "default"
"""Stands for :data:`DEFAULT_ON` in a list of failures."""
_MOVING: Final = tuple(kind.value for kind in FailureKind if kind not in NEVER_MOVE)
DEFAULT_ON: frozenset[FailureKind] = frozenset(FailureKind) - {
    FailureKind.BAD_REQUEST,
    FailureKind.CONTENT_POLICY,
    FailureKind.LOCAL,
    FailureKind.CANCELLED,
    FailureKind.DEADLINE,
    FailureKind.CONTEXT_LENGTH,
    FailureKind.SUBSTITUTED,
}
"""The failures that may move a call into a lane that has no ``on`` of its own. One for ``context_length`` moves without
being listed, to a route whose window is known to be larger."""


def wrong(problem: str, fix: str = "") -> PydanticCustomError:
    """The error of a check: what is wrong, and what would be right. Neither may hold a secret."""
    return PydanticCustomError("lanewise", "{problem}. {fix}", {"problem": problem, "fix": fix})


def reads_file(info: ValidationInfo) -> bool:
    """Whether the value comes from a TOML file, where keys have no place and durations need a unit."""
    return isinstance(info.context, Mapping) and bool(info.context.get("file"))


def _seconds(value: object, info: ValidationInfo) -> object:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        seconds = seconds_of(value)
        if seconds is None:
            raise wrong(f"{quoted(value)} is not a duration", _DURATION)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("a duration belongs here", _DURATION)
    elif reads_file(info) and abs(value) <= LONGEST:
        raise wrong(f"the duration {quoted(value)} has no unit", f'Write "{value}s" for seconds.')
    else:
        # A whole number too large for a float is as wrong as infinity.
        seconds = float(value) if abs(value) <= LONGEST else math.inf
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise wrong(f"the duration {quoted(value)} is out of range", "It may be from 0 up to ten years.")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise wrong("the duration is zero", "It must be longer than that.")
    return seconds


@dataclass(frozen=True, slots=True)
class SlowCall:
    """From when on an answer is slow: after so many ``seconds``, or so many ``times`` the route's running median."""

    seconds: float | None = None
    times: float = math.inf

    def __str__(self) -> str:
        return f"{self.times:g}x" if self.seconds is None else duration_text(self.seconds)


def _slow_call(value: object, info: ValidationInfo) -> object:
    if isinstance(value, SlowCall):
        return value
    matched = _TIMES.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        seconds = _seconds(value, info)
        assert isinstance(seconds, float)
        return SlowCall(_positive(seconds))
    times = float(matched[1])
    if not 1 < times <= 1000:
        raise wrong(
            f"{quoted(value)} is out of range", 'A slow call takes longer than usual: "3x" is three times that.'
        )
    return SlowCall(None, times)


def _hedge_delay(value: object, info: ValidationInfo) -> object:
    if value == "p95":
        return value
    if isinstance(value, str) and seconds_of(value) is None:
        raise wrong(f"{quoted(value)} is no time to hedge after", 'Write "p95", or a duration: "2s".')
    seconds = _seconds(value, info)
    assert isinstance(seconds, float)
    return _positive(seconds)


def _non_empty(text: str) -> str:
    if not text.strip():
        raise wrong("the text is empty")
    return text


def _dollars(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        matched = _DOLLARS.fullmatch(value.strip())
        if matched is None:
            raise wrong(f"{quoted(value)} is no amount of money", 'Write US dollars: "20 USD".')
        return float(matched[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise wrong("an amount of money belongs here", 'Write US dollars: "20 USD".')
    if reads_file(info):
        raise wrong(f"{quoted(value)} has no currency", f'Write "{value} USD".')
    return float(value)


def _failures(value: object) -> object:
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise wrong("a list of failures belongs here", 'For example ["rate_limit", "outage", "timeout"].')
    named = list(value)
    if not named:
        raise wrong("the list is empty, so nothing would ever move here", "Name some failures, or leave `on` out.")
    known = [DEFAULT, *FailureKind]
    if unknown := [item for item in named if item not in known]:
        fixes = dict.fromkeys(nearest(item, [DEFAULT, *(kind.value for kind in FailureKind)]) for item in unknown)
        raise wrong(f"no failure is called {' or '.join(quoted(item) for item in unknown)}", " ".join(fixes))
    kinds = frozenset(FailureKind(item) for item in named if item != DEFAULT)
    if DEFAULT in named:
        kinds |= DEFAULT_ON
    if never := sorted(kinds & NEVER_MOVE):
        raise wrong(f"{' and '.join(quoted(kind.value) for kind in never)} can never move a call", "Leave it out.")
    return kinds


def _failure(value: object) -> object:
    if value not in list(FailureKind):
        raise wrong(f"no failure is called {quoted(value)}", nearest(value, [kind.value for kind in FailureKind]))
    return value


def _parameters(renames: dict[str, str]) -> dict[str, str]:
    for name in (*renames, *renames.values()):
        _parameter(name)
    return renames


def _parameter(name: str) -> str:
    if name in _OWN_PARAMETERS or not name.strip():
        raise wrong(f"{quoted(name)} can't be changed on a route", "It is the route's own, or the app's.")
    return name


def _undeclared(value: str) -> str:
    if value in ("standard", "refuse") or (value.startswith("sensitive:") and len(value) > len("sensitive:")):
        return value
    raise wrong(f"{quoted(value)} is not known here", 'Write "standard", "refuse" or "sensitive:<category>".')


def _review_location(value: str) -> str:
    if REVIEW_LOCATION.fullmatch(value):
        return value
    raise wrong(
        f"{quoted(value)} is no place for a case", 'Write a path or a https:// URL with {id} in it: "/reviews/{id}".'
    )


def _json(value: JsonValue) -> JsonValue:
    """Refuse what JSON can't say: NaN and infinity, which TOML has."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise wrong("JSON has no number that is infinite or not a number")
        if isinstance(item, list):
            waiting.extend(item)
        if isinstance(item, dict):
            waiting.extend(item.values())
    return value


def _json_table(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _json(value)
    return value


def _parameter_table(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in value:
        _parameter(name)
    return value


Text = Annotated[str, Strict()]
_NON_EMPTY: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_WRITTEN_DURATION: Final[dict[str, Any]] = {"type": "string", "pattern": DURATION_PATTERN}

NonEmpty = Annotated[str, Strict(), AfterValidator(_non_empty), WithJsonSchema(_NON_EMPTY)]
Names = tuple[NonEmpty, ...]
Bool = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=10**15)]
RetryCount = Annotated[int, Strict(), Field(ge=0, le=3)]
AttemptCount = Annotated[int, Strict(), Field(ge=1, le=16)]
Share = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)]
Dollars = Annotated[
    float,
    BeforeValidator(_dollars),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})? ?USD$"}),
]
Weight = Annotated[float, Strict(), Field(gt=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_WRITTEN_DURATION)]
SlowCallField = Annotated[
    SlowCall,
    BeforeValidator(_slow_call),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,9})?(x|ms|s|m|h|d)$"}),
]
HedgeDelay = Annotated[
    Literal["p95"] | float,
    BeforeValidator(_hedge_delay),
    WithJsonSchema({"anyOf": [{"const": "p95"}, _WRITTEN_DURATION]}),
]
PositiveSeconds = Annotated[
    float, BeforeValidator(_seconds), AfterValidator(_positive), WithJsonSchema(_WRITTEN_DURATION)
]
ReviewLocation = Annotated[
    str,
    Strict(),
    AfterValidator(_review_location),
    WithJsonSchema({"type": "string", "pattern": REVIEW_LOCATION.pattern}),
]
Undeclared = Annotated[
    str,
    Strict(),
    AfterValidator(_undeclared),
    WithJsonSchema({"type": "string", "pattern": "^(standard|refuse|sensitive:.+)$"}),
]
FailureSet = Annotated[
    frozenset[FailureKind],
    BeforeValidator(_failures),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"enum": [DEFAULT, *_MOVING]}}),
]
FailureKey = Annotated[FailureKind, BeforeValidator(_failure)]
Parameters = tuple[Annotated[str, Strict(), AfterValidator(_parameter), WithJsonSchema(_NON_EMPTY)], ...]
Renames = Annotated[dict[Text, Text], AfterValidator(_parameters)]
JsonTable = Annotated[dict[Text, JsonValue], AfterValidator(_json_table)]
ParameterTable = Annotated[JsonTable, AfterValidator(_parameter_table)]
