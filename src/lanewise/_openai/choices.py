"""What an answer says, read for its contract: the text and the function calls of each of its choices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from lanewise._openai.finish_reasons import CONTENT_FILTER, LENGTH, in_chats_words
from lanewise._openai.lenient_json import NoAnswer, as_far_as_it_fits, read_json, write_json
from lanewise._openai.wire_types import MALFORMED
from lanewise.types import Api

__all__ = ["Choice", "StreamAccumulator", "ToolCall", "read_choices"]


_T = TypeVar("_T", bound=msgspec.Struct)
_NO_ARGUMENTS: Final = ("", "null", "{}")


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a function. ``arguments`` is the JSON text; ``None`` for a custom tool, whose input is free."""

    name: str
    arguments: str | None

    @property
    def is_blank(self) -> bool:
        """Whether it names no function and gives it nothing: some servers write so that nothing is called."""
        return not self.name and self.arguments is not None and self.arguments.strip() in _NO_ARGUMENTS

    @property
    def is_cut(self) -> bool:
        """Whether its arguments are no whole JSON value. Of the free input of a custom tool nobody can tell."""
        if self.arguments is None:
            return False
        try:
            read_json(self.arguments)
        except MALFORMED:
            return True
        return False

    def __repr__(self) -> str:
        return "<ToolCall>"


class Choice(msgspec.Struct, frozen=True):
    """One choice of an answer. Its repr leaves out what it says. ``finish_reason`` is in chat's words."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    finish_reason: str | None = None

    def __repr__(self) -> str:
        return f"<Choice of {len(self.text)} characters, {len(self.calls)} calls>"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: object = None


class _Custom(msgspec.Struct):
    name: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None

    @property
    def is_named(self) -> bool:
        named = self.custom or self.function
        return bool(named and named.name)

    def tool_call(self) -> ToolCall:
        if self.custom is not None:
            return ToolCall(self.custom.name or "", None)
        return _tool_call(self.function)


class _Message(msgspec.Struct):
    content: object = None
    refusal: object = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None

    def calls(self) -> tuple[ToolCall, ...]:
        calls = [call.tool_call() for call in self.tool_calls or ()]
        if self.function_call is not None:
            calls.append(_tool_call(self.function_call))
        return tuple([call for call in calls if not call.is_blank])


class _Choice(msgspec.Struct):
    index: int | None = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice] = []


class _Item(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    arguments: object = None
    content: object = None


class _IncompleteDetails(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    output: list[_Item] | None = None
    status: str | None = None
    incomplete_details: _IncompleteDetails | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    delta: object = None
    item: _Item | None = None
    response: _Response | None = None


_CHAT: Final = msgspec.json.Decoder(_Chat)
_RESPONSE: Final = msgspec.json.Decoder(_Response)
_EVENT: Final = msgspec.json.Decoder(_Event)
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.done"})
_LEGACY_CALL: Final = -1
"""Stands for the one call of the old ``function_call``."""
_ITEM_DONE: Final = "response.output_item.done"


def read_choices(api: Api, body: bytes) -> tuple[Choice, ...] | None:
    """What a whole answer of chat or Responses says, a :class:`Choice` a choice; ``None`` if it can't be read.

    Example::

        read_choices(Api.CHAT, b'{"choices": [{"message": {"content": "Hi"}}]}')[0].text  # "Hi"
    """
    try:
        if api is Api.RESPONSES:
            return (_of_response(_decoded(_RESPONSE, body)),)
        return tuple(
            [_of_choice(choice.message or _Message(), choice.finish_reason) for choice in _decoded(_CHAT, body).choices]
        )
    except MALFORMED:
        return None


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    """What is read by the strict decoder, or, where that refuses it, as far as it fits."""
    try:
        return decoder.decode(data)
    except MALFORMED:
        return as_far_as_it_fits(decoder.type, read_json(data))


def _of_choice(message: _Message, finish_reason: str | None) -> Choice:
    reason = in_chats_words(finish_reason) if finish_reason else None
    refused = bool(message.refusal) or reason == CONTENT_FILTER
    return Choice(_text(message.content), message.calls(), refused, reason)


def _of_response(response: _Response) -> Choice:
    items = response.output or []
    detail = response.incomplete_details.reason if response.incomplete_details else None
    reason = in_chats_words(detail) if detail else None
    return Choice(
        "".join([_text(item.content) for item in items if item.type == "message"]),
        tuple([_of_item(item) for item in items if item.type in ("function_call", "custom_tool_call")]),
        reason == CONTENT_FILTER or any(_refuses(item.content) for item in items),
        LENGTH if reason == LENGTH else None,
    )


def _of_item(item: _Item) -> ToolCall:
    return (
        _tool_call(_Function(item.name, item.arguments))
        if item.type == "function_call"
        else ToolCall(item.name or "", None)
    )


def _tool_call(function: _Function | None) -> ToolCall:
    known = function or _Function()
    return ToolCall(known.name or "", _as_text(known.arguments))


def _as_text(arguments: object) -> str:
    """Arguments as JSON text: nothing where there are none, and where a server sends an object its text."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else write_json(arguments).decode()


