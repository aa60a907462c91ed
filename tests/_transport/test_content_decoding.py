"""Compressed bodies are decoded in bounded steps, however they arrive."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._failures.signals import TransportFailure
from lanewise._transport.content_decoding import PIECE, decoder_for

BODIES = st.lists(st.binary(max_size=2000) | st.integers(0, 1_000_000).map(bytes), max_size=3).map(b"".join)


def decoded(encoding: str, body: bytes, step: int) -> bytes:
    decoder = decoder_for(encoding)
    assert decoder is not None
    pieces = []
    for start in range(0, len(body), step):
        decoder.feed(body[start : start + step])
        while piece := decoder.take():
            assert len(piece) <= PIECE
            pieces.append(piece)
    decoder.finish()
    return b"".join(pieces)


@given(BODIES, st.integers(1, 3000))
def test_what_was_compressed_comes_back(body: bytes, step: int) -> None:
    """gzip (also in several members), zlib's deflate and raw deflate."""
    raw = zlib.compressobj(wbits=-15)
    half = len(body) // 2
    assert decoded("gzip", gzip.compress(body), step) == body
    assert decoded("X-GZip", gzip.compress(body[:half]) + gzip.compress(body[half:]) + bytes(8), step) == body
    assert decoded("deflate", zlib.compress(body), step) == body
    assert decoded("deflate", raw.compress(body) + raw.flush(), step) == body


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_garbage_is_a_failure_and_nothing_else(body: bytes, encoding: str) -> None:
    """Whatever the bytes are."""
    with contextlib.suppress(TransportFailure):
        decoded(encoding, body, 7)


def test_only_what_was_asked_for_is_decoded() -> None:
    """No decoder where there is nothing to decode, and a failure for the rest."""
    assert decoder_for(None) is decoder_for("identity") is None
    for encoding in ("br", "zstd", "gzip, gzip"):
        with pytest.raises(TransportFailure):
            decoder_for(encoding)
