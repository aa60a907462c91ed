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
        while (piece := decoder.take()) or decoder.has_more:
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


@pytest.mark.parametrize("encoding", [None, "identity", "none", "utf-8", "br", ",", "identity, identity"])
def test_what_nobody_knows_is_no_encoding(encoding: str | None) -> None:
    """As HTTP clients have it: the body is taken as it is."""
    assert decoder_for(encoding) is None


@given(BODIES, st.integers(1, 3000))
def test_several_encodings_are_undone_one_after_the_other(body: bytes, step: int) -> None:
    """The one that is named last first; those that say nothing are passed over."""
    assert decoded("gzip, identity", gzip.compress(body), step) == body
    assert decoded("deflate, none, gzip", gzip.compress(zlib.compress(body)), step) == body
    assert decoded("gzip,gzip", gzip.compress(gzip.compress(body)), step) == body


def test_a_body_that_is_compressed_over_and_over_is_a_failure() -> None:
    """Nobody does that who wants to be read."""
    with pytest.raises(TransportFailure):
        decoder_for(", ".join(["gzip"] * 6))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("step", [1, 7, 5000])
@pytest.mark.parametrize(
    "body", [b'{"choices": [{"index": 0}]}' * 9, b'data: {"id": 1}\n\n' * 9, b": hi\n\ndata: 1\n" * 9]
)
def test_text_that_calls_itself_compressed_is_text(encoding: str, step: int, body: bytes) -> None:
    """However it arrives."""
    assert decoded(encoding, body, step) == body


def test_members_that_hold_nothing_are_decoded_with_pauses() -> None:
    """There may be a hundred thousand of them in 2 MB, and nothing to give for it."""
    decoder = decoder_for("gzip")
    assert decoder is not None
    decoder.feed(gzip.compress(b"") * 100_000 + gzip.compress(b"end"))
    pauses = 0
    while not (piece := decoder.take()):
        assert decoder.has_more
        pauses += 1
    assert pauses > 1000
    assert piece == b"end"
