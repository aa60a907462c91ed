"""The JSON Schema of the TOML file, for editors: shapes, descriptions and defaults are those of the models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, cast, get_args

from pydantic import BaseModel, JsonValue, TypeAdapter
from pydantic.fields import FieldInfo

from lanewise.config.tables.budgets import Budget
from lanewise.config.tables.clients import Client
from lanewise.config.tables.contracts import Contract
from lanewise.config.tables.lanes import Lane, LaneEntry
from lanewise.config.tables.providers import Provider
from lanewise.config.tables.router import RouterSettings
from lanewise.config.tables.routes import Route
from lanewise.config.tables.sensitive import SensitiveCategory
from lanewise.config.tables.tasks import Task
from lanewise.config.values.durations import DURATION_PATTERN, duration_text
from lanewise.config.values.failures import DEFAULT
from lanewise.config.values.scalars import NAME
from lanewise.types import NEVER_MOVE, FailureKind

__all__ = ["toml_schema"]

_Schema = dict[str, JsonValue]

_DURATION: Final[_Schema] = {"$ref": "#/$defs/duration"}
_NON_EMPTY: Final[_Schema] = {"type": "string", "minLength": 1}
_LANE: Final[_Schema] = {"$ref": "#/$defs/lane"}
_FAILURE: Final[_Schema] = {"$ref": "#/$defs/failure"}
_LEFT_OUT: Final = frozenset({"title", "default"})
"""Keywords of pydantic's schema that are left out: titles, and defaults in forms that TOML does not have."""


def toml_schema() -> dict[str, JsonValue]:
    """The schema (draft 2020-12) of a config in TOML.

    Example::

        Path("lanewise.schema.json").write_text(json.dumps(toml_schema()))
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lanewise config",
        "description": "Providers, routes and tasks of an app's AI calls.",
        "type": "object",
        "additionalProperties": False,
        "required": ["providers", "routes", "tasks"],
        "properties": {
            "router": _table(RouterSettings),
            "providers": _named(_table(Provider), "providers"),
            "routes": _named(_table(Route), "routes"),
            "tasks": _named(_table(Task), "tasks"),
            "sensitive": _named(_table(SensitiveCategory), "sensitive categories", least=0),
            "budgets": _named(_table(Budget), "budgets", least=0),
            "endpoints": {
                "description": "Path patterns, each with the sensitive category of what happens under it.",
                "type": "object",
                "propertyNames": {"pattern": "^/"},
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            "clients": _named(_table(Client), "clients", least=0),
        },
        "$defs": {"duration": _duration(), "failure": _failure(), "lane": _lane()},
    }


def _table(model: type[BaseModel]) -> _Schema:
    """The schema of a table: a model's fields without its name, and without what only Python can give."""
    properties: dict[str, JsonValue] = {}
    required: list[JsonValue] = []
    for name, field in model.model_fields.items():
        if name == "name" or field.exclude:
            continue
        key = field.alias or name
        shape = _shape(field)
        default = _default(field, is_duration=shape == _DURATION)
        about: _Schema = {"description": field.description or _first_sentence(model)}
        properties[key] = {**shape, **about, **({} if default is None else {"default": default})}
        if field.is_required():
            required.append(key)
    table: _Schema = {
        "description": _first_sentence(model),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {**table, "required": required} if required else table


def _shape(field: FieldInfo) -> _Schema:
    """The schema of a field: pydantic's, except for tables that have a short form in the file."""
    models = {model.__name__: model for model in _models_in(field.annotation)}
    if Lane.__name__ in models:
        return _LANE
    checked: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    whole = TypeAdapter(checked).json_schema(by_alias=True)
    definitions = whole.pop("$defs", {})

    def named(name: str) -> JsonValue:
        if name not in models:
            definition = {key: value for key, value in definitions[name].items() if key != "description"}
            return _written(definition, named)  # an enumeration, which is described for whoever reads the code
        table = _table(models[name])
        return {"anyOf": [_NON_EMPTY, table]} if models[name] is Contract else table

    shape = named(str(whole["title"])) if whole.get("title") in models else _written(whole, named)
    more = field.json_schema_extra
    return {**cast("_Schema", shape), **(more if isinstance(more, dict) else {})}


def _written(schema: JsonValue, named: Callable[[str], JsonValue]) -> JsonValue:
    """A schema of pydantic's with its references resolved, and without null, which TOML does not have."""
    if isinstance(schema, list):
        return [_written(item, named) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return named(str(schema["$ref"]).rpartition("/")[2])
    if schema.get("pattern") == DURATION_PATTERN:
        return _DURATION
    if schema.get("enum") == _failure()["enum"]:
        return _FAILURE
    written = {key: _written(value, named) for key, value in schema.items() if key not in _LEFT_OUT}
    forms = [form for form in cast("list[JsonValue]", written.get("anyOf", [])) if form != {"type": "null"}]
    if len(forms) == 1:
        del written["anyOf"]
        return {**cast("_Schema", forms[0]), **written}
    return {**written, "anyOf": forms} if forms else written


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _first_sentence(model: type[BaseModel]) -> str:
    paragraph = (inspect.getdoc(model) or "").partition("\n\n")[0]
    sentence = " ".join(paragraph.split()).partition(". ")[0].replace("``", "`")
    return f"{sentence.removesuffix('.')}."


def _default(field: FieldInfo, *, is_duration: bool) -> JsonValue:
    default = field.default
    if is_duration:
        return duration_text(default) if isinstance(default, float) else None
    return default if isinstance(default, str | bool | int | float) and default != "" else None


def _named(table: _Schema, what: str, *, least: int = 1) -> _Schema:
    return {
        "description": f"The {what}, each under its name.",
        "type": "object",
        "minProperties": least,
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
        "additionalProperties": table,
    }


def _duration() -> _Schema:
    return {
        "description": "A number and a unit: ms, s, m, h or d.",
        "type": "string",
        "pattern": DURATION_PATTERN,
        "examples": ["800ms", "12s", "5m", "90d"],
    }


def _failure() -> _Schema:
    moving = set(FailureKind) - NEVER_MOVE
    return {
        "description": "What went wrong in an attempt.",
        "enum": [DEFAULT, *(kind.value for kind in FailureKind if kind in moving)],
    }


def _lane() -> _Schema:
    entry = _table(LaneEntry)
    entries: _Schema = {"type": "array", "minItems": 1, "items": {"anyOf": [_NON_EMPTY, entry]}}
    table: _Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["routes"],
        "properties": {
            "routes": {"anyOf": [_NON_EMPTY, entries], "description": "The names of routes, in order."},
            "on": cast("_Schema", entry["properties"])["on"],
        },
    }
    return {
        "description": "A route, a list of routes, or a table with `routes` and `on`.",
        "anyOf": [_NON_EMPTY, entries, entry, table],
    }
