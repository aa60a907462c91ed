"""Content-Encoding, undone piece by piece, so that a small body can't become a huge one at once."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from lanewise._failures.signals import TransportFailure, TransportSignal

__all__ = ["PIECE", "Decoder", "decoder_for", "read_decoded"]

PIECE = 256 * 1024
"""The most bytes that one step of a decoder gives."""


class Decoder(Protocol):
    """``feed`` bytes as they come, ``take`` what they give until that is empty, and check ``finish`` at the end."""

    def feed(self, data: bytes) -> None: ...

    def take(self) -> bytes: ...

    def finish(self) -> None: ...


async def read_decoded(decoder: Decoder, read_raw: Callable[[], Awaitable[bytes]]) -> bytes:
    """The next decoded piece of what ``read_raw`` gives; ``b""`` at the clean end.

    Raises TransportFailure: UNDECODABLE.
    """
    while not (piece := decoder.take()):
        data = await read_raw()
        if not data:
            decoder.finish()
            return b""
        decoder.feed(data)
    return piece


def decoder_for(content_encoding: str | None) -> Decoder | None:
    """The decoder of a Content-Encoding header; ``None`` if the body is as it is.

    Raises TransportFailure: UNDECODABLE, for an encoding that was not asked for.
    """
    match (content_encoding or "").strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Inflater(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Inflater(zlib.MAX_WBITS)
    raise TransportFailure(TransportSignal.UNDECODABLE, "the body is in an encoding that was not asked for")


class _Inflater:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._pending = b""
        self._began = False
        self._full = False
        """The last step gave a whole piece: there may be more without more input."""

    def feed(self, data: bytes) -> None:
        self._pending += data

    def take(self) -> bytes:
        while self._pending or self._full:
            if self._inflate.eof:
                self._next_member()
                continue
            piece = self._step()
            if piece:
                return piece
        return b""

    def finish(self) -> None:
        if self._began and not self._inflate.eof:
            raise TransportFailure(TransportSignal.UNDECODABLE, "the compressed body is cut short")

    def _step(self) -> bytes:
        data, self._pending = self._pending, b""
        if not self._began:
            self._began = True
            # Some servers say "deflate" and send it raw, without zlib's two bytes (RFC 9110, 8.4.1.2).
            if self._wbits == zlib.MAX_WBITS and data[0] & 0x0F != 8:
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        piece = None
        with contextlib.suppress(zlib.error):
            piece = self._inflate.decompress(data, PIECE)
        if piece is None:
            raise TransportFailure(TransportSignal.UNDECODABLE, "the body is not what its encoding says")
        self._full = len(piece) == PIECE
        self._pending = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        return piece

    def _next_member(self) -> None:
        self._full = False
        if self._wbits == zlib.MAX_WBITS or not self._pending.strip(b"\0"):
            self._pending = b""  # gzip may be padded with zeros; what follows a deflated body is nobody's
            return
        self._inflate = zlib.decompressobj(self._wbits)
