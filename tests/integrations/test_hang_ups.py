"""Callers who leave, under real servers: their calls end at once, and the log has no word above INFO."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from busy_machine import LONG_ENOUGH, without_lag
from integrations.hang_up_apps import PATHS, PLAIN
from lanewise.testing import Cycle, FakeProvider, Silence, StreamOf

TESTS = Path(__file__).parent.parent
STALLED = StreamOf(chunks=["piece "] * 3, stall_after=2)
FLOWING = StreamOf(chunks=["piece "] * 1000, interval=0.01)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


class Server:
    """A server in a process of its own, which has said that it serves."""

    def __init__(self, command: list[str], ready: str, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, *(part.replace("PORT", str(self.port)) for part in command)],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.log = ""
        while ready not in self.log:
            line = self.process.stdout.readline()
            assert line, f"it did not start:\n{self.log}"
            self.log += line

    def request(self, path: str) -> socket.socket:
        """A connection on which the request was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=LONG_ENOUGH)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        return connection

    def answer(self, path: str) -> bytes:
        """All that is answered: the server has done with the request once it has closed the connection."""
        with self.request(path) as connection:
            return b"".join(iter(lambda: connection.recv(4096), b""))

    def stop(self) -> str:
        """End it as an operator would; all that it has logged."""
        self.process.send_signal(signal.SIGINT)
        try:
            rest, _ = self.process.communicate(timeout=LONG_ENOUGH)
        finally:
            self.process.kill()
        self.log += rest
        return self.log


@pytest.mark.parametrize("adapter", ["starlette", "fastapi", "litestar"])
def test_forty_callers_who_leave_are_no_incident(adapter: str, provider: FakeProvider) -> None:
    """Streams of either client, stalled and flowing, sensitive, wrapped by the app, in scopes of its own; answers."""
    server = Server(
        ["-m", "uvicorn", "integrations.hang_up_apps:app", "--port", "PORT"],
        "Uvicorn running",
        ADAPTER=adapter,
        PROVIDER_URL=provider.base_url,
    )
    try:
        provider.script_all(Cycle((STALLED, FLOWING)))
        for number in range(28):
            with server.request("/" + PATHS[number % 5]) as caller:
                answer = b""
                while b"piece" not in answer:
                    received = caller.recv(1000)
                    assert received, answer
                    answer += received
                time.sleep(0.02 * (number % 3))
        provider.wait_until(lambda: provider.in_flight == 0)
        provider.reset()
        provider.script_all(Cycle((Silence(),)))
        for number in range(12):
            with server.request("/" + PLAIN[number % 3]):
                provider.wait_until(lambda: provider.in_flight == 1)
            provider.wait_until(lambda: provider.in_flight == 0)
    finally:
        log = server.stop()
    assert not [line for line in without_lag(log) if "ERROR" in line or "WARNING" in line], log
    assert "Traceback" not in log, log
    assert len(log) < 20_000


GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:PORT", "--no-control-socket", "integrations.hang_up_apps:app"]
WERKZEUG = """
import logging
from werkzeug.serving import run_simple
from integrations.hang_up_apps import app
logging.basicConfig(level=logging.INFO)
run_simple("127.0.0.1", PORT, app, threaded=True)
"""
WAITRESS = """
import logging
from waitress import serve
from integrations.hang_up_apps import app
logging.basicConfig(level=logging.INFO)
serve(app, host="127.0.0.1", port=PORT)
"""
WSGI_SERVERS = {
    "gunicorn-sync": ([*GUNICORN, "--worker-class", "sync"], "Booting worker"),
    "gunicorn-gthread": ([*GUNICORN, "--worker-class", "gthread"], "Booting worker"),
    "werkzeug": (["-c", WERKZEUG], "Press CTRL+C to quit"),
    "waitress": (["-c", WAITRESS], "Serving on"),
}


@pytest.mark.parametrize("server", sorted(WSGI_SERVERS))
def test_callers_of_flask_who_leave_are_noticed(server: str, provider: FakeProvider) -> None:
    """Plain calls, in sync and async views and sensitive ones, end upstream soon after their caller has gone."""
    command, ready = WSGI_SERVERS[server]
    running = Server(command, ready, ADAPTER="flask", PROVIDER_URL=provider.base_url)
    try:
        running.answer("/plain")  # which brings in what is still to be imported
        provider.script_all(Cycle((Silence(),)))
        took = []
        for number in range(8):
            with running.request(("/plain", "/sensitive-plain", "/async-plain", "/own-plain")[number % 4]):
                provider.wait_until(lambda: provider.in_flight == 1)
            left = time.monotonic()
            provider.wait_until(lambda: provider.in_flight == 0)
            took.append(time.monotonic() - left)
        assert sorted(took)[3] < 3, took  # a tenth of a second by right: the machine may be busy
        provider.reset()
        provider.script_all(Cycle((STALLED, FLOWING)))
        for number in range(6):
            with running.request("/stream" if number % 3 else "/sensitive-stream") as caller:
                while b"piece" not in caller.recv(1000):
                    pass
            provider.wait_until(lambda: provider.in_flight == 0)
        provider.reset()
        assert b"200 OK" in running.answer("/plain")
    finally:
        log = running.stop()
    assert "Traceback" not in log, log
    assert not [line for line in log.splitlines() if "ERROR" in line or "[ERROR]" in line], log
