"""A compiled JSON Schema: it reports where a value breaks it, and by which keyword, and never the value.

Nothing of the package is imported here: the process that checks loads this file alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

__all__ = ["BadSchema", "CompiledSchema", "extent", "path_text", "property_names", "tables"]

_TOLD: Final = 3
"""How many breaches of one answer are reported."""
_SMALL: Final = 300
"""Up to so many values in an answer all its breaches are looked for, and above it the first: each takes 5 to 30 us to
make, and the library makes all before it gives one."""
_LARGEST_TOLD: Final = 5000
"""How many values an answer may have for a breach to be looked for: branches may make one for each value (20 ms)."""
_DEEPEST_TOLD: Final = 8
"""And how deep it may be, where the schema refers to itself: it takes the square of the depth, and more with branches
(a second at 500 levels). Seeing whether an answer breaks its schema is quick in any case."""
_PATIENCE: Final = 10**12
"""Steps that a pattern may take: more than there is time for."""
SOMEWHERE: Final = "it breaks its schema somewhere, and is too large or too deep to say where"
_REFERENCES: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_NAME: Final = re.compile(r"[A-Za-z0-9_.$-]{1,64}")


class BadSchema(ValueError):
    """A schema that can't be compiled. The text names the place in it, and holds nothing else of it."""


class CompiledSchema:
    """A compiled schema. It never fetches: a ``$ref`` may only point into the schema itself.

    Its patterns are matched in linear time, and one that can't be is no pattern; ``patient`` has them matched whatever
    that takes. ``lenient`` takes what providers take though it is no schema of the newest draft: a request's schema is
    the app's to send, where one in a config is refused. Raises BadSchema.

    Example::

        schema = CompiledSchema({"type": "object", "required": ["title"]})
        assert schema.breach({"title": "Late parcel"}) is None
        assert schema.breach({}) == "the top level: required (title)"
    """

    __slots__ = ("_checker", "_names", "_refers", "_source")

    def __init__(self, source: object, *, patient: bool = False, lenient: bool = False) -> None:
        import jsonschema_rs

        self._source = source
        self._names: frozenset[str] | None = None
        self._refers: bool | None = None
        options = jsonschema_rs.FancyRegexOptions(_PATIENCE) if patient else jsonschema_rs.RegexOptions()

        def compiled(schema: Any) -> Validator:
            return jsonschema_rs.validator_for(schema, offline=True, mask="[redacted]", pattern_options=options)

        try:
            self._checker = compiled(source)
            return
        except jsonschema_rs.ValidationError as error:
            place = ".".join(str(part) for part in error.instance_path if _NAME.fullmatch(str(part)))
            problem = f"it is no JSON Schema (look at {place or 'its top level'})"
            if error.kind.name in ("referencing", "$ref"):
                problem = "it refers to something outside itself, which is never fetched"
        except (jsonschema_rs.ReferencingError, ValueError, TypeError, RecursionError):
            problem = "it is no JSON Schema, or refers to something outside itself, which is never fetched"
        for other in _as_other_drafts(source) if lenient else ():
            try:
                self._checker = compiled(other)
            except (
                jsonschema_rs.ValidationError,
                jsonschema_rs.ReferencingError,
                ValueError,
                TypeError,
                RecursionError,
            ):
                continue
            return
        raise BadSchema(problem)  # outside the handlers: the library's error must not travel along

    def __repr__(self) -> str:
        return "<CompiledSchema>"

    def keeps(self, value: object) -> bool:
        """Whether a value keeps the schema."""
        try:
            return self._checker.is_valid(value)
        except (ValueError, RecursionError):
            return False

    def breach(self, value: object) -> str | None:
        """Where a value breaks the schema, in paths and keywords; ``None`` if it keeps it. Names that are not the
        schema's own are left out: they are the answer's."""
        try:
            if self._checker.is_valid(value):
                return None
            size, depth = extent(value)
            if size > _LARGEST_TOLD or (depth > _DEEPEST_TOLD and self._refers_to_itself()):
                return SOMEWHERE
            return self._all_told(value) if size <= _SMALL else self._first_told(value)
        except (ValueError, RecursionError):
            return "it can't be checked against its schema"

    def _refers_to_itself(self) -> bool:
        """Whether it may: not all that refer to something go round."""
        if self._refers is None:
            self._refers = any(not _REFERENCES.isdisjoint(item) for item in tables(self._source))
        return self._refers

    def _all_told(self, value: object) -> str:
        errors = islice(self._checker.iter_errors(value), _TOLD)
        return "; ".join(dict.fromkeys(self._told(error) for error in errors))

    def _first_told(self, value: object) -> str:
        import jsonschema_rs

        try:
            self._checker.validate(value)
        except jsonschema_rs.ValidationError as error:
            return self._told(error)
        raise AssertionError("it broke the schema a moment ago")

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
            self._names = property_names(self._source)
        return self._names


