"""The top level of a JSON body, read without parsing what is long in it: images are passed over, not looked through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["LONG", "repeated_name", "top_level"]

LONG: Final = 32768
"""Bytes from which a text in a body is passed over."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MARKS_TRIED: Final = 512
"""Quotation marks that are looked at one by one: a body with an image has few before it."""
_STAND_IN: Final = b'"~long text %08d~"'
_STAND_IN_BEGINS: Final = b'"~long text '
_STAND_IN_SIZE: Final = len(_STAND_IN % 0)
_BACKSLASH: Final = ord("\\")
_SLASHES_READ: Final = 64
"""How far back it is looked whether a quotation mark is escaped: nobody may make us count a million of them."""
_NAME: Final = re.compile(rb'[ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*+:[ \t\n\r]*+', re.DOTALL)
_BEHIND: Final = re.compile(rb"[ \t\n\r]*+[,}]")
"""What stands behind a value of an object."""

_Texts = list[tuple[int, int]]


def top_level(raw: bytes, *, long: int = LONG) -> dict[str, msgspec.Raw]:
    """The values of a JSON object by their names, each as the JSON that it was written in; of a name that comes twice
    the last.

    A text of ``long`` bytes or more in which nothing is escaped is passed over by a search for its end, at a tenth of
    the time that parsing it takes: whether it has raw control characters is left for the provider to check.

    Raises what msgspec raises.

    Example::

        top_level(b'{"model": "chat", "n": 2}')["n"]  # msgspec.Raw(b'2')
    """
    texts = _long_texts(raw, long) if len(raw) > long else None
    if not texts:
        return _FIELDS.decode(raw)
    short = _shortened(raw, texts)
    if short.count(_STAND_IN_BEGINS) != len(texts):
        return _FIELDS.decode(raw)  # the app's own text looks like what stands for a long one
    fields = _FIELDS.decode(short)
    for name, value in fields.items():
        if name.startswith(_STAND_IN_BEGINS[1:].decode()):
            return _FIELDS.decode(raw)
        fields[name] = _as_sent(raw, bytes(value), texts)
    return fields


def repeated_name(raw: bytes, fields: Mapping[str, msgspec.Raw]) -> str | None:
    """The name that comes twice at the top level of a JSON object with these fields; ``None`` if none does.

    Of such a body each reader takes another value. In linear time, whatever the body: each name is read where it
    stands, and its value is passed over by what it is known to be.

    Example::

        raw = b'{"model": "chat", "model": "refunds"}'
        assert repeated_name(raw, top_level(raw)) == "model"
    """
    least = 1 + sum([len(name.encode()) + len(memoryview(value)) + 4 for name, value in fields.items()])
    if least == len(raw):
        return None  # each once, nothing escaped, and no space in between: it can't be written in fewer bytes
    if least + 2 * len(fields) - 1 == len(raw) <= LONG and raw == _spaced(fields):
        return None
    seen: set[str] = set()
    place = raw.find(b"{") + 1
    while (found := _NAME.match(raw, place)) is not None:
        name = msgspec.json.decode(found[1], type=str)
        value = memoryview(fields[name])
        end = found.end() + len(value)
        behind = _BEHIND.match(raw, end) if memoryview(raw)[found.end() : end] == value else None
        if name in seen or behind is None:
            return name  # its last value is another one than the one that stands here
        seen.add(name)
        place = behind.end()
    return None


def _spaced(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """An object with these fields as Python's ``json`` writes it, and many clients with it; empty if a name of theirs
    can't be written as it is."""
    names = "".join(fields)
    if '"' in names or "\\" in names:
        return b""
    return b"{%b}" % b", ".join([b'"%b": %b' % (name.encode(), value) for name, value in fields.items()])


def _long_texts(raw: bytes, long: int) -> _Texts:
    """Where the long texts are in a body, with their quotation marks: from the first one to behind the last."""
    found: _Texts = []
    begin = raw.find(b'"')
    mark = begin
    for _ in range(_MARKS_TRIED):
        mark = raw.find(b'"', mark + 1)
        if begin < 0 or mark < 0:
            break
        if raw[mark - 1] == _BACKSLASH:
            slashes = _slashes_before(raw, begin, mark)
            if slashes == _SLASHES_READ:
                break
            if slashes % 2:
                continue  # it is escaped, and ends nothing
        if mark - begin >= long and raw.find(b"\\", begin, mark) < 0:
            found.append((begin, mark + 1))
        begin = mark = raw.find(b'"', mark + 1)
    return found


def _slashes_before(raw: bytes, begin: int, mark: int) -> int:
    before = raw[max(begin, mark - _SLASHES_READ) : mark]
    return len(before) - len(before.rstrip(b"\\"))


def _shortened(raw: bytes, texts: _Texts) -> bytes:
    """The body with something short in place of each long text."""
    pieces: list[bytes] = []
    end = 0
    for number, (begin, after) in enumerate(texts):
        pieces += (raw[end:begin], _STAND_IN % number)
        end = after
    return b"".join([*pieces, raw[end:]])


def _as_sent(raw: bytes, value: bytes, texts: _Texts) -> msgspec.Raw:
    """A value of the shortened body as it is in the body, of whose bytes nothing is copied."""
    first, last = value.find(_STAND_IN_BEGINS), value.rfind(_STAND_IN_BEGINS)
    if first < 0:
        return msgspec.Raw(value)
    begin = texts[_number(value, first)][0] - first
    end = texts[_number(value, last)][1] + len(value) - last - _STAND_IN_SIZE
    return msgspec.Raw(memoryview(raw)[begin:end])


def _number(value: bytes, at: int) -> int:
    return int(value[at + len(_STAND_IN_BEGINS) : at + _STAND_IN_SIZE - 2])
