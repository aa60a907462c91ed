"""Every way in which a scripted stream goes wrong, seen on the wire and by the plain SDK."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import closing

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise.testing import FakeProvider, StreamOf

from .conftest import chat_request

Ask = Callable[..., bytes]


def events_of(answer: bytes) -> list[str]:
    """The events in a chunked answer, whose framing is taken off."""
    _, _, body = answer.partition(b"\r\n\r\n")
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        data += rest[:length]
        body = rest[length + 2 :]
    return [event for event in re.split(r"\r\n\r\n|\n\n|\r\r", data.decode()) if event]


def contents(events: list[str]) -> list[str]:
    """The texts of a chat stream's chunks."""
    found = []
    for event in events:
        if event.startswith('data: {"id"'):
            choices = json.loads(event[6:])["choices"]
            found += [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]
    return found


@pytest.mark.parametrize("line_ending", ["\n", "\r\n", "\r"])
def test_a_stream_sends_its_chunks_in_order(fake_provider: FakeProvider, ask: Ask, line_ending: str) -> None:
    """With any of the line endings that server-sent events allow, and the terminator of the coding at the end."""
    fake_provider.script("m", StreamOf(chunks=["a", {"content": "b"}, b": note\n\n"], line_ending=line_ending))  # type: ignore[arg-type]
    answer = ask(stream=True)
    events = events_of(answer)
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert f"data: [DONE]{line_ending}{line_ending}".encode() in answer
    assert contents(events) == ["a", "b"]
    assert b": note\n\n" in answer


@pytest.mark.parametrize(
    ("stream", "done", "finish_reason"),
    [
        (StreamOf(), True, True),
        (StreamOf(no_done=True), False, True),
        (StreamOf(no_finish_reason=True), True, False),
        (StreamOf(no_done=True, no_finish_reason=True), False, False),
    ],
)
def test_what_marks_the_end_can_be_left_out(
    fake_provider: FakeProvider, ask: Ask, stream: StreamOf, done: bool, finish_reason: bool
) -> None:
    """``[DONE]`` and the finish reason, each on its own."""
    fake_provider.script("m", stream)
    answer = ask(stream=True)
    assert (b"[DONE]" in answer, b'"finish_reason":"stop"' in answer) == (done, finish_reason)


