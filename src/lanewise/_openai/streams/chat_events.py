"""Judging the events of a chat stream: content, sign of life, usage, error, end."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._openai import wire_types as wire
from lanewise._openai.content import other_words
from lanewise._openai.finish_reasons import ERROR, MALFORMED_CALL, in_chats_words
from lanewise._openai.lenient_json import write_json
from lanewise._openai.streams.stream_state import LONGEST_NAME, StreamState, StreamVerdict
from lanewise.types import Failure

__all__ = ["CHUNK", "judge_chunk"]

CHUNK: Final = msgspec.json.Decoder(wire.ChatChunk)


def judge_chunk(
    stream: StreamState, chunk: wire.ChatChunk, event_name: str | None, data: bytes
) -> StreamVerdict | Failure:
    """What a chunk is, or the failure that it is. ``data`` is its bytes.

    Example::

        judge_chunk(stream, CHUNK.decode(data), None, data)  # StreamVerdict.CONTENT
    """
    if chunk.error:
        return stream.error(data)
    if chunk.model and chunk.model != stream.model:
        if stream.accepts is not None and not stream.accepts(chunk.model):
            return stream.swapped(chunk.model)
        if stream.model is None:
            stream.model = chunk.model[:LONGEST_NAME]
    if stream.response_id is None and chunk.id:
        stream.response_id = str(chunk.id)[:LONGEST_NAME]
    if chunk.usage:
        stream.usage_so_far.add(chunk.usage)
    if chunk.service_tier:
        stream.usage_so_far.add_service_tier(chunk.service_tier)
    if chunk.x_groq:
        stream.usage_so_far.add_groq(chunk.x_groq)
    if chunk.usage_breakdown:
        stream.usage_so_far.add_parts()
    if not chunk.choices:
        if stream.reports_error(event_name, data, known=chunk.choices is not None or bool(chunk.usage)):
            return stream.error(data)
        if stream.hide_usage and chunk.usage and isinstance(chunk.usage, dict):
            return StreamVerdict.HIDE
        if chunk.choices is None:
            stream.suspect(data)
        return stream.without_content()
    if len(chunk.choices) > wire.MOST_CHOICES:
        return stream.broken_by(failures.STREAM_TOO_LARGE)
    says_something = malformed = False
    for choice in chunk.choices:
        delta = choice.delta
        if delta is not None and (delta.content or delta.says_something()):
            says_something = True
            stream.count_text(delta.content)
            if delta.refusal:
                stream.refusal = True
        index, reason = choice.index or 0, choice.finish_reason
        if choice.usage:
            stream.usage_so_far.add(choice.usage, index)
        if reason:
            reason = in_chats_words(reason)
            if reason == ERROR:
                return stream.error(write_json(choice.error), failures.FINISH_ERROR)
            malformed = malformed or reason == MALFORMED_CALL
            stream.finish_reason = reason[:LONGEST_NAME]
            stream.finished_choices.add(index)
            stream.open_choices.discard(index)
        elif index not in stream.finished_choices:
            stream.open_choices.add(index)
    if malformed and not says_something and not stream.committed:
        return stream.broken_by(failures.NO_CHOICES)
    others, thinking = (False, False) if says_something else other_words(data)
    if says_something or thinking:
        stream.committed = True
        stream.suspected_error = None  # the answer goes on after it
        return StreamVerdict.CONTENT
    if others:
        return StreamVerdict.PROGRESS
    return StreamVerdict.PASS if stream.committed else StreamVerdict.PREAMBLE
