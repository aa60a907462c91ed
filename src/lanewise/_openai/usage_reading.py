"""Reading the usage of an answer: the usual one in a microsecond, any other entry by entry."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from lanewise._openai.usage import NO_USAGE, Usage
from lanewise._openai.usage_entries import MOST, UsageEntries

__all__ = ["read_usage"]

_MALFORMED: Final = (msgspec.MsgspecError, RecursionError, ValueError)


def read_usage(raw: msgspec.Raw | object) -> Usage:
    """The usage of an answer: nothing where its provider tells none, or none that can be believed. Never raises.

    Example::

        read_usage({"prompt_tokens": 1000.0, "completion_tokens": 20}).input_tokens  # 1000
    """
    try:
        plain = _PLAIN(raw) if isinstance(raw, msgspec.Raw) else msgspec.convert(raw, _Plain)
        if (usage := plain.usage()) is not None:
            return usage
    except _MALFORMED:
        pass  # more than the usual: entry by entry
    try:
        table = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
        return UsageEntries(table).usage() if isinstance(table, dict) and table else NO_USAGE
    except _MALFORMED:
        return NO_USAGE


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
_Zero = Annotated[int, msgspec.Meta(ge=0, le=0)]


class _PlainInput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    text_tokens: _Count | None = None
    audio_tokens: _Zero | None = None
    image_tokens: _Zero | None = None


class _PlainOutput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    reasoning_tokens: _Count | None = None
    text_tokens: _Count | None = None
    audio_tokens: _Zero | None = None
    accepted_prediction_tokens: _Count | None = None
    rejected_prediction_tokens: _Count | None = None


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usage that OpenAI and most others send, of chat, Responses or embeddings."""

    total_tokens: _Count
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    prompt_tokens_details: _PlainInput | None = None
    completion_tokens_details: _PlainOutput | None = None
    input_tokens_details: _PlainInput | None = None
    output_tokens_details: _PlainOutput | None = None

    def usage(self) -> Usage | None:
        """The usage, if it adds up."""
        told, given = self.prompt_tokens, self.completion_tokens
        if told is not None and self.input_tokens is None:
            read, written = self.prompt_tokens_details, self.completion_tokens_details
        else:
            told, given = self.input_tokens, self.output_tokens
            read, written = self.input_tokens_details, self.output_tokens_details
        if not told or told + (given or 0) != self.total_tokens or (self.prompt_tokens and self.input_tokens):
            return None
        cached = None if read is None else read.cached_tokens
        kept = None if read is None else read.cache_write_tokens
        reasoning = None if written is None else written.reasoning_tokens
        if (cached or 0) + (kept or 0) > told or (reasoning or 0) > (given or 0):
            return None
        return Usage(
            input_tokens=told,
            output_tokens=given,
            cached_tokens=cached,
            cache_write_tokens=kept,
            reasoning_tokens=reasoning,
            input_audio_tokens=None if read is None else read.audio_tokens,
            input_image_tokens=None if read is None else read.image_tokens,
            output_audio_tokens=None if written is None else written.audio_tokens,
        )


_PLAIN: Final = msgspec.json.Decoder(_Plain).decode
