"""Odd answers as bytes on a wire: their JSON, their events, their HTTP, and the pieces in which they are sent."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from router import odd_answers as answers
from router.odd_answers import Drawing, Fields
from router.odd_streams import chat_events, response_events

__all__ = ["OddWire", "bad_wire", "good_wire"]


@dataclass
class OddWire:
    """An answer as it is sent, and how to ask for it. ``bad`` says why it is no answer, where it is none."""

    api: str
    mode: str
    options: Fields
    told: list[str]
    pieces: list[bytes] = field(default_factory=list)
    stays_open: bool = False
    bad: str = ""

    @property
    def streams(self) -> bool:
        return self.mode in ("stream", "helper", "raw stream")


_MODES = {
    "chat": ("create", "create", "stream", "stream", "stream", "helper", "parse", "raw", "raw stream"),
    "responses": ("create", "create", "stream", "stream", "stream", "helper", "parse", "raw"),
    "embeddings": ("create", "create", "raw"),
}
_APIS = ("chat",) * 4 + ("responses",) * 3 + ("embeddings",)


def good_wire(seed: int) -> OddWire:
    """The answer of a seed: odd, and whole."""
    draw = Drawing(seed)
    api = draw.pick(_APIS)
    wire = OddWire(api, draw.pick(_MODES[api]), draw.options, draw.told)
    _send(draw, wire, _events(draw, _good_events(draw, wire), api) if wire.streams else _json(draw, _good(draw, wire)))
    return wire


def bad_wire(seed: int) -> OddWire:
    """The wire of a seed that is no answer: an error inside a 200, half an answer, or nothing of one."""
    draw = Drawing(seed)
    api = draw.pick(_APIS)
    wire = OddWire(
        api, "create" if api == "embeddings" else draw.pick(["create", "stream", "stream"]), draw.options, draw.told
    )
    _send(draw, wire, _broken_stream(draw, wire) if wire.streams else _no_answer(draw, wire))
    return wire


def _good(draw: Drawing, wire: OddWire) -> Fields:
    if wire.mode == "parse":
        draw.options["response_format" if wire.api == "chat" else "text_format"] = "model"
    if wire.api == "chat":
        return answers.chat(draw, as_json=wire.mode == "parse")
    if wire.api == "responses":
        return answers.response(draw, '{"a": 1}' if wire.mode == "parse" else None)
    return answers.embeddings(draw)


def _good_events(draw: Drawing, wire: OddWire) -> list[tuple[str | None, Fields]]:
    return chat_events(draw) if wire.api == "chat" else response_events(draw)


# -- what is no answer -------------------------------------------------------------------------------------------------

_TEXTS = (b"Internal Server Error", b"<html><body>502</body></html>", b"", b"\n\n", b"{", b'{"choices": [{"mess', b"OK",
          b"\x00\x01", b"data: oops", b"null", b'{"error": ', b"{'error': 'x'}", b"event: error\n",
          b"\xff\xfe\x00")  # fmt: skip
_MALFORMED = (b"{", b'{"choices": [', b"oops", b'"', b"{'a': 1}", b"{}}", b"[DONE", b"undefined")


def _no_answer(draw: Drawing, wire: OddWire) -> bytes:
    good = _good(draw, wire)
    kind = draw.pick(["an error", "an error", "an error beside", "a text", "nothing", "an end"])
    wire.bad = kind
    if kind == "an error":
        return json.dumps(draw.pick(answers.ERRORS)).encode()
    if kind == "a text":
        return draw.pick(_TEXTS)
    if kind == "an error beside":
        good["error"] = draw.pick([{"message": "no", "code": 500}, "no", {"type": "server_error"}, True])
    elif kind == "an end" and wire.api == "chat":
        draw.pick(good["choices"])["finish_reason"] = draw.pick(answers.FAILED_ENDS)
    else:
        wire.bad = "nothing"
        name = {"chat": "choices", "responses": "output", "embeddings": "data"}[wire.api]
        good["status"] = "completed"
        good[name] = draw.pick([None, [], {}, ""])
    return json.dumps(good).encode()


def _broken_stream(draw: Drawing, wire: OddWire) -> bytes:
    """A stream up to somewhere before its end, and then what breaks it."""
    events = _good_events(draw, wire)
    events = events[: draw.chance.randrange(len(events))]  # without the last: of chat, the end or the usage
    if wire.api == "chat":
        for _, chunk in events:
            for choice in chunk["choices"] or ():
                choice["finish_reason"] = None
    begun = [_event(draw, name, event) for name, event in events]
    kind = draw.pick(["an error"] * 4 + ["a named error"] * 2 + ["a cut", "an end", "malformed", "a text"])
    wire.bad = f"{kind} after {len(begun)} events"
    error = draw.pick([error for error in answers.ERRORS if isinstance(error, dict)])
    done = draw.pick([b"data: [DONE]\n\n", b""])
    if kind == "an error":
        wire.bad += f": {error}"
        return b"".join(begun) + b"data: " + json.dumps(error).encode() + b"\n\n" + done
    if kind == "a named error":
        return b"".join(begun) + b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n" + done
    if kind == "an end" and wire.api == "chat":
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": draw.pick(answers.FAILED_ENDS)}]}
        return b"".join(begun) + b"data: " + json.dumps(end).encode() + b"\n\n" + done
    if kind == "malformed":
        return b"".join(begun) + b"data: " + draw.pick(_MALFORMED) + b"\n\n" + done
    return draw.pick(_TEXTS) if kind == "a text" else b"".join(begun)


# -- JSON and events ---------------------------------------------------------------------------------------------------

_TWICE = ('"id": null', '"object": 5', '"created": []', '"zz": "x", "zz": {}')
_UNUSUAL = (
    "NaN",
    "1E400",
    "-Infinity",
    "0.10000000000000000000000001",
    "-0",
    "9" * 30,
    '"\\ud800"',
    '"\\u0000"',
    '"\\/"',
)


def _text(draw: Drawing, value: Any, *, one_line: bool = False) -> str:
    layouts: list[Fields] = [{}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}]
    layout = draw.pick(layouts if one_line else [*layouts, {"indent": "\t"}])
    text = json.dumps(value, ensure_ascii=draw.happens(0.5), **layout)
    for oddities in ([f'"unusual": {each}' for each in _UNUSUAL], _TWICE):
        if draw.happens(0.1):
            odd = draw.pick(oddities)
            draw.tell(odd)
            text = "{" + odd + ", " + text[1:].lstrip()
    return text


def _json(draw: Drawing, value: Fields) -> bytes:
    space = draw.pick(["", "", "", "\n\n", " " * 500])
    encoding = draw.pick(["utf-8"] * 12 + ["utf-8-sig", "utf-16-le", "utf-16", "utf-32-be"])
    draw.tell(encoding)
    return (space + _text(draw, value) + space).encode(encoding, "surrogatepass")


_COMMENTS = (b": OPENROUTER PROCESSING\n\n", b":\n\n", b":keepalive\n", b"\n", b"\n\n\n", b": \xc3\xa9\n\n")
_NOISE = {
    "chat": (b'event: ping\ndata: {"type": "ping"}\n\n', b"data:\n\n", b"data: {}\n\n", b"data: null\n\n", b"foo\n",
             b"event: keepalive\ndata: {}\n\n", b'data: {"object": "keepalive"}\n\n', b'data: {"choices": []}\n\n',
             b'data: {"id": "c1", "choices": [], "status": "processing"}\n\n', b"nonsense line\n\n"),
    "responses": (b'data: {"type": "ping"}\n\n', b'data: {"type": "keepalive", "sequence_number": 3}\n\n', b"data:\n\n",
                  b'data: {"type": "response.heartbeat"}\n\n', b'data: {"type": "codex.rate_limits"}\n\n',
                  b"data: {}\n\n",
                  b'data: {"type": "response.metadata", "response": null}\n\n', b'data: {"type": null}\n\n'),
}  # fmt: skip
_DONE = {
    "chat": (b"data: [DONE]\n\n",) * 5 + (b"data: [DONE]\n", b"data: [DONE]", b"data:[DONE]\n\n",
    b"data: [DONE]\n\n: bye\n\n",
             b"event: done\ndata: [DONE]\n\n", b"", b'data: [DONE]\n\ndata: {"x": 1}\n\n', b"data: [DONE]\n\ngarbage"),
    "responses": (b"",) * 5 + (b"data: [DONE]\n\n", b": bye\n\n", b"\n", b"event: done\ndata: [DONE]\n\n"),
}  # fmt: skip


def _events(draw: Drawing, events: list[tuple[str | None, Fields]], api: str) -> bytes:
    written: list[bytes] = []
    for name, event in events:
        for noises, share in ((_COMMENTS, 0.1), (_NOISE[api], 0.05)):
            if draw.happens(share):
                written.append(draw.pick(noises))
                draw.tell(written[-1])
        written.append(_event(draw, name, event))
    written.append(draw.pick(_DONE[api]))
    draw.tell(written[-1])
    ends = draw.pick([b"\n"] * 6 + [b"\r\n", b"\r", b"mixed"])
    draw.tell("lines end with", ends)
    body = b"".join(written)
    if ends == b"mixed":
        return b"".join(line + draw.pick([b"\n", b"\r\n"]) for line in body.split(b"\n"))
    return body.replace(b"\n", ends)


def _event(draw: Drawing, name: str | None, event: Fields) -> bytes:
    data = _text(draw, event, one_line=True).encode("utf-8", "surrogatepass")
    colon = draw.pick([b": "] * 5 + [b":"])
    lines = [b"data" + colon + data]
    middle = data.find(b", ") + 2
    if draw.happens(0.05) and middle > 1:
        lines = [b"data: " + data[:middle], b"data: " + data[middle:]]
        draw.tell("two lines of data")
    if name is not None:
        lines.append(b"event" + colon + name.encode())
    elif draw.happens(0.05):
        lines.append(b"event: " + draw.pick([b"message", b"chunk", b"", b"delta"]))
    if draw.happens(0.8):
        lines.sort(key=lambda line: not line.startswith(b"event"))
    if draw.happens(0.05):
        lines.append(draw.pick([b": c", b"x-foo: 1", b"data_: 1", b"retry: x"]))
        draw.tell(lines[-1])
    return b"\n".join(lines) + draw.pick([b"\n\n"] * 9 + [b"\n\n\n"])


# -- HTTP --------------------------------------------------------------------------------------------------------------

_HEADERS = (b"X-Region: Z\xfcrich", b"x-request-id: \xe9", b"X-Empty:", b"X-Tab:\tv\t", b"X-Many: " + b"a, " * 3000,
    b"Server:",
            b"Set-Cookie: a=b; Path=/", b"retry-after: 5", b"x-should-retry: true", b"X_under_score: 1",
            b"Trailer: X-T",
            b"x-request-id: a\r\nx-request-id: b", b"Content-Type: application/json; charset=latin-1", b"Date: x",
            b"Keep-Alive: timeout=1", b'X-Quote: "unclosed', b"x-litellm-response-cost: nan", b"Vary: *")  # fmt: skip
_STATUSES = (
    b"200",
    b"200 ",
    b"201 Created",
    b"203 N",
    b"206 Partial Content",
    b"200 \xe9",
    b"200 OK, and more",
    b"280 x",
)
_TYPES = (b"application/json", b"text/plain; charset=utf-8", b"text/event-stream;charset=UTF-8", b"text/html",
    b"json", b"*/*",
          b"application/json; charset=utf-16", b"application/x-ndjson", b"TEXT/Event-Stream",
          b"multipart/mixed")  # fmt: skip
_FIRST = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
_ENCODINGS = {b"gzip": gzip.compress, b"x-gzip": gzip.compress, b"deflate": zlib.compress, b"identity": bytes,
    b"utf-8": bytes,
              b"gzip, gzip": lambda body: gzip.compress(gzip.compress(body)), b"": bytes,
              b"chunked": bytes}  # fmt: skip
_CHUNKS_END = (b"0\r\n\r\n",) * 5 + (
    b"0\r\nX-T: 1\r\n\r\n",
    b"000\r\n\r\n",
    b"0;x\r\n\r\n",
    b"0\r\nX: \xe9\r\nY: 2\r\n\r\n",
)


def _send(draw: Drawing, wire: OddWire, body: bytes) -> None:
    version = draw.pick([b"HTTP/1.1"] * 9 + [b"HTTP/1.0"])
    status = draw.pick(_STATUSES) if draw.happens(0.08) else b"200 OK"
    kind = draw.pick(_TYPES) if draw.happens(0.12) else b"text/event-stream" if wire.streams else b"application/json"
    headers = [b"Content-Type: " + kind, *[draw.pick(_HEADERS) for _ in range(draw.pick([0, 0, 1, 2]))]]
    if draw.happens(0.12):
        encoding = draw.pick(sorted(_ENCODINGS))
        body = _ENCODINGS[encoding](body)
        headers.append(b"Content-Encoding: " + encoding)
    framing = draw.pick(["length"] * 3 + ["chunks"] * 3 + ["close", "length twice", "both", "length, and more"])
    if version == b"HTTP/1.0":
        framing = draw.pick(["length", "close"])
    if framing.startswith("length"):
        headers += [b"Content-Length: %d" % len(body)] * (2 if framing == "length twice" else 1)
    elif framing != "close":
        headers.append(b"Transfer-Encoding: " + draw.pick([b"chunked", b"Chunked"]))
        if framing == "both":
            headers.append(b"Content-Length: %d" % (len(body) + 7))
        body = _in_chunks(draw, body) + draw.pick(_CHUNKS_END)
    if framing == "length, and more":
        body += draw.pick([b"\r\n", b"x", b"HTTP/1.1 400 Bad\r\n\r\n"])
    headers += draw.pick([[b"Connection: close"], [b"Connection: keep-alive"], []])
    draw.chance.shuffle(headers)
    first = draw.pick(_FIRST) if version == b"HTTP/1.1" and draw.happens(0.05) else b""
    wire.stays_open = framing in ("length", "chunks", "length twice") and version != b"HTTP/1.0" and draw.happens(0.3)
    data = first + b"\r\n".join([version + b" " + status, *headers]) + b"\r\n\r\n" + body
    sent = draw.pick(["at once", "at once", "head first", "pieces", "small pieces"])
    draw.tell(version, status, *[header[:30] for header in headers], framing, sent, wire.stays_open)
    wire.pieces = _cut(draw, data, sent)


def _in_chunks(draw: Drawing, body: bytes) -> bytes:
    size = draw.pick([1, 3, 17, 200]) if len(body) < 1000 else draw.pick([100, 777, 4096])
    size_line = draw.pick([b"%x", b"%X", b"00%x"]) + draw.pick([b"", b"", b";x=1", b" "])
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(size_line % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces)


def _cut(draw: Drawing, data: bytes, sent: str) -> list[bytes]:
    if sent == "at once":
        return [data]
    head = data.index(b"\r\n\r\n") + 4
    if sent == "head first":
        return [data[:head], data[head:]]
    most = 12 if sent == "small pieces" else 3000
    pieces = []
    while data and len(pieces) < 60:
        size = draw.chance.randint(1, most)
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data] if data else pieces
