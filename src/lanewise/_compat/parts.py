"""A part of a library that is used without its promise: its name, and how a change of it is noticed."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from types import CodeType

__all__ = ["Library", "Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """A function, method or attribute, as ``"module:Class.name"``.

    ``takes`` are parameters that it is called with, or that a method of ours in its place is called with. ``uses`` are
    names that its code must have in it: a method of ours is only called while that names it, and an attribute of an
    instance is only there while ``__init__`` sets it. ``since`` is the version that brought a part which older ones do
    without.
    """

    where: str
    takes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    since: str = "0"

    def change(self) -> str | None:
        """What is no longer as it was, or ``None``."""
        module, _, path = self.where.partition(":")
        try:
            found: object = importlib.import_module(module)
            for name in path.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError):
            return f"{self.where} is gone"
        found = _own(inspect.unwrap(found), module) if callable(found) else found
        missing = [name for name in self.takes if name not in _parameters(found)]
        if missing:
            return f"{self.where} takes no {missing[0]!r}"
        missing = [name for name in self.uses if name not in _names(getattr(found, "__code__", None))]
        return f"{self.where} does nothing with {missing[0]!r}" if missing else None


@dataclass(frozen=True, slots=True)
class Library:
    """A library's parts, with the lowest and highest version in which they were seen to be as they are used."""

    distribution: str
    seen: tuple[str, str]
    parts: tuple[Part, ...]

    def changes(self) -> list[str]:
        """What the installed version has changed of the parts."""
        return [change for part in self.there() if (change := part.change()) is not None]

    def there(self) -> list[Part]:
        """The parts that the installed version must have."""
        installed = _release(self._version())
        return [part for part in self.parts if _release(part.since) <= installed]

    def problem(self) -> str | None:
        """What is wrong with the installed version, or ``None``. About 0.2 ms, and the import of the library."""
        changes = self.changes()
        if not changes:
            return None
        return f"version {self._version()} has changed in what is used of it: {', '.join(changes)}"

    def fix(self) -> str:
        """Which versions to install."""
        lowest, highest = self.seen
        return f"Install one that is known to work: pip install '{self.distribution}>={lowest},<={highest}'"

    def _version(self) -> str:
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return "(unknown)"


def _own(found: Callable[..., object], module: str) -> Callable[..., object]:
    """The library's own function, where a monitor (Sentry's, say) has put one around it that has no ``__wrapped__``."""
    if not inspect.isfunction(found) or _package(found.__module__) == _package(module):
        return found
    for cell in found.__closure__ or ():
        inner = cell.cell_contents
        if inspect.isfunction(inner):
            own = _own(inspect.unwrap(inner), module)
            if _package(own.__module__) == _package(module):
                return own
    return found


def _package(module: str) -> str:
    return module.partition(".")[0]


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version; those of a version that says none are beyond all others."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else (sys.maxsize,)


def _parameters(found: object) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(found).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return frozenset()


def _names(code: CodeType | None) -> frozenset[str]:
    """The names and texts in a function's code, those of the functions within it included."""
    return frozenset() if code is None else frozenset(_walk(code))


def _walk(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):  # the keys of a dict
            yield from (each for each in constant if isinstance(each, str))
        elif isinstance(constant, CodeType):
            yield from _walk(constant)
