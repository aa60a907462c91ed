"""Reading a TOML file, with the line of each key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

from lanewise.config.mistakes import ConfigError, Mistake, Place

__all__ = ["read_toml"]

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE: Final = re.compile(rf"\s*\[\s*({_KEY})\s*\]")
_ASSIGNMENT: Final = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_LONG_QUOTES: Final = ('"""', "'''")


def read_toml(source: Path) -> tuple[dict[str, object], dict[Place, int]]:
    """A TOML file, with the line of each table and key.

    Raises ConfigError: the file can't be read, or is no TOML.
    """
    text = _text_of(source)
    return _parsed(text, source), _lines_of(text)


def _text_of(source: Path) -> str:
    try:
        # utf-8-sig: editors on Windows like to begin a file with a byte order mark, which TOML forbids.
        return source.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        mistake = Mistake("", "the file is not UTF-8", f"Look at byte {error.start}.")
    except FileNotFoundError:
        problem = f"the file {source.absolute()} does not exist"
        mistake = Mistake("", problem, "`lanewise init` writes one to start from.")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        mistake = Mistake("", f"the file can't be read ({getattr(error, 'strerror', None) or 'not a path'})")
    raise ConfigError([mistake], str(source))


def _parsed(text: str, source: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        detail = str(error)
    except RecursionError:
        detail = "it is nested too deeply"
    at = re.search(r" \(at line (\d+), column (\d+)\)$", detail)
    line = int(at[1]) if at else None
    place: Place = (f"column {at[2]}",) if at else ()
    problem = detail[: at.start()] if at else detail
    raise ConfigError([Mistake(str(place[0]) if place else "", f"this is not TOML: {problem}", line=line)], str(source))


def _lines_of(text: str) -> dict[Place, int]:
    """The line, from 1, of each table and key of a TOML text, which tomllib does not report.

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
