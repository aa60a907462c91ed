"""The chunks of a direct stream: cut as the engine has judged them, and no second time by the SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import httpx2
import msgspec

from lanewise._client.direct_requests import OBJECT
from lanewise._client.http_clients import AsyncBody, SyncBody

__all__ = ["async_chunks", "chunks"]


async def async_chunks(
    usual: AsyncGenerator[Any, None], response: httpx2.Response, body: AsyncBody, chunk_of: Callable[[Any], Any]
) -> AsyncGenerator[Any, None]:
    """The chunks of a stream, cut as the engine has judged them; from the first odd event on, and at the end, the
    ``usual`` ones of the SDK."""
    try:
        if not response.is_stream_consumed and not response.is_closed:
            response.is_stream_consumed = True
            while piece := await body.read():
                found, rest = _cut(piece)
                for data in found:
                    yield chunk_of(data)
                if rest:
                    body.unread(rest)
                    break
            response.is_stream_consumed = False  # the rest is the SDK's to read
        async for chunk in usual:
            yield chunk
    finally:
        await usual.aclose()
        await response.aclose()


def chunks(
    usual: Generator[Any, None, None], response: httpx2.Response, body: SyncBody, chunk_of: Callable[[Any], Any]
) -> Generator[Any, None, None]:
    """The chunks of a thread's stream, cut as the engine has judged them; from the first odd event on, and at the end,
    the ``usual`` ones of the SDK."""
    try:
        if not response.is_stream_consumed and not response.is_closed:
            response.is_stream_consumed = True
            while piece := body.read():
                found, rest = _cut(piece)
                for data in found:
                    yield chunk_of(data)
                if rest:
                    body.unread(rest)
                    break
            response.is_stream_consumed = False
        yield from usual
    finally:
        usual.close()
        response.close()


def _cut(piece: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """What the first events of a piece hold that have one of the two usual shapes, and the bytes from the first other
    one on: ``[DONE]``, an error, an event of several lines, one that is cut in two."""
    found: list[dict[str, Any]] = []
    if b"\r" in piece:
        return found, piece
    start = 0
    while (end := piece.find(b"\n\n", start)) >= 0:
        if piece.startswith(b":", start):
            if piece.find(b"\n", start, end) >= 0:
                break
        else:
            line = start
            if piece.startswith(b"event: ", start):
                line = piece.find(b"\n", start) + 1
                name = piece[start + 7 : line - 1]
                if not name or not name.isascii() or name.startswith(b"thread."):
                    break
            if not piece.startswith(b"data: {", line) or piece.find(b"\n", line, end) >= 0:
                break
            try:
                data = OBJECT.decode(piece[line + 6 : end])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            if data.get("error"):
                break
            found.append(data)
        start = end + 2
    return found, piece[start:]