_DRAFTS: Final = tuple(f"http://json-schema.org/draft-0{number}/schema#" for number in (7, 4))
"""Without a ``$schema`` a schema is of the newest draft, which forbids what these had: a list of ``items`` (7), a true
``exclusiveMinimum`` (4)."""
_NEWER: Final = frozenset(
    {
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$recursiveRef",
        "const",
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that one of those drafts ignores, so that an answer which breaks them would pass."""
_BESIDE_A_REFERENCE: Final = frozenset({"$ref", "$comment", "$defs", "default", "definitions", "description", "title"})
"""What says nothing of an answer: all else beside a ``$ref`` those drafts ignore."""
_KNOWN_DRAFTS: Final = re.compile(r"https?://json-schema\.org/.*")
_ANNOTATIONS: Final = ("$comment", "description", "examples", "title")
_BY_NAME: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose tables have names of the app's, and schemas by them."""
_VALUES: Final = frozenset({"const", "default", "enum", "examples"})


def _as_other_drafts(source: object) -> Iterator[object]:
    """What else a schema may be meant to be that can't be compiled as its ``$schema`` says, or as the newest draft.

    Providers take it as it was sent: a dialect that nobody knows (OpenAPI's, say) is the newest draft with further
    words, and an annotation of another type (``"description": null``) says nothing of an answer.
    """
    if not isinstance(source, Mapping):
        return
    try:
        read = _without_odd_annotations(source)
    except RecursionError:
        return
    dialect = read.get("$schema")
    if isinstance(dialect, str) and _KNOWN_DRAFTS.fullmatch(dialect):
        yield read
        return
    read = {name: value for name, value in read.items() if name != "$schema"}
    yield read
    if not any(_is_newer(table) for table in tables(read)):
        for draft in _DRAFTS:
            yield {"$schema": draft, **read}


def _is_newer(table: Mapping[Any, object]) -> bool:
    """Whether a part of a schema holds what an older draft ignores, or names properties like that."""
    return not _NEWER.isdisjoint(table) or ("$ref" in table and not _BESIDE_A_REFERENCE.issuperset(table))


def _without_odd_annotations(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_odd_annotations(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    read = {}
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, Mapping):
            read[name] = {each: _without_odd_annotations(inner) for each, inner in value.items()}
        elif not (name in _ANNOTATIONS and _is_odd(name, value)):
            read[name] = value if name in _VALUES else _without_odd_annotations(value)
    return read


def _is_odd(name: object, value: object) -> bool:
    """Whether an annotation has another type than its own. A table or a truth may be a property of that name."""
    return not isinstance(value, Mapping | bool | (list if name == "examples" else str))


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


def property_names(source: object) -> frozenset[str]:
    """The names of properties that a schema itself has."""
    return frozenset(_properties(source))


def extent(value: object) -> tuple[int, int]:
    """How many values there are in a JSON value, and on how many levels; no further than need be known."""
    size = depth = 0
    items: list[object] = [value]
    while items and size <= _LARGEST_TOLD:
        size += len(items)
        depth += 1
        items = [inner for item in items for inner in _inner(item)]
    return size, depth


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _properties(source: object) -> Iterator[str]:
    for table in tables(source):
        declared = table.get("properties")
        if isinstance(declared, Mapping):
            yield from (name for name in declared if isinstance(name, str))


def tables(source: object) -> Iterator[Mapping[object, object]]:
    """All tables of a schema, at any depth."""
    waiting = [source]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            yield item
        waiting.extend(_inner(item))
