"""How much work a check is, told before it is made: never less than it turns out to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _contracts.hostile import branching
from lanewise._contracts.json_schema import MOST_WORK, Schema, TooMuchWork
from lanewise._contracts.schema_cost import cost_of

NAMES = ("a", "b", "c")
LEVELS = 4


def evaluations(schema: Any, value: Any, root: Any) -> int:
    """How often a subschema is evaluated where nothing is left out: each keyword's, however it is decided."""
    known: dict[tuple[int, int], int] = {}  # the number grows exponentially, and so would the time to count one by one

    def counted(schema: Any, value: Any) -> int:
        if isinstance(schema, bool):
            return 0
        if (place := (id(schema), id(value))) not in known:
            known[place] = 1 + sum(counted(*inner) for inner in _evaluated(schema, value, root))
        return known[place]

    return counted(schema, value)


def _evaluated(schema: Any, value: Any, root: Any) -> Iterator[tuple[Any, Any]]:
    """What is evaluated for a schema, each subschema with the value that it is asked of."""
    if "$ref" in schema:
        yield root["$defs"][schema["$ref"].rpartition("/")[2]], value
    for keyword in ("anyOf", "allOf", "oneOf"):
        yield from ((inner, value) for inner in schema.get(keyword, ()))
    if "not" in schema:
        yield schema["not"], value
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        yield from ((inner, value[name]) for name, inner in properties.items() if name in value)
        if "additionalProperties" in schema:
            more = (inner for name, inner in value.items() if name not in properties)
            yield from ((schema["additionalProperties"], inner) for inner in more)
    if isinstance(value, list):
        for keyword in ("items", "contains"):
            yield from ((schema[keyword], inner) for inner in value if keyword in schema)


def extent(value: Any) -> tuple[int, int]:
    inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    found = [extent(item) for item in inner]
    return 1 + sum(values for values, _ in found), max((depth for _, depth in found), default=-1) + 1


VALUES = st.recursive(
    st.sampled_from([1, "x", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)


def subschemas(level: int) -> st.SearchStrategy[dict[str, Any]]:
    """Subschemas of a definition. In the same place they refer to later ones only, else they would go round."""
    same = [{"$ref": f"#/$defs/d{later}"} for later in range(level + 1, LEVELS)]
    inner = st.sampled_from([{"$ref": f"#/$defs/d{any_}"} for any_ in range(LEVELS)] + [{"type": "string"}])
    parts: dict[str, st.SearchStrategy[Any]] = {
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
        "additionalProperties": inner,
        "items": inner,
        "contains": inner,
    }
    if same:
        parts |= {keyword: st.lists(st.sampled_from(same), min_size=1, max_size=2) for keyword in ("anyOf", "allOf")}
        parts["not"] = st.sampled_from(same)
    return st.fixed_dictionaries({}, optional=parts)


SCHEMAS = st.tuples(*(subschemas(level) for level in range(LEVELS))).map(
    lambda found: {"$ref": "#/$defs/d0", "$defs": {f"d{level}": schema for level, schema in enumerate(found)}}
)


@settings(max_examples=300)
@given(SCHEMAS, VALUES)
def test_no_check_is_more_work_than_was_told(schema: dict[str, Any], value: Any) -> None:
    """For schemas that refer to themselves, branch and overlap, at any depth."""
    cost = cost_of(schema)
    values, depth = extent(value)
    assert cost is None or cost.of(values, depth, 0) >= evaluations(schema, value, schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(30)}},
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"inner": {"items": {"$ref": "#/$defs/tree"}}}}}},
        {"properties": {"day": {"pattern": r"^\d{4}-\d{2}-\d{2}$"}}},
        {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"required": ["x"]}}},
    ],
    ids=["wide", "tree", "pattern", "optional"],
)
def test_what_apps_ask_for_is_checked_here(schema: dict[str, Any]) -> None:
    """An answer of 4 kB takes some microseconds, and no process."""
    value = {"inner": [{"inner": []}] * 100, "day": "2026-11-30", "x": "y" * 2000}
    assert Schema(schema).breach(value) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (branching(30), "x"),
        ({"properties": {"a": branching(30)["$defs"]["d30"]}, **branching(30)}, {"a": 1}),
        ({"allOf": [{"$ref": "#"}]}, {}),
        ({"not": {"$ref": "#"}}, {}),
        ({"pattern": r"^(?=a)(a+)+\1$"}, "aaa"),
        ({"pattern": "((x{99}){99}){99}"}, "aaa"),
        ({"unevaluatedProperties": False}, {}),
        ({"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}}, {}),
        ({"anyOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}, {"a": {"a": {"a": {"a": {}}}}} | {"b": [{}] * 9000}),
    ],
    ids=[
        "branches",
        "beside",
        "circle",
        "negated",
        "back-reference",
        "huge-pattern",
        "unevaluated",
        "dynamic",
        "grows",
    ],
)
def test_what_may_be_too_much_is_not_checked_here(schema: Any, value: Any) -> None:
    """It is a question for somebody else."""
    with pytest.raises(TooMuchWork):
        Schema(schema).breach(value)


def test_a_large_schema_is_not_compiled_here() -> None:
    """Compiling takes time as well."""
    large = {"properties": {f"p{number}": {"enum": ["x" * 100]} for number in range(2000)}}
    with pytest.raises(TooMuchWork):
        Schema(large).breach({})


@pytest.mark.parametrize("items", [10, 10_000_000])
def test_a_large_answer_is_a_question_of_its_size(items: int) -> None:
    """The most that is checked here is about 10 ms."""
    cost = cost_of({"items": {"type": "integer"}})
    assert cost is not None
    assert (cost.of(items, 1, items * 2) <= MOST_WORK) is (items == 10)
