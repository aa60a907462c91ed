"""A provider's stream as it arrives: pieces become events, events are judged, and their bytes go on as they were."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.response_schema import is_utf8
from lanewise._openai.sse import Event, EventSplitter
from lanewise._openai.stream_validator import StreamJudge, Verdict
from lanewise._openai.usage_chunk import without_usage
from lanewise._transport import Exchange
from lanewise.types import Failure

__all__ = ["Flow", "Piece"]

_MOST_KEPT: Final = 64 * 1024
_SIGN_OF_LIFE: Final = (Verdict.PROGRESS, Verdict.CONTENT, Verdict.DONE)


class Piece(msgspec.Struct, gc=False):
    """What one read of a stream brought: bytes for the app, and what they mean."""

    data: bytes = b""
    alive: bool = False
    ended: bool = False
    failure: Failure | None = None


class Flow:
    """The events of one attempt's stream.

    :meth:`next_piece` is asked until a piece has ``ended`` or a ``failure``; what comes before a failure in the same
    read is in its ``data``. ``begun`` is what was read of it already.
    """

    def __init__(self, exchange: Exchange, judge: StreamJudge, max_event_bytes: int, begun: bytes = b"") -> None:
        self.exchange = exchange
        self.judge = judge
        self._splitter = EventSplitter(max_event_bytes)
        self._at_end = False
        self._begun = begun
        self._seen = False
        """Whether an event has come."""
        self._not_events = b""
        """What came instead of events, as far as it may tell of an error."""

    async def next_piece(self) -> Piece:
        """Read once, and judge what came. A read that runs into its bound raises TransportFailure(TIMEOUT)."""
        data, self._begun = self._begun, b""
        try:
            data = data or await self.exchange.read_some()
        except TransportFailure as failure:
            if failure.signal is TransportSignal.TIMEOUT:
                raise
            return self._ended_by(failure)
        if not data:
            self._at_end = True
            return self._end()
        try:
            events = self._splitter.feed(data)
        except TransportFailure as failure:
            return Piece(failure=self.judge.broken(failure.signal))
        return self._judge(events)

    async def drain(self, until: float) -> bytes:
        """Read on to the clean end after the last event, so that the connection can be used again.

        Gives what follows the last event of a response, where that is not ``[DONE]``: the SDK would hand it on.
        """
        if self._at_end:
            return b""
        self.exchange.bound_reads(until)
        rest: list[bytes] = []
        try:
            while data := await self.exchange.read_some():
                if self.judge.may_go_on:
                    rest += [self._after_the_end(event) for event in self._splitter.feed(data)]
        except TransportFailure:
            self.exchange.abort()
        self._at_end = True
        return b"".join(rest)

    def _judge(self, events: list[Event]) -> Piece:
        piece = Piece()
        kept: list[bytes] = []
        for event in events:
            if event.data is None:
                if _is_comment(event.raw):
                    kept.append(event.raw)
                elif not self._seen and len(self._not_events) < _MOST_KEPT:
                    self._not_events += event.raw
                continue  # nothing to dispatch, by the standard; the SDK would read it as JSON
            if not event.data or event.data.isspace():
                continue  # a blank `data:` line says nothing, and the SDK would stumble over it
            if piece.ended:
                kept.append(self._after_the_end(event))
                continue
            self._seen = True
            verdict = self.judge.feed(event.name, event.data)
            if not isinstance(verdict, Verdict):
                piece.failure = verdict
                break
            if verdict is not Verdict.HIDE:
                kept.append(event.passed_on if self.judge.instead is None else self.judge.instead)
            elif (rest := without_usage(event.data)) is not None:
                kept.append(rest)
            if verdict in _SIGN_OF_LIFE:
                piece.alive = True
                if verdict is Verdict.DONE:
                    piece.ended = True
                    if not self.judge.may_go_on:
                        break
        piece.data = kept[0] if len(kept) == 1 else b"".join(kept)
        return piece

    def _end(self) -> Piece:
        piece = Piece()
        last = self._splitter.end()
        if last is not None:
            piece = self._judge([last])
            if piece.failure is not None:
                return piece
        piece.failure = self.judge.end()
        if piece.failure is not None and self._not_events and not self._seen:
            piece.failure = from_inner_error(self._not_events, otherwise=failures.STREAM_CUT)
        piece.ended = piece.failure is None
        return piece

    def _after_the_end(self, event: Event) -> bytes:
        if event.data is None:
            return b""
        return self.judge.after_the_end(event.name, event.data) or b""

    def _ended_by(self, failure: TransportFailure) -> Piece:
        """The connection broke. An answer that was whole by then is whole."""
        if self.judge.complete:
            return Piece(ended=True)
        if failure.trouble is None:
            return Piece(failure=self.judge.broken(failure.signal))
        return Piece(failure=self.judge.broken(failure.signal, cause=failure.detail, trouble=failure.trouble))


def _is_comment(raw: bytes) -> bool:
    return all(line.startswith(b":") for line in raw.splitlines() if line) and is_utf8(raw)
