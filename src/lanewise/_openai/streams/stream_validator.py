"""The validator of a stream: what commits it, what is a sign of life, and what breaks it, event by event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.signals import TransportSignal
from lanewise._openai import wire_types as wire
from lanewise._openai.deciding_fields import Uncertainty, doubt_about
from lanewise._openai.lenient_json import MALFORMED, as_far_as_it_fits, is_utf8, read_json, write_json
from lanewise._openai.streams.chat_events import CHUNK, judge_chunk
from lanewise._openai.streams.responses_events import EVENT, judge_event
from lanewise._openai.streams.sse import event_bytes
from lanewise._openai.streams.stream_accumulator import StreamAccumulator
from lanewise._openai.streams.stream_state import StreamState, StreamVerdict
from lanewise.types import Api, Failure, LocalTrouble

__all__ = ["StreamValidator"]

_BROKEN_BY: Final = {
    TransportSignal.TIMEOUT: failures.STALLED,
    TransportSignal.TOO_LARGE: failures.STREAM_TOO_LARGE,
    TransportSignal.LOCAL_TROUBLE_AFTER_WRITE: failures.LOCAL_TROUBLE_AFTER_WRITE,
    TransportSignal.LOOP_LATE: failures.LOOP_LATE,
}
_DONE: Final = b"[DONE]"


class StreamValidator(StreamState):
    """Judges the stream of one attempt. Pure: events go in, the verdict on each comes out.

    ``hide_usage``: the usage chunk was asked for by the router, not by the app. ``choices``: how many the app asked
    for (``n``). ``accepts`` says of each model that the stream names whether it may answer: one that may not ends the
    stream, wherever in it the name comes. ``accumulator`` gathers the content, for a contract. After a failure, or
    after ``DONE``, feed no more.

    Example::

        judge = StreamValidator(Api.CHAT, hide_usage=True)
        judge.feed(None, b'{"choices": [{"delta": {"content": "Hi"}}]}')  # StreamVerdict.CONTENT
        judge.end()  # a Failure: neither [DONE] nor a finish reason
    """

    def __init__(
        self,
        api: Api,
        *,
        hide_usage: bool,
        choices: int = 1,
        accepts: Callable[[str], bool] | None = None,
        accumulator: StreamAccumulator | None = None,
    ) -> None:
        super().__init__(hide_usage=hide_usage, accepts=accepts)
        self._api = api
        self._responses = api is Api.RESPONSES
        self._choices = choices
        self.accumulator = accumulator
        """The content of the stream, where somebody will ask for it."""
        self._saw_done_marker = False
        self.rewritten: bytes | None = None
        """The latest event written anew, where the bytes that came could be read otherwise than they were judged."""
        self.lenient: tuple[str, ...] = ()
        """What was odd and was let pass: ``json``, ``types``, ``events``."""

    unfinished = False
    """A stream ends with its answer."""

    @property
    def may_go_on(self) -> bool:
        """Whether events may follow the last one: after that of a response, and never after ``[DONE]``."""
        return self._responses and not self._saw_done_marker

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, so that an end of the stream now is a success."""
        return self.done or (len(self.finished_choices) >= self._choices and not self.open_choices)

    def feed(self, event_name: str | None, data: bytes) -> StreamVerdict | Failure:
        """What an event is, or the failure that it is. Never raises, whatever it holds. About 1 us a chat chunk."""
        self.rewritten = None
        if data == _DONE:
            return self._finish()
        if not data or data.isspace():  # a blank `data:` line
            return self.without_content()
        if not data.isascii() and not is_utf8(data):
            return self.broken_by(failures.MALFORMED_EVENT)
        if self.accepts is not None and (doubt := doubt_about(self._api, data, event=True)) is not None:
            return self.broken_by(failures.SUBSTITUTED if doubt is Uncertainty.MODEL else failures.IN_DOUBT)
        try:
            if self._responses:
                verdict = judge_event(self, EVENT.decode(data), event_name, data)
            else:
                verdict = judge_chunk(self, CHUNK.decode(data), event_name, data)
        except msgspec.ValidationError:
            verdict = self._read_again(event_name, data, "types")
        except MALFORMED:
            verdict = self._read_again(event_name, data, "json")
        if self.accumulator is not None and isinstance(verdict, StreamVerdict) and not self._saw_done_marker:
            self.accumulator.add(data)
        return verdict

    def feed_run(self, run: Sequence[bytes]) -> list[StreamVerdict | Failure]:
        """What the first of some nameless events are: all, or as far as to one that is to be fed by itself, or to one
        that is not passed on as it is. Never raises. About 1 us a chunk."""
        verdicts: list[StreamVerdict | Failure] = []
        if self._responses or self.accepts is not None:
            return verdicts
        self.rewritten = None
        for data in run:
            if not data.isascii() and not is_utf8(data):
                break
            try:
                chunk = CHUNK.decode(data)
            except MALFORMED:
                break
            verdict = judge_chunk(self, chunk, None, data)
            verdicts.append(verdict)
            if not isinstance(verdict, StreamVerdict):
                break
            if self.accumulator is not None:
                self.accumulator.add(data)
            if verdict is StreamVerdict.HIDE:
                break
        return verdicts

    def after_the_end(self, event_name: str | None, data: bytes) -> bytes | None:
        """The bytes to pass on of an event that follows the last one, if it can be read."""
        self._saw_done_marker = self._saw_done_marker or data.lstrip().startswith(_DONE)
        if self._saw_done_marker:
            return None
        try:
            return event_bytes(event_name, write_json(read_json(data.decode("utf-8-sig"))))
        except MALFORMED:
            return None

    def _read_again(self, event_name: str | None, data: bytes, odd: str) -> StreamVerdict | Failure:
        """An event that the strict decoder refuses, read as the SDK reads it, and written anew as it was judged."""
        if data.lstrip().startswith(_DONE):
            self._let_pass("events")
            self.rewritten = event_bytes(None, _DONE)
            return self._finish()
        try:
            value = read_json(data.decode("utf-8-sig"))
            written = write_json(value)
            if not isinstance(value, dict):
                verdict = self._no_object(event_name, data, value)
            elif self._responses:
                event = as_far_as_it_fits(wire.ResponsesEvent, value)
                verdict = judge_event(self, event, event_name, written)
            else:
                verdict = judge_chunk(self, as_far_as_it_fits(wire.ChatChunk, value), event_name, written)
        except MALFORMED:
            if self.reports_error(event_name, data, known=False):
                return self.error(data)
            return self.broken_by(failures.MALFORMED_EVENT)
        if isinstance(verdict, StreamVerdict):
            self._let_pass(odd if isinstance(value, dict) else "events")
            self.rewritten = event_bytes(event_name, written)
        return verdict

    def _no_object(self, event_name: str | None, data: bytes, value: object) -> StreamVerdict | Failure:
        if self.reports_error(event_name, data, known=False):
            return self.error(data)
        # A number or a text may be a piece of the answer: nobody can tell.
        return self.broken_by(failures.MALFORMED_EVENT) if value and value is not True else self.without_content()

    def _let_pass(self, odd: str) -> None:
        if odd not in self.lenient:
            self.lenient = (*self.lenient, odd)

    def end(self) -> Failure | None:
        """The failure that the end of the stream is, if the answer isn't whole."""
        if self.failure is not None:
            return self.failure
        if self.complete:
            return None
        return self.broken_by(failures.STREAM_CUT)

    def broken(self, signal: TransportSignal, *, cause: str = "", trouble: LocalTrouble | None = None) -> Failure:
        """The failure that a transport's signal is in the middle of this stream."""
        return self.broken_by(_BROKEN_BY.get(signal, failures.STREAM_CUT), cause, trouble)

    def stalled(self) -> Failure:
        """The failure when a timer ran out: no content in time before commit, no sign of life after it."""
        return self.broken_by(failures.STALLED if self.committed else failures.NO_CONTENT)

    def _finish(self) -> StreamVerdict | Failure:
        self._saw_done_marker = True
        if self.suspected_error is not None and not self.complete:
            return self.error(self.suspected_error)
        if not self.committed and not self.finished_choices:
            return self.broken_by(failures.STREAM_CUT)
        self.done = True
        return StreamVerdict.DONE
