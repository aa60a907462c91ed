"""What the tests of the fake provider share: SDK clients and a raw socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise.testing import FakeProvider


@pytest.fixture
def client(fake_provider: FakeProvider) -> Iterator[openai.OpenAI]:
    """A plain SDK client of the fake provider, which tries once."""
    with openai.OpenAI(base_url=fake_provider.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def ask(fake_provider: FakeProvider) -> Callable[..., bytes]:
    """Sends one chat request over a raw socket, and returns every byte of the answer."""

    def ask(body: bytes = b'{"model": "m", "messages": []}', *, stream: bool = False) -> bytes:
        if stream:
            body = b'{"model": "m", "messages": [], "stream": true}'
        with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
            raw.sendall(chat_request(body))
            return read_all(raw)

    return ask


def chat_request(body: bytes = b'{"model": "m", "messages": []}', *, close: bool = True) -> bytes:
    """The bytes of a chat request."""
    connection = b"connection: close\r\n" if close else b""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n" % (connection, len(body))
    return head + body


def read_all(raw: socket.socket) -> bytes:
    """Everything until the peer closes."""
    answer = b""
    while data := raw.recv(65536):
        answer += data
    return answer
