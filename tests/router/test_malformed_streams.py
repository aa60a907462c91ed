"""Malformed streams of every shape, made by a seed: none of them ever ends as if it were whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import openai
import pytest

from lanewise import Outcome, Router
from lanewise.testing import Body, Raw, Scripted
from router.driving import MESSAGES, STREAMS, Form, Stage, config, using

pytestmark = pytest.mark.anyio

SEED = 20261127


def event(**fields: object) -> bytes:
    """One event of a chat stream."""
    return (
        b"data: "
        + json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", **fields}).encode()
        + b"\n\n"
    )


def delta(content: str | None, finish: str | None = None) -> bytes:
    return event(
        choices=[{"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}]
    )


WHOLE = [delta("Hello "), delta("from "), delta("the stream"), delta(None, "stop"), b"data: [DONE]\n\n"]
"""A stream as it should be. What marks its end are the last two events: either will do."""
LAST = 3
"""How many events a stream has whose end was cut off."""

RETRIES = {"bad_response": 0, "stream_broken": 0, "outage": 0, "timeout": 0}
"""Each stream is one attempt."""

Random = random.Random


def cut(chance: Random) -> bytes:
    """Ends between two events, or within one, before the answer has ended."""
    whole, marks = b"".join(WHOLE), len(b"".join(WHOLE[LAST:]))
    return whole[: chance.randrange(1, len(whole) - marks + 1)]


def not_json(chance: Random) -> bytes:
    """One event can't be read."""
    broken = chance.choice([
        b"data: {\n\n", b"data: nonsense\n\n", b'data: {"choices": [}\n\n', b"data: \xff\xfe\n\n", b"data: [1, 2\n\n",
        b'data: {"choices": "x"}\n\n', b'data: {"choices": [{"delta": 5}]}\n\n', b"data: 12\n\n", b'data: "text"\n\n',
        b'data: {"choices": [{"delta": {"content": "\xc3"}}]}\n\n', b"data: [[[[\n\n", b'data: {"choices": [3]}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n", b"data: \x00\n\n", b"data: <html>\n\n", b"data: [DONE\n\n",
    ])  # fmt: skip
    at = chance.randrange(0, LAST + 1)
    return b"".join([*WHOLE[:at], broken, *WHOLE[at:]])


def error_event(chance: Random) -> bytes:
    """An error in the middle, in one of the dialects, and whatever follows."""
    error = chance.choice([
        b'event: error\ndata: {"error": {"message": "x", "type": "server_error"}}\n\n',
        b'data: {"error": {"message": "x", "code": 500}}\n\n',
        b'data: {"error": "overloaded"}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}\n\n',
        b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}\n\n',
        b'data: {"object": "error", "message": "x", "code": 500}\n\n',
    ])  # fmt: skip
    at = chance.randrange(0, LAST + 1)
    return b"".join([*WHOLE[:at], error, *(WHOLE[at:] if chance.random() < 0.5 else [])])


def without_end(chance: Random) -> bytes:
    """All the text, blank lines and comments, and nothing that says that this was all."""
    noise = [b": ping\n\n", b"data:\n\n", b"\n", b"event: ping\n\n", b"retry: 10\n\n", b"id: 7\n\n", delta("")]
    return b"".join([*WHOLE[:LAST], *(chance.choice(noise) for _ in range(chance.randrange(4)))])


def nothing_in_it(chance: Random) -> bytes:
    """No content, no finish reason, and at most the word that it is done."""
    parts = [b"", b": ping\n\n", event(choices=[]), delta(""), b"data: [DONE]\n\n", b"\n\n", b"hello\n", b"[DONE]"]
    return b"".join(chance.choice(parts) for _ in range(chance.randrange(1, 5)))


def half_of_the_choices(chance: Random) -> bytes:
    """A second choice was begun, and never ended."""
    second = event(choices=[{"index": 1, "delta": {"content": "And"}, "finish_reason": None}])
    at = chance.randrange(0, LAST)
    return b"".join([*WHOLE[:at], second, *WHOLE[at : LAST + 1]])


SHAPES: tuple[Callable[[Random], bytes], ...] = (
    cut, not_json, error_event, without_end, nothing_in_it, half_of_the_choices,
)  # fmt: skip


def served(body: bytes, chance: Random) -> Scripted:
    """The body as an event stream: of its own length, or to the end of the connection."""
    if chance.random() < 0.5:
        return Body(body, content_type="text/event-stream")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return Raw(head + body)


async def read(client: openai.AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
    return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])


def read_sync(client: openai.OpenAI) -> str:
    stream = client.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
    return "".join([choice.delta.content or "" for chunk in stream for choice in chunk.choices])


async def try_out(form: Form, stage: Stage, count: int) -> None:
    """``count`` streams of each shape; a failing one is told by its number, its shape and its bytes."""
    mapping: dict[str, Any] = config(stage, more={"router": {"health": {"breakers": False}}})
    mapping["tasks"]["alone"] = {"deadline": "10s", "primary": "first", "retries": RETRIES}
    async with Router.from_mapping(mapping) as router:
        for number in range(count):
            chance = random.Random(f"{SEED}-{number}")
            for shape in SHAPES:
                body = shape(chance)
                stage.first.script_all(served(body, chance))
                scope = router.scope()
                try:
                    text = await using(scope, form.client, read_sync if form.client == "sync" else read)
                except openai.OpenAIError:
                    assert scope.calls[-1].outcome is Outcome.FAILED, (number, shape.__name__, body)
                else:
                    raise AssertionError(f"{shape.__name__} {number} ended well with {text!r}: {body!r}")


@pytest.mark.parametrize("form", STREAMS, ids=str)
async def test_no_malformed_stream_ends_as_a_success(form: Form, stage: Stage) -> None:
    """Cut, unreadable, an error, without an end, empty, or with half of its choices."""
    await try_out(form, stage, 25)


@pytest.mark.slow
@pytest.mark.parametrize("form", STREAMS, ids=str)
async def test_a_thousand_malformed_streams(form: Form, stage: Stage) -> None:
    """The same, a thousand and more times over."""
    await try_out(form, stage, 170)
