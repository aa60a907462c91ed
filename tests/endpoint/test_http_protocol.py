"""HTTP as ``lanewise serve`` reads it: within bounds, and as the sender meant it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, MESSAGES, Caller, Stage, mounted
from lanewise._compat import UVICORN
from lanewise.testing import Answer, StreamOf

pytest.importorskip("httptools")

from uvicorn.config import Config
from uvicorn.server import ServerState

from lanewise.web.openai_endpoint import http_protocol

BODY = json.dumps({"model": "alone", "messages": MESSAGES}).encode()
CREDENTIALS = f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def serving(standing: Stage) -> Iterator[Caller]:
    """The endpoint alone, which a module's tests share."""
    with mounted("alone", standing.router()) as caller:
        yield caller


def head(fields: bytes = b"", *, credentials: bytes = CREDENTIALS) -> bytes:
    """The head of a call, but for the fields that tell the length of its body."""
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + credentials + fields


def sized(body: bytes) -> bytes:
    """The field that tells the length of a body, and the body."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunk(body: bytes) -> bytes:
    """A body in one chunk, without the last, empty one."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def connect(endpoint: Caller) -> socket.socket:
    host, _, port = endpoint.base_url.removeprefix("http://").partition("/")[0].partition(":")
    return socket.create_connection((host, int(port)), timeout=LONG_ENOUGH)


def said(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:  # it was closed with our words unread
        pass
    return b"".join(pieces)


def ask(endpoint: Caller, *pieces: bytes) -> list[int]:
    """The statuses of what comes back, until the server closes the connection."""
    with connect(endpoint) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return [int(status) for status in re.findall(rb"HTTP/1.1 ([0-9]{3})", said(connection))]


def test_what_is_used_of_uvicorn_is_as_it_was() -> None:
    """Else h11 reads, which is slower and has bounds of its own."""
    assert UVICORN.changes() == []


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /v1/models HTTP/1.1\r\nX-Long: ",
        b"GET /v1/models HTTP/1.1\r\n" + b"X-Many: y\r\n" * 100,
        b"GET /v1/",
        head(CHUNKED + b"\r\n") + chunk(BODY) + b"0\r\nX-Trailer: ",
    ],
    ids=["value", "fields", "path", "trailer"],
)
def test_a_head_without_an_end_is_cut(serving: Caller, begin: bytes) -> None:
    """What comes of it is kept by nobody: the connection is closed long before all of it has been sent."""
    sent = 0
    with connect(serving) as connection:
        connection.sendall(begin)
        try:
            while sent < 64 * 1024 * 1024:
                connection.sendall(b"y" * 65536)
                sent += 65536
        except OSError:
            pass
    assert sent < 32 * 1024 * 1024


