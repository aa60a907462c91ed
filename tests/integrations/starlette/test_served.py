"""A Starlette app under a real uvicorn, in a process of its own: over the wire, as its callers see it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path

import pytest

from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage
from lanewise.testing import FakeProvider, Silence, Status, StreamOf

TESTS = Path(__file__).parent.parent.parent


class Server:
    """A uvicorn in a process of its own."""

    def __init__(self, stage: Stage, port: int) -> None:
        self.port = port
        environ = {**os.environ, "FIRST_URL": stage.first.base_url, "SECOND_URL": stage.second.base_url}
        command = [sys.executable, "-m", "uvicorn", "integrations.starlette.served:app", "--port", str(port)]
        self.process = subprocess.Popen(
            command, cwd=TESTS, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.log = ""

    def wait_until_it_serves(self) -> None:
        assert self.process.stdout is not None
        while "Uvicorn running" not in self.log:
            line = self.process.stdout.readline()
            assert line, f"uvicorn did not start:\n{self.log}"
            self.log += line

    @contextmanager
    def answer(self, path: str, headers: dict[str, str] | None = None) -> Iterator[HTTPResponse]:
        """The answer to a request, whose connection is closed afterwards."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=LONG_ENOUGH)) as connection:
            connection.request("GET", path, headers=headers or {})
            with connection.getresponse() as response:
                yield response

    def text(self, path: str) -> str:
        with self.answer(path) as response:
            return response.read().decode()

    def stop(self) -> str:
        """End it as an operator would; all that it has logged."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            rest, _ = self.process.communicate(timeout=LONG_ENOUGH)
        except subprocess.TimeoutExpired:
            self.process.kill()
            rest, _ = self.process.communicate()
        self.log += rest
        return self.log


@pytest.fixture(scope="module")
def providers() -> Iterator[Stage]:
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture(scope="module")
def server(providers: Stage) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Server(providers, port)
    try:
        running.wait_until_it_serves()
        yield running
    finally:
        running.stop()


@pytest.fixture
def stage(providers: Stage) -> Stage:
    """The providers, both well and with nothing asked."""
    providers.first.reset()
    providers.second.reset()
    return providers


def test_a_request_is_answered_with_its_id(server: Server, stage: Stage) -> None:
    """The id comes back, and went to the provider as part of the key; the fallback answers when the primary fails."""
    with server.answer("/summary", {"X-Request-ID": "req-2026-000042"}) as answer:
        assert (answer.read().decode(), answer.headers["x-request-id"]) == (FIRST_TEXT, "req-2026-000042")
    assert stage.first.journal[0].headers["idempotency-key"].startswith("req-2026-000042-")
    stage.first.script_all(Status(500))
    assert server.text("/summary") == SECOND_TEXT
    assert server.text("/in-thread") == SECOND_TEXT


def test_a_sensitive_endpoint_fails_closed(server: Server, stage: Stage) -> None:
    """A 503 problem on the wire, and nothing sent to the other provider."""
    stage.first.script_all(Status(500))
    with server.answer("/refund") as answer:
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["cache-control"] == "no-store"
        assert stage.asked_of_second == []


def hang_up(server: Server, stage: Stage, path: str, body: bytes = b"") -> None:
    caller = socket.create_connection(("127.0.0.1", server.port))
    head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: test\r\n"
    caller.sendall(head.encode() + (f"content-length: {len(body)}\r\n".encode() if body else b"") + b"\r\n" + body)
    stage.first.wait_for(1)
    caller.close()


@pytest.mark.parametrize(("path", "body"), [("/summary", b""), ("/summary", b"a body"), ("/in-thread", b"")])
def test_a_caller_that_hangs_up_ends_the_call(server: Server, stage: Stage, path: str, body: bytes) -> None:
    """The provider sees its peer go without waiting for a deadline, though the app sends nothing and reads nothing."""
    stage.first.script_all(Silence())
    hang_up(server, stage, path, body)
    stage.first.wait_until(lambda: stage.first.journal[0].client_gone is True)
    assert stage.asked_of_second == []


def test_a_caller_that_hangs_up_ends_the_stream(server: Server, stage: Stage) -> None:
    """Also while the provider is silent in the middle of it."""
    stage.first.script_all(StreamOf(stall_after=2))
    with server.answer("/streamed") as answer:
        assert answer.read(5) == b"Hello"
    stage.first.wait_until(lambda: stage.first.journal[0].client_gone is True)


def test_a_stream_reaches_the_caller_as_it_comes(server: Server, stage: Stage) -> None:
    """The first piece is there while the provider still holds the rest."""
    stage.first.script_all(StreamOf(stall_after=2, stall_for=0.2))
    with server.answer("/streamed") as answer:
        assert answer.read1() == b"Hello"
        assert answer.read() == b" from the stream"


@pytest.mark.parametrize(
    "behaviour",
    [StreamOf(cut_after=2, interval=0.05), StreamOf(error_event_after=2, interval=0.05)],
    ids=["cut", "error"],
)
def test_a_stream_that_breaks_is_an_aborted_connection(server: Server, stage: Stage, behaviour: StreamOf) -> None:
    """The caller can tell that it did not get all: the last chunk never comes."""
    stage.first.script_all(behaviour)
    with server.answer("/streamed") as answer:
        assert answer.status == 200
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            answer.read()


def test_a_stream_that_fails_at_once_is_a_problem(server: Server, stage: Stage) -> None:
    """Nothing had been sent yet, so the caller is told in full."""
    stage.first.script_all(Status(400))
    with server.answer("/streamed") as answer:
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")


def test_it_stops_cleanly(providers: Stage) -> None:
    """With a connection to the provider kept open until then: no complaint, no traceback, exit code 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(providers, port)
    server.wait_until_it_serves()
    providers.first.reset()
    assert server.text("/summary") == FIRST_TEXT
    log = server.stop()
    assert server.process.returncode == 0, log
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
    assert "Unclosed" not in log
