"""A scripted stream as steps on the wire, with all the ways in which a stream goes wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lanewise.testing.behaviours import StreamOf
from lanewise.testing.events import dialect_of
from lanewise.testing.journal import Received
from lanewise.testing.steps import SETTLE, Finish, Hang, Pause, Rendering, Repeat, Step, dripped, response_head

__all__ = ["render_stream"]


def render_stream(stream: StreamOf, received: Received, headers: Mapping[str, str]) -> Rendering:
    """The whole exchange of one stream, whose response has these headers too."""
    chunked = stream.framing == "chunked"
    framing = ("transfer-encoding", "chunked") if chunked else ("connection", "close")
    head = response_head(200, [("content-type", "text/event-stream; charset=utf-8"), framing, *headers.items()])
    steps = list(_stream_steps(stream, received))
    whole = not any(isinstance(step, Finish | Hang | Repeat) for step in steps)
    if stream.split is not None:
        steps = list(dripped(steps, stream.split, 0))
    if chunked:
        steps = [_chunk(step) if isinstance(step, bytes) else _reframed(step) for step in steps]
    if not whole:
        return Rendering(head, tuple(steps))
    if stream.never_ends:
        return Rendering(head, (*steps, Hang()))
    steps.append(b"0\r\n\r\n" if chunked else Finish("close"))
    return Rendering(head, tuple(_joined(steps)))


def _joined(steps: Iterable[Step]) -> Iterable[Step]:
    """What nothing lies between goes out at once: so the last event and the end of the body, as from a real server."""
    pending = bytearray()
    for step in steps:
        if isinstance(step, bytes):
            pending += step
            continue
        if pending:
            yield bytes(pending)
            pending.clear()
        yield step
    if pending:
        yield bytes(pending)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _reframed(step: Step) -> Step:
    return replace(step, data=_chunk(step.data)) if isinstance(step, Repeat) else step


def _stream_steps(stream: StreamOf, received: Received) -> Iterable[Step]:
    dialect = dialect_of(received, stream)
    comment = f": keep-alive{stream.line_ending}{stream.line_ending}".encode()
    yield from dialect.opening()
    yield from _wait(stream.first_token_delay, stream.comments, comment)
    for sent in range(len(stream.chunks) + 1):
        if stream.malformed_after == sent:
            yield f'data: {{"id": "chatcmpl-1", "choices": [{stream.line_ending}{stream.line_ending}'.encode()
        if stream.error_event_after == sent:
            yield from dialect.error()
            return
        if stream.cut_after == sent:
            yield from (SETTLE, Finish(stream.cut))
            return
        if stream.stall_after == sent:
            if stream.stall_for is None:
                yield Hang() if stream.comments is None else Repeat(comment, stream.comments)
                return
            yield from _wait(stream.stall_for, stream.comments, comment)
        if sent < len(stream.chunks):
            if sent and stream.interval:
                yield from _wait(stream.interval, stream.comments, comment)
            chunk = stream.chunks[sent]
            yield from (chunk,) if isinstance(chunk, bytes) else dialect.chunk(chunk)
    yield from dialect.closing()


def _wait(seconds: float, comments: float | None, comment: bytes) -> Iterable[Step]:
    while comments is not None and seconds > comments:
        yield from (Pause(comments), comment)
        seconds -= comments
    if seconds > 0:
        yield Pause(seconds)