def _text(content: object) -> str:
    """A message's text, also from a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join([part for part in parts if isinstance(part, str)])


def _refuses(content: object) -> bool:
    parts: Iterable[object] = content if isinstance(content, list) else ()
    return any(isinstance(part, dict) and part.get("type") == "refusal" for part in parts)


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

    def add(self, delta: _Message, finish_reason: str | None) -> None:
        if delta.content:
            self.pieces.append(_text(delta.content))
        self.refused = self.refused or bool(delta.refusal)
        if finish_reason:
            self.finish_reason = in_chats_words(finish_reason)
        added: list[_PartialToolCall] = []
        for call in delta.tool_calls or ():
            partial = self._call_of(call, added)
            partial.add(call)
            added.append(partial)
        if delta.function_call is not None:
            self._call(_LEGACY_CALL).add(_ToolCall(function=delta.function_call))

    def _call_of(self, piece: _ToolCall, added: Sequence[_PartialToolCall]) -> _PartialToolCall:
        """The call that a piece belongs to. Its index says so, but some servers leave it out, or give all calls one:
        then another id, or another name after arguments, begins another call. ``added`` are those that the same event
        has added to."""
        known = self._latest.get(piece.index)
        if known is None or known.ends_before(piece) or (known in added and piece.is_named):
            known = self._latest[piece.index] = self._call(len(self.calls))
        return known

    def _call(self, key: int) -> _PartialToolCall:
        return self.calls.setdefault(key, _PartialToolCall())

    def said(self) -> Choice:
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

    def ends_before(self, piece: _ToolCall) -> bool:
        """Whether a piece begins another call than this."""
        if piece.id and self.id:
            return piece.id != self.id
        return piece.index is None and piece.is_named and bool(self.pieces)

    def add(self, call: _ToolCall) -> None:
        self.id = call.id or self.id
        self.custom = self.custom or call.custom is not None
        named = call.custom or call.function
        if named is not None and named.name:
            self._add_name(named.name)
        if call.function is not None and (arguments := _as_text(call.function.arguments)):
            self.pieces.append(arguments)

    def _add_name(self, piece: str) -> None:
        """A name comes in one piece, in several, or again with each piece of the arguments."""
        if not self.name.endswith(piece) or not self.name.startswith(piece):
            self.name = piece if piece.startswith(self.name) else self.name + piece

    def tool_call(self) -> ToolCall:
        return ToolCall(self.name, None if self.custom else "".join(self.pieces))


class StreamAccumulator:
    """Gathers what a stream says, event by event. ``limit`` is in bytes of events: more than that is not kept.

    Example::

        gathered = StreamAccumulator(Api.CHAT, 10_000_000)
        gathered.add(b'{"choices": [{"delta": {"content": "Hi"}}]}')
        gathered.said()[0].text  # "Hi"
    """

    __slots__ = ("_bytes_left", "_choices", "_items", "_last", "_responses")

    def __init__(self, api: Api, limit: int) -> None:
        self._responses = api is Api.RESPONSES
        self._bytes_left = limit
        self._choices: dict[int, _PartialChoice] = {}
        self._items: list[_Item] = []
        self._last: _Response | None = None

    def add(self, data: bytes) -> None:
        """Take in an event that the judge found well."""
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            return
        try:
            if self._responses:
                self._response_event(data)
            else:
                for choice in _decoded(_CHAT, data).choices:
                    self._choice(choice)
        except NoAnswer:
            return  # no object: the judge found nothing of an answer in it
        except MALFORMED:
            self._bytes_left = -1  # what can't be read can't be checked

    def said(self) -> tuple[Choice, ...] | None:
        """All that was said, a :class:`Choice` a choice; ``None`` if it was too much, or can't be read."""
        if self._bytes_left < 0:
            return None
        if not self._responses:
            return tuple([self._choices[index].said() for index in sorted(self._choices)])
        last = self._last or _Response()
        return (_of_response(last if last.output else msgspec.structs.replace(last, output=self._items)),)

    def _choice(self, choice: _Choice) -> None:
        partial = self._choices.setdefault(choice.index or 0, _PartialChoice())
        partial.add(choice.delta or _Message(), choice.finish_reason)

    def _response_event(self, data: bytes) -> None:
        if b'"response.output_item.done"' not in data and b'"output"' not in data:
            return  # a delta: its item comes whole later
        event = _decoded(_EVENT, data)
        if event.type == _ITEM_DONE and event.item is not None:
            self._items.append(event.item)
        elif event.type in _LAST:
            self._last = event.response
