"""Judging a stream, event by event: what commits it, what is a sign of life, and what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._failures.failure_table import Row
from lanewise._failures.signals import TransportSignal
from lanewise._openai import wire_types as wire
from lanewise._openai.choices import StreamAccumulator
from lanewise._openai.deciding_fields import Uncertainty, doubt_about
from lanewise._openai.finish_reasons import CONTENT_FILTER, ERROR, MALFORMED_CALL, in_chats_words
from lanewise._openai.lenient_json import as_far_as_it_fits, read_json, write_json
from lanewise._openai.sse import event_bytes
from lanewise._openai.usage.accumulator import UsageAccumulator
from lanewise._openai.usage.usage import Usage
from lanewise._openai.wire_types import MALFORMED, is_utf8, may_hold_error
from lanewise.types import Api, BreakerEffect, Failure, FailureKind, LocalTrouble, Retry

__all__ = ["StreamValidator", "StreamVerdict"]


class StreamVerdict(IntEnum):
    """What an event is. Before commit everything but content and ``DONE`` is held, after it everything is passed on."""

    PREAMBLE = 0
    """Hold it: nothing real has come yet. No sign of life."""
    PROGRESS = 1
    """Hold it before commit. The model is at work: a sign of life, but nothing of the answer."""
    CONTENT = 2
    """Real content: commits the stream, and is a sign of life."""
    PASS = 3
    """After commit: pass it on. No sign of life."""
    HIDE = 4
    """The usage that the app did not ask for: account it, and don't pass it on."""
    DONE = 5
    """The last event of a complete answer: pass on what is held, and this."""


_BUSY: Final = frozenset({FailureKind.RATE_LIMIT, FailureKind.CONFLICT})
"""What says nothing of a route's health before an answer has begun, and breaks one that has."""

_BROKEN_BY: Final = {
    TransportSignal.TIMEOUT: failures.STALLED,
    TransportSignal.TOO_LARGE: failures.STREAM_TOO_LARGE,
    TransportSignal.LOCAL_TROUBLE_AFTER_WRITE: failures.LOCAL_TROUBLE_AFTER_WRITE,
    TransportSignal.LOOP_LATE: failures.LOOP_LATE,
}
_BROKEN: Final = FailureKind.STREAM_BROKEN
_LONGEST_NAME: Final = 200
_LONGEST_SUSPECT: Final = 64 * 1024
_TOKEN: Final = 5
"""Bytes that a piece counts for at the least: as ``rough_tokens.likely`` has it, a token."""
_CHUNK: Final = msgspec.json.Decoder(wire.ChatChunk)
_EVENT: Final = msgspec.json.Decoder(wire.ResponsesEvent)
_NO_SIGN_OF_LIFE: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_PREVIEW: Final = ".partial_image"
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.done"})
_BROKEN_OFF: Final = frozenset({"error", "response.error", "response.failed", "response.cancelled"})
_DONE: Final = b"[DONE]"


