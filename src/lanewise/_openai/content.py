"""What counts as content in an answer or a stream (text, thinking, calls, pictures, sounds), and what holds nothing.

Which events of a Responses stream bring content is said with the other events, in ``responses_events.py``.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from lanewise._openai.lenient_json import MALFORMED, read_json

__all__ = ["NULL", "Delta", "Message", "is_blank", "is_no_error", "may_hold_error", "other_words"]

NULL: Final = msgspec.Raw(b"null")

_BLANK: Final = frozenset({b"null", b'""', b"[]", b"{}", b"false"})
_LONGEST_BLANK: Final = 64
_BRACKETS: Final = (b"[", b"{")
_SPACE: Final = b" \t\r\n"
_SUCCESS: Final = frozenset({"", "0", "200", "ok", "success", "succeeded", "none", "null", "no error", "no_error"})
_OK: Final = 200
_TELLS: Final = re.compile("(?i)err|fault|exception|fail|denied|message|msg|detail|title|reason").search
_FRAME: Final = frozenset({"index", "type"})


def is_blank(value: msgspec.Raw) -> bool:
    """Whether a raw value is null or empty."""
    written = bytes(value)
    if written in _BLANK:
        return True
    return len(written) < _LONGEST_BLANK and written[:1] in _BRACKETS and written.translate(None, _SPACE) in _BLANK


def is_no_error(value: object) -> bool:
    """Whether an ``error`` that stands beside an answer says that there is none: empty, or words of success only."""
    if isinstance(value, dict):
        return all(is_no_error(inner) for inner in value.values())
    if isinstance(value, list):
        return all(is_no_error(inner) for inner in value)
    if isinstance(value, str):
        return value.strip().lower() in _SUCCESS
    return not value or value == _OK


def may_hold_error(value: object) -> bool:
    """Whether a value that is no answer may be an error in words that nobody knows.

    Example::

        may_hold_error({"fault": {"faultstring": "no"}})  # True
    """
    if isinstance(value, dict):
        return any(
            not is_no_error(inner) if isinstance(name, str) and _TELLS(name) else may_hold_error(inner)
            for name, inner in value.items()
        )
    return isinstance(value, list) and any(may_hold_error(item) for item in value)


def _calls_something(value: object) -> bool:
    """Whether calls of functions hold more than their frame: an id, a name or arguments."""
    if isinstance(value, dict):
        return any(_calls_something(inner) for name, inner in value.items() if name not in _FRAME)
    if isinstance(value, list):
        return any(_calls_something(item) for item in value)
    return value is not None and value != ""


class Message(msgspec.Struct, gc=False):
    """A whole message: left raw, because it may be long."""

    content: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    audio: msgspec.Raw = NULL
    images: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL

    def says_something(self) -> bool:
        """Whether any of it is more than null or empty, and of its calls more than their frame."""
        calls = (self.tool_calls, self.function_call)
        return any(not is_blank(piece) for piece in self._words()) or any(
            not is_blank(call) and _calls_something(read_json(bytes(call))) for call in calls
        )

    def size(self) -> int:
        """The bytes of its content, as JSON."""
        pieces = (*self._words(), self.tool_calls, self.function_call)
        return sum(memoryview(piece).nbytes for piece in pieces if not is_blank(piece))

    def _words(self) -> tuple[msgspec.Raw, ...]:
        return (self.content, self.reasoning_content, self.reasoning, self.refusal, self.audio, self.images)


class Delta(msgspec.Struct, gc=False):
    """A piece of a message: decoded, because it is short, and a truth value is the fastest test for content."""

    content: object = None
    reasoning: object = None
    reasoning_content: object = None
    reasoning_details: object = None
    tool_calls: object = None
    function_call: object = None
    audio: object = None
    images: object = None
    refusal: object = None

    def says_something(self) -> bool:
        """Whether any of it is more than null or empty."""
        return bool(
            self.content
            or (self.tool_calls and _calls_something(self.tool_calls))
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or (self.function_call and _calls_something(self.function_call))
            or self.refusal
            or self.audio
            or self.images
        )


class _AnyDelta(msgspec.Struct, gc=False):
    delta: dict[str, msgspec.Raw] | None = None


class _AnyChunk(msgspec.Struct, gc=False):
    choices: list[_AnyDelta] | None = None


_ANY_CHUNK: Final = msgspec.json.Decoder(_AnyChunk)
_BEGINS_WORDS: Final = frozenset(b'"[{')
"""The first byte of a text, a list and an object: a number or a flag is no content."""
_KNOWN: Final = frozenset({*Delta.__struct_fields__, "role", "name", "id", "type", "object"})
_THINKING: Final = ("think", "thought", "reason")


def other_words(data: bytes) -> tuple[bool, bool]:
    """Whether the deltas of a chat chunk hold anything by names that :class:`Delta` has not, and whether any of that is
    thinking. Of a delta with a role, which comes before the model has begun, only thinking counts.
    """
    found = thinking = False
    try:
        choices = _ANY_CHUNK.decode(data).choices or ()
    except MALFORMED:
        return False, False
    for choice in choices:
        delta = choice.delta or {}
        for name, value in delta.items():
            if name in _KNOWN or memoryview(value)[0] not in _BEGINS_WORDS or is_blank(value):
                continue
            thinks = any(word in name.lower() for word in _THINKING)
            thinking = thinking or thinks
            found = found or thinks or "role" not in delta
    return found, thinking
