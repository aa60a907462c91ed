"""A response's head made readable: what HTTP libraries take without a word, and aiohttp's parser refuses."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_within_head", "mended"]

_LONGEST_HEAD: Final = 256 * 1024
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.\d (\d\d\d)(?: .*)?\Z")
_OLD_OR_NEW: Final = re.compile(rb"HTTP/1\.[2-9] ")


def mended(received: bytes) -> bytes | None:
    """What was received of a response, with a head that says one thing; ``None`` if it can't be mended.

    A Content-Length that comes twice, or beside chunks, is said once or not at all; HTTP/1.2 and on are HTTP/1.1; what
    follows the body is cut off. The connection is closed after it: nobody knows what else its server writes.

    Example::

        mended(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
    """
    start = 0
    while (end := _END_OF_HEAD.search(received, start, start + _LONGEST_HEAD)) is not None:
        status, *fields = re.split(rb"\r?\n", received[start : end.start()].lstrip(b"\r\n"))
        code = _STATUS_LINE.match(status)
        if code is None:
            return None
        if code[1].startswith(b"1"):
            start = end.end()
            continue
        return _mended(status, fields, received[end.end() :])
    return None


def is_within_head(received: bytes) -> bool:
    """Whether what was received of a response may still be a head: its end has not come, and it is no longer than one.

    Example::

        is_within_head(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n")  # True
    """
    start = 0
    while (end := _END_OF_HEAD.search(received, start, start + _LONGEST_HEAD)) is not None:
        code = _STATUS_LINE.match(re.split(rb"\r?\n", received[start : end.start()].lstrip(b"\r\n"), maxsplit=1)[0])
        if code is None or not code[1].startswith(b"1"):
            return False
        start = end.end()
    rest = received[start:].lstrip(b"\r\n")
    return len(rest) <= _LONGEST_HEAD and rest[:5] == b"HTTP/"[: len(rest)]


def _mended(status: bytes, fields: list[bytes], body: bytes) -> bytes | None:
    chunked = any(_is(field, b"transfer-encoding") and b"chunked" in field.lower() for field in fields)
    said = [field.partition(b":")[2] for field in fields if _is(field, b"content-length")]
    lengths = {length.strip() for each in said for length in each.split(b",")}
    kept = [field for field in fields if not _is(field, b"content-length") and not _is(field, b"connection")]
    if lengths and not chunked:
        length = lengths.pop()
        if lengths or not length.isdigit() or len(length) > 15:
            return None
        kept.append(b"Content-Length: " + length)
        body = body[: int(length)]
    kept.append(b"Connection: close")
    return b"\r\n".join([_OLD_OR_NEW.sub(b"HTTP/1.1 ", status, count=1), *kept]) + b"\r\n\r\n" + body


def _is(field: bytes, name: bytes) -> bool:
    return field[: len(name)].lower() == name and field[len(name) : len(name) + 1] == b":"
