"""Remote control of a fake provider: behaviours as JSON, and the ``/_fake/`` endpoints that take and give it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import get_type_hints

import msgspec

import lanewise.testing.behaviours as kinds
from lanewise.testing.behaviours import Behaviour, JsonBody, Status, ToolCall
from lanewise.testing.journal import Journal
from lanewise.testing.requests import Request
from lanewise.testing.scripts import Scripted, Scripts

__all__ = ["Counts", "ScriptOrder", "control", "from_json", "to_json"]

_BEHAVIOUR_FIELDS = frozenset({"then", "up", "down"})
_BYTES_FIELDS = frozenset({"data", "content", "body"})


class ScriptOrder(msgspec.Struct, frozen=True):
    """The body of ``POST /_fake/script``. Without a model it is the script for all models."""

    behaviours: list[dict[str, object]]
    model: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """What a fake provider has counted, and the answer to ``GET /_fake/journal``. Requests are counted by model too."""

    requests: int
    in_flight: int
    connections: int
    open_connections: int
    by_model: dict[str, int]


def to_json(behaviour: Scripted) -> dict[str, object]:
    """A behaviour as plain JSON data: its kind, and the fields that differ from their defaults.

    Raises:
        TypeError: a callable: it can't be sent to another process.
    """
    if not isinstance(behaviour, Behaviour):
        raise TypeError("a callable can't be sent to a provider in another process; a Cycle often does instead")
    data: dict[str, object] = {"kind": _kind(type(behaviour))}
    for field in fields(behaviour):  # type: ignore[arg-type]  # every behaviour is a dataclass, the base class is none
        value = getattr(behaviour, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            data[field.name] = _value_to_json(value)
    return data


def from_json(data: object) -> Behaviour:
    """A behaviour from what :func:`to_json` gives, or from JSON written by hand.

    Raises:
        ValueError: it is none; the message says what is wrong.

    Example::

        from_json({"kind": "status", "status": 429, "retry_after": 2})
    """
    if not isinstance(data, dict):
        raise ValueError("a behaviour is an object with a kind")
    kind = data.get("kind")
    of_kind = _kinds().get(kind) if isinstance(kind, str) else None
    if of_kind is None:
        raise ValueError(f"unknown kind of behaviour; known are {', '.join(sorted(_kinds()))}")
    hints = get_type_hints(of_kind)
    unknown = data.keys() - hints.keys() - {"kind"}
    if unknown:
        raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}")
    values = {name: _value_from_json(name, value, hints[name]) for name, value in data.items() if name != "kind"}
    try:
        return of_kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error


def control(request: Request, scripts: Scripts, journal: Journal) -> Behaviour | None:
    """The answer to a request to a ``/_fake/`` endpoint; ``None`` for any other request."""
    if not request.target.startswith("/_fake/"):
        return None
    match request.method, request.target:
        case "POST", "/_fake/script":
            try:
                order = msgspec.json.decode(request.body, type=ScriptOrder)
                scripts.set(order.model, [from_json(item) for item in order.behaviours])
            except ValueError as error:
                return Status(400, {"message": str(error)})
            return JsonBody({"scripted": len(order.behaviours)})
        case "POST", "/_fake/reset":
            scripts.clear()
            journal.clear()
            return JsonBody({})
        case "GET", "/_fake/journal":
            return JsonBody(
                Counts(
                    requests=journal.count,
                    in_flight=journal.in_flight,
                    connections=journal.connections,
                    open_connections=journal.open_connections,
                    by_model=dict(journal.by_model),
                )
            )
        case _:
            return Status(404, {"message": "Known are POST /_fake/script, POST /_fake/reset and GET /_fake/journal."})


def _kind(behaviour: type[Behaviour]) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", behaviour.__name__).lower()


@cache
def _kinds() -> dict[str, type[Behaviour]]:
    named = [getattr(kinds, name) for name in kinds.__all__]
    found = [item for item in named if isinstance(item, type) and issubclass(item, Behaviour)]
    return {_kind(item): item for item in found if item is not Behaviour}


def _value_to_json(value: object) -> object:
    match value:
        case Behaviour():
            return to_json(value)
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case str():
            return value
        case Sequence():
            return [_value_to_json(item) for item in value]
        case _:
            return msgspec.to_builtins(value)


def _value_from_json(name: str, value: object, hint: object) -> object:
    if name in _BEHAVIOUR_FIELDS:
        return from_json(value)
    if name == "behaviours" and isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if name == "tool_calls":
        return msgspec.convert(value, tuple[ToolCall, ...])
    if name == "chunks" and isinstance(value, list):
        return tuple(_bytes_from_json(item) for item in value)
    if name in _BYTES_FIELDS:
        return _bytes_from_json(value)
    converted: object = msgspec.convert(value, hint)
    return tuple(converted) if isinstance(converted, list) else converted


def _bytes_from_json(value: object) -> object:
    if not isinstance(value, dict) or value.keys() != {"base64"}:
        return value
    try:
        return base64.b64decode(str(value["base64"]), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
