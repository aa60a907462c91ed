"""How many tokens a text can have, by its bytes alone: for the hot path, which must not count."""

from __future__ import annotations

from typing import Final

__all__ = ["at_least", "at_most", "likely", "text_bytes"]

_SAFE_BYTES: Final = 2.5
"""Bytes a token, safely few: measured on OpenAI's encodings over code, JSON and non-Latin scripts."""
_ENGLISH_BYTES: Final = 4.7
"""Bytes a token of English prose in OpenAI's encodings."""
_MOST_BYTES: Final = 20
"""Bytes a token, safely many: English prose has 4.7, and a text of long and common words alone about 15."""
_DATA: Final = b";base64,"
_SOUND: Final = b'"input_audio"'
_SIGNS_TRIED: Final = 256
"""Semicolons and underscores that are looked at one by one: base64 has none, so what they lead passes over images."""


def at_most(size: int) -> int:
    """The tokens that this many bytes of UTF-8 are at the most (some texts of rare symbols excepted).

    Example::

        assert at_most(1000) == 400
    """
    return -int(-size // _SAFE_BYTES)


def likely(size: int) -> int:
    """The tokens of this many bytes, if they are English prose.

    Example::

        assert likely(4700) == 1000
    """
    return -int(-size // _ENGLISH_BYTES)


def at_least(size: int) -> int:
    """The tokens that this many bytes of UTF-8 are at the least (texts of long repetitions excepted).

    Example::

        assert at_least(2000) == 100
    """
    return size // _MOST_BYTES


def text_bytes(raw: bytes) -> int:
    """The bytes of a JSON body without the images, recordings and files that are written into it.

    Example::

        assert text_bytes(b'{"url": "data:image/png;base64,AAAA"}') == len(b'{"url": "data:image/png;base64,"}')
    """
    size = len(raw)
    at = _find_data(raw, 0)
    while at >= 0:
        end = raw.find(b'"', at)
        if end < 0:
            break
        size -= end - at - len(_DATA)
        at = _find_data(raw, end)
    at = _find_sound(raw, 0)
    while at >= 0:
        begin, end = _next_text(raw, raw.find(b'"data"', at))
        if begin < 0:
            break
        size -= end - begin
        at = _find_sound(raw, end)
    return size


def _find_data(raw: bytes, start: int) -> int:
    for _ in range(_SIGNS_TRIED):
        at = raw.find(b";", start)
        if at < 0 or raw.startswith(_DATA, at):
            return at
        start = at + 1
    return raw.find(_DATA, start)


def _find_sound(raw: bytes, start: int) -> int:
    for _ in range(_SIGNS_TRIED):
        at = raw.find(b"_", start)
        if at < 0 or raw.startswith(_SOUND, at - 6):
            return at
        start = at + 1
    return raw.find(_SOUND, start)


def _next_text(raw: bytes, key: int) -> tuple[int, int]:
    """Where the text after this key begins and ends, -1 if there is none."""
    if key < 0:
        return -1, -1
    begin = raw.find(b'"', key + len(b'"data"'))
    end = raw.find(b'"', begin + 1) if begin >= 0 else -1
    return (begin + 1, end) if end >= 0 else (-1, -1)
