"""An upper bound of the work of checking a value against a JSON Schema, from the schema alone: one whose branches
multiply is never checked on the event loop.

A keyword that applies a schema in the same place (``anyOf``, ``$ref``) is evaluated along each path that leads to it:
of thirty levels of ``anyOf`` with twice the next ``$ref`` that is two to the thirtieth. One that applies a schema
further in (``properties``, ``items``) is evaluated once for each value there and path. So the most work at one value is
the number of paths from the top that lead there, weighed, and the whole is at most that times the number of values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from lanewise._contracts.compiled_schema import tables
from lanewise._contracts.pattern_cost import LARGEST_PATTERN, compiled_size, linear_units

__all__ = ["CheckCost", "compiles_quickly", "cost_of"]

_LARGEST: Final = 64 * 1024
"""Bytes of a schema that is looked into: a larger one takes longer than 10 ms to compile (0.18 ms a kB)."""
_STEPS: Final = 20_000
"""Steps that looking into a schema may take (about 10 ms)."""
_LEVELS: Final = 64
"""How deep into a value the paths of a schema that grows with the depth are counted."""
_MOST: Final = 1e6
"""Units at one value from which a schema is too much work for any answer."""
_PATTERNS: Final = 32
_SAME_LISTS: Final = ("allOf", "anyOf", "oneOf")
_SAME: Final = ("not", "if", "then", "else")
_SAME_TABLES: Final = ("dependentSchemas", "dependencies")
_INNER: Final = ("additionalProperties", "propertyNames")
_NOT_COUNTED: Final = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"})
"""What these evaluate isn't to be seen from where they stand."""
_SLOW_FORMATS: Final = frozenset({"regex", "idn-hostname", "idn-email", "iri", "iri-reference"})
_ANY_PROPERTY: Final = "*"
_ANY_ITEM: Final = "[]"

_Inner = dict[str, dict[int, int]]
"""By what leads to them (a property's name, an item's place), the subschemas further in and on how many paths."""


class CheckCost(msgspec.Struct, frozen=True):
    """The most work that checking takes, in units of about 25 ns.

    ``top`` is for the value itself, ``per_value[d]`` for each value within one that is ``d`` levels deep; where that
    does not grow with the depth, the last holds for any. ``per_character`` is for the patterns of the schema.
    """

    top: float
    per_value: tuple[float, ...]
    grows: bool
    per_character: float

    def of(self, values: int, depth: int, characters: int) -> float:
        """The work for a value that holds so many, is so deep and has so many characters; infinite if it has no bound.

        Example::

            cost = cost_of({"type": "object", "properties": {"title": {"type": "string"}}})
            work = cost.of(values=2, depth=1, characters=40)
        """
        if self.grows and depth >= len(self.per_value):
            return math.inf
        per_value = self.per_value[min(depth, len(self.per_value) - 1)]
        return self.top + values * per_value + characters * self.per_character


class _Uncounted(Exception):
    """The schema is too much work for any value, takes too long to look into, or has what can't be counted."""


def cost_of(source: object) -> CheckCost | None:
    """What checking by a schema costs; ``None`` if that can't be bounded, or is too much for any value.

    Example::

        assert cost_of({"$ref": "#"}) is None  # it goes round in one place
    """
    if not isinstance(source, Mapping):
        return CheckCost(1.0, (0.0,), grows=False, per_character=0.0)
    try:
        if len(msgspec.json.encode(source)) > _LARGEST:
            return None
        return _Counter(source).cost()
    except (_Uncounted, RecursionError, msgspec.MsgspecError, TypeError, ValueError):
        return None


def compiles_quickly(source: object) -> bool:
    """Whether a schema can be compiled without a thought: it is short, and so are its patterns.

    Example::

        assert compiles_quickly({"$ref": "#/$defs/missing"})
    """
    try:
        raw = msgspec.json.encode(source)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        return True  # and is no schema, which is found out at once
    if len(raw) > _LARGEST or b'"pattern' not in raw:
        return len(raw) <= _LARGEST
    patterns = {pattern for table in tables(source) for pattern in _patterns(table)}
    return len(patterns) <= _PATTERNS and sum(map(compiled_size, patterns)) <= LARGEST_PATTERN


class _Node(msgspec.Struct, gc=False):
    """A subschema: its own work, and those that it applies in the same place and further in."""

    weight: float
    per_character: float
    same: list[int]
    inner: list[tuple[str, int]]


