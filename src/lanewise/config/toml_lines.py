"""On which line of a TOML text each key stands. tomllib does not tell, so the text is looked through for its keys."""

from __future__ import annotations

import re
import tomllib

from lanewise.config.mistakes import Place

__all__ = ["lines_of"]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*\[\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_LONG_QUOTES = ('"""', "'''")


def lines_of(text: str) -> dict[Place, int]:
    """The line, from 1, of each table and key of a TOML text that tomllib could read.

    Keys inside of inline tables are not looked for: their line is that of the key before.
    """
    lines: dict[Place, int] = {}
    table: Place = ()
    closing: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if closing is not None:
            closing = None if closing in line else closing
            continue
        if match := _TABLE.match(line):
            table = _parts(match[1])
            place = table
        elif match := _ASSIGNMENT.match(line):
            place = (*table, *_parts(match[1]))
            closing = _opened(match[2])
        else:
            continue
        for end in range(1, len(place) + 1):
            lines.setdefault(place[:end], number)
    return lines


def _parts(key: str) -> Place:
    parts: list[str] = []
    value: object = tomllib.loads(f"{key} = 0")
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        parts.append(name)
    return tuple(parts)


def _opened(value: str) -> str | None:
    """The quotes that close a text which goes on after this line."""
    for quotes in _LONG_QUOTES:
        if value.count(quotes) % 2:
            return quotes
    return None
