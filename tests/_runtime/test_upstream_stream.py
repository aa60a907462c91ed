"""The events of a stream, judged a few at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._runtime.call.streams.upstream_stream import EVENTS_AT_ONCE, Chunk, UpstreamStream
from lanewise.types import Api, FailureKind

pytestmark = pytest.mark.anyio


def chunk(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


CONTENT = chunk(content="a")
END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


class Exchange:
    """Brings what it is given, and counts how often others could have had their turn."""

    def __init__(self, pieces: Sequence[bytes | TransportFailure]) -> None:
        self._pieces = iter(pieces)
        self.turns = 0

    async def read_some(self) -> bytes:
        piece = next(self._pieces, b"")
        if isinstance(piece, TransportFailure):
            raise piece
        return piece

    async def give_way(self) -> None:
        self.turns += 1


async def read(*pieces: bytes | TransportFailure) -> tuple[list[Chunk], Exchange]:
    exchange: Any = Exchange(pieces)
    flow = UpstreamStream(exchange, StreamValidator(Api.CHAT, hide_usage=False), 1_000_000, lambda: None)
    found = []
    while not found or not (found[-1].ended or found[-1].failure):
        found.append(await flow.next_piece())
    return found, exchange


@pytest.mark.parametrize(
    "flood",
    [CONTENT * 10_000, b"data: {}\n\n" * 30_000, b":\n\n" * 100_000, b"data:x\n" * 100_000 + b"\n" + CONTENT],
    ids=["content", "nothing", "comments", "lines"],
)
async def test_much_that_comes_at_once_is_judged_in_steps(flood: bytes) -> None:
    """Others have their turn in between, and the app gets a few events at a time."""
    found, exchange = await read(CONTENT + flood + END)
    assert exchange.turns >= len(found) - 2 > 1
    assert max(piece.data.count(b"\n\n") for piece in found) <= EVENTS_AT_ONCE


@pytest.mark.parametrize("count", [1, EVENTS_AT_ONCE - 1, EVENTS_AT_ONCE, EVENTS_AT_ONCE + 1, 1000])
async def test_steps_leave_nothing_out(count: int) -> None:
    """All that came is passed on, in its order, to the end."""
    found, _ = await read(CONTENT * count + END)
    assert b"".join(piece.data for piece in found) == CONTENT * count + END
    assert [piece.ended for piece in found] == [False] * (len(found) - 1) + [True]


async def test_what_came_before_a_failure_is_passed_on() -> None:
    """In whichever step the failure is found."""
    found, _ = await read(CONTENT * 100 + b"data: {\n\n" + CONTENT)
    assert b"".join(piece.data for piece in found) == CONTENT * 100
    assert found[-1].failure is not None
    assert found[-1].failure.kind is FailureKind.STREAM_BROKEN


async def test_an_end_without_an_empty_line_is_judged_in_steps_too() -> None:
    """A million lines may come without one."""
    found, exchange = await read(CONTENT, b"event: x\n" * 100_000, b"data: [DONE]")
    assert exchange.turns > 1
    assert found[-1].ended


async def test_a_cut_after_the_last_step_is_judged_then() -> None:
    """What came before it is judged first."""
    found, _ = await read(CONTENT * 100, TransportFailure(TransportSignal.CUT))
    assert b"".join(piece.data for piece in found) == CONTENT * 100
    assert found[-1].failure is not None
