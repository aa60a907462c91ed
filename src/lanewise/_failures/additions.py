"""What is added to a request that the app did not write, and how an error's body is told to name it.

A server that the plain SDK gets an answer from may refuse what was added: it is sent once more without.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

__all__ = ["Addition", "named_in"]


class Addition(StrEnum):
    """Something added; the value is what an attempt's ``dropped`` calls it."""

    USAGE = "stream_options"
    """``include_usage``, so that a stream can be accounted for."""
    FORMAT = "response_format"
    """The format of a task's contract, where the app gave none."""
    SUFFIX = "system_suffix"
    """A message (or instructions) of a route's own, where the app wrote none."""


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


def named_in(body: bytes) -> tuple[Addition, ...]:
    """What of all that may be added an error's body names, whatever its wording and shape.

    Example::

        named_in(b"json: unknown field \\"stream_options\\"")  # (Addition.USAGE,)
    """
    return tuple(addition for addition, names in _NAMES.items() if names.search(body))
