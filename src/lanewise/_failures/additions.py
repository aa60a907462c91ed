"""What is added to a request that the app did not write, how an error's body names it, and what of it is taken out.

A server that the plain SDK gets an answer from may refuse what was added: it is sent once more without.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from lanewise.types import BreakerEffect, Failure, FailureKind

__all__ = ["Addition", "Removal", "named_in", "to_take_out"]

_REFUSALS: Final = frozenset({200, 400, 404, 415, 422})
"""Statuses after which what was added goes though nothing names it; a 200 is one with such an error inside."""


class Addition(StrEnum):
    """Something added; the value is what an attempt's ``dropped`` calls it."""

    USAGE = "stream_options"
    """``include_usage``, so that a stream can be accounted for."""
    FORMAT = "response_format"
    """The format of a task's contract, where the app gave none."""
    SUFFIX = "system_suffix"
    """A message (or instructions) of a route's own, where the app wrote none."""


_NO_PARAMETER: Final = (None, "stream", "body")
"""Parameters whose being refused says nothing, since the plain SDK sends them too."""

_NAMES: Final = {
    Addition.USAGE: re.compile(rb"stream[_ -]?options|include[_ -]?usage", re.IGNORECASE),
    Addition.FORMAT: re.compile(
        rb"response[_ -]?(?:format|schema)|json[_ -]?(?:schema|object|mode)|structured[_ -]?outputs?|text\.format"
        rb"|guided[_ -]?json|output[_ -]?format",
        re.IGNORECASE,
    ),
    Addition.SUFFIX: re.compile(
        rb"\bsystem[_ -]?(?:role|message|prompt|instruction|turn)|role.{0,40}?\b(?:system|developer)\b"
        rb"|\b(?:system|developer)\b.{0,20}?\brole|\binstructions\b",
        re.IGNORECASE,
    ),
}


def named_in(body: bytes) -> tuple[str, ...]:
    """What of all that may be added an error's body names, whatever its wording and shape.

    Example::

        named_in(b"json: unknown field \\"stream_options\\"")  # ("stream_options",)
    """
    return tuple(addition.value for addition, names in _NAMES.items() if names.search(body))


class Removal(msgspec.Struct, frozen=True):
    """What of the additions is taken out for the next try; ``named`` says that the error named it."""

    additions: tuple[str, ...]
    named: bool


def to_take_out(failure: Failure, added: Sequence[str], *, sensitive: bool) -> Removal | None:
    """Which additions are taken out after this failure: what its body names, or, if it names nothing at all, what the
    answer can do without.

    Of a sensitive call only ``include_usage`` may go. A suffix that nothing names goes where nothing else is left.

    Example::

        to_take_out(failure, ["stream_options"], sensitive=False)  # Removal(("stream_options",), named=True)
    """
    may_go = [name for name in added if name == Addition.USAGE or not sensitive]
    named = tuple(name for name in may_go if name in failure.names)
    if named:
        return Removal(named, named=True) if _may_be_its_fault(failure) else None
    if not may_go or not _is_vague(failure):
        return None
    dispensable = tuple(name for name in may_go if name != Addition.SUFFIX)
    return Removal(dispensable or tuple(may_go), named=False)


def _may_be_its_fault(failure: Failure) -> bool:
    """Whether a failure whose body names an addition may come of it."""
    return failure.kind in (FailureKind.UNSUPPORTED_PARAMETER, FailureKind.BAD_REQUEST)


def _is_vague(failure: Failure) -> bool:
    """Whether a request was refused, and nothing says what is wrong with it."""
    if failure.http_status not in _REFUSALS or failure.param not in _NO_PARAMETER:
        return False
    if failure.about_content:
        return False
    if failure.kind is FailureKind.MODEL_MISSING:  # a 404 of an API, or of what the request needs
        return failure.breaker is BreakerEffect.NEUTRAL
    return failure.kind in (FailureKind.BAD_REQUEST, FailureKind.UNSUPPORTED_PARAMETER)
