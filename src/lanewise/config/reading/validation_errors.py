"""Validation errors of pydantic as mistakes of a config: the key, what is wrong with it, and what would be right."""

from __future__ import annotations

from typing import Annotated, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from lanewise.config.mistakes import Place, nearest, quoted
from lanewise.config.tables.tasks import Task
from lanewise.types import LaneName

__all__ = ["place_within", "problem_and_fix"]

_LANES = frozenset(LaneName)
# Python only: not offered as what an unknown key may have been meant to be.
_HIDDEN_KEYS = frozenset({"name", "api_key"})

_WANTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def place_within(model: type[BaseModel], loc: tuple[int | str, ...]) -> Place:
    """Where in a table a mistake is, from pydantic's location, which also names the types that it tried."""
    if loc and model is Task and loc[0] in _LANES:
        return (loc[0], *(part for part in loc[-1:] if part == "on"))
    return tuple(part for part in loc if not (isinstance(part, str) and part.startswith("[") and part.endswith("]")))


def problem_and_fix(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong, and what would be right."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    last = detail["loc"][-1] if detail["loc"] else ""
    if kind == "lanewise":
        return str(context["problem"]), str(context["fix"]) or _description(model, detail["loc"])
    if kind == "missing":
        return f"`{last}` is missing", _description(model, detail["loc"]) or f"Write {last} = ..."
    if kind == "extra_forbidden":
        return f"no key is called {quoted(last)}", nearest(last, _known_keys(model, detail["loc"]))
    if kind in ("enum", "literal_error"):
        return f"{quoted(value)} is not known here", f"It may be {context['expected']}."
    if kind in _WANTED:
        return f"{_WANTED[kind]} belongs here, not {quoted(value)}", _description(model, detail["loc"])
    if kind.startswith(("greater_than", "less_than", "finite_number")):
        return f"{quoted(value)} is out of range", detail["msg"].replace("Input should be", "It must be") + "."
    if kind in ("too_short", "too_long"):
        return "the list is empty", "Name at least one."
    return "the value can't be used", detail["msg"] + "."


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    if model is Task and loc[0] in _LANES:
        return ["routes", "on"] if len(loc) == 2 else ["route", "on"]
    fields = _model_of(model, loc).model_fields
    return [field.alias or name for name, field in fields.items() if name not in _HIDDEN_KEYS]


def _model_of(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model whose field the last part of a location is: this one, or that of a table within."""
    for part in loc[:-1]:
        declared = model.model_fields.get(str(part))
        for annotation in () if declared is None else (declared.annotation, *get_args(declared.annotation)):
            plain = next(iter(get_args(annotation)), annotation) if get_origin(annotation) is Annotated else annotation
            if isinstance(plain, type) and issubclass(plain, BaseModel):
                model = plain
    return model


def _description(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """The description of the field that a mistake is in: for an item of a list, that of the list."""
    names = [part for part in loc if isinstance(part, str)]
    while names:
        found = _model_of(model, tuple(names)).model_fields.get(names[-1])
        if found is not None and found.description:
            return found.description
        names.pop()
    return ""
