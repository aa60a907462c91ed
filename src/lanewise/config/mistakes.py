"""What is wrong with a config: each mistake with its place, collected so that one error lists them all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ConfigError", "Mistake", "MistakeCollector", "Place", "looks_like_key", "nearest", "place_text", "quoted"]

Place = tuple[str | int, ...]
"""The way from the top of the config to a value: ``("tasks", "chat", "primary")``."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
# How the keys of the well-known providers begin; a key that was pasted where a name belongs must not be printed.
_KEY_START = re.compile(r"(?:sk|pk|rk|gsk|hf|r8|xai|pplx|fw|nvapi|ghp|glpat)[-_]|AIza|[Bb]earer ")
_LONG_RUN = re.compile(r"(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}")
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where it is, what is wrong, and what would be right. ``line`` is counted from 1."""

    place: str
    problem: str
    fix: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = self.place if self.line is None else f"line {self.line}, {self.place}"
        return ": ".join(part for part in (where, " ".join(filter(None, (self.problem + ".", self.fix)))) if part)


class ConfigError(ValueError):
    """The config can't be used. ``mistakes`` has every mistake that was found, in the order of the file.

    Neither the text nor the mistakes hold the value of a key.

    Example::

        try:
            config = Config.from_file("lanewise.toml")
        except ConfigError as error:
            for mistake in error.mistakes:
                print(mistake.place, mistake.problem, mistake.fix)
    """

    mistakes: tuple[Mistake, ...]
    source: str | None

    def __init__(self, mistakes: Iterable[Mistake], source: str | None = None) -> None:
        self.mistakes = tuple(mistakes)
        self.source = source
        super().__init__(self.mistakes, source)

    def __str__(self) -> str:
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = [f"{self.source or 'the config'} has {count}:", *(f"  {mistake}" for mistake in self.mistakes)]
        return "\n".join(lines)


@dataclass(slots=True)
class MistakeCollector:
    """Collects mistakes while a config is read. ``lines`` has the line of each place, if a file was read."""

    lines: Mapping[Place, int] = field(default_factory=dict)
    found: list[Mistake] = field(default_factory=list)

    def add(self, place: Place, problem: str, fix: str = "") -> None:
        mistake = Mistake(place_text(place), problem, fix, self._line(place))
        if mistake not in self.found:
            self.found.append(mistake)

    def expect_declared(self, place: Place, what: str, name: str, declared: Collection[str]) -> None:
        """Note a name that refers to nothing; ``what`` is the kind of thing that it should name."""
        if name not in declared:
            self.add(place, f"no {what} is called {quoted(name)}", nearest(name, declared) or f"No {what} is declared.")

    def has(self, place: Place) -> bool:
        """Whether a mistake was noted at this place or below it."""
        text = place_text(place)
        return any(found.place == text or found.place.startswith((f"{text}.", f"{text}[")) for found in self.found)

    def raise_any(self, source: str | None) -> None:
        """Raise a :class:`ConfigError` with all that was found, if anything was."""
        if self.found:
            raise ConfigError(sorted(self.found, key=lambda mistake: mistake.line or 0), source)

    def _line(self, place: Place) -> int | None:
        for end in range(len(place), 0, -1):
            if (line := self.lines.get(place[:end])) is not None:
                return line
        return None


def place_text(place: Place) -> str:
    """A place as it would be written in TOML: ``tasks.chat.primary``, ``endpoints."/payments/*"``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE.fullmatch(part) and not looks_like_key(part) else quoted(part, '"')
            text += f".{key}" if text else key
    return text


def quoted(value: object, mark: str = "'") -> str:
    """A short value for a message: printable, cut at 64 characters, and never what may be a key."""
    if isinstance(value, str):
        if looks_like_key(value):
            return "(a text that looks like a key, not shown)"
        cut = value[:_SHOWN] + ("..." if len(value) > _SHOWN else "")
        return mark + ascii(cut)[1:-1] + mark
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if abs(value) < 1e18 else "a huge number"
    return f"a {kind_of(value)}"


def kind_of(value: object) -> str:
    """What TOML calls a value of this type."""
    if value is None:
        return "missing value"
    if isinstance(value, bool):
        return "boolean"
    for kinds, word in (
        ((str, Path), "text"),
        ((int, float), "number"),
        ((list, tuple, set, frozenset), "list"),
        ((Mapping,), "table"),
    ):
        if isinstance(value, kinds):
            return word
    return "value of another type"


def looks_like_key(text: str) -> bool:
    """Whether a text may be a key that was pasted in the wrong place. Such a text is never shown."""
    if len(text) < 16:
        return False
    begins_like_one = _KEY_START.match(text) is not None and any(character.isdigit() for character in text)
    return begins_like_one or _LONG_RUN.search(text) is not None


def nearest(name: object, known: Iterable[str]) -> str:
    """What would be right instead of a name that is not known: the nearest one, else all of them."""
    names = sorted(known)
    if isinstance(name, str) and (close := difflib.get_close_matches(name[:_SHOWN], names, n=1)):
        return f"Did you mean {quoted(close[0])}?"
    if not names:
        return ""
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"Known: {listed}"
