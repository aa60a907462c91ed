"""Reading the usage of an answer: the usual one in a microsecond, any other entry by entry."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from lanewise._openai.lenient_json import MALFORMED
from lanewise._openai.usage.entries import MOST, UsageEntries
from lanewise._openai.usage.usage import NO_USAGE, Usage

__all__ = ["read_usage"]


def read_usage(raw: msgspec.Raw | object) -> Usage:
    """The usage of an answer: nothing where its provider tells none, or none that can be believed. Never raises.

    Example::

        read_usage({"prompt_tokens": 1000.0, "completion_tokens": 20}).input_tokens  # 1000
    """
    try:
        plain = _PLAIN(raw) if isinstance(raw, msgspec.Raw) else msgspec.convert(raw, _Plain)
        if (usage := plain.usage()) is not None:
            return usage
    except MALFORMED:
        pass  # more than the usual: entry by entry
    try:
        table = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
        return UsageEntries(table).usage() if isinstance(table, dict) and table else NO_USAGE
    except MALFORMED:
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
        input_tokens, output_tokens = self.prompt_tokens, self.completion_tokens
        if input_tokens is not None and self.input_tokens is None:
            input_details, output_details = self.prompt_tokens_details, self.completion_tokens_details
        else:
            input_tokens, output_tokens = self.input_tokens, self.output_tokens
            input_details, output_details = self.input_tokens_details, self.output_tokens_details
        if (
            not input_tokens
            or input_tokens + (output_tokens or 0) != self.total_tokens
            or (self.prompt_tokens and self.input_tokens)
        ):
            return None
        cached = None if input_details is None else input_details.cached_tokens
        cache_written = None if input_details is None else input_details.cache_write_tokens
        reasoning = None if output_details is None else output_details.reasoning_tokens
        if (cached or 0) + (cache_written or 0) > input_tokens or (reasoning or 0) > (output_tokens or 0):
            return None
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_tokens=cached,
            cache_write_tokens=cache_written,
            reasoning_tokens=reasoning,
            input_audio_tokens=None if input_details is None else input_details.audio_tokens,
            input_image_tokens=None if input_details is None else input_details.image_tokens,
            output_audio_tokens=None if output_details is None else output_details.audio_tokens,
        )


_PLAIN: Final = msgspec.json.Decoder(_Plain).decode
