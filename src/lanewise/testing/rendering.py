"""A behaviour as steps on the wire: which bytes, with which pauses, and how the exchange ends. Pure."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from lanewise.testing.answers import answer_text, answer_to, error_of_status
from lanewise.testing.behaviours import (
    NUMBERED,
    Answer,
    Behaviour,
    Body,
    Close,
    Drip,
    Html,
    JsonBody,
    Raw,
    Redirect,
    Reset,
    Silence,
    SlowHeaders,
    Status,
    StreamOf,
    TruncatedBody,
)
from lanewise.testing.journal import Asked, Received
from lanewise.testing.steps import SETTLE, Finish, Hang, Rendering, Step, dripped, first_bytes, length, response_head
from lanewise.testing.streaming import render_stream

__all__ = ["render"]


def render(behaviour: Behaviour, received: Received, extra_headers: Mapping[str, str] | None = None) -> Rendering:
    """What a behaviour does with a request. Behaviours that depend on what came before are resolved earlier.

    Raises:
        TypeError: not a behaviour that can be rendered.
    """
    extra = extra_headers or {}
    match behaviour:
        case Answer():
            return _answer(behaviour, received, extra)
        case StreamOf():
            return _stream_or_whole(behaviour, received, extra)
        case Status():
            return _status(behaviour, received, extra)
        case JsonBody():
            headers = {**behaviour.headers, **extra}
            return _whole(behaviour.status, "application/json", msgspec.json.encode(behaviour.value), headers)
        case Body():
            return _body(behaviour, extra)
        case Html():
            return _whole(behaviour.status, "text/html; charset=utf-8", behaviour.text.encode(), extra)
        case Redirect():
            return _whole(behaviour.status, "text/plain", b"", {"location": behaviour.location, **extra})
        case Raw():
            steps: tuple[Step, ...] = () if behaviour.keep else (SETTLE, Finish("close"))
            return Rendering(_to_bytes(behaviour.data), steps)
        case Silence():
            return Rendering(b"", (Hang(behaviour.deaf),))
        case SlowHeaders():
            rendering = render(behaviour.then, received, extra)
            return replace(rendering, delay=rendering.delay + behaviour.seconds)
        case Drip():
            rendering = render(behaviour.then, received, extra)
            return replace(rendering, steps=tuple(dripped(rendering.steps, behaviour.size, behaviour.interval)))
        case TruncatedBody():
            rendering = render(behaviour.then, received, extra)
            keep = length(rendering.steps) - behaviour.missing
            return replace(rendering, steps=(*first_bytes(keep, rendering.steps), SETTLE, Finish("close")))
        case Reset():
            return _broken(render(behaviour.then, received, extra), behaviour.when, Finish("reset"))
        case Close():
            return _broken(render(behaviour.then, received, extra), behaviour.when, Finish("close"))
        case _:
            raise TypeError(f"{type(behaviour).__name__} is not a behaviour of the fake provider")


def _whole(status: int, content_type: str, body: bytes, headers: Mapping[str, str]) -> Rendering:
    if status in (204, 304):
        return Rendering(response_head(status, headers.items()))
    named = {"content-type": content_type, "content-length": str(len(body)), **headers}
    return Rendering(response_head(status, named.items()), (body,))


def _request_id(request_id: str | None, received: Received) -> dict[str, str]:
    if request_id is None:
        return {}
    return {"x-request-id": f"req_{received.number}" if request_id == NUMBERED else request_id}


def _answer(answer: Answer, received: Received, extra: Mapping[str, str]) -> Rendering:
    if received.stream and received.asked is not Asked.EMBEDDINGS:
        rendering = _stream(_as_stream(answer, received), received, extra)
    else:
        body = msgspec.json.encode(answer_to(received, answer))
        headers = {**_request_id(answer.request_id, received), **answer.headers, **extra}
        rendering = _whole(200, "application/json", body, headers)
    return replace(rendering, delay=answer.delay) if answer.delay else rendering


def _as_stream(answer: Answer, received: Received) -> StreamOf:
    silent = answer.text is None and (answer.tool_calls or answer.refusal)
    return StreamOf(
        chunks=() if silent else re.findall(r"\s*\S+|\s+", answer_text(received, answer)),
        model=answer.model,
        usage=answer.usage,
        finish_reason=answer.finish_reason or "stop",
        no_finish_reason=answer.finish_reason is None,
        tool_calls=answer.tool_calls,
        refusal=answer.refusal,
        headers=answer.headers,
        request_id=answer.request_id,
    )


def _status(status: Status, received: Received, extra: Mapping[str, str]) -> Rendering:
    body = msgspec.json.encode(error_of_status(status)) if status.body is None else _to_bytes(status.body)
    headers = {**_request_id(status.request_id, received), **extra}
    if status.retry_after is not None:
        headers["retry-after"] = _seconds(status.retry_after)
    return _whole(status.status, "application/json", body, {**headers, **status.headers})


def _seconds(retry_after: float | str) -> str:
    """Whole seconds are written as HTTP has them: a reader may take no others."""
    whole = isinstance(retry_after, float) and retry_after.is_integer()
    return str(int(retry_after)) if whole else str(retry_after)


def _body(body: Body, extra: Mapping[str, str]) -> Rendering:
    content = _to_bytes(body.content)
    headers = {**body.headers, **extra}
    if body.encoding is not None:
        headers["content-encoding"] = body.encoding
        if body.compress:
            content = gzip.compress(content) if body.encoding == "gzip" else zlib.compress(content)
    return _whole(body.status, body.content_type, content, headers)


def _to_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _stream(stream: StreamOf, received: Received, extra: Mapping[str, str]) -> Rendering:
    return render_stream(stream, received, {**_request_id(stream.request_id, received), **stream.headers, **extra})


def _stream_or_whole(stream: StreamOf, received: Received, extra: Mapping[str, str]) -> Rendering:
    if received.stream:
        return _stream(stream, received, extra)
    text = "".join(chunk for chunk in stream.chunks if isinstance(chunk, str))
    whole = Answer(
        text or None,
        model=stream.model,
        usage=stream.usage,
        finish_reason=stream.finish_reason,
        tool_calls=stream.tool_calls,
        refusal=stream.refusal,
        headers=stream.headers,
        request_id=stream.request_id,
    )
    return _answer(whole, received, extra)


def _broken(rendering: Rendering, when: str, finish: Finish) -> Rendering:
    """A rendering that ends early."""
    match when:
        case "after_headers":
            return replace(rendering, steps=(SETTLE, finish))
        case "mid_body":
            half = length(rendering.steps) // 2
            return replace(rendering, steps=(*first_bytes(half, rendering.steps), SETTLE, finish))
        case "after_answer":
            return replace(rendering, steps=(*rendering.steps, finish))
        case _:
            return Rendering(b"", (finish,), rendering.delay)
