"""A JSON Schema, compiled: it tells where a value breaks it, and by which keyword, and never the value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

__all__ = ["BadSchema", "Schema", "path_text"]

_TOLD: Final = 3
"""How many breaches of one answer are told."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.$-]{1,64}")


class BadSchema(ValueError):
    """A schema that can't be compiled. The text names the place in it, and holds nothing else of it."""


class Schema:
    """A compiled schema. It never fetches: a ``$ref`` may only point into the schema itself.

    Raises BadSchema.

    Example::

        schema = Schema({"type": "object", "required": ["title"]})
        assert schema.breach({"title": "Late parcel"}) is None
        assert schema.breach({}) == "the top level: required (title)"
    """

    __slots__ = ("_checker", "_names", "_source")

    def __init__(self, source: object) -> None:
        import jsonschema_rs

        self._source = source
        self._names: frozenset[str] | None = None
        try:
            self._checker = jsonschema_rs.validator_for(source, offline=True, mask="[redacted]")  # type: ignore[arg-type]
            return
        except jsonschema_rs.ValidationError as error:
            place = ".".join(str(part) for part in error.instance_path if _NAME.fullmatch(str(part)))
            problem = f"it is no JSON Schema (look at {place or 'its top level'})"
            if error.kind.name in ("referencing", "$ref"):
                problem = "it refers to something outside itself, which is never fetched"
        except (jsonschema_rs.ReferencingError, ValueError, TypeError, RecursionError):
            problem = "it is no JSON Schema, or refers to something outside itself, which is never fetched"
        raise BadSchema(problem)  # outside the handlers: the library's error must not travel along

    def __repr__(self) -> str:
        return "<Schema>"

    def breach(self, value: object) -> str | None:
        """Where a value breaks the schema, in paths and keywords; ``None`` if it keeps it. Names that are not the
        schema's own are left out: they are the answer's."""
        try:
            if self._checker.is_valid(value):
                return None
            return "; ".join(
                dict.fromkeys(self._told(error) for error in islice(self._checker.iter_errors(value), _TOLD))
            )
        except (ValueError, RecursionError):
            return "it can't be checked against its schema"

    def _told(self, error: ValidationError) -> str:
        missing = getattr(error.kind, "property", None)
        keyword = error.kind.name
        if keyword == "required" and isinstance(missing, str) and _NAME.fullmatch(missing):
            keyword = f"required ({missing})"
        return f"{path_text(error.instance_path, self.names)}: {keyword}"

    @property
    def names(self) -> frozenset[str]:
        """The names of properties that the schema itself has."""
        if self._names is None:
            self._names = frozenset(_properties(self._source))
        return self._names


def path_text(path: list[str | int] | tuple[str | int, ...], names: frozenset[str]) -> str:
    """A place in an answer: ``items[0].price``. A name that is not among ``names`` reads ``*``: it may be anything.

    Example::

        path_text(["items", 0, "secret"], frozenset({"items"}))  # "items[0].*"
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part in names and _NAME.fullmatch(part) else "*"
            text += f".{name}" if text else name
    return text or "the top level"


def _properties(source: object) -> Iterator[str]:
    waiting = [source]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            declared = item.get("properties")
            if isinstance(declared, Mapping):
                yield from (name for name in declared if isinstance(name, str))
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
