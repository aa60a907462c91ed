"""A real gunicorn: two workers that are forked from a master which has loaded the app."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from lanewise.testing import Answer, FakeProvider, SlowHeaders, Status, StreamOf

HERE = Path(__file__).parent


class Gunicorn:
    """A running server. ``log`` is what it has written."""

    def __init__(self, worker: str, provider: FakeProvider) -> None:
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--worker-class", worker]
        command += [
            "--bind",
            "127.0.0.1:0",
            "--graceful-timeout",
            "5",
            "--no-control-socket",
            "--chdir",
            str(HERE),
            "served:app",
        ]
        environ = {**os.environ, "FAKE_PROVIDER": provider.base_url}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        self.log: list[str] = []
        self._listening = threading.Event()
        self._port = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(LONG_ENOUGH), self.log

    def _read(self) -> None:
        assert self.process.stderr is not None
        booted = 0
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                self._port = int(found[1])
            booted += "Booting worker" in line
            if booted >= 2:
                self._listening.set()
        self._listening.set()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONG_ENOUGH)

    def get(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        with closing(self.connect()) as connection:
            connection.request("GET", path, headers={"X-Request-ID": "req-2026-000042"})
            with connection.getresponse() as answer:
                return answer, answer.read()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(LONG_ENOUGH)
        finally:
            self.process.kill()
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """The provider of both routes."""
    with FakeProvider() as running:
        yield running


@pytest.fixture(params=["sync", "gthread"])
def server(request: Any, provider: FakeProvider) -> Iterator[Gunicorn]:
    """A gunicorn of each kind of worker."""
    running = Gunicorn(request.param, provider)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_gunicorn_serves_the_app(server: Gunicorn, provider: FakeProvider) -> None:
    """Calls, ids, async views, fail-closed answers, streams, hang-ups and a clean stop, in each worker."""
    pids = set()
    for _ in range(40):
        answer, body = server.get("/summary")
        assert answer.status == 200
        assert answer.headers.get_all("X-Request-ID") == ["req-2026-000042"]
        assert json.loads(body)["text"] == "Hello from model-one"
        pids.add(json.loads(body)["pid"])
        if len(pids) == 2:
            break
    assert server.process.pid not in pids
    assert provider.journal[-1].headers["idempotency-key"].startswith("req-2026-000042-")
    assert json.loads(server.get("/async")[1])["text"] == "Hello from model-one"
    assert server.get("/stream")[1] == b"Hello from model-one"

    provider.script("model-one", Status(500))
    assert json.loads(server.get("/summary")[1])["text"] == "Hello from model-two"
    provider.reset()
    provider.script("model-one", Status(500))
    answer, body = server.get("/refund")
    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert provider.requests("model-two") == []
    provider.script("model-two", Status(500))
    answer, body = server.get("/stream")
    assert (answer.status, answer.headers.get_all("Content-Type")) == (503, ["application/problem+json"])

    provider.script("model-one", StreamOf(chunks=["one", "two", "three"], cut_after=2))
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        server.get("/stream")

    provider.script("model-one", StreamOf(chunks=["piece "] * 10_000, interval=0.01))
    connection = server.connect()
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.read(6) == b"piece "
    answer.close()
    connection.close()
    provider.wait_until(lambda: provider.in_flight == 0)

    assert server.stop() == 0
    assert sum("Error handling request" in line for line in server.log) == 1  # the stream that was broken on purpose
    assert not any(word in line for line in server.log for word in ("Unclosed", "ResourceWarning", "SIGKILL", "WORKER"))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_server_that_is_told_to_end_or_to_begin_anew_answers_what_it_has_begun(
    server: Gunicorn, provider: FakeProvider, number: signal.Signals
) -> None:
    """A call that is under way is answered by the worker that is leaving; after SIGHUP new ones go on."""
    assert server.get("/summary")[0].status == 200
    provider.script_all(SlowHeaders(1.5, then=Answer()))
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(server.get("/summary")[0].status))
    thread.start()
    provider.wait_until(lambda: provider.in_flight == 1)
    server.process.send_signal(number)
    thread.join(LONG_ENOUGH)
    assert got == [200]
    if number == signal.SIGHUP:
        provider.reset()
        for _ in range(20):
            assert server.get("/summary")[0].status == 200
    else:
        assert server.process.wait(LONG_ENOUGH) == 0
    assert server.stop() == 0


def test_a_server_whose_marks_cannot_hold_refuses_all(provider: FakeProvider) -> None:
    """The provider's keys and the marks are looked at in the worker, at its first request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANEWISE_TEST_HIDDEN", "1")
        running = Gunicorn("sync", provider)
    try:
        assert [running.get(path)[0].status for path in ("/summary", "/nowhere")] == [500, 500]
    finally:
        assert running.stop() == 0
    assert "hides its mark 'payment'" in "".join(running.log)
    assert provider.request_count == 0
