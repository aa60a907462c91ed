"""The content of a stream, gathered event by event for its contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise._openai.choices import (
    CHAT,
    Choice,
    Message,
    OutputItem,
    RawChoice,
    RawToolCall,
    Response,
    ToolCall,
    arguments_text,
    choice_of_response,
    decoded,
    text_of,
)
from lanewise._openai.finish_reasons import CONTENT_FILTER, in_chats_words
from lanewise._openai.lenient_json import MALFORMED, NoAnswer
from lanewise._openai.streams.responses_events import LAST_EVENTS
from lanewise.types import Api

__all__ = ["StreamAccumulator"]

_LEGACY_CALL: Final = -1
"""Stands for the one call of the old ``function_call``."""
_ITEM_DONE: Final = "response.output_item.done"


class _Event(msgspec.Struct):
    type: str | None = None
    delta: object = None
    item: OutputItem | None = None
    response: Response | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)


class _PartialChoice:
    """One choice of a chat stream, while it comes."""

    __slots__ = ("_latest", "calls", "finish_reason", "pieces", "refused")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.calls: dict[int, _PartialToolCall] = {}
        self._latest: dict[int | None, _PartialToolCall] = {}
        """The call that each index stands for."""
        self.refused = False
        self.finish_reason: str | None = None

    def add(self, delta: Message, finish_reason: str | None) -> None:
        if delta.content:
            self.pieces.append(text_of(delta.content))
        self.refused = self.refused or bool(delta.refusal)
        if finish_reason:
            self.finish_reason = in_chats_words(finish_reason)
        added: list[_PartialToolCall] = []
        for call in delta.tool_calls or ():
            partial = self._call_of(call, added)
            partial.add(call)
            added.append(partial)
        if delta.function_call is not None:
            self._call(_LEGACY_CALL).add(RawToolCall(function=delta.function_call))

    def _call_of(self, piece: RawToolCall, added: Sequence[_PartialToolCall]) -> _PartialToolCall:
        """The call that a piece belongs to. Its index says so, but some servers leave it out, or give all calls one:
        then another id, or another name after arguments, begins another call. ``added`` are those that the same event
        has added to."""
        known = self._latest.get(piece.index)
        if known is None or known.ends_before(piece) or (known in added and piece.is_named):
            known = self._latest[piece.index] = self._call(len(self.calls))
        return known

    def _call(self, key: int) -> _PartialToolCall:
        return self.calls.setdefault(key, _PartialToolCall())

    def choice(self) -> Choice:
        refused = self.refused or self.finish_reason == CONTENT_FILTER
        calls = [call.tool_call() for call in self.calls.values()]
        return Choice(
            "".join(self.pieces), tuple([call for call in calls if not call.is_blank]), refused, self.finish_reason
        )


class _PartialToolCall:
    """One call of a function in a chat stream: the name comes first, the arguments in pieces."""

    __slots__ = ("custom", "id", "name", "pieces")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []

    def ends_before(self, piece: RawToolCall) -> bool:
        """Whether a piece begins another call than this."""
        if piece.id and self.id:
            return piece.id != self.id
        return piece.index is None and piece.is_named and bool(self.pieces)

    def add(self, call: RawToolCall) -> None:
        self.id = call.id or self.id
        self.custom = self.custom or call.custom is not None
        named = call.custom or call.function
        if named is not None and named.name:
            self._add_name(named.name)
        if call.function is not None and (arguments := arguments_text(call.function.arguments)):
            self.pieces.append(arguments)

    def _add_name(self, piece: str) -> None:
        """A name comes in one piece, in several, or again with each piece of the arguments."""
        if not self.name.endswith(piece) or not self.name.startswith(piece):
            self.name = piece if piece.startswith(self.name) else self.name + piece

    def tool_call(self) -> ToolCall:
        return ToolCall(self.name, None if self.custom else "".join(self.pieces))


class StreamAccumulator:
    """Gathers the content of a stream, event by event. ``limit`` is in bytes of events: more than that is not kept.

    Example::

        accumulator = StreamAccumulator(Api.CHAT, 10_000_000)
        accumulator.add(b'{"choices": [{"delta": {"content": "Hi"}}]}')
        accumulator.choices()[0].text  # "Hi"
    """

    __slots__ = ("_bytes_left", "_choices", "_items", "_last", "_responses")

    def __init__(self, api: Api, limit: int) -> None:
        self._responses = api is Api.RESPONSES
        self._bytes_left = limit
        self._choices: dict[int, _PartialChoice] = {}
        self._items: list[OutputItem] = []
        self._last: Response | None = None

    def add(self, data: bytes) -> None:
        """Take in an event that the validator let pass."""
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            return
        try:
            if self._responses:
                self._response_event(data)
            else:
                for choice in decoded(CHAT, data).choices:
                    self._choice(choice)
        except NoAnswer:
            return  # no object: the validator found nothing of an answer in it
        except MALFORMED:
            self._bytes_left = -1  # what can't be read can't be checked

    def choices(self) -> tuple[Choice, ...] | None:
        """All choices of the stream; ``None`` if it was too much, or can't be read."""
        if self._bytes_left < 0:
            return None
        if not self._responses:
            return tuple([self._choices[index].choice() for index in sorted(self._choices)])
        last = self._last or Response()
        return (choice_of_response(last if last.output else msgspec.structs.replace(last, output=self._items)),)

    def _choice(self, choice: RawChoice) -> None:
        partial = self._choices.setdefault(choice.index or 0, _PartialChoice())
        partial.add(choice.delta or Message(), choice.finish_reason)

    def _response_event(self, data: bytes) -> None:
        if b'"response.output_item.done"' not in data and b'"output"' not in data:
            return  # a delta: its item comes whole later
        event = decoded(_EVENT, data)
        if event.type == _ITEM_DONE and event.item is not None:
            self._items.append(event.item)
        elif event.type in LAST_EVENTS:
            self._last = event.response
