"""Parameters of a request body as a route changes them, and other JSON that a config holds."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, JsonValue, Strict, WithJsonSchema

from lanewise.config.mistakes import quoted
from lanewise.config.values.scalars import NON_EMPTY, Text, wrong

__all__ = ["JsonTable", "ParameterTable", "Parameters", "Renames"]

# What a route may not drop, rename or set: the model is the route's own, the question and how it is answered the app's.
_OWN_PARAMETERS = frozenset({"model", "messages", "input", "stream"})


def _renames(renames: dict[str, str]) -> dict[str, str]:
    for name in (*renames, *renames.values()):
        _parameter(name)
    return renames


def _parameter(name: str) -> str:
    if name in _OWN_PARAMETERS or not name.strip():
        raise wrong(f"{quoted(name)} can't be changed on a route", "It is the route's own, or the app's.")
    return name


def _json_table(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what JSON can't say: NaN and infinity, which TOML has."""
    waiting: list[JsonValue] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise wrong("JSON has no number that is infinite or not a number")
        if isinstance(item, list):
            waiting.extend(item)
        if isinstance(item, dict):
            waiting.extend(item.values())
    return value


def _parameter_table(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in value:
        _parameter(name)
    return value


Parameters = tuple[Annotated[str, Strict(), AfterValidator(_parameter), WithJsonSchema(NON_EMPTY)], ...]
Renames = Annotated[dict[Text, Text], AfterValidator(_renames)]
JsonTable = Annotated[dict[Text, JsonValue], AfterValidator(_json_table)]
ParameterTable = Annotated[JsonTable, AfterValidator(_parameter_table)]
