"""Streams that never stop: the loop goes on, and every bound of a call holds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from _transport.peers import Peer, Talk, Wire
from busy_machine import LONG_ENOUGH
from lanewise import CallerGone, FailureKind, Router, StreamBroken
from lanewise.scope import state_of
from router.driving import MESSAGES

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
CONTENT = (
    b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
)
FLOODS = {
    "comments": b":\n\n" * 20_000,
    "blank-lines": b"\n" * 65_536,
    "events": b"data: {}\n\n" * 6000,
    "content": CONTENT * 500,
    "lines": b"data:\n" * 10_000,
}
each_flood = pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)


def after_content(flood: bytes, *, zipped: bool = False) -> Talk:
    """A peer that says one word, and then floods for as long as the client is there."""

    def talk(wire: Wire) -> None:
        wire.request()
        with contextlib.suppress(OSError):
            if not zipped:
                wire.send(HEAD + b"\r\n" + CONTENT)
                while True:
                    wire.send(flood)
            wire.send(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(CONTENT))
            packed = gzip.compress(flood * 20)
            while True:
                wire.send(packed)

    return talk


@contextlib.asynccontextmanager
async def flooded(talk: Talk, **stream: str) -> AsyncIterator[Router]:
    with Peer(talk) as peer:
        config = {
            "providers": {"p": {"base_url": f"http://127.0.0.1:{peer.port}/v1"}},
            "routes": {"r": {"provider": "p", "model": "m"}},
            "tasks": {"t": {"primary": "r", "stream": stream}},
        }
        async with Router.from_mapping(config) as router:
            yield router


async def read(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="t", messages=MESSAGES, stream=True)
    async for _ in stream:
        pass


@each_flood
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
async def test_the_longest_time_of_a_stream_holds(flood: bytes, zipped: bool) -> None:
    """Nothing that comes keeps the timer from its turn, nor anybody else."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with flooded(after_content(flood, zipped=zipped), max="500ms") as router:
        with router.scope() as scope:
            counting = asyncio.create_task(count())
            with pytest.raises(StreamBroken):
                await asyncio.wait_for(read(scope.async_openai), LONG_ENOUGH)
            counting.cancel()
    assert turns > 10


@pytest.mark.parametrize("flood", [FLOODS["comments"], FLOODS["blank-lines"]], ids=["comments", "blank-lines"])
async def test_silence_holds(flood: bytes) -> None:
    """However much of it there is."""
    async with flooded(after_content(flood), silence="500ms") as router:
        with router.scope() as scope:
            with pytest.raises(StreamBroken):
                await asyncio.wait_for(read(scope.async_openai), LONG_ENOUGH)
            assert scope.calls[0].attempts[0].failure is FailureKind.TIMEOUT


@pytest.mark.parametrize("flood", [flood for name, flood in FLOODS.items() if name != "lines"])
async def test_a_caller_that_hangs_up_ends_it(flood: bytes) -> None:
    """It is heard in between."""
    async with flooded(after_content(flood)) as router:
        with router.scope() as scope:
            asyncio.get_running_loop().call_later(0.3, state_of(scope).hang_up)
            with pytest.raises(CallerGone):
                await asyncio.wait_for(read(scope.async_openai), LONG_ENOUGH)


MANY = 5000
CROWDS = {
    "whole": ({"message": {"content": "a"}, "finish_reason": "stop"}, False),
    "stream": ({"delta": {"content": "a"}, "finish_reason": None}, True),
}


@pytest.mark.parametrize("crowd", CROWDS)
async def test_more_choices_than_anybody_gives_are_not_looked_at(crowd: str) -> None:
    """An answer, or one event, of thousands of choices would hold the loop: it is no answer, and opens nothing."""
    choice, stream = CROWDS[crowd]
    body = json.dumps(
        {"id": "c", "model": "m", "choices": [{"index": index, **choice} for index in range(MANY)]}
    ).encode()
    head = HEAD if stream else HEAD.replace(b"text/event-stream", b"application/json")
    data = head + b"\r\n" + (b"data: " + body + b"\n\ndata: [DONE]\n\n" if stream else body)

    def talk(wire: Wire) -> None:
        wire.request()
        with contextlib.suppress(OSError):
            wire.send(data)

    async with flooded(talk) as router:
        with router.scope() as scope:
            with pytest.raises(openai.APIError):
                await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=stream)
            attempt = scope.calls[0].attempts[0]
            assert attempt.failure is (FailureKind.STREAM_BROKEN if stream else FailureKind.BAD_RESPONSE)


PICTURE = "iVBORw0KGgo" * 5_000_000
LARGE = {
    "chat": {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "stop",
         "message": {"role": "assistant", "content": None, "images": [{"image_url": {"url": PICTURE}}]}}]},
    "event": {"type": "response.image_generation_call.partial_image", "partial_image_b64": PICTURE},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("large", LARGE)
async def test_pictures_of_fifty_megabytes_pass(large: str, zipped: bool) -> None:
    """Whole and as an event, compressed or not."""
    body = json.dumps(LARGE[large]).encode()
    if large == "event":
        done = json.dumps(
            {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [{}]}}
        )
        body = b"data: " + body + b"\n\ndata: " + done.encode() + b"\n\n"
    head = HEAD if large == "event" else HEAD.replace(b"text/event-stream", b"application/json")
    data = (
        head
        + (b"Content-Encoding: gzip\r\n" if zipped else b"")
        + b"\r\n"
        + (gzip.compress(body, 1) if zipped else body)
    )

    def talk(wire: Wire) -> None:
        wire.request()
        with contextlib.suppress(OSError):
            wire.send(data)

    async with flooded(talk) as router:
        with router.scope() as scope:
            if large == "chat":
                reply = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
                assert reply.choices[0].message.images[0]["image_url"]["url"] == PICTURE  # type: ignore[attr-defined]
            else:
                events: Any = await scope.async_openai.responses.create(model="t", input="x", stream=True)
                assert [len(getattr(event, "partial_image_b64", "")) async for event in events] == [len(PICTURE), 0]
            assert scope.calls[0].attempts[0].failure is None
