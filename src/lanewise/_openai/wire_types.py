"""What is read of OpenAI-compatible answers and stream events: types that decode only the fields that decide.

Whatever may be of several types, or may be large, is left raw: reading it would cost more than the decision.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._openai.blank_values import calls_something, is_blank
from lanewise._openai.finish_reasons import in_chats_words
from lanewise._openai.lenient_json import MALFORMED, read_json
from lanewise._openai.usage.accumulator import UsageAccumulator

__all__ = [
    "MOST_CHOICES",
    "NULL",
    "ChatAnswer",
    "ChatChunk",
    "EmbeddingsAnswer",
    "IncompleteDetails",
    "ResponsesAnswer",
    "ResponsesEvent",
    "other_words",
]

NULL: Final = msgspec.Raw(b"null")
MOST_CHOICES: Final = 1024
"""OpenAI gives 128 at most. To look at a thousand takes a millisecond, at all that a large event holds a second."""


class _Message(msgspec.Struct, gc=False):
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
            not is_blank(call) and calls_something(read_json(bytes(call))) for call in calls
        )

    def size(self) -> int:
        """The bytes of its content, as JSON."""
        pieces = (*self._words(), self.tool_calls, self.function_call)
        return sum(memoryview(piece).nbytes for piece in pieces if not is_blank(piece))

    def _words(self) -> tuple[msgspec.Raw, ...]:
        return (self.content, self.reasoning_content, self.reasoning, self.refusal, self.audio, self.images)


class _ChatChoice(msgspec.Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL


class ChatAnswer(msgspec.Struct, gc=False):
    """A chat completion."""

    choices: list[_ChatChoice] | None = None
    model: str | None = None
    usage: msgspec.Raw = NULL
    x_groq: msgspec.Raw = NULL
    usage_breakdown: msgspec.Raw = NULL
    service_tier: msgspec.Raw = NULL
    error: msgspec.Raw = NULL

    def report_usage(self, so_far: UsageAccumulator) -> None:
        """Add its usage, wherever it stands in the answer, to ``so_far``."""
        so_far.add(self.usage)
        if self.x_groq is not NULL:
            so_far.add_groq(self.x_groq)
        if self.service_tier is not NULL:
            so_far.add_service_tier(self.service_tier)
        if self.usage_breakdown is not NULL and not is_blank(self.usage_breakdown):
            so_far.add_parts()
        for index, choice in enumerate(self.choices or ()):
            if choice.usage is not NULL:
                so_far.add(choice.usage, index)


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
            or (self.tool_calls and calls_something(self.tool_calls))
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or (self.function_call and calls_something(self.function_call))
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


class _ChunkChoice(msgspec.Struct, gc=False):
    index: int | None = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    error: object = None
    usage: object = None


class ChatChunk(msgspec.Struct, gc=False):
    """An event of a chat stream."""

    choices: list[_ChunkChoice] | None = None
    id: str | int | None = None
    model: str | None = None
    usage: object = None
    x_groq: object = None
    usage_breakdown: object = None
    service_tier: object = None
    error: object = None


class _Part(msgspec.Struct):
    type: str | None = None


class _OutputItem(msgspec.Struct):
    type: str | None = None
    action: object = None
    content: list[_Part] | None = None


class IncompleteDetails(msgspec.Struct):
    """Why a response is incomplete."""

    reason: str | None = None


_NOT_ENDED: Final = frozenset({"queued", "in_progress"})


class ResponsesAnswer(msgspec.Struct):
    """A response of the Responses API."""

    output: list[_OutputItem] | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: msgspec.Raw = NULL
    tool_usage: msgspec.Raw = NULL
    service_tier: msgspec.Raw = NULL
    error: msgspec.Raw = NULL

    def finish_reason(self) -> str | None:
        """Why it ended, in chat's words."""
        if self.status is None or self.status in _NOT_ENDED:
            return None
        if self.status == "completed":
            return "stop"
        reason = self.incomplete_details.reason if self.incomplete_details else None
        if self.status == "incomplete":
            return reason and in_chats_words(reason)
        return in_chats_words(self.status)

    def report_usage(self, so_far: UsageAccumulator) -> None:
        """Add its usage to ``so_far``."""
        so_far.add(self.usage)
        so_far.add_service_tier(self.service_tier)
        if not is_blank(self.tool_usage):
            so_far.add_tool_usage(self.tool_usage)
        so_far.add_items([(item.type, item.action) for item in self.output or ()])

    def refuses(self) -> bool:
        """Whether a part of it is a refusal."""
        return any(part.type == "refusal" for item in self.output or () for part in item.content or ())


class ResponsesEvent(msgspec.Struct, gc=False):
    """An event of a Responses stream."""

    type: str | None = None
    delta: object = None
    item: object = None
    response: ResponsesAnswer | None = None
    error: object = None


class _Embedding(msgspec.Struct):
    embedding: msgspec.Raw = NULL


class EmbeddingsAnswer(msgspec.Struct):
    """A list of embeddings."""

    data: list[_Embedding] | None = None
    model: str | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
