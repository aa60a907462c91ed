"""The events of a stream, judged a few at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.streams.sse import EventSplitter
from lanewise._openai.streams.stream_accumulator import StreamAccumulator
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


EVENTS = [
    CONTENT,
    chunk(content="é"),
    chunk(content="a longer text"),
    chunk(role="assistant"),
    chunk(reasoning_content="hm"),
    chunk(refusal="no"),
    chunk(content=1),
    chunk(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{"}}]),
    b'data: {"id": "c1", "model": "m", "choices": [{"index": 1, "delta": {"content": "b"}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n',
    b'data: {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}\n\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "c"}}], "usage": {"completion_tokens": 1}}\n\n',
    b'data: {"choices": []}\n\n',
    b'data: {"detail": "something failed"}\n\n',
    b'data: {"error": {"message": "no", "code": "server_error"}}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": NaN}}]}\n\n',
    b'data: {"choices": [{"index": "0", "delta": {"content": "x"}}]}\n\n',
    b"data: {\n\n",
    b"data: 1\n\n",
    b"data: \xff\n\n",
    b"data: \n\n",
    b"data: [DONE]\n\n",
    b"event: ping\ndata: {}\n\n",
    b'event: error\ndata: {"message": "no"}\n\n',
    b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "d"}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "e"}}]}\r\n\r\n',
    b": comment\n\n",
    b"id: 1\n\n",
    b"\n",
]


async def outcome(
    pieces: Sequence[bytes], api: Api, *, hide_usage: bool, gather: bool, sensitive: bool
) -> tuple[object, bool, object]:
    """What the app reads of a stream, whether it ended well, and all that is known of it then."""
    exchange: Any = Exchange(pieces)
    accumulator = StreamAccumulator(api, 1_000_000) if gather else None
    accepts = (lambda model: model == "m") if sensitive else None
    validator = StreamValidator(api, hide_usage=hide_usage, choices=2, accepts=accepts, accumulator=accumulator)
    flow = UpstreamStream(exchange, validator, 1_000_000, lambda: None)
    data, alive = b"", False
    while True:
        piece = await flow.next_piece()
        data += piece.data
        alive = alive or piece.alive
        if piece.ended or piece.failure:
            break
    state = {
        name: value for name, value in vars(validator).items() if name not in ("accumulator", "accepts", "rewritten")
    }
    state["usage_so_far"] = validator.usage
    gathered = None if accumulator is None else accumulator.choices()
    splitter = EventSplitter()
    events = [*splitter.feed(data), *splitter.end()]
    read = [(event.name, event.data) for event in events if event is not None and event.data is not None]
    return read, piece.ended, (piece.failure, alive, state, gathered)


@given(
    st.lists(st.one_of(st.sampled_from(EVENTS[:5]), st.sampled_from(EVENTS)), max_size=20),
    st.lists(st.integers(0, 2000), max_size=5),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
async def test_events_mean_the_same_however_they_come(
    events: list[bytes], cuts: list[int], hide_usage: bool, gather: bool, sensitive: bool
) -> None:
    """All in one piece, in any pieces, and byte for byte."""
    stream = b"".join(events)
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    ways = (
        [stream],
        [stream[start:end] for start, end in itertools.pairwise(places) if start < end],
        [bytes([byte]) for byte in stream],
    )
    results = [
        await outcome(way, Api.CHAT, hide_usage=hide_usage, gather=gather, sensitive=sensitive) for way in ways if way
    ]
    assert all(result == results[0] for result in results)


async def test_what_was_read_and_is_not_judged_is_known_to_be_there() -> None:
    """So that nobody waits for more before it is taken."""
    mixed = CONTENT + b": comment\n\n" + CONTENT * EVENTS_AT_ONCE
    exchange: Any = Exchange([CONTENT * (EVENTS_AT_ONCE + 1), mixed, END])
    flow = UpstreamStream(exchange, StreamValidator(Api.CHAT, hide_usage=False), 1_000_000, lambda: None)
    more = []
    while not (await flow.next_piece()).ended:
        more.append(flow.has_more)
    assert more == [True, False, True, False]
