"""The whole config: read from a file, from a mapping or from Python, refused with all its mistakes at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from lanewise.config.budgets import Budget
from lanewise.config.clients import Client
from lanewise.config.cross_checks import check_references
from lanewise.config.mistakes import ConfigError, Mistake, MistakeCollector, Place, kind_of
from lanewise.config.models import Provider, Route, RouterSettings, SensitiveCategory, Task
from lanewise.config.parsing import Sections, read_sections

__all__ = ["Config"]

_NOT_YET: Final[Mapping[str, Callable[[RouterSettings], bool]]] = {
    "drill_header": lambda router: router.drill_header is not None,
}
"""What can be declared and is not carried out by this version: named when a router opens, never ignored silently."""
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE: Final = re.compile(rf"\s*\[\s*({_KEY})\s*\]")
_ASSIGNMENT: Final = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_LONG_QUOTES: Final = ('"""', "'''")


class Config(BaseModel):
    """What an app declares. Frozen; safe to print and to pickle: it has no key in it.

    Raises:
        ConfigError: with every mistake that was found, not only the first.

    Example::

        config = Config.from_file("lanewise.toml")
        config = Config(
            providers={"openai": Provider()},
            routes={"main": Route(provider="openai", model="gpt-5.5", timeout=20.0)},
            tasks={"chat": {"primary": "main"}},
        )
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    providers: dict[str, Provider]
    routes: dict[str, Route]
    tasks: dict[str, Task]
    sensitive: dict[str, SensitiveCategory] = {}
    endpoints: dict[str, str] = {}
    clients: dict[str, Client] = {}
    budgets: dict[str, Budget] = {}
    router: RouterSettings = RouterSettings()
    source: Path | None = None

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider | Mapping[str, object]] | None = None,
        routes: Mapping[str, Route | Mapping[str, object]] | None = None,
        tasks: Mapping[str, Task | Mapping[str, object]] | None = None,
        sensitive: Mapping[str, SensitiveCategory | Mapping[str, object]] | None = None,
        endpoints: Mapping[str, str] | None = None,
        clients: Mapping[str, Client | Mapping[str, object]] | None = None,
        budgets: Mapping[str, Budget | Mapping[str, object]] | None = None,
        router: RouterSettings | Mapping[str, object] | None = None,
        source: Path | None = None,
    ) -> None:
        given: dict[str, object] = {
            "providers": providers,
            "routes": routes,
            "tasks": tasks,
            "sensitive": sensitive,
            "endpoints": endpoints,
            "clients": clients,
            "budgets": budgets,
            "router": router,
        }
        self._fill(_checked(given, MistakeCollector(), source, in_file=False), source)

    def _fill(self, sections: Sections, source: Path | None) -> None:
        super().__init__(
            providers=sections.providers,
            routes=sections.routes,
            tasks=sections.tasks,
            sensitive=sections.sensitive,
            endpoints=sections.endpoints,
            clients=sections.clients,
            budgets=sections.budgets,
            router=sections.router,
            source=source,
        )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], source: Path | None = None) -> Self:
        """Read a mapping that has the form of the TOML file. Durations may also be numbers of seconds.

        Raises:
            ConfigError: with every mistake that was found.
        """
        return cls._from(mapping, MistakeCollector(), source, in_file=False)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigError: the file can't be read, is no TOML, or has mistakes; each is named with its line.
        """
        source = Path(path)
        text = _text_of(source)
        mapping = _parsed(text, source)
        return cls._from(mapping, MistakeCollector(_lines_of(text)), source, in_file=True)

    @classmethod
    def _from(
        cls, mapping: Mapping[str, object], findings: MistakeCollector, source: Path | None, *, in_file: bool
    ) -> Self:
        config = cls.__new__(cls)
        config._fill(_checked(mapping, findings, source, in_file=in_file), source)
        return config

    def not_yet(self) -> tuple[str, ...]:
        """The places of what is declared here and not carried out by this version.

        Example::

            print(*Config.from_file("lanewise.toml").not_yet())
        """
        return tuple(f"router.{key}" for key, declared in _NOT_YET.items() if declared(self.router))


def _checked(mapping: object, findings: MistakeCollector, source: Path | None, *, in_file: bool) -> Sections:
    name = None if source is None else str(source)
    if not isinstance(mapping, Mapping):
        raise ConfigError([Mistake("", f"a config is a table, not a {kind_of(mapping)}")], name)
    given = {key: value for key, value in mapping.items() if value is not None}
    sections = read_sections(given, findings, in_file=in_file)
    check_references(sections, findings)
    findings.raise_any(name)
    return sections


def _text_of(source: Path) -> str:
    try:
        # utf-8-sig: editors on Windows like to begin a file with a mark, which TOML has no place for.
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
    """The line, from 1, of each table and key of a TOML text: tomllib reads it, and does not tell.

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