def test_a_response_stream_can_lack_its_end(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """Then there is no ``response.completed``."""
    fake_provider.script("m", StreamOf(no_finish_reason=True))
    events = [event.type for event in client.responses.create(model="m", input="x", stream=True)]
    assert events[-1] == "response.output_item.done"


def test_the_preamble_can_be_left_out(fake_provider: FakeProvider, ask: Ask) -> None:
    """Then the first chunk has content."""
    fake_provider.script("m", StreamOf(preamble=False))
    assert '"content":"Hello"' in events_of(ask(stream=True))[0]


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_stream_can_be_cut(fake_provider: FakeProvider, client: openai.OpenAI, cut: str) -> None:
    """After so many chunks the connection goes, and the terminator never comes."""
    fake_provider.script("m", StreamOf(chunks=["a", "b", "c"], cut_after=2, cut=cut))  # type: ignore[arg-type]
    stream = client.chat.completions.create(model="m", messages=[], stream=True)
    seen = [next(stream).choices[0].delta.content for _ in range(3)]
    assert seen == ["", "a", "b"]
    with pytest.raises(openai.APIConnectionError):
        next(stream)


def test_an_error_event_ends_a_chat_stream(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """OpenAI's form: an ``error`` object instead of a chunk."""
    fake_provider.script("m", StreamOf(error_event_after=1, error={"message": "busy", "code": "overloaded"}))
    with pytest.raises(openai.APIError, match="busy") as caught:
        list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert caught.value.code == "overloaded"


@pytest.mark.parametrize("error_event", ["error", "response.failed"])
def test_an_error_event_ends_a_response_stream(
    fake_provider: FakeProvider, client: openai.OpenAI, error_event: str
) -> None:
    """In either of the two forms."""
    fake_provider.script("m", StreamOf(error_event_after=0, error_event=error_event))  # type: ignore[arg-type]
    events = client.responses.create(model="m", input="x", stream=True)
    last = list(events)[-1]
    assert last.type == error_event
    if last.type == "error":
        assert (last.code, last.message) == ("server_error", "The server had an error")
    elif last.type == "response.failed":
        assert last.response.error is not None
        assert last.response.error.code == "server_error"


def test_a_malformed_event_is_no_json_and_the_stream_goes_on(fake_provider: FakeProvider, ask: Ask) -> None:
    """One event is broken, those around it are whole."""
    fake_provider.script("m", StreamOf(chunks=["a", "b"], malformed_after=1))
    events = [event for event in events_of(ask(stream=True)) if event != "data: [DONE]"]
    broken = []
    for event in events:
        try:
            json.loads(event[6:])
        except ValueError:
            broken.append(events.index(event))
    assert broken == [2]
    assert len(events) == 5


def test_the_first_token_can_be_slow_with_comments_meanwhile(fake_provider: FakeProvider, ask: Ask) -> None:
    """Headers and preamble come at once, comments keep the connection busy, then the chunks."""
    fake_provider.script("m", StreamOf(chunks=["a"], first_token_delay=0.1, comments=0.03))
    started = time.monotonic()
    events = events_of(ask(stream=True))
    assert time.monotonic() - started >= 0.1
    assert events[1:4] == [": keep-alive"] * 3
    assert contents(events) == ["a"]


def test_chunks_come_at_intervals(fake_provider: FakeProvider, ask: Ask) -> None:
    """Between chunks, not before the first."""
    fake_provider.script("m", StreamOf(chunks=["a", "b", "c"], interval=0.03))
    started = time.monotonic()
    assert contents(events_of(ask(stream=True))) == ["a", "b", "c"]
    assert time.monotonic() - started >= 0.06


@pytest.mark.parametrize("comments", [None, 0.02])
def test_a_stalled_stream_never_ends(
    fake_provider: FakeProvider, client: openai.OpenAI, comments: float | None
) -> None:
    """After so many chunks nothing comes any more, or nothing but comments."""
    fake_provider.script("m", StreamOf(stall_after=2, comments=comments))
    stream = client.with_options(timeout=0.1).chat.completions.create(model="m", messages=[], stream=True)
    seen = [next(stream).choices[0].delta.content for _ in range(3)]
    assert seen == ["", "Hello", " from"]
    if comments is None:
        with pytest.raises(openai.APITimeoutError):
            next(stream)
    stream.close()
    fake_provider.wait_until(lambda: fake_provider.open_connections == 0)
    assert fake_provider.journal[0].client_gone is True


def test_a_stall_can_pass(fake_provider: FakeProvider, ask: Ask) -> None:
    """After ``stall_for`` seconds the stream goes on."""
    fake_provider.script("m", StreamOf(chunks=["a", "b"], stall_after=1, stall_for=0.05, comments=0.02))
    events = events_of(ask(stream=True))
    assert contents(events) == ["a", "b"]
    assert events.count(": keep-alive") == 2


@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_can_be_split_anywhere(fake_provider: FakeProvider, client: openai.OpenAI, size: int) -> None:
    """Inside of lines and of characters; the SDK reads it all the same."""
    fake_provider.script("m", StreamOf(chunks=["día", "🎭"], split=size))
    chunks = client.chat.completions.create(model="m", messages=[], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "día🎭"


def test_a_stream_without_chunked_coding_ends_with_its_connection(fake_provider: FakeProvider, ask: Ask) -> None:
    """So that a cut one can't be told from a complete one by HTTP."""
    fake_provider.script("m", StreamOf(framing="close", cut_after=1), StreamOf(framing="close"))
    cut, whole = ask(stream=True), ask(stream=True)
    assert b"transfer-encoding" not in cut + whole
    assert (cut.count(b"data: "), whole.endswith(b"data: [DONE]\n\n")) == (2, True)


def test_a_stream_can_be_left_open_after_its_last_event(fake_provider: FakeProvider) -> None:
    """``[DONE]`` came, and the response never ends."""
    fake_provider.script("m", StreamOf(never_ends=True))
    answer = b""
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(chat_request(b'{"model": "m", "stream": true}'))
        while b"[DONE]" not in answer:
            answer += raw.recv(65536)
        raw.settimeout(0.1)
        with pytest.raises(TimeoutError):
            raw.recv(1)
    assert not answer.endswith(b"0\r\n\r\n")
