"""Constructors of the SDK's models, made once a class: they give what its own ``construct`` gives, at a tenth the cost.

The SDK asks of each value anew what its field is. Here that is asked once: what it takes as it is, models and lists of
them are put together at once, and every value of another type is left to the SDK.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import openai
import pydantic
from pydantic_core import PydanticUndefined

__all__ = ["ModelConstructors"]

_Convert = Callable[[Any], Any]
_AS_THEY_ARE: Final = (str, int, bool, object, Any)
"""Types of which the SDK takes any value as it is."""
_RESERVED: Final = frozenset({"_fields_set", "_BaseModel__cls"})
"""Names of parameters of the SDK's ``construct``: what an answer calls so never becomes a field."""
_set: Final = object.__setattr__


class ModelConstructors:
    """Makes models, and whatever else a type is, of decoded JSON. ``construct_type`` is the SDK's own.

    Example::

        ModelConstructors(construct_type).of(ChatCompletionChunk)({"id": "1", "choices": []})
    """

    def __init__(self, construct_type: Callable[..., Any]) -> None:
        self._construct_type = construct_type
        self._made: dict[type, _Convert] = {}
        self._found: dict[type, _Convert] = {}

    def of(self, kind: Any) -> _Convert:
        """What makes a value of this type. Of a class it is looked up."""
        found = self._found.get(kind) if isinstance(kind, type) else None
        if found is None:
            found = self._converter(kind) or (lambda value: value)
            if isinstance(kind, type):
                self._found[kind] = found
        return found

    def _converter(self, kind: Any, metadata: Any = None) -> _Convert | None:
        """``None``: values are taken as they are."""

        def by_the_sdk(value: Any) -> Any:
            return construct_type(value=value, type_=kind, metadata=metadata)

        construct_type = self._construct_type
        if metadata:
            return by_the_sdk
        if any(kind is each for each in _AS_THEY_ARE) or get_origin(kind) is Literal:
            return None
        if _is_plain(kind):
            return self._model(kind)
        if get_origin(kind) is list and len(get_args(kind)) == 1:
            entry = self._converter(get_args(kind)[0])
            if entry is None:
                return lambda value: value if type(value) is list else by_the_sdk(value)
            return lambda value: [entry(each) for each in value] if type(value) is list else by_the_sdk(value)
        unchanged = _unchanged(kind)
        if unchanged is None:
            return by_the_sdk
        return lambda value: value if type(value) is unchanged else by_the_sdk(value)

    def _model(self, model: type[pydantic.BaseModel]) -> _Convert:
        made = self._made.get(model)
        if made is not None:
            return made
        names = frozenset(model.model_fields)
        fields: list[tuple[str, str, Any, type | None, _Convert | None]] = []
        construct_type = self._construct_type

        def construct(data: Any) -> Any:
            if type(data) is not dict or not _RESERVED.isdisjoint(data):
                return construct_type(value=data, type_=model)
            made = model.__new__(model)
            values: dict[str, Any] = {}
            found = set()
            for name, key, default, unchanged, convert in fields:
                if key not in data:
                    values[name] = default
                    continue
                found.add(name)
                value = data[key]
                if value is None:
                    values[name] = default
                else:
                    values[name] = value if convert is None or type(value) is unchanged else convert(value)
            _set(made, "__dict__", values)
            _set(made, "__pydantic_private__", None)
            extra = {} if names.issuperset(data) else {key: value for key, value in data.items() if key not in names}
            _set(made, "__pydantic_extra__", extra)
            _set(made, "__pydantic_fields_set__", found)
            return made

        self._made[model] = construct  # before its fields: a model may hold models of its own kind
        for name, field in model.model_fields.items():
            default = None if field.default is PydanticUndefined else field.default
            unchanged = None if field.metadata else _unchanged(field.annotation)
            convert = self._converter(field.annotation, field.metadata)
            fields.append((name, field.alias or name, default, unchanged, convert))
        return construct


def _is_plain(kind: Any) -> bool:
    """Whether a type is a model of the SDK's that is constructed as all are."""
    if not inspect.isclass(kind) or not issubclass(kind, openai.BaseModel):
        return False
    own = kind.model_construct.__func__ is openai.BaseModel.model_construct.__func__  # type: ignore[attr-defined]
    typed_extras = any("__pydantic_extra__" in vars(each).get("__annotations__", {}) for each in _above(kind))
    defaults = [None if field.default is PydanticUndefined else field.default for field in kind.model_fields.values()]
    plain_defaults = all(isinstance(default, str | int | float | bool | NoneType) for default in defaults)
    by_name = kind.model_config.get("populate_by_name") or kind.model_config.get("validate_by_name")
    return own and not typed_extras and plain_defaults and not by_name


def _above(kind: type) -> list[type]:
    """A model's class and those between it and the SDK's own base."""
    return [each for each in kind.__mro__ if issubclass(each, openai.BaseModel) and each is not openai.BaseModel]


def _unchanged(kind: Any) -> type | None:
    """The one type whose values this type leaves as they are, where that is sure.

    A union is validated, which may turn a text into a number: only where it is of one type, or of nothing.
    """
    if kind is float:
        return float
    if get_origin(kind) not in (Union, UnionType):
        return None
    found = {
        str if get_origin(each) is Literal and all(type(value) is str for value in get_args(each)) else each
        for each in get_args(kind)
        if each is not NoneType
    }
    return next(iter(found)) if len(found) == 1 and found <= {str, int, bool, float} else None
