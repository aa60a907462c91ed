"""Content-Encoding, undone piece by piece, so that a small body can't become a huge one at once.

As HTTP clients do it: an encoding that nobody knows is none, several are undone one after the other, and a body that is
not what its header says is taken as it is.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from lanewise._failures.signals import TransportFailure, TransportSignal

__all__ = ["PIECE", "Decoder", "decoder_for", "is_odd", "read_decoded"]

PIECE = 256 * 1024
"""The most bytes that one step of a decoder gives."""
_BITE: Final = 16 * 1024
"""The most bytes that one step takes: of many small members each step copies what is left of its bite."""
_STEPS: Final = 64
"""Steps without a byte to give after which others may have their turn."""
_MOST: Final = 5
_TRIED: Final = 64
"""Bytes by which text is told from raw deflate."""
_GZIP: Final = zlib.MAX_WBITS | 16
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_NONE: Final = frozenset({"", "identity"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BEGINNINGS: Final = (b"{", b"[", b"<", b":", b"data:", b"event:", b"id:", b"retry:")
"""How JSON, a page and an event stream begin."""


class Decoder(Protocol):
    """``feed`` bytes as they come, ``take`` what they give until that is empty, and check ``finish`` at the end.

    ``take`` may also give nothing because it has worked for a while: then it ``has_more``.
    """

    def feed(self, data: bytes) -> None: ...

    def take(self) -> bytes: ...

    def finish(self) -> None: ...

    @property
    def has_more(self) -> bool: ...

    @property
    def was_needed(self) -> bool:
        """Whether the body was compressed at all, as far as is known."""
        ...


async def read_decoded(
    decoder: Decoder, read_raw: Callable[[], Awaitable[bytes]], pause: Callable[[], Awaitable[None]]
) -> bytes:
    """The next decoded piece of what ``read_raw`` gives; ``b""`` at the clean end. It may ``pause`` where that takes
    a while before it gives anything.

    Raises TransportFailure: UNDECODABLE.
    """
    while not (piece := decoder.take()):
        if decoder.has_more:
            await pause()
            continue
        data = await read_raw()
        if not data:
            decoder.finish()
            return b""
        decoder.feed(data)
    return piece


def decoder_for(content_encoding: str | None) -> Decoder | None:
    """The decoder of a Content-Encoding header; ``None`` if the body is as it is.

    Raises TransportFailure: UNDECODABLE, for a body that is compressed over and over.
    """
    windows = [_WINDOWS[name] for name in _names(content_encoding) if name in _WINDOWS]
    if not windows:
        return None
    if len(windows) > _MOST:
        raise TransportFailure(TransportSignal.UNDECODABLE, "the body is compressed over and over")
    decoders = [_Inflater(window) for window in reversed(windows)]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def is_odd(content_encoding: str | None) -> bool:
    """Whether a header names what nobody knows, or more than one encoding."""
    names = [name for name in _names(content_encoding) if name not in _NONE]
    return len(names) > 1 or any(name not in _WINDOWS for name in names)


def _names(content_encoding: str | None) -> list[str]:
    return [name.strip().lower() for name in (content_encoding or "").split(",")]


class _Chain:
    """Decoders one after the other; the first undoes the encoding that was applied last."""

    def __init__(self, decoders: list[_Inflater]) -> None:
        self._decoders = decoders

    @property
    def was_needed(self) -> bool:
        return all(decoder.was_needed for decoder in self._decoders)

    @property
    def has_more(self) -> bool:
        return any(decoder.has_more for decoder in self._decoders)

    def feed(self, data: bytes) -> None:
        self._decoders[0].feed(data)

    def take(self) -> bytes:
        return self._take(len(self._decoders) - 1)

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()

    def _take(self, position: int) -> bytes:
        decoder = self._decoders[position]
        while not (piece := decoder.take()):
            if decoder.has_more:
                return b""
            before = self._take(position - 1) if position else b""
            if not before:
                return b""
            decoder.feed(before)
        return piece


def _is_plain(data: bytes) -> bool | None:
    """Whether what should be raw deflate is text; ``None`` while it may be both."""
    text = data.lstrip()
    if not text.startswith(_BEGINNINGS):
        return None if len(data) < _TRIED and any(word.startswith(text) for word in _BEGINNINGS) else False
    trial = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        trial.decompress(data[:_TRIED], PIECE)
    except zlib.error:
        return True
    return False if trial.eof or len(data) >= _TRIED else None


class _Inflater:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._pending = b""
        self._at = 0
        """Up to where what is pending has been read: nothing is copied for what is left of it."""
        self._began = False
        self._plain = False
        self._full = False
        """The last step gave a whole piece: there may be more without more input."""

    @property
    def was_needed(self) -> bool:
        return not self._plain

    @property
    def has_more(self) -> bool:
        return self._began and (self._full or self._at < len(self._pending))

    def feed(self, data: bytes) -> None:
        self._pending, self._at = self._pending[self._at :] + data, 0

    def take(self) -> bytes:
        if not self._began and not self._begin():
            return b""
        if self._plain:
            piece = self._pending[self._at : self._at + PIECE]
            self._at += len(piece)
            return piece
        for _ in range(_STEPS):
            if not self.has_more:
                break
            if self._inflate.eof:
                self._next_member()
                continue
            piece = self._step()
            if piece:
                return piece
        return b""

    def finish(self) -> None:
        if self._plain or (not self._began and not self._pending):
            return
        if not self._began or not self._inflate.eof:
            raise TransportFailure(TransportSignal.UNDECODABLE, "the compressed body is cut short")

    def _begin(self) -> bool:
        """Find out by its first bytes what the body is. Whether that is known yet."""
        first = self._pending[:2]
        if self._wbits == _GZIP:
            if len(first) < len(_GZIP_MAGIC) and _GZIP_MAGIC.startswith(first):
                return False
            self._plain = first != _GZIP_MAGIC
        elif not first:
            return False
        # Some servers say "deflate" and send it raw, without zlib's two bytes (RFC 9110, 8.4.1.2).
        elif first[0] & 0x0F != 8:
            plain = _is_plain(self._pending)
            if plain is None:
                return False
            self._plain = plain
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._began = True
        return True

    def _step(self) -> bytes:
        data = memoryview(self._pending)[self._at : self._at + _BITE]
        piece = None
        with contextlib.suppress(zlib.error):
            piece = self._inflate.decompress(data, PIECE)
        if piece is None:
            raise TransportFailure(TransportSignal.UNDECODABLE, "the body is not what its encoding says")
        self._full = len(piece) == PIECE
        left = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._at += len(data) - len(left)
        return piece

    def _next_member(self) -> None:
        self._full = False
        if self._at >= len(self._pending):
            return
        following = self._pending[self._at : self._at + len(_GZIP_MAGIC)]
        # What follows a deflated body is nobody's; gzip may be padded with zeros, or followed by another member.
        if self._wbits == _GZIP and _GZIP_MAGIC.startswith(following):
            self._inflate = zlib.decompressobj(self._wbits)
        else:
            self._pending, self._at = b"", 0
