"""How long a stream that has begun to answer may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._runtime.call.attempts.attempt_types import StreamStarted
from lanewise._runtime.call.streams.committed_stream import CommittedStream
from lanewise._runtime.call.streams.stream_outcome import StreamLimits
from lanewise._runtime.call.streams.upstream_stream import UpstreamStream
from lanewise.config import Route, StreamSettings
from lanewise.types import Api, Failure

ROUTE = Route(provider="a", model="m")


@pytest.mark.parametrize(
    ("route", "stream", "restarts", "limits"),
    [
        ({}, {}, False, (300, 600)),
        ({}, {}, True, (60, 120)),
        ({}, {"stall": 7.0}, True, (7, 120)),
        ({}, {"silence": 9.0}, True, (60, 9)),
        ({}, {"stall": 7.0, "silence": 9.0}, False, (7, 9)),
        ({"stall": 5.0}, {}, False, (5, 5)),
        ({"stall": 5.0}, {"stall": 7.0}, True, (5, 5)),
        ({"stall": 5.0}, {"silence": 9.0}, False, (5, 9)),
    ],
)
def test_what_is_declared_holds(
    route: dict[str, Any], stream: dict[str, Any], restarts: bool, limits: tuple[float, float]
) -> None:
    """The route's own word first; else long where nothing else could be done, and shorter where the stream restarts."""
    found = StreamLimits.of(ROUTE.model_copy(update=route), StreamSettings(**stream), restarts=restarts)
    assert (found.stall, found.silence) == limits


class Clock:
    """Stands in for the loop: its time goes on by a second with each read."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def call_at(self, *_: object) -> Any:
        return self

    def cancel(self) -> None:
        pass


class Exchange:
    """An exchange that brings what it is given, and keeps the bounds of its reads; at its end it times out."""

    def __init__(self, clock: Clock, pieces: Sequence[bytes]) -> None:
        self._clock = clock
        self._pieces = iter(pieces)
        self.bounds: list[float] = []

    def bound_reads(self, deadline: float) -> None:
        self.bounds.append(deadline)

    async def read_some(self) -> bytes:
        self._clock.now += 1
        for piece in self._pieces:
            return piece
        raise TransportFailure(TransportSignal.TIMEOUT)

    async def give_way(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def release(self) -> None:
        pass


class Outcome:
    """Keeps how the stream ended."""

    failure: Failure | None = None

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits

    def limits(self) -> StreamLimits:
        return self._limits

    def end_with_caller(self, hang_up: object) -> None:
        pass

    def overtaken(self) -> None:
        return None

    def broke(self, failure: Failure) -> bool:
        return False

    def broken(self, failure: Failure) -> Exception:
        self.failure = failure
        return TimeoutError()

    async def breach(self) -> None:
        return None

    def completed(self) -> None:
        pass


CONTENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("piece", "shorter", "moves"),
    [
        (CONTENT, "stall", True),
        (CONTENT, "silence", True),
        (b": ping\n\n", "stall", True),
        (b": ping\n\n", "silence", False),
        (b"\n", "stall", True),
        (b"\n", "silence", False),
        (b"data: {", "stall", True),
        (b"data: {", "silence", False),
    ],
)
async def test_bytes_put_off_the_stall_and_only_content_the_silence(
    piece: bytes, shorter: str, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read is bound by whichever comes first."""
    clock: Any = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    exchange: Any = Exchange(clock, [piece])
    limits = StreamLimits(stall=10, silence=600) if shorter == "stall" else StreamLimits(stall=600, silence=10)
    flow = UpstreamStream(exchange, StreamValidator(Api.CHAT, hide_usage=False), 1000, lambda: None)
    outcome: Any = Outcome(limits)
    relay = CommittedStream(StreamStarted([], flow, b"", ended=False), outcome, max_at=1e9)
    with pytest.raises(TimeoutError):
        await _read_all(relay)
    assert exchange.bounds == [1010, 1011 if moves else 1010]
    assert outcome.failure is not None


async def _read_all(relay: CommittedStream) -> None:
    while await relay.read():
        pass