class _Counter:
    """The subschemas of one schema as a graph, and the paths through it."""

    def __init__(self, source: Mapping[object, object]) -> None:
        self._source = source
        self._steps = 0
        self._patterns: dict[str, float] = {}
        self._nodes: list[_Node] = []
        self._closures: list[dict[int, int] | None] = []

    def cost(self) -> CheckCost:
        """Raises _Uncounted."""
        self._read()
        self._closures = [None] * len(self._nodes)
        closures = [self._closure(number, ()) for number in range(len(self._nodes))]
        inner = [self._inner(closure) for closure in closures]
        top, values, grows = self._levels(closures, inner, [node.weight for node in self._nodes])
        if not any(node.per_character for node in self._nodes):
            return CheckCost(top, values, grows, 0.0)
        here, characters, more = self._levels(closures, inner, [node.per_character for node in self._nodes])
        if more:
            raise _Uncounted
        return CheckCost(top, values, grows, max(here, characters[-1]))

    def _step(self, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > _STEPS:
            raise _Uncounted

    # -- the graph ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Number all subschemas that the top leads to; the top is 0."""
        numbers: dict[int, int] = {}
        tables: list[Mapping[object, object]] = []

        def number(schema: Mapping[object, object]) -> int:
            found = numbers.get(id(schema))
            if found is None:
                found = numbers[id(schema)] = len(tables)
                tables.append(schema)
            return found

        number(self._source)
        for table in tables:  # grows as it is read
            self._step(1 + len(table))
            if not _NOT_COUNTED.isdisjoint(table) or ("$id" in table and table is not self._source):
                raise _Uncounted
            node = _Node(_weight(table), self._per_character(table), [], [])
            self._nodes.append(node)
            for label, inner in self._applied(table):
                if isinstance(inner, Mapping):
                    self._step()
                    if label is None:
                        node.same.append(number(inner))
                    else:
                        node.inner.append((label, number(inner)))

    def _applied(self, table: Mapping[object, object]) -> Iterator[tuple[str | None, object]]:
        """The subschemas that a schema applies; without a label those in the same place."""
        reference = table.get("$ref")
        if reference is not None:
            yield None, self._target(reference)
        for keyword in _SAME_LISTS:
            yield from ((None, inner) for inner in _items(table.get(keyword)))
        for keyword in _SAME:
            yield None, table.get(keyword)
        for keyword in _SAME_TABLES:
            yield from ((None, inner) for inner in _table(table.get(keyword)).values())
        for name, inner in _table(table.get("properties")).items():
            yield f"p{name}", inner
        for inner in _table(table.get("patternProperties")).values():
            yield _ANY_PROPERTY, inner
        for keyword in _INNER:
            yield _ANY_PROPERTY, table.get(keyword)
        for keyword in ("prefixItems", "items"):
            yield from ((f"i{place}", inner) for place, inner in enumerate(_items(table.get(keyword))))
        for keyword in ("items", "additionalItems", "contains"):
            yield _ANY_ITEM, table.get(keyword)

    def _target(self, reference: object) -> object:
        """What a reference within the schema points to."""
        if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
            raise _Uncounted
        found: object = self._source
        for part in reference.split("/")[1:]:
            self._step()
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise _Uncounted
        if found is None:
            raise _Uncounted
        return found

    def _per_character(self, table: Mapping[object, object]) -> float:
        format_ = table.get("format")
        if isinstance(format_, str) and format_ in _SLOW_FORMATS:
            raise _Uncounted
        units = 0.0 if format_ is None else 1.0
        return units + sum(map(self._pattern, _patterns(table)))

    def _pattern(self, pattern: str) -> float:
        if pattern not in self._patterns:
            if len(self._patterns) >= _PATTERNS or (units := linear_units(pattern)) is None:
                raise _Uncounted
            self._patterns[pattern] = units
        return self._patterns[pattern]

    # -- the paths ----------------------------------------------------------------------------------------------------

    def _closure(self, number: int, above: tuple[int, ...]) -> dict[int, int]:
        """All that is evaluated in one place with a subschema, and on how many paths."""
        known = self._closures[number]
        if known is not None:
            return known
        if number in above:
            raise _Uncounted  # it goes round in one place
        paths = {number: 1}
        for same in self._nodes[number].same:
            further = self._closure(same, (*above, number))
            self._step(len(further))
            for target, count in further.items():
                paths[target] = paths.get(target, 0) + count
        if max(paths.values()) > _MOST:
            raise _Uncounted
        self._closures[number] = paths
        return paths

    def _inner(self, closure: Mapping[int, int]) -> _Inner:
        """All that is evaluated one level further in."""
        inner: _Inner = {}
        for number, count in closure.items():
            self._step(len(self._nodes[number].inner))
            for label, target in self._nodes[number].inner:
                targets = inner.setdefault(label, {})
                targets[target] = targets.get(target, 0) + count
        return inner

    def _levels(
        self, closures: list[dict[int, int]], inner: list[_Inner], weights: list[float]
    ) -> tuple[float, tuple[float, ...], bool]:
        """The most work at the top, at one value within by how deep that may be, and whether it goes on growing."""
        work = [sum(count * weights[target] for target, count in closure.items()) for closure in closures]
        if work[0] > _MOST:
            raise _Uncounted
        top, levels, seen = work[0], [0.0], {tuple(work)}
        edges = sum(len(targets) for labels in inner for targets in labels.values())
        while any(work):
            if len(levels) > _LEVELS or self._steps + edges > _STEPS:
                return top, tuple(levels), True
            self._steps += edges
            work = [_next_level(labels, work) for labels in inner]
            if work[0] > _MOST:
                return top, tuple(levels), True
            levels.append(max(levels[-1], work[0]))
            if tuple(work) in seen:
                break
            seen.add(tuple(work))
        return top, tuple(levels), False


def _next_level(labels: _Inner, work: list[float]) -> float:
    """The most work at one value that is a level further in: it is one property, or one item."""
    by_label = {
        label: sum(count * work[target] for target, count in targets.items()) for label, targets in labels.items()
    }
    in_object = by_label.pop(_ANY_PROPERTY, 0.0)
    in_list = by_label.pop(_ANY_ITEM, 0.0)
    in_object += max((units for label, units in by_label.items() if label[0] == "p"), default=0.0)
    in_list += max((units for label, units in by_label.items() if label[0] == "i"), default=0.0)
    return max(in_object, in_list)


def _weight(table: Mapping[object, object]) -> float:
    """The units of a subschema's own keywords."""
    unique = 8.0 if table.get("uniqueItems") is True else 0.0
    names = len(_table(table.get("properties"))) + len(_items(table.get("required")))
    return 1.0 + len(table) + unique + names + len(_items(table.get("enum"))) / 8


def _patterns(table: Mapping[object, object]) -> list[str]:
    """The patterns that a subschema itself has."""
    found = [table.get("pattern"), *_table(table.get("patternProperties"))]
    return [pattern for pattern in found if isinstance(pattern, str)]


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _table(value: object) -> Mapping[object, object]:
    return value if isinstance(value, Mapping) else {}