class StreamValidator:
    """Judges the stream of one attempt. Pure: it is fed events, and says what each is.

    ``hide_usage``: the usage chunk was asked for by us, not by the app. ``choices``: how many the app asked
    for (``n``). ``accepts`` tells of each model that the stream names whether it may answer: one that may not ends the
    stream, wherever in it the name comes. ``gathered`` keeps what is said, for a contract. After a failure, or after
    ``DONE``, feed no more.

    Example::

        judge = StreamValidator(Api.CHAT, hide_usage=True)
        judge.feed(None, b'{"choices": [{"delta": {"content": "Hi"}}]}')  # Verdict.CONTENT
        judge.end()  # a Failure: neither [DONE] nor a finish reason
    """

    def __init__(
        self,
        api: Api,
        *,
        hide_usage: bool,
        choices: int = 1,
        accepts: Callable[[str], bool] | None = None,
        gathered: StreamAccumulator | None = None,
    ) -> None:
        self._api = api
        self._responses = api is Api.RESPONSES
        self._hide_usage = hide_usage
        self._choices = choices
        self._accepts = accepts
        self.gathered = gathered
        """What the stream says, where somebody will ask."""
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._done = False
        self._saw_done_marker = False
        self.instead: bytes | None = None
        """The latest event written anew, where the bytes that came could be read otherwise than they were judged."""
        self.lenient: tuple[str, ...] = ()
        """What was odd and was let pass: ``json``, ``types``, ``events``."""
        self._failed: Failure | None = None
        self._suspected: bytes | None = None
        self.committed = False
        """Whether real content has come."""
        self.model: str | None = None
        self.response_id: str | None = None
        self.finish_reason: str | None = None
        """Of the choice that finished last, in chat's words."""
        self.refusal = False
        self.said = 0
        """About the bytes of what was said, where the provider gives no tokens to go by."""
        self._usage = UsageAccumulator()

    unfinished = False
    """A stream ends with its answer."""

    @property
    def usage(self) -> Usage:
        """What the answer used, as far as the stream has told."""
        return self._usage.usage

    @property
    def content_policy(self) -> bool:
        """Whether the model or its filter refused: the app's to read, a failure only where a lane lists it."""
        return self.refusal or self.finish_reason == CONTENT_FILTER

    @property
    def may_go_on(self) -> bool:
        """Whether events may follow the last one: after that of a response, and never after ``[DONE]``."""
        return self._responses and not self._saw_done_marker

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, so that an end of the stream now is a success."""
        return self._done or (len(self._finished) >= self._choices and not self._open)

    def feed(self, event_name: str | None, data: bytes) -> StreamVerdict | Failure:
        """What an event is, or the failure that it is. Never raises, whatever it holds. About 1 us a chat chunk."""
        self.instead = None
        if data == _DONE:
            return self._finish()
        if not data or data.isspace():  # a blank `data:` line
            return self._without_content()
        if not data.isascii() and not is_utf8(data):
            return self._broken(failures.MALFORMED_EVENT)
        if self._accepts is not None and (doubt := doubt_about(self._api, data, event=True)) is not None:
            return self._broken(failures.SUBSTITUTED if doubt is Uncertainty.MODEL else failures.IN_DOUBT)
        try:
            if self._responses:
                verdict = self._response_event(_EVENT.decode(data), event_name, data)
            else:
                verdict = self._chunk(_CHUNK.decode(data), event_name, data)
        except msgspec.ValidationError:
            verdict = self._read_again(event_name, data, "types")
        except MALFORMED:
            verdict = self._read_again(event_name, data, "json")
        if self.gathered is not None and isinstance(verdict, StreamVerdict) and not self._saw_done_marker:
            self.gathered.add(data)
        return verdict

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
            self.instead = event_bytes(None, _DONE)
            return self._finish()
        try:
            value = read_json(data.decode("utf-8-sig"))
            written = write_json(value)
            if not isinstance(value, dict):
                verdict = self._no_object(event_name, data, value)
            elif self._responses:
                event = as_far_as_it_fits(wire.ResponsesEvent, value)
                verdict = self._response_event(event, event_name, written)
            else:
                verdict = self._chunk(as_far_as_it_fits(wire.ChatChunk, value), event_name, written)
        except MALFORMED:
            if self._reports_error(event_name, data, known=False):
                return self._error(data)
            return self._broken(failures.MALFORMED_EVENT)
        if isinstance(verdict, StreamVerdict):
            self._let_pass(odd if isinstance(value, dict) else "events")
            self.instead = event_bytes(event_name, written)
        return verdict

    def _no_object(self, event_name: str | None, data: bytes, value: object) -> StreamVerdict | Failure:
        if self._reports_error(event_name, data, known=False):
            return self._error(data)
        # A number or a text may be a piece of the answer: nobody can tell.
        return self._broken(failures.MALFORMED_EVENT) if value and value is not True else self._without_content()

    def _let_pass(self, odd: str) -> None:
        if odd not in self.lenient:
            self.lenient = (*self.lenient, odd)

    def _without_content(self) -> StreamVerdict:
        """What an event is that says nothing."""
        return StreamVerdict.PASS if self.committed else StreamVerdict.PREAMBLE

    def end(self) -> Failure | None:
        """The failure that the end of the stream is, if the answer isn't whole."""
        if self._failed is not None:
            return self._failed
        if self.complete:
            return None
        return self._broken(failures.STREAM_CUT)

    def broken(self, signal: TransportSignal, *, cause: str = "", trouble: LocalTrouble | None = None) -> Failure:
        """The failure that a transport's signal is in the middle of this stream."""
        return self._broken(_BROKEN_BY.get(signal, failures.STREAM_CUT), cause, trouble)

    def stalled(self) -> Failure:
        """The failure when a timer ran out: no content in time before commit, no sign of life after it."""
        return self._broken(failures.STALLED if self.committed else failures.NO_CONTENT)

    def _chunk(self, chunk: wire.ChatChunk, event_name: str | None, data: bytes) -> StreamVerdict | Failure:
        if chunk.error:
            return self._error(data)
        if chunk.model and chunk.model != self.model:
            if self._accepts is not None and not self._accepts(chunk.model):
                return self._swapped(chunk.model)
            if self.model is None:
                self.model = chunk.model[:_LONGEST_NAME]
        if self.response_id is None and chunk.id:
            self.response_id = str(chunk.id)[:_LONGEST_NAME]
        if chunk.usage:
            self._usage.add(chunk.usage)
        if chunk.service_tier:
            self._usage.add_service_tier(chunk.service_tier)
        if chunk.x_groq:
            self._usage.add_groq(chunk.x_groq)
        if chunk.usage_breakdown:
            self._usage.add_parts()
        if not chunk.choices:
            if self._reports_error(event_name, data, known=chunk.choices is not None or bool(chunk.usage)):
                return self._error(data)
            if self._hide_usage and chunk.usage and isinstance(chunk.usage, dict):
                return StreamVerdict.HIDE
            if chunk.choices is None:
                self._suspect(data)
            return self._without_content()
        if len(chunk.choices) > wire.MOST_CHOICES:
            return self._broken(failures.STREAM_TOO_LARGE)
        says_something = malformed = False
        for choice in chunk.choices:
            delta = choice.delta
            if delta is not None and delta.says_something():
                says_something = True
                self._count_text(delta.content)
                self.refusal = self.refusal or bool(delta.refusal)
            index, reason = choice.index or 0, choice.finish_reason
            if choice.usage:
                self._usage.add(choice.usage, index)
            if reason:
                reason = in_chats_words(reason)
                if reason == ERROR:
                    return self._error(write_json(choice.error), failures.FINISH_ERROR)
                malformed = malformed or reason == MALFORMED_CALL
                self.finish_reason = reason[:_LONGEST_NAME]
                self._finished.add(index)
                self._open.discard(index)
            elif index not in self._finished:
                self._open.add(index)
        if malformed and not says_something and not self.committed:
            return self._broken(failures.NO_CHOICES)
        others, thinking = (False, False) if says_something else wire.other_words(data)
        if says_something or thinking:
            self.committed = True
            self._suspected = None  # the answer goes on after it
            return StreamVerdict.CONTENT
        if others:
            return StreamVerdict.PROGRESS
        return StreamVerdict.PASS if self.committed else StreamVerdict.PREAMBLE

    def _response_event(
        self, event: wire.ResponsesEvent, event_name: str | None, data: bytes
    ) -> StreamVerdict | Failure:
        name = event.type or event_name or ""
        if event.response is not None:
            model = event.response.model
            if self._accepts is not None and model and not self._accepts(model):
                return self._swapped(model)
            self._take_response(event.response)
        if name in _BROKEN_OFF or event.error:
            return self._error(data if event.response is None else event.response.error)
        if name in _LAST:
            return self._last(event.response)
        if name.endswith(".delta") or name == "response.output_item.done":
            return self._piece(name, event)
        if name.endswith(_PREVIEW):
            self.committed = True  # shown at once, or it need not have been asked for
            return StreamVerdict.CONTENT
        if not name.startswith("response."):
            self._suspect(data)
            return self._without_content()
        if name in _NO_SIGN_OF_LIFE:
            return StreamVerdict.PASS if self.committed else StreamVerdict.PREAMBLE
        return StreamVerdict.PROGRESS

    def _piece(self, name: str, event: wire.ResponsesEvent) -> StreamVerdict:
        if event.item is not None and name == "response.output_item.done":
            self._usage.add_item(event.item)
        if name.endswith(".delta") and not event.delta:
            return StreamVerdict.PASS if self.committed else StreamVerdict.PREAMBLE
        self._count_text(event.delta)
        self.refusal = self.refusal or name == "response.refusal.delta"
        self.committed = True
        self._suspected = None
        return StreamVerdict.CONTENT

    def _last(self, response: wire.ResponsesAnswer | None) -> StreamVerdict | Failure:
        if response is not None and self.finish_reason == ERROR:
            return self._error(response.error, failures.FINISH_ERROR)
        if response is not None and response.output == [] and not self.committed and response.status == "completed":
            return self._broken(failures.NO_CHOICES)
        self._done = True
        return StreamVerdict.DONE

    def _suspect(self, data: bytes) -> None:
        """Keep what may be an error in words that nobody knows: if no end of the answer follows, it was broken off."""
        with suppress(*MALFORMED):
            if len(data) <= _LONGEST_SUSPECT and may_hold_error(read_json(data)):
                self._suspected = data

    def _finish(self) -> StreamVerdict | Failure:
        self._saw_done_marker = True
        if self._suspected is not None and not self.complete:
            return self._error(self._suspected)
        if not self.committed and not self._finished:
            return self._broken(failures.STREAM_CUT)
        self._done = True
        return StreamVerdict.DONE

    def _count_text(self, text: object) -> None:
        """Count what was said, in case that no usage comes: each piece is a token at least."""
        self.said += max(_TOKEN, len(text)) if isinstance(text, str) else _TOKEN

    def _take_response(self, response: wire.ResponsesAnswer) -> None:
        self.model = (response.model or "")[:_LONGEST_NAME] or self.model
        self.response_id = (response.id or "")[:_LONGEST_NAME] or self.response_id
        self.finish_reason = response.finish_reason()
        self.refusal = self.refusal or response.refuses()
        response.report_usage(self._usage)

    def _reports_error(self, event_name: str | None, data: bytes, *, known: bool) -> bool:
        """Whether an event that holds nothing of an answer is an error in a shape of its own (vLLM, Gemini)."""
        if event_name == "error":
            return True
        return not known and from_inner_error(data, otherwise=failures.MALFORMED_EVENT).kind is not _BROKEN

    def _error(self, error: bytes | msgspec.Raw, otherwise: Row = failures.STREAM_ERROR) -> Failure:
        """An error that the provider reports: as its inner code says before commit, a broken stream after."""
        inner = from_inner_error(error, otherwise=otherwise)
        if not self.committed:
            self._failed = inner
            return inner
        may_be_the_callers = inner.breaker is BreakerEffect.NEUTRAL and inner.kind not in _BUSY
        breaker = BreakerEffect.NEUTRAL if may_be_the_callers else None
        self._failed = failures.STREAM_ERROR_LATE.failure(
            http_status=200,
            code=inner.code,
            param=inner.param,
            retry_after=inner.retry_after,
            breaker=breaker,
            executed=True,
        )
        return self._failed

    def _swapped(self, model: str) -> Failure:
        self.model = model[:_LONGEST_NAME]
        return self._broken(failures.SUBSTITUTED)

    def _broken(self, row: Row, cause: str = "", trouble: LocalTrouble | None = None) -> Failure:
        retry = Retry.STOP if self.committed else None
        self._failed = row.failure(http_status=200, retry=retry, cause=cause, trouble=trouble)
        return self._failed
