"""What an answer says, read for its contract: the text and the function calls of each of its choices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from lanewise._openai.response_schema import MALFORMED
from lanewise.types import Api

__all__ = ["Called", "Gathered", "Said", "said_by"]


class Called(msgspec.Struct, frozen=True, gc=False):
    """One call of a function. ``arguments`` is the JSON text; ``None`` for a custom tool, whose input is free."""

    name: str
    arguments: str | None

    def __repr__(self) -> str:
        return "<Called>"


class Said(msgspec.Struct, frozen=True):
    """One choice of an answer. Its repr leaves out what it says. ``finish_reason`` is in chat's words."""

    text: str
    calls: tuple[Called, ...] = ()
    refused: bool = False
    finish_reason: str | None = None

    def __repr__(self) -> str:
        return f"<Said of {len(self.text)} characters, {len(self.calls)} calls>"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: object = None


class _Custom(msgspec.Struct):
    name: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None

    def called(self) -> Called:
        if self.custom is not None:
            return Called(self.custom.name or "", None)
        return _called(self.function)


class _Message(msgspec.Struct):
    content: object = None
    refusal: object = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None

    def calls(self) -> tuple[Called, ...]:
        calls = tuple(call.called() for call in self.tool_calls or ())
        return calls if self.function_call is None else (*calls, _called(self.function_call))


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
_LAST: Final = frozenset({"response.completed", "response.incomplete"})
_ITEM_DONE: Final = "response.output_item.done"


def said_by(api: Api, body: bytes) -> tuple[Said, ...] | None:
    """What a whole answer of chat or Responses says, a :class:`Said` a choice; ``None`` if it can't be read.

    Example::

        said_by(Api.CHAT, b'{"choices": [{"message": {"content": "Hi"}}]}')[0].text  # "Hi"
    """
    try:
        if api is Api.RESPONSES:
            return (_of_response(_RESPONSE.decode(body)),)
        return tuple(
            [_of_choice(choice.message or _Message(), choice.finish_reason) for choice in _CHAT.decode(body).choices]
        )
    except MALFORMED:
        return None


def _of_choice(message: _Message, finish_reason: str | None) -> Said:
    refused = bool(message.refusal) or finish_reason == "content_filter"
    return Said(_text(message.content), message.calls(), refused, finish_reason)


def _of_response(response: _Response) -> Said:
    items = response.output or []
    reason = response.incomplete_details.reason if response.incomplete_details else None
    return Said(
        "".join([_text(item.content) for item in items if item.type == "message"]),
        tuple([_of_item(item) for item in items if item.type in ("function_call", "custom_tool_call")]),
        reason == "content_filter" or any(_refuses(item.content) for item in items),
        "length" if reason == "max_output_tokens" else None,
    )


def _of_item(item: _Item) -> Called:
    return (
        _called(_Function(item.name, item.arguments)) if item.type == "function_call" else Called(item.name or "", None)
    )


def _called(function: _Function | None) -> Called:
    given = function or _Function()
    arguments = given.arguments
    # Some servers send an object where the API has a text: the SDK's user would stumble over it.
    return Called(given.name or "", arguments if isinstance(arguments, str) else "")


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


class _Growing:
    """One choice of a chat stream, while it comes."""

    __slots__ = ("calls", "finish_reason", "pieces", "refused")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.calls: dict[int, _GrowingCall] = {}
        self.refused = False
        self.finish_reason: str | None = None

    def add(self, delta: _Message, finish_reason: str | None) -> None:
        if delta.content:
            self.pieces.append(_text(delta.content))
        self.refused = self.refused or bool(delta.refusal)
        self.finish_reason = finish_reason or self.finish_reason
        for call in delta.tool_calls or ():
            self._call(call.index if call.index is not None else len(self.calls)).add(call)
        if delta.function_call is not None:
            self._call(-1).add(_ToolCall(function=delta.function_call))

    def _call(self, index: int) -> _GrowingCall:
        return self.calls.setdefault(index, _GrowingCall())

    def said(self) -> Said:
        refused = self.refused or self.finish_reason == "content_filter"
        return Said(
            "".join(self.pieces), tuple([call.called() for call in self.calls.values()]), refused, self.finish_reason
        )


class _GrowingCall:
    """One call of a function in a chat stream: the name comes first, the arguments in pieces."""

    __slots__ = ("custom", "name", "pieces")

    def __init__(self) -> None:
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []

    def add(self, call: _ToolCall) -> None:
        self.custom = self.custom or call.custom is not None
        named = call.custom or call.function
        if named is not None and named.name:
            self.name = named.name
        if call.function is not None and isinstance(call.function.arguments, str):
            self.pieces.append(call.function.arguments)

    def called(self) -> Called:
        return Called(self.name, None if self.custom else "".join(self.pieces))


class Gathered:
    """Gathers what a stream says, event by event. ``limit`` is in bytes of events: more than that is not kept.

    Example::

        gathered = Gathered(Api.CHAT, 10_000_000)
        gathered.add(b'{"choices": [{"delta": {"content": "Hi"}}]}')
        gathered.said()[0].text  # "Hi"
    """

    __slots__ = ("_choices", "_items", "_last", "_left", "_responses")

    def __init__(self, api: Api, limit: int) -> None:
        self._responses = api is Api.RESPONSES
        self._left = limit
        self._choices: dict[int, _Growing] = {}
        self._items: list[_Item] = []
        self._last: _Response | None = None

    def add(self, data: bytes) -> None:
        """Take in an event that the judge found well."""
        self._left -= len(data)
        if self._left < 0:
            return
        try:
            if self._responses:
                self._response_event(data)
            else:
                for choice in _CHAT.decode(data).choices:
                    self._choice(choice)
        except MALFORMED:
            self._left = -1  # what can't be read can't be checked

    def said(self) -> tuple[Said, ...] | None:
        """All that was said, a :class:`Said` a choice; ``None`` if it was too much, or can't be read."""
        if self._left < 0:
            return None
        if not self._responses:
            return tuple([self._choices[index].said() for index in sorted(self._choices)])
        last = self._last or _Response()
        return (_of_response(last if last.output else msgspec.structs.replace(last, output=self._items)),)

    def _choice(self, choice: _Choice) -> None:
        growing = self._choices.setdefault(choice.index or 0, _Growing())
        growing.add(choice.delta or _Message(), choice.finish_reason)

    def _response_event(self, data: bytes) -> None:
        if b'"response.output_item.done"' not in data and b'"output"' not in data:
            return  # a delta: its item comes whole later
        event = _EVENT.decode(data)
        if event.type == _ITEM_DONE and event.item is not None:
            self._items.append(event.item)
        elif event.type in _LAST:
            self._last = event.response
