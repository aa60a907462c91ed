"""JSON as Python's own reader takes it, and read into types that let pass what nobody needs.

The strict decoder reads well-formed answers. What it refuses, and ``json.loads`` takes, is read here: NaN, a byte order
mark, lone surrogates, UTF-16, numbers beyond 64 bits, and fields of another type than the API declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

__all__ = ["MALFORMED", "NoAnswer", "as_far_as_it_fits", "is_utf8", "read_json", "read_valid_json", "write_json"]

MALFORMED: Final = (msgspec.MsgspecError, RecursionError, ValueError)
"""What decoding raises for a body that is not JSON, not UTF-8, too deep, or not of the type."""

_T = TypeVar("_T", bound=msgspec.Struct)
_Reader = Callable[[object], Any]
_NEEDED: Final = frozenset({"choices", "message", "delta"})
"""What the answer stands in: of another type, and not empty, it can't be made out."""
_WHOLE: Final = frozenset({"data"})
"""Lists that the SDK goes through: each item must be one."""
_ENDS: Final = frozenset({"finish_reason"})
_OTHER: Final = "other"
"""An end of another type is still an end."""
_MOST_DIGITS: Final = 9


class NoAnswer(ValueError):
    """The answer can't be made out of a value."""


def read_json(body: bytes | str) -> object:
    """The value of a body, as the SDK reads it. Raises ValueError, RecursionError: Python can't read it either.

    Example::

        read_json(b'{"score": NaN}')  # {"score": nan}
    """
    value: object = json.loads(body)
    return value


def read_valid_json(text: str) -> object:
    """The value of a text that is JSON by its grammar, also where the strict decoder has no room for it: lone
    surrogates, numbers beyond all measure. Raises ValueError, RecursionError.

    Example::

        read_valid_json('{"score": NaN}')  # ValueError
    """
    value: object = json.loads(text, parse_constant=_no_constant)
    return value


def is_utf8(body: bytes) -> bool:
    """Whether a body is UTF-8. Decoding to raw fields doesn't look into them, and the SDK would stumble later."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def write_json(value: object) -> bytes:
    """A value as JSON that all readers read alike: ASCII, each key once. NaN stays what Python writes for it."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def as_far_as_it_fits(kind: type[_T], value: object) -> _T:
    """A value in a type of the strict decoder's: what does not fit, and is not needed, is left at its default.

    Raises NoAnswer.

    Example::

        as_far_as_it_fits(ChatAnswer, {"choices": [{"index": "0"}], "model": 5}).model  # None
    """
    read: _T | None = _struct(kind)(value)
    if read is None:
        raise NoAnswer("it is no object")
    return read


@cache
def _struct(kind: type[msgspec.Struct]) -> _Reader:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    fields: list[tuple[str, _Reader]] = []

    def read(value: object) -> msgspec.Struct | None:
        if not isinstance(value, dict):
            return None
        fitted = {}
        for name, reader in fields:
            if (there := value.get(name)) is None:
                continue
            fitting = reader(there)
            if fitting is not None:
                fitted[name] = fitting
            elif there and name in _NEEDED:
                raise NoAnswer(f"{name} is of another type")
        return kind(**fitted)

    fields += [
        (field.encode_name, _end if field.name in _ENDS else _reader(field.type, field.name)) for field in info.fields
    ]
    return read


def _reader(kind: msgspec.inspect.Type, name: str) -> _Reader:
    """What reads one field. It gives ``None`` for what does not fit."""
    match kind:
        case msgspec.inspect.UnionType(types=kinds):
            readers = [_reader(each, name) for each in kinds if not isinstance(each, msgspec.inspect.NoneType)]
            return readers[0] if len(readers) == 1 else lambda value: _first_fitting(readers, value)
        case msgspec.inspect.StructType(cls=cls):
            return lambda value: _struct(cls)(value)
        case msgspec.inspect.ListType(item_type=item):
            read = _reader(item, name)
            return lambda value: _items(read, value, needed=name in _NEEDED, whole=name in _WHOLE)
        case msgspec.inspect.StrType():
            return lambda value: value if isinstance(value, str) else None
        case msgspec.inspect.IntType():
            return _integer
        case msgspec.inspect.RawType():
            return lambda value: msgspec.Raw(write_json(value))
        case msgspec.inspect.CustomType():  # object: anything
            return lambda value: value
    raise AssertionError(f"no reader for {kind}")


def _first_fitting(readers: list[_Reader], value: object) -> object:
    return next((fitting for read in readers if (fitting := read(value)) is not None), None)


def _items(read: _Reader, value: object, *, needed: bool, whole: bool) -> list[object] | None:
    if not isinstance(value, list):
        return None
    items = []
    for item in value:
        fitting = read(item)
        if fitting is not None:
            items.append(fitting)
        elif (item and needed) or whole:
            raise NoAnswer("an item is of another type")
    return items


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    return value if isinstance(value, int) else None


def _end(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return _OTHER if value else None
