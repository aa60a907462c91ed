"""Server-sent events of OpenAI's streams: what a chat, a completions and a responses stream send, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from lanewise.testing.answers import (
    JsonObject,
    chat_finish_reason,
    chat_usage,
    completion,
    function_call_item,
    message_item,
    response_object,
    text_part,
)
from lanewise.testing.behaviours import StreamOf
from lanewise.testing.journal import Asked, Received

__all__ = ["Dialect", "dialect_of", "sse"]

Chunk = str | Mapping[str, object]


class Dialect(Protocol):
    """What one kind of stream puts before, around and after the chunks. Each item is one whole event."""

    def opening(self) -> list[bytes]: ...
    def chunk(self, chunk: Chunk) -> list[bytes]: ...
    def closing(self) -> list[bytes]: ...
    def error(self) -> list[bytes]: ...


def sse(data: object, *, name: str | None = None, line_ending: str = "\n") -> bytes:
    """One event; ``data`` is sent as JSON, or verbatim if it is text."""
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    head = "" if name is None else f"event: {name}{line_ending}"
    return f"{head}data: {text}{line_ending}{line_ending}".encode()


def dialect_of(received: Received, stream: StreamOf) -> Dialect:
    """The events of the kind of stream that was asked for."""
    if received.asked is Asked.RESPONSES:
        return _ResponsesEvents(received, stream)
    if received.asked is Asked.COMPLETIONS:
        return _CompletionsEvents(received, stream)
    return _ChatEvents(received, stream)


class _ChatEvents:
    def __init__(self, received: Received, stream: StreamOf) -> None:
        self._received = received
        self._stream = stream

    def opening(self) -> list[bytes]:
        if not self._stream.preamble:
            return []
        silent = not self._stream.chunks and (self._stream.tool_calls or self._stream.refusal)
        return [self._delta({"role": "assistant", "content": None if silent else "", "refusal": None})]

    def chunk(self, chunk: Chunk) -> list[bytes]:
        return [self._delta({"content": chunk} if isinstance(chunk, str) else chunk)]

    def closing(self) -> list[bytes]:
        stream = self._stream
        events = []
        if stream.refusal is not None:
            events.append(self._delta({"refusal": stream.refusal}))
        for index, call in enumerate(stream.tool_calls):
            function = {"name": call.name, "arguments": ""}
            start = {"index": index, "id": call.id, "type": "function", "function": function}
            events.append(self._delta({"tool_calls": [start]}))
            rest = {"index": index, "function": {"arguments": call.arguments}}
            events.append(self._delta({"tool_calls": [rest]}))
        if not stream.no_finish_reason:
            events.append(self._delta({}, chat_finish_reason(stream.finish_reason, stream.tool_calls)))
        if stream.usage is not None and self._received.includes_usage:
            events.append(self._event([], usage=chat_usage(stream.usage)))
        if not stream.no_done:
            events.append(sse("[DONE]", line_ending=stream.line_ending))
        return events

    def error(self) -> list[bytes]:
        return [sse({"error": self._stream.error}, line_ending=self._stream.line_ending)]

    def _delta(self, delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    def _event(self, choices: list[JsonObject], usage: JsonObject | None = None) -> bytes:
        body = completion(self._received, "chat.completion.chunk", self._stream.model, choices)
        if self._received.includes_usage:
            body["usage"] = usage
        return sse(body, line_ending=self._stream.line_ending)


class _CompletionsEvents(_ChatEvents):
    def opening(self) -> list[bytes]:
        return []

    def _delta(self, delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
        text = delta.get("content", "")
        return self._event([{"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}])


class _ResponsesEvents:
    """Events with running sequence numbers: an instance serves one stream, in order."""

    def __init__(self, received: Received, stream: StreamOf) -> None:
        self._received = received
        self._stream = stream
        self._sequence = 0
        self._text = ""
        self._message_opened = False

    def opening(self) -> list[bytes]:
        if not self._stream.preamble:
            return []
        response = self._response("in_progress", [])
        return [
            self._event("response.created", {"response": response}),
            self._event("response.in_progress", {"response": response}),
        ]

    def chunk(self, chunk: Chunk) -> list[bytes]:
        if not isinstance(chunk, str):
            return [self._event(str(chunk.get("type", "response.unknown")), chunk)]
        self._text += chunk
        delta = {**self._place(), "delta": chunk, "logprobs": []}
        return [*self._open_message(text_part("")), self._event("response.output_text.delta", delta)]

    def closing(self) -> list[bytes]:
        output: list[JsonObject] = []
        events = self._close_message(output)
        for call in self._stream.tool_calls:
            item = function_call_item(call)
            place: JsonObject = {"output_index": len(output)}
            of_item = {**place, "item_id": item["id"]}
            added = {**place, "item": function_call_item(call, "in_progress")}
            events.append(self._event("response.output_item.added", added))
            events.append(self._event("response.function_call_arguments.delta", {**of_item, "delta": call.arguments}))
            done = {**of_item, "name": call.name, "arguments": call.arguments}
            events.append(self._event("response.function_call_arguments.done", done))
            events.append(self._event("response.output_item.done", {**place, "item": item}))
            output.append(item)
        if not self._stream.no_finish_reason:
            response = self._response(None, output)
            events.append(self._event(f"response.{response['status']}", {"response": response}))
        return events

    def error(self) -> list[bytes]:
        error = self._stream.error
        if self._stream.error_event == "error":
            return [self._event("error", {name: error.get(name) for name in ("code", "message", "param")})]
        failed = self._response("failed", [], {name: error.get(name) for name in ("code", "message")})
        return [self._event("response.failed", {"response": failed})]

    def _open_message(self, part: JsonObject) -> list[bytes]:
        if self._message_opened:
            return []
        self._message_opened = True
        item = message_item(self._received, [], "in_progress")
        return [
            self._event("response.output_item.added", {"output_index": 0, "item": item}),
            self._event("response.content_part.added", {**self._place(), "part": part}),
        ]

    def _close_message(self, output: list[JsonObject]) -> list[bytes]:
        """Ends the message, if there is one, and appends it to the output."""
        stream = self._stream
        if stream.refusal is not None:
            part: JsonObject = {"type": "refusal", "refusal": stream.refusal}
            events = self._open_message({"type": "refusal", "refusal": ""})
            events.append(self._event("response.refusal.delta", {**self._place(), "delta": stream.refusal}))
            events.append(self._event("response.refusal.done", {**self._place(), "refusal": stream.refusal}))
        elif self._message_opened or not stream.tool_calls:
            part = text_part(self._text)
            events = self._open_message(text_part(""))
            done = {**self._place(), "text": self._text, "logprobs": []}
            events.append(self._event("response.output_text.done", done))
        else:
            return []
        item = message_item(self._received, [part])
        output.append(item)
        events.append(self._event("response.content_part.done", {**self._place(), "part": part}))
        events.append(self._event("response.output_item.done", {"output_index": 0, "item": item}))
        return events

    def _place(self) -> JsonObject:
        return {"item_id": f"msg_{self._received.number}", "output_index": 0, "content_index": 0}

    def _response(
        self, status: str | None, output: list[JsonObject], error: Mapping[str, object] | None = None
    ) -> JsonObject:
        stream = self._stream
        usage = stream.usage if status is None else None
        return response_object(
            self._received,
            stream.model,
            output=output,
            usage=usage,
            finish_reason=stream.finish_reason,
            status=status,
            error=error,
        )

    def _event(self, name: str, fields: Mapping[str, object]) -> bytes:
        body = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse(body, name=name, line_ending=self._stream.line_ending)
