"""Texts, names, booleans and numbers, and the error that the checks of all values raise.

A check raises pydantic's own custom error with a ``problem`` and a ``fix``, which become a mistake of the config.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, Strict, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "NAME",
    "NON_EMPTY",
    "Bool",
    "Count",
    "Names",
    "NonEmpty",
    "NonNegative",
    "Share",
    "Text",
    "Weight",
    "reads_file",
    "wrong",
]

NAME = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
"""What a task, route, provider or category may be called."""

NON_EMPTY: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
"""The JSON Schema of a text that is not empty."""


def wrong(problem: str, fix: str = "") -> PydanticCustomError:
    """The error of a check: what is wrong, and what would be right. Neither may hold a secret."""
    return PydanticCustomError("lanewise", "{problem}. {fix}", {"problem": problem, "fix": fix})


def reads_file(info: ValidationInfo) -> bool:
    """Whether the value comes from a TOML file, where keys have no place and durations need a unit."""
    return isinstance(info.context, Mapping) and bool(info.context.get("file"))


def _non_empty(text: str) -> str:
    if not text.strip():
        raise wrong("the text is empty")
    return text


Text = Annotated[str, Strict()]
NonEmpty = Annotated[str, Strict(), AfterValidator(_non_empty), WithJsonSchema(NON_EMPTY)]
Names = tuple[NonEmpty, ...]
Bool = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=10**15)]
Share = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Strict(), Field(gt=0, le=1e6, allow_inf_nan=False)]
