"""A provider's stream as it arrives: pieces become events, events are judged, and their bytes go on as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.streams.hidden_usage import without_usage
from lanewise._openai.streams.sse import Event, EventSplitter, run_length
from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._transport import Exchange
from lanewise.types import Failure

__all__ = ["Chunk", "UpstreamStream"]

_MOST_KEPT: Final = 64 * 1024
TURN: Final = 0.004
"""Seconds for which events are judged in one go."""
EVENTS_AT_ONCE: Final = 64
"""Events that the app gets at once: the SDK takes 20 to 60 us for each, and lets nobody in between."""
_LARGE: Final = 8192
_SIGN_OF_LIFE: Final = (StreamVerdict.PROGRESS, StreamVerdict.CONTENT, StreamVerdict.DONE)


class Chunk(msgspec.Struct, gc=False):
    """What some events of a stream brought: bytes for the app, and what they mean."""

    data: bytes = b""
    alive: bool = False
    ended: bool = False
    failure: Failure | None = None


class UpstreamStream:
    """The events of one attempt's stream.

    :meth:`next_piece` is asked until a piece has ``ended`` or a ``failure``; what comes before a failure in the same
    read is in its ``data``. ``begun`` is what was read of it already.
    """

    def __init__(
        self,
        exchange: Exchange,
        validator: StreamValidator,
        max_event_bytes: int,
        on_bytes: Callable[[], None],
        begun: bytes = b"",
    ) -> None:
        self.exchange = exchange
        self.validator = validator
        self._splitter = EventSplitter(max_event_bytes)
        self._events: Iterator[Event | None] | None = None
        """Of what was read and is not all judged yet."""
        self._on_bytes = on_bytes
        self._at_end = False
        self._uncut = begun
        """What was read, and is not cut into events yet."""
        self._seen = False
        """Whether an event has come."""
        self._not_events = b""
        """What came instead of events, as far as it may tell of an error."""

    @property
    def has_more(self) -> bool:
        """Whether more was read than is judged: the next piece needs no read."""
        return self._events is not None or bool(self._uncut)

    async def next_piece(self) -> Chunk:
        """Judge what came, and read once if all of that is judged. Others have their turn before it goes on for long.

        A read that runs into its bound raises TransportFailure(TIMEOUT).
        """
        if self._events is not None:
            await self.exchange.give_way()
            return self._judge(self._events, Chunk())
        data, self._uncut = self._uncut, b""
        if data:
            await self.exchange.give_way()
        else:
            try:
                data = await self.exchange.read_some()
            except TransportFailure as failure:
                if failure.signal is TransportSignal.TIMEOUT:
                    raise
                return self._ended_by(failure)
        self._at_end = not data
        if self._at_end:
            return self._judge(self._splitter.end(), Chunk())
        self._on_bytes()
        piece = Chunk()
        run, size = self._splitter.cut_run(data, EVENTS_AT_ONCE)
        if run:
            data = self._judge_run(data, run, size, piece)
            if piece.failure is not None or not data:
                return piece
            if len(run) == EVENTS_AT_ONCE:
                self._uncut = data
                return piece
        return self._judge(self._splitter.feed(data), piece)

    async def drain(self, until: float) -> bytes:
        """Read on to the clean end after the last event, so that the connection can be used again.

        Gives what follows the last event of a response, where that is not ``[DONE]``: the SDK would hand it on.
        """
        rest: list[bytes] = []
        events, self._events = self._events, None
        if events is not None and self.validator.may_go_on:
            rest += await self._all_after_the_end(events)
        if self._at_end:
            return b"".join(rest)
        self.exchange.bound_reads(until)
        try:
            while data := await self.exchange.read_some():
                if self.validator.may_go_on:
                    rest += await self._all_after_the_end(self._splitter.feed(data))
        except TransportFailure:
            self.exchange.abort()
        self._at_end = True
        return b"".join(rest)

    def _judge_run(self, data: bytes, run: list[bytes], size: int, piece: Chunk) -> bytes:
        """Judge events that came together, as far as they are passed on as they are. Gives what is left of ``data``."""
        verdicts = self.validator.feed_run(run)
        if not verdicts:
            return data
        self._seen = True
        if len(verdicts) < len(run):
            size = run_length(run[: len(verdicts)])
        piece.alive = StreamVerdict.CONTENT in verdicts or StreamVerdict.PROGRESS in verdicts
        last = verdicts[-1]
        if isinstance(last, StreamVerdict) and last is not StreamVerdict.HIDE:
            piece.data = data[:size]
            return data[size:]
        event = run[len(verdicts) - 1]
        piece.data = data[: size - run_length((event,))]
        if isinstance(last, Failure):
            piece.failure = last
        else:
            piece.data += without_usage(event) or b""
        return data[size:]

    def _judge(self, events: Iterator[Event | None], piece: Chunk) -> Chunk:
        """Judge events until there is enough for the app to go on with, or it has taken a while."""
        pieces = [piece.data] if piece.data else []
        until = perf_counter() + TURN
        self._events = events
        validator = self.validator
        number = 0
        try:
            for event in events:
                number += 1
                if event is None or event.data is None:
                    # Nothing to dispatch, by the standard; the SDK would read it as JSON.
                    if event is not None:
                        self._pass_over(event, pieces)
                elif event.data and not event.data.isspace():  # a blank `data:` line says nothing either
                    if piece.ended:
                        pieces.append(self._after_the_end(event))
                        continue
                    self._seen = True
                    verdict = validator.feed(event.name, event.data)
                    if not isinstance(verdict, StreamVerdict):
                        piece.failure = verdict
                        break
                    if verdict is not StreamVerdict.HIDE:
                        pieces.append(event.passed_on if validator.rewritten is None else validator.rewritten)
                    elif (rest := without_usage(event.data)) is not None:
                        pieces.append(rest)
                    if verdict in _SIGN_OF_LIFE:
                        piece.alive = True
                        if verdict is StreamVerdict.DONE:
                            piece.ended = True
                            if not validator.may_go_on:
                                break
                if len(pieces) >= EVENTS_AT_ONCE:
                    break
                looks = event is None or number % 16 == 0 or len(event.raw) > _LARGE
                if looks and perf_counter() > until:
                    break
            else:
                self._events = None
                if self._at_end:
                    self._end(piece)
        except TransportFailure as failure:
            self._events = None
            piece.failure = validator.broken(failure.signal)
        piece.data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return piece

    def _pass_over(self, event: Event, pieces: list[bytes]) -> None:
        """Take note of what is no event. Of comments one keeps a connection alive as well as a thousand at once."""
        if event.comment:
            if not (pieces and pieces[-1].startswith(b":")):
                pieces.append(event.raw)
        elif not self._seen and len(self._not_events) < _MOST_KEPT and not event.raw.isspace():
            self._not_events += event.raw

    def _end(self, piece: Chunk) -> None:
        piece.failure = self.validator.end()
        if piece.failure is not None and self._not_events and not self._seen:
            piece.failure = from_inner_error(self._not_events, otherwise=failures.NOT_JSON)
        piece.ended = piece.failure is None

    async def _all_after_the_end(self, events: Iterator[Event | None]) -> list[bytes]:
        rest = []
        for number, event in enumerate(events):
            if number % EVENTS_AT_ONCE == 0:
                await self.exchange.give_way()
            if event is not None:
                rest.append(self._after_the_end(event))
        return rest

    def _after_the_end(self, event: Event) -> bytes:
        if event.data is None:
            return b""
        return self.validator.after_the_end(event.name, event.data) or b""

    def _ended_by(self, failure: TransportFailure) -> Chunk:
        """The connection broke. An answer that was whole by then is whole."""
        if self.validator.complete:
            return Chunk(ended=True)
        if failure.trouble is None:
            return Chunk(failure=self.validator.broken(failure.signal))
        return Chunk(failure=self.validator.broken(failure.signal, cause=failure.detail, trouble=failure.trouble))
