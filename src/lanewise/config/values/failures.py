"""Failures as a config names them: in a lane's ``on``, and as the keys of a task's ``retries``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.values.scalars import wrong
from lanewise.types import NEVER_MOVE, FailureKind

__all__ = ["DEFAULT", "DEFAULT_ON", "FailureKey", "FailureSet"]

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


FailureSet = Annotated[
    frozenset[FailureKind],
    BeforeValidator(_failures),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"enum": [DEFAULT, *_MOVING]}}),
]
FailureKey = Annotated[FailureKind, BeforeValidator(_failure)]
