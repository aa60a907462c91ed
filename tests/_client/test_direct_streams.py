"""Direct streams: the same objects and chunks as by the SDK's own path, however they are read or left."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx2
import pytest

from _client.both_ways import MESSAGES, Summary, Use, chat, compare, each_client, respond, state
from lanewise.testing import Scripted, StreamOf, ToolCall

pytestmark = pytest.mark.anyio

STREAMS: Final[dict[str, Scripted]] = {
    "plain": StreamOf(),
    "many at once": StreamOf(chunks=[f"word {number} " for number in range(200)]),
    "one by one": StreamOf(interval=0.005),
    "with CRLF": StreamOf(line_ending="\r\n"),
    "with CR": StreamOf(line_ending="\r"),
    "in pieces": StreamOf(split=1),
    "with comments": StreamOf(comments=0.001, interval=0.01),
    "tool calls": StreamOf(tool_calls=[ToolCall("look_up", '{"id": 7}')]),
    "a refusal": StreamOf(refusal="No."),
    "without its end": StreamOf(no_done=True),
    "cut": StreamOf(cut_after=2),
    "an error": StreamOf(error_event_after=2),
    "malformed": StreamOf(malformed_after=2),
    "no request id": StreamOf(request_id=None),
    "odd events": StreamOf(
        chunks=[
            "Grüße ☕\u2028",
            b"id: 7\ndata: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}).encode() + b"\n\n",
            b'event: thread.x\ndata: {"choices": [{"index": 0, "delta": {"content": "b"}}]}\n\n',
            b'event: message\ndata: {"choices": [{"index": 0, "delta": {"content": "c"}}], "x": {"y": [1.5]}}\n\n',
            b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "d"}}]}\n\n',
            b'data:{"choices": [{"index": 0, "delta": {"content": "e"}}]}\n\n\n\n',
            b": a comment\n: another\n\n",
            b'retry: 10\ndata: {"choices": [{"index": 0, "delta": {"content": "f"}}], "n": 1e999}\n\n',
            {
                "choices": [{"index": 0, "delta": {"content": "g", "reasoning": "h"}, "finish_reason": None}],
                "error": None,
            },
        ]
    ),
}


@each_client
@pytest.mark.parametrize("use", [chat(stream=True), respond(stream=True)], ids=["chat", "responses"])
@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_gives_the_same_chunks(client: str, name: str, use: Use) -> None:
    """And is the same object, over the same response, which is in the same state after it."""
    await compare(client, STREAMS[name], use)


@each_client
@pytest.mark.parametrize("hold", ["none", "all"])
async def test_a_stream_that_is_held_gives_the_same_chunks(client: str, hold: str) -> None:
    """However much of it comes at once."""
    await compare(
        client, StreamOf(), chat(stream=True, stream_options={"include_usage": True}), task={"stream": {"hold": hold}}
    )


async def leave_early(client: Any) -> Any:
    async with await chat(stream=True)(client) as stream:
        first = await anext(aiter(stream))
    return [first, state(stream.response), await _next(stream)]


def sync_leave_early(client: Any) -> Any:
    with chat(stream=True)(client) as stream:
        first = next(stream)
    return [first, state(stream.response), _sync_next(stream)]


async def read_first(client: Any) -> Any:
    stream = await chat(stream=True)(client)
    body = await stream.response.aread()
    return [len(body) > 0, [chunk async for chunk in stream], state(stream.response)]


def sync_read_first(client: Any) -> Any:
    stream = chat(stream=True)(client)
    body = stream.response.read()
    return [len(body) > 0, list(stream), state(stream.response)]


async def read_between(client: Any) -> Any:
    stream = await chat(stream=True)(client)
    first = await anext(aiter(stream))
    try:
        await stream.response.aread()
    except httpx2.StreamError as error:
        return [first, type(error).__name__]
    return "it was read"


def sync_read_between(client: Any) -> Any:
    stream = chat(stream=True)(client)
    first = next(stream)
    try:
        stream.response.read()
    except httpx2.StreamError as error:
        return [first, type(error).__name__]
    return "it was read"


async def closed_first(client: Any) -> Any:
    stream = await chat(stream=True)(client)
    await stream.close()
    return [state(stream.response), await _next(stream)]


def sync_closed_first(client: Any) -> Any:
    stream = chat(stream=True)(client)
    stream.close()
    return [state(stream.response), _sync_next(stream)]


async def _next(stream: Any) -> object:
    try:
        return await anext(stream)
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return type(error).__name__


def _sync_next(stream: Any) -> object:
    try:
        return next(stream)
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return type(error).__name__


async def helper(client: Any) -> Any:
    async with client.chat.completions.stream(model="summary", messages=MESSAGES, response_format=Summary) as stream:
        events = [event.type async for event in stream]
        return [events, await stream.get_final_completion()]


def sync_helper(client: Any) -> Any:
    with client.chat.completions.stream(model="summary", messages=MESSAGES, response_format=Summary) as stream:
        return [[event.type for event in stream], stream.get_final_completion()]


async def response_helper(client: Any) -> Any:
    async with client.responses.stream(model="summary", input="hi") as stream:
        events = [event.type async for event in stream]
        return [events, await stream.get_final_response()]


def sync_response_helper(client: Any) -> Any:
    with client.responses.stream(model="summary", input="hi") as stream:
        return [[event.type for event in stream], stream.get_final_response()]


HANDLED: Final[dict[str, tuple[Scripted, Use, Use]]] = {
    "left early": (StreamOf(stall_after=2), leave_early, sync_leave_early),
    "read as bytes first": (StreamOf(), read_first, sync_read_first),
    "read as bytes between": (StreamOf(stall_after=2), read_between, sync_read_between),
    "closed before it was read": (StreamOf(stall_after=2), closed_first, sync_closed_first),
    "by the helper": (StreamOf(chunks=['{"title": ', '"Parcel"}']), helper, sync_helper),
    "a response by the helper": (StreamOf(), response_helper, sync_response_helper),
}


@each_client
@pytest.mark.parametrize("name", HANDLED)
async def test_a_stream_can_be_handled_in_the_same_ways(client: str, name: str) -> None:
    """Left, closed, read as bytes, or by the SDK's helpers."""
    script, use, sync_use = HANDLED[name]
    await compare(client, script, sync_use if client == "sync" else use)