def test_a_head_that_is_too_large_is_told(serving: Caller) -> None:
    """With the bytes of it still to come."""
    with connect(serving) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nX: " + b"y" * (http_protocol.LONGEST_QUIET + 1))
        assert said(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("begin", [b"", b"GET /v1/models HTTP/1.1\r\nX: "])
def test_a_head_has_its_time(serving: Caller, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    """Whoever opens connections and says nothing holds them for a while, and not for good."""
    monkeypatch.setattr(http_protocol, "SLOWEST_HEAD", 0.1)
    with connect(serving) as connection:
        connection.sendall(begin)
        assert said(connection).startswith(b"HTTP/1.1 408 " if begin else b"")


def test_an_answer_may_take_longer_than_a_head(serving: Caller, asked: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the last bytes of its request were no body: the end of the chunks, and trailers."""
    monkeypatch.setattr(http_protocol, "SLOWEST_HEAD", 0.1)
    asked.first.script_all(StreamOf(chunks=["a", "b", "c"], interval=0.2))
    body = json.dumps({"model": "alone", "messages": MESSAGES, "stream": True}).encode()
    with connect(serving) as connection:
        connection.sendall(head(CHUNKED + b"Connection: close\r\n\r\n") + chunk(body))
        time.sleep(0.02)
        connection.sendall(b"0\r\nX-Trailer: y\r\n\r\n")
        assert b"[DONE]" in said(connection)


def test_a_trailer_is_no_header(serving: Caller, asked: Stage) -> None:
    """Whoever strips or sets headers on the way does not look at trailers."""
    trailers = chunk(BODY) + b"0\r\n" + CREDENTIALS + b"X-Request-Timeout: 0\r\n\r\n"
    assert ask(serving, head(CHUNKED + b"Connection: close\r\n\r\n", credentials=b"") + trailers) == [401]
    assert ask(serving, head(CHUNKED + b"Connection: close\r\n\r\n") + trailers) == [200]
    assert asked.sent == 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.3", b"nonsense"])
def test_who_asks_for_another_protocol_is_answered_in_this_one(serving: Caller, asked: Stage, protocol: bytes) -> None:
    """With the body read: Java's client asks for HTTP/2 at its first request. And so is what comes next."""
    asked.first.script_all(Answer("Hello."))
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nupgrade: %b\r\nHTTP2-Settings: AAA\r\n" % protocol
    assert ask(serving, head(upgrade) + sized(BODY) + head(b"Connection: close\r\n") + sized(BODY)) == [200, 200]
    assert asked.first.journal[0].json["messages"] == MESSAGES


def test_the_word_in_a_body_is_left_alone(serving: Caller, asked: Stage) -> None:
    """It is content."""
    messages = [{"role": "user", "content": "\r\nUpgrade: to the newest"}]
    body = json.dumps({"model": "alone", "messages": messages}).encode()
    assert ask(serving, head(b"Connection: close\r\n") + sized(body)) == [200]
    assert asked.first.journal[0].json["messages"] == messages


@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding: chunked\r\n" + sized(chunk(BODY) + b"0\r\n\r\n"),
        b"Transfer-Encoding: xchunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n" + sized(BODY),
        b"Content-Length: 5\r\n" + sized(BODY),
        b"Content-Length: -5\r\n\r\n" + BODY,
        b"Content-Length: +5\r\n\r\n" + BODY,
        b"Content-Length: 5, 5\r\n\r\n" + BODY,
        b"X-Folded: a\r\n b\r\n" + sized(BODY),
        b"X-Odd: a\x00b\r\n" + sized(BODY),
        b"X-Odd: a\rb\r\n" + sized(BODY),
        b"X Odd: a\r\n" + sized(BODY),
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\n0x5\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + BODY,
    ],
    ids=range(14),
)
def test_what_can_be_read_in_two_ways_is_not_read(serving: Caller, asked: Stage, fields: bytes) -> None:
    """Nothing is sent, and the connection is closed: another request may be smuggled in what follows."""
    smuggled = head() + sized(BODY)
    assert ask(serving, head(fields) + smuggled) == [400]
    assert asked.sent == 0


class Written(asyncio.Transport):
    """A connection's transport that keeps what is written to it, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def resume_reading(self) -> None: ...


def written(*bodies: bytes, pause: float = 0.0, connection: str = "keep-alive") -> Written:
    """What a server writes of an answer whose body comes in pieces, with pauses between them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if pause:
                await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": b""})

    async def serve() -> Written:
        protocol = http_protocol.BoundedHttpProtocol(Config(app, log_level="critical"), ServerState(), {})
        transport = Written()
        protocol.connection_made(transport)
        protocol.data_received(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n".encode())
        await asyncio.gather(*protocol.server_state.tasks)
        written = Written()
        written.writes, written.closed = transport.writes.copy(), transport.closed
        protocol.connection_lost(None)
        return written

    return asyncio.run(serve())


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_an_answer_that_is_whole_is_one_write(connection: str) -> None:
    """Its head waits for its body, and neither for anything else; what closes the connection comes after both."""
    transport = written(b"one", b"two", connection=connection)
    assert len(transport.writes) == 1
    head, _, body = transport.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert transport.closed is (connection == "close")


def test_a_piece_waits_for_no_later_one() -> None:
    """Of a stream each piece goes out at the latest when its app waits."""
    transport = written(b"one", b"two", pause=0.01)
    assert [piece[-8:] for piece in transport.writes] == [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]
