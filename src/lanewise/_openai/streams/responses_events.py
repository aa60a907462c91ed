"""Judging the events of a Responses stream: content, sign of life, error, end."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._openai import wire_types as wire
from lanewise._openai.finish_reasons import ERROR
from lanewise._openai.streams.stream_state import LONGEST_NAME, StreamState, StreamVerdict
from lanewise.types import Failure

__all__ = ["EVENT", "LAST_EVENTS", "judge_event"]

EVENT: Final = msgspec.json.Decoder(wire.ResponsesEvent)
LAST_EVENTS: Final = frozenset({"response.completed", "response.incomplete", "response.done"})
"""The events that end an answer: each holds all of it."""
_NO_SIGN_OF_LIFE: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_PREVIEW: Final = ".partial_image"
_BROKEN_OFF: Final = frozenset({"error", "response.error", "response.failed", "response.cancelled"})


def judge_event(
    stream: StreamState, event: wire.ResponsesEvent, event_name: str | None, data: bytes
) -> StreamVerdict | Failure:
    """What an event is, or the failure that it is. ``data`` is its bytes.

    Example::

        judge_event(stream, EVENT.decode(data), "response.output_text.delta", data)  # StreamVerdict.CONTENT
    """
    name = event.type or event_name or ""
    if event.response is not None:
        model = event.response.model
        if stream.accepts is not None and model and not stream.accepts(model):
            return stream.swapped(model)
        _take_response(stream, event.response)
    if name in _BROKEN_OFF or event.error:
        return stream.error(data if event.response is None else event.response.error)
    if name in LAST_EVENTS:
        return _last(stream, event.response)
    if name.endswith(".delta") or name == "response.output_item.done":
        return _piece(stream, name, event)
    if name.endswith(_PREVIEW):
        stream.committed = True  # shown at once, or it need not have been asked for
        return StreamVerdict.CONTENT
    if not name.startswith("response."):
        stream.suspect(data)
        return stream.without_content()
    if name in _NO_SIGN_OF_LIFE:
        return StreamVerdict.PASS if stream.committed else StreamVerdict.PREAMBLE
    return StreamVerdict.PROGRESS


def _piece(stream: StreamState, name: str, event: wire.ResponsesEvent) -> StreamVerdict:
    if event.item is not None and name == "response.output_item.done":
        stream.usage_so_far.add_item(event.item)
    if name.endswith(".delta") and not event.delta:
        return StreamVerdict.PASS if stream.committed else StreamVerdict.PREAMBLE
    stream.count_text(event.delta)
    stream.refusal = stream.refusal or name == "response.refusal.delta"
    stream.committed = True
    stream.suspected_error = None
    return StreamVerdict.CONTENT


def _last(stream: StreamState, response: wire.ResponsesAnswer | None) -> StreamVerdict | Failure:
    if response is not None and stream.finish_reason == ERROR:
        return stream.error(response.error, failures.FINISH_ERROR)
    if response is not None and response.output == [] and not stream.committed and response.status == "completed":
        return stream.broken_by(failures.NO_CHOICES)
    stream.done = True
    return StreamVerdict.DONE


def _take_response(stream: StreamState, response: wire.ResponsesAnswer) -> None:
    stream.model = (response.model or "")[:LONGEST_NAME] or stream.model
    stream.response_id = (response.id or "")[:LONGEST_NAME] or stream.response_id
    stream.finish_reason = response.finish_reason()
    stream.refusal = stream.refusal or response.refuses()
    response.report_usage(stream.usage_so_far)
