"""Every way in which the fake provider fails, seen on the wire."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise.testing import (
    Answer,
    Behaviour,
    Body,
    Close,
    Drip,
    FakeProvider,
    Html,
    JsonBody,
    Raw,
    Redirect,
    Reset,
    Silence,
    SlowHeaders,
    Status,
    TruncatedBody,
)

from .conftest import chat_request, read_all

Ask = Callable[..., bytes]


def split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        (400, openai.BadRequestError, None),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (404, openai.NotFoundError, "model_not_found"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (529, openai.InternalServerError, None),
    ],
)
def test_a_status_is_what_the_sdk_makes_of_it(
    fake_provider: FakeProvider, client: openai.OpenAI, status: int, expected: type[openai.APIStatusError], code: str
) -> None:
    """The error has OpenAI's form, with the code that goes with the status."""
    fake_provider.script("m", Status(status))
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_a_status_has_the_headers_and_the_error_that_were_given(fake_provider: FakeProvider, ask: Ask) -> None:
    """Single fields of the error, headers, Retry-After, and the body as a whole."""
    fake_provider.script(
        "m",
        Status(429, {"code": "insufficient_quota"}, {"x-should-retry": "false"}, retry_after=1.5),
        Status(418, body="short and stout"),
    )
    head, body = split(ask())
    assert b"\r\nretry-after: 1.5" in head
    assert b"\r\nx-should-retry: false" in head
    assert json.loads(body)["error"]["code"] == "insufficient_quota"
    assert split(ask())[1] == b"short and stout"


def test_a_204_has_no_body(fake_provider: FakeProvider, ask: Ask) -> None:
    """Nor a length."""
    fake_provider.script("m", Status(204))
    assert split(ask()) == (b"HTTP/1.1 204 No Content\r\nx-request-id: req_1", b"")


@pytest.mark.parametrize("when", ["before_headers", "after_headers", "mid_body"])
@pytest.mark.parametrize(("behaviour", "is_reset"), [(Reset, True), (Close, False)])
def test_a_connection_ends_when_it_was_told_to(
    fake_provider: FakeProvider, behaviour: type[Reset] | type[Close], is_reset: bool, when: str
) -> None:
    """By RST or by FIN, with nothing, the headers, or half of the body sent."""
    fake_provider.script("m", behaviour(when, Answer("x" * 1000)))  # type: ignore[arg-type]
    answer, reset = b"", False
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(chat_request(close=False))
        try:
            while data := raw.recv(65536):
                answer += data
        except ConnectionResetError:
            reset = True
    head, body = split(answer)
    assert reset is is_reset
    assert (head != b"", body != b"") == (when != "before_headers", when == "mid_body")
    assert len(body) < 1000


def test_a_reset_at_accept_needs_no_request(fake_provider: FakeProvider, ask: Ask) -> None:
    """The connection goes before a byte is sent; the script moves on."""
    fake_provider.script_all(Reset("accept"), Close("accept"), Answer())
    address = ("127.0.0.1", fake_provider.port)
    with pytest.raises(ConnectionResetError), closing(socket.create_connection(address, timeout=LONG_ENOUGH)) as raw:
        raw.recv(1)  # where connecting has not seen the reset yet
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        assert raw.recv(1) == b""
    assert ask().startswith(b"HTTP/1.1 200 ")
    assert len(fake_provider.journal) == 1


def test_a_connection_can_close_after_an_answer_without_notice(fake_provider: FakeProvider) -> None:
    """The answer is complete and promises to keep the connection, and yet it is closed."""
    fake_provider.script("m", Close("after_answer"))
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(chat_request(close=False))
        head, body = split(read_all(raw))
    assert b"connection:" not in head
    assert json.loads(body)["object"] == "chat.completion"


@pytest.mark.parametrize("deaf", [False, True])
def test_silence_says_nothing(fake_provider: FakeProvider, deaf: bool) -> None:
    """Nothing comes; a deaf provider does not notice that its peer left, another one does."""
    fake_provider.script("m", Silence(deaf))
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=0.1)) as raw:
        raw.sendall(chat_request())
        with pytest.raises(TimeoutError):
            raw.recv(1)
    if deaf:
        with pytest.raises(TimeoutError, match="1 in flight, 1 connections"):
            fake_provider.wait_until(lambda: fake_provider.open_connections == 0, timeout=0.1)
    else:
        fake_provider.wait_until(lambda: fake_provider.open_connections == 0)
        assert fake_provider.journal[0].client_gone is True


def test_headers_can_be_slow(fake_provider: FakeProvider, ask: Ask) -> None:
    """Delays add up."""
    fake_provider.script("m", SlowHeaders(0.1, SlowHeaders(0.05, Answer(delay=0.05))))
    started = time.monotonic()
    assert ask().startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - started >= 0.2


def test_a_body_can_drip(fake_provider: FakeProvider) -> None:
    """Byte by byte, after headers that come at once."""
    fake_provider.script("m", Drip(interval=0.005, then=JsonBody({"a": 1})))
    pieces = []
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(chat_request())
        while data := raw.recv(65536):
            pieces.append(data)
    assert pieces[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert split(b"".join(pieces))[1] == b'{"a":1}'
    assert len(pieces) >= 4


def test_a_truncated_body_lacks_its_end(fake_provider: FakeProvider, ask: Ask) -> None:
    """Content-Length promises more than comes."""
    fake_provider.script("m", TruncatedBody(missing=3, then=JsonBody("0123456789")))
    head, body = split(ask())
    assert (b"content-length: 12" in head, body) == (True, b'"01234567')


@pytest.mark.parametrize(
    ("behaviour", "status", "content_type", "body"),
    [
        (Html("<p>x</p>", 403), b"403 Forbidden", b"text/html; charset=utf-8", b"<p>x</p>"),
        (JsonBody([1], 202), b"202 Accepted", b"application/json", b"[1]"),
        (Body(b"\xff\xfe", "text/plain", 520), b"520 Unknown", b"text/plain", b"\xff\xfe"),
        (Body("x", encoding="gzip", compress=False), b"200 OK", b"application/json", b"x"),
        (Redirect("http://elsewhere.invalid/v1"), b"307 Temporary Redirect", b"text/plain", b""),
    ],
)
def test_a_body_can_be_anything(
    fake_provider: FakeProvider, ask: Ask, behaviour: Behaviour, status: bytes, content_type: bytes, body: bytes
) -> None:
    """Status, content type and bytes are sent as they were given."""
    fake_provider.script("m", behaviour)
    head, sent = split(ask())
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"content-type: " + content_type in head
    assert sent == body


def test_a_body_can_be_compressed(fake_provider: FakeProvider, ask: Ask) -> None:
    """With the header that says so."""
    fake_provider.script("m", Body(b"0" * 5000, encoding="gzip"))
    head, body = split(ask())
    assert b"content-encoding: gzip" in head
    assert len(body) < 200
    assert gzip.decompress(body) == b"0" * 5000


def test_raw_bytes_are_sent_as_they_are(fake_provider: FakeProvider, ask: Ask) -> None:
    """Even what is no HTTP."""
    fake_provider.script("m", Raw(b"220 smtp ready\r\n"))
    assert ask() == b"220 smtp ready\r\n"
