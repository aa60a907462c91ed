"""The content of an answer, read for its contract: the text and the function calls of each of its choices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from lanewise._openai.finish_reasons import CONTENT_FILTER, LENGTH, in_chats_words
from lanewise._openai.lenient_json import MALFORMED, as_far_as_it_fits, read_json, write_json
from lanewise._openai.wire_types import IncompleteDetails
from lanewise.types import Api

__all__ = [
    "CHAT",
    "Choice",
    "Message",
    "OutputItem",
    "RawChoice",
    "RawToolCall",
    "Response",
    "ToolCall",
    "arguments_text",
    "choice_of_response",
    "decoded",
    "read_choices",
    "text_of",
]


_T = TypeVar("_T", bound=msgspec.Struct)
_NO_ARGUMENTS: Final = ("", "null", "{}")


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a function. ``arguments`` is the JSON text; ``None`` for a custom tool, whose input is free."""

    name: str
    arguments: str | None

    @property
    def is_blank(self) -> bool:
        """Whether it has no name and no arguments: some servers write that where nothing is called."""
        return not self.name and self.arguments is not None and self.arguments.strip() in _NO_ARGUMENTS

    @property
    def is_cut(self) -> bool:
        """Whether its arguments are no whole JSON value. The input of a custom tool is free text, and never cut."""
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
    """One choice of an answer. Its repr leaves out its content. ``finish_reason`` is in chat's words."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    finish_reason: str | None = None

    def __repr__(self) -> str:
        return f"<Choice of {len(self.text)} characters, {len(self.calls)} calls>"


class RawFunction(msgspec.Struct):
    """A function of a call, as written."""

    name: str | None = None
    arguments: object = None


class _Custom(msgspec.Struct):
    name: str | None = None


class RawToolCall(msgspec.Struct):
    """A call, or in a stream a piece of one, as written."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: RawFunction | None = None
    custom: _Custom | None = None

    @property
    def is_named(self) -> bool:
        """Whether it names its function or tool."""
        named = self.custom or self.function
        return bool(named and named.name)

    def tool_call(self) -> ToolCall:
        """The call that it is."""
        if self.custom is not None:
            return ToolCall(self.custom.name or "", None)
        return _tool_call(self.function)


class Message(msgspec.Struct):
    """A message, or in a stream a piece of one (``delta``), as written."""

    content: object = None
    refusal: object = None
    tool_calls: list[RawToolCall] | None = None
    function_call: RawFunction | None = None

    def calls(self) -> tuple[ToolCall, ...]:
        """Its calls, also the one of the old ``function_call``, without blank ones."""
        calls = [call.tool_call() for call in self.tool_calls or ()]
        if self.function_call is not None:
            calls.append(_tool_call(self.function_call))
        return tuple([call for call in calls if not call.is_blank])


class RawChoice(msgspec.Struct):
    """A choice of a chat answer or chunk, as written."""

    index: int | None = 0
    message: Message | None = None
    delta: Message | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    choices: list[RawChoice] = []


class OutputItem(msgspec.Struct):
    """An item of a response, as written."""

    type: str | None = None
    name: str | None = None
    arguments: object = None
    content: object = None


class Response(msgspec.Struct):
    """A response of the Responses API, as written."""

    output: list[OutputItem] | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None


CHAT: Final = msgspec.json.Decoder(_Chat)
_RESPONSE: Final = msgspec.json.Decoder(Response)


def read_choices(api: Api, body: bytes) -> tuple[Choice, ...] | None:
    """The choices of a whole answer of chat or Responses; ``None`` if it can't be read.

    Example::

        read_choices(Api.CHAT, b'{"choices": [{"message": {"content": "Hi"}}]}')[0].text  # "Hi"
    """
    try:
        if api is Api.RESPONSES:
            return (choice_of_response(decoded(_RESPONSE, body)),)
        return tuple(
            [_of_choice(choice.message or Message(), choice.finish_reason) for choice in decoded(CHAT, body).choices]
        )
    except MALFORMED:
        return None


def decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    """What is read by the strict decoder, or, where that refuses it, as far as it fits."""
    try:
        return decoder.decode(data)
    except MALFORMED:
        return as_far_as_it_fits(decoder.type, read_json(data))


def _of_choice(message: Message, finish_reason: str | None) -> Choice:
    reason = in_chats_words(finish_reason) if finish_reason else None
    refused = bool(message.refusal) or reason == CONTENT_FILTER
    return Choice(text_of(message.content), message.calls(), refused, reason)


def choice_of_response(response: Response) -> Choice:
    """The one choice that a response has."""
    items = response.output or []
    detail = response.incomplete_details.reason if response.incomplete_details else None
    reason = in_chats_words(detail) if detail else None
    return Choice(
        "".join([text_of(item.content) for item in items if item.type == "message"]),
        tuple([_of_item(item) for item in items if item.type in ("function_call", "custom_tool_call")]),
        reason == CONTENT_FILTER or any(_refuses(item.content) for item in items),
        LENGTH if reason == LENGTH else None,
    )


def _of_item(item: OutputItem) -> ToolCall:
    return (
        _tool_call(RawFunction(item.name, item.arguments))
        if item.type == "function_call"
        else ToolCall(item.name or "", None)
    )


def _tool_call(function: RawFunction | None) -> ToolCall:
    known = function or RawFunction()
    return ToolCall(known.name or "", arguments_text(known.arguments))


def arguments_text(arguments: object) -> str:
    """Arguments as JSON text: nothing where there are none, and where a server sends an object its text."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else write_json(arguments).decode()


def text_of(content: object) -> str:
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
