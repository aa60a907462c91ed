"""Good answers of all three APIs, and ways to write them oddly that the plain SDK takes without a word.

All is drawn from a seed. A mutation may be one that the plain SDK stumbles over: then there is nothing to compare.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Wire", "wire"]

Random = random.Random
Fields = dict[str, Any]
MODEL = "model-one"
TEXTS = ("Hello", "Zürich ☕", 'He said "no"\nand left', "日本語のテキスト", "a" * 3000, "0", " ", "{}", "data: x\n\n")
RAW = "\x00raw\x00"
"""Marks a text that stands for JSON which no encoder writes."""
ODD = (
    f"{RAW}NaN", f"{RAW}Infinity", f"{RAW}-Infinity", f"{RAW}1e999", RAW + "9" * 60, f'{RAW}"\\ud83d"',
    RAW + "[" * 90 + "]" * 90, None, [], {}, "", 0, False, True, -1, 1.5, "text", ["x", None], {"a": {"b": []}}, 10**30,
)  # fmt: skip


@dataclass
class Wire:
    """An answer as bytes, and how to ask for it."""

    api: Literal["chat", "responses", "embeddings"]
    stream: bool
    helper: bool = False
    options: Fields = field(default_factory=dict)
    data: bytes = b""
    told: list[str] = field(default_factory=list)
    """The mutations that were made."""


def wire(seed: int) -> Wire:
    """The mutation of a seed."""
    chance = Random(seed)
    api = chance.choice(["chat", "chat", "chat", "responses", "responses", "embeddings"])
    made = Wire(api, stream=api != "embeddings" and chance.random() < 0.6)  # type: ignore[arg-type]
    made.helper = made.stream and api == "chat" and chance.random() < 0.2
    body = _stream(chance, made) if made.stream else _whole(chance, made)
    made.data = _http(chance, made, body)
    return made


# -- good answers ------------------------------------------------------------------------------------------------------


def _usage(*, responses: bool = False) -> Fields:
    if responses:
        return {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _chat(chance: Random, made: Wire) -> Fields:
    message: Fields = {"role": "assistant", "content": chance.choice(TEXTS)}
    reason = "stop"
    if chance.random() < 0.3:
        made.options["tools"] = _TOOLS
        message = {"role": "assistant", "content": None, "tool_calls": [_call(chance)]}
        reason = "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice],
            "usage": _usage(), "system_fingerprint": "fp"}  # fmt: skip


_TOOLS = [
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "required": ["a"]}}},
]


def _call(chance: Random) -> Fields:
    if chance.random() < 0.5:
        return {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    arguments = chance.choice(["{}", "", None, " {} "])
    return {"id": "a", "type": "function", "function": {"name": "now", "arguments": arguments}}


def _response(chance: Random) -> Fields:
    part = {"type": "output_text", "text": chance.choice(TEXTS), "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "status": "completed",
            "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": _usage(responses=True)}  # fmt: skip


def _embeddings() -> Fields:
    data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
    return {"object": "list", "model": MODEL, "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}


# -- JSON --------------------------------------------------------------------------------------------------------------


def _whole(chance: Random, made: Wire) -> bytes:
    if made.api == "chat":
        value, nested = _chat(chance, made), ("choices", "message")
        _mutate(chance, made, value["choices"][0], {"index", "logprobs"})
        _mutate(chance, made, value["choices"][0]["message"], {"role", "audio", "annotations"})
    elif made.api == "responses":
        value, nested = _response(chance), ("output",)
        _mutate(chance, made, value["output"][0], {"id", "role", "status"})
        if chance.random() < 0.1:
            made.told.append("output: null first")
            value["output"].insert(0, None)
    else:
        value, nested = _embeddings(), ("data",)
        _mutate(chance, made, value["data"][0], {"object", "index"})
    unneeded = {"id", "object", "created", "created_at", "model", "usage", "system_fingerprint", "service_tier"}
    _mutate(chance, made, value, unneeded - set(nested))
    if chance.random() < 0.15:
        value["error"] = chance.choice([{}, None, [], "", False, 0, {"code": None, "message": ""}, {"code": 0}])
        made.told.append(f"error: {value['error']!r}")
    text = _written(chance, made, value)
    encoding = chance.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
    if encoding != "utf-8":
        made.told.append(encoding)
    return text.encode(encoding, "surrogatepass")


def _mutate(chance: Random, made: Wire, value: Fields, unneeded: set[str]) -> None:
    """Odd values in fields that nobody needs, and in such that nobody knows; fields in another order."""
    if chance.random() < 0.3:
        name = chance.choice(sorted(unneeded))
        value[name] = chance.choice(ODD)
        made.told.append(f"{name}: {value[name]!r}"[:40])
    if chance.random() < 0.3:
        name = chance.choice(["score", "x_extra", "citations", "metadata_"])
        value[name] = chance.choice(ODD)
        made.told.append(f"{name}: {value[name]!r}"[:40])
    if chance.random() < 0.3:
        items = list(value.items())
        chance.shuffle(items)
        value.clear()
        value.update(items)
    if chance.random() < 0.1:
        value.pop(chance.choice(sorted(unneeded)), None)


def _written(chance: Random, made: Wire, value: Any, *, one_line: bool = False) -> str:
    """As JSON of one style or another, with what marks raw JSON as that."""
    layout: Fields = chance.choice([{}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}, {"indent": 2}])
    if one_line:
        layout.pop("indent", None)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5, **layout)
    while (at := text.find('"\\u0000raw\\u0000')) >= 0:
        end = at + 1
        while text[end] != '"' or text[end - 1] == "\\":
            end += 1
        raw = json.loads(text[at : end + 1])
        text = text[:at] + raw.removeprefix(RAW) + text[end + 1 :]
    if chance.random() < 0.15 and text.startswith("{"):
        made.told.append("twice the same key")
        text = '{"model": 5, "id": [], ' + text[1:].lstrip()
    return text


# -- streams -----------------------------------------------------------------------------------------------------------


def _stream(chance: Random, made: Wire) -> bytes:
    events = _response_events(chance) if made.api == "responses" else _chunks(chance, made)
    written: list[bytes] = []
    for position, (name, value) in enumerate(events):
        if chance.random() < 0.3:
            _mutate_event(chance, made, value)
        if chance.random() < 0.1:
            written.append(_noise(chance, made, last=position))
        written.append(_event(chance, made, name, value))
    ends = [b"data: [DONE]\n\n"] * 4 + [b"data: [DONE] \n\n", b"data:[DONE]\n\n", b"data: [DONE]", b"data: [DONE]x\n\n"]
    end = chance.choice([*ends, b"data: [DONE]\n\ndata: {}\n\n", b"event: done\ndata: [DONE]\n\n", b""])
    if made.api == "responses" and chance.random() < 0.6:
        end = chance.choice([b"", b'data: {"type": "keepalive"}\n\n', b": bye\n\n"])
    made.told.append(f"ends {end!r}")
    body = b"".join(written) + end
    ending = chance.choice([b"\n"] * 5 + [b"\r\n", b"\r"])
    return body.replace(b"\n", ending)


def _chunks(chance: Random, made: Wire) -> list[tuple[str | None, Fields]]:
    deltas: list[Fields] = [{"role": "assistant", "content": ""}]
    reason = "stop"
    if chance.random() < 0.3:
        made.options["tools"] = _TOOLS
        reason = "tool_calls"
        deltas += [{"tool_calls": [piece]} for piece in _call_pieces(chance, made)]
    else:
        text = chance.choice(TEXTS)
        size = max(1, len(text) // 4)
        deltas += [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    chunks = [_chunk(delta, None) for delta in deltas]
    last = _chunk(chance.choice([{}, {}, None, {"content": ""}, {"content": None}]), reason)
    return [(None, value) for value in [*chunks, last]]


def _call_pieces(chance: Random, made: Wire) -> list[Fields]:
    name: Fields = {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": ""}}
    pieces = [name, {"index": 0, "function": {"arguments": '{"a": '}}, {"index": 0, "function": {"arguments": "1}"}}]
    shape = chance.choice(["", "", "no index", "name in two", "nothing", "all at once", "null name"])
    made.told.append(f"calls: {shape}")
    if shape == "no index":
        pieces = [{key: value for key, value in piece.items() if key != "index"} for piece in pieces]
    elif shape == "name in two":
        name["function"]["name"] = "a"
        pieces[1]["function"]["name"] = "dd"
    elif shape == "nothing":
        pieces = [{**name, "function": {"name": "now", "arguments": chance.choice(["", None])}}]
    elif shape == "all at once":
        pieces = [{**name, "function": {"name": "add", "arguments": '{"a": 1}'}}]
    elif shape == "null name":
        pieces[1] = {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '{"a": '}}
    return pieces


def _chunk(delta: Fields | None, reason: str | None) -> Fields:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def _response_events(chance: Random) -> list[tuple[str | None, Fields]]:
    response = _response(chance)
    text = response["output"][0]["content"][0]["text"]
    delta = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": text}
    last = chance.choice(["response.completed"] * 4 + ["response.done"])
    events: list[Fields] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.output_text.delta", **delta},
        {"type": last, "response": response},
    ]
    named = chance.random() < 0.8
    return [(str(event["type"]) if named else None, event) for event in events]


def _mutate_event(chance: Random, made: Wire, value: Fields) -> None:
    if made.api == "responses":
        _mutate(chance, made, value, {"sequence_number", "item_id", "output_index", "content_index"})
        if "response" in value:
            _mutate(chance, made, value["response"], {"id", "object", "created_at", "model", "usage"})
        return
    _mutate(chance, made, value, {"id", "object", "created", "model", "service_tier", "system_fingerprint"})
    choice = value["choices"][0]
    if chance.random() < 0.3:
        index = chance.choice(["0", 0.0, None, 0])
        made.told.append(f"index: {index!r}")
        choice["index"] = index
    if chance.random() < 0.3 and choice["finish_reason"] is None:
        choice["finish_reason"] = chance.choice(["", False, 0, [], {}])
        made.told.append(f"finish_reason: {choice['finish_reason']!r}")
    if chance.random() < 0.3 and choice["finish_reason"]:
        choice["delta"] = chance.choice([[], "", 0, {}, None])
        made.told.append(f"delta: {choice['delta']!r}")
    if chance.random() < 0.2:
        value["error"] = chance.choice([{}, None, [], "", False])
        made.told.append(f"error: {value['error']!r}")


def _noise(chance: Random, made: Wire, last: int) -> bytes:
    noise = chance.choice([
        b": ping\n\n", b":\n\n", b"\n", b"\n\n", b"data: null\n\n", b"data: []\n\n", b"data: {}\n\n", b": ping\n",
        b"data: true\n\n", b'data: {"choices": []}\n\n', b'data: {"type": "ping"}\n\n', b"hello\n\n", b"foo: bar\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n', b'data: {"object": "ping", "choices": null}\n\n',
    ])  # fmt: skip
    made.told.append(f"{noise!r} before event {last}")
    return noise


def _event(chance: Random, made: Wire, name: str | None, value: Fields) -> bytes:
    data = _written(chance, made, value, one_line=True).encode("utf-8", "surrogatepass")
    colon = chance.choice([b": "] * 5 + [b":"])
    lines = [b"data" + colon + data]
    if name is not None:
        lines.insert(0, b"event" + colon + name.encode())
    if chance.random() < 0.1:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice([b"retry: 5", b"foo: bar", b": hi", b"id: 7"]))
    if chance.random() < 0.05:
        at = data.find(b",") + 1
        if at:
            lines = [*lines[:-1], b"data: " + data[:at], b"data: " + data[at:]]
    return b"\n".join(lines) + b"\n\n"


# -- HTTP --------------------------------------------------------------------------------------------------------------

_HEADERS = (
    b"X-Region: Z\xfcrich", "X-Region: Zürich".encode(), b"x-request-id: r\xe9q", b"x-request-id: ", b"X-J: \xff\xfe",
    b"Retry-After: soon", b"Server: x", b"Set-Cookie: a=b", b"X-Long: " + b"a" * 20_000, b"X-Empty:",
    b"\r\n".join(b"X-H%d: v" % number for number in range(140)), b"x-ratelimit-remaining-requests: many",
    b"Date: whenever", b"Connection: keep-alive", b"x-lanewise-route: evil",
)  # fmt: skip
_TYPES = (
    b"application/json", b"application/json; charset=utf-8", b"text/plain", b"text/html", b"application/octet-stream",
    b"text/event-stream; charset=utf-8", b"application/x-ndjson", b"TEXT/EVENT-STREAM", b"", b"\xff",
)  # fmt: skip
_STATUSES = (b"201 Created", b"202 Accepted", b"203 X", b"206 Partial Content", b"299 X", b"200", b"200 \xe9")
_ENCODED: dict[bytes, Callable[[bytes], bytes]] = {
    b"none": bytes, b"identity": bytes, b"utf-8": bytes, b"aws-chunked": bytes, b"gzip": gzip.compress,
    b"deflate": zlib.compress, b"gzip, identity": gzip.compress, b"GZIP": gzip.compress,
    b"deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
}  # fmt: skip


def _http(chance: Random, made: Wire, body: bytes) -> bytes:
    status = chance.choice(_STATUSES) if chance.random() < 0.15 else b"200 OK"
    version = chance.choice([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2"])
    kind = b"text/event-stream" if made.stream else b"application/json"
    if chance.random() < 0.2:
        kind = chance.choice(_TYPES)
    fields = [b"Content-Type: " + kind]
    if chance.random() < 0.2:
        name = chance.choice(list(_ENCODED))
        body = _ENCODED[name](body)
        fields.append(b"Content-Encoding: " + name)
    if chance.random() < 0.3:
        fields.append(chance.choice(_HEADERS))
    framing = chance.choice(["length"] * 4 + ["close", "chunks", "chunks", "twice", "list", "both"])
    if framing in ("chunks", "both") and version != b"HTTP/1.0":
        size = chance.choice([1, 7, 100, 5000]) if len(body) < 5000 else 5000
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        if framing == "both":
            fields.append(b"Content-Length: %d" % len(body))
        fields.append(b"Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif framing in ("length", "twice"):
        fields += [b"Content-Length: %d" % len(body)] * (2 if framing == "twice" else 1)
    elif framing == "list":
        fields.append(b"Content-Length: %d, %d" % (len(body), len(body)))
    chance.shuffle(fields)
    made.told.append(f"{version!r} {status!r} {kind!r} {framing} {[name[:40] for name in fields]}")
    return b"\r\n".join([version + b" " + status, *fields]) + b"\r\n\r\n" + body
