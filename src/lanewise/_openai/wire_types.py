"""What is read of OpenAI-compatible answers and stream events: types that decode only the fields that decide.

Whatever may be of several types, or may be large, is left raw: reading it would cost more than the decision.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._openai.content import NULL, Delta, Message, is_blank
from lanewise._openai.finish_reasons import in_chats_words
from lanewise._openai.usage.accumulator import UsageAccumulator

__all__ = [
    "MOST_CHOICES",
    "ChatAnswer",
    "ChatChunk",
    "EmbeddingsAnswer",
    "IncompleteDetails",
    "ResponsesAnswer",
    "ResponsesEvent",
]

MOST_CHOICES: Final = 1024
"""OpenAI gives 128 at most. To look at a thousand takes a millisecond, at all that a large event holds a second."""


class _ChatChoice(msgspec.Struct, gc=False):
    message: Message | None = None
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
