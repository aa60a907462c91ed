"""The syntax tree of a rule, and the facts of a call that a rule can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["FACTS", "Both", "Compare", "Either", "Fact", "FactKind", "Label", "Literal", "Not", "OneOf", "Rule"]


class FactKind(StrEnum):
    """What a value of a rule is. Only values of one kind can be compared."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"


FACTS: Final[Mapping[str, tuple[FactKind, str]]] = {
    "tokens": (FactKind.NUMBER, "the question's tokens, estimated from its bytes; images and audio count nothing"),
    "max_tokens": (FactKind.NUMBER, "the most tokens that the app lets the answer have; 0 if it does not say"),
    "tools": (FactKind.NUMBER, "how many tools the call offers"),
    "images": (FactKind.NUMBER, "how many images the question has"),
    "audio": (FactKind.NUMBER, "how many recordings the question has"),
    "json": (FactKind.FLAG, "whether the answer is to be JSON"),
    "stream": (FactKind.FLAG, "whether the answer is to come as a stream"),
    "reasoning": (FactKind.FLAG, "whether the call asks for a reasoning effort"),
    "task": (FactKind.TEXT, "the task's name"),
    "api": (FactKind.TEXT, "chat, responses or embeddings"),
    "subject": (FactKind.FLAG, "whether the scope has a subject"),
    "hour": (FactKind.NUMBER, "the hour of the day in UTC, 0 to 23"),
}
"""The facts of a call, each with its kind and its description. ``labels.NAME``, a text, comes beside these."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that the rule itself gives."""

    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the call, by its name in :data:`FACTS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the scope."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """True if the part is not."""

    part: Rule


@dataclass(frozen=True, slots=True)
class Both:
    """True if all parts are."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """True if any part is."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """``first sign value sign value ...``: true if each pair of neighbours is as its sign says."""

    first: Rule
    rest: tuple[tuple[str, Rule], ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """``part in [...]``."""

    part: Rule
    values: tuple[Rule, ...]


Rule = Literal | Fact | Label | Not | Both | Either | Compare | OneOf
"""A rule as a tree."""
