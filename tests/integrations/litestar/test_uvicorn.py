"""A real uvicorn: answers, ids, streams, hang-ups, a start that is refused, and a clean stop."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage
from lanewise.testing import Silence, Status, StreamOf

HERE = Path(__file__).parent
CONFIG = """
[router.health]
breakers = false
[providers.one]
base_url = "{one}"
[providers.two]
base_url = "{two}"
[routes.first]
provider = "one"
model = "model-one"
[routes.second]
provider = "two"
model = "model-two"
[tasks.summary]
primary = "first"
equivalent = "second"
[sensitive.payment]
routes = ["first"]
"""


class Uvicorn:
    """A running server. ``log`` is what it has written; ``refused`` whether it ended by itself."""

    def __init__(self, config: Path, **environment: str) -> None:
        command = [sys.executable, "-m", "uvicorn", "--port", "0", "--app-dir", str(HERE), "desk:app"]
        environ = {**os.environ, "DESK_CONFIG": str(config), **environment}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environ
        )
        self.log: list[str] = []
        self._ready = threading.Event()
        self._port = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._ready.wait(LONG_ENOUGH), self.log

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self._port = int(found[1])
                self._ready.set()
        self._ready.set()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONG_ENOUGH)

    def get(self, path: str) -> tuple[http.client.HTTPResponse, str]:
        with closing(self.connect()) as connection:
            connection.request("GET", path, headers={"X-Request-ID": "req-2026-000042"})
            with connection.getresponse() as answer:
                return answer, answer.read().decode()

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
def config(stage: Stage, tmp_path: Path) -> Path:
    """The config of the app, over the two providers."""
    file = tmp_path / "desk.toml"
    file.write_text(CONFIG.format(one=stage.first.base_url, two=stage.second.base_url))
    return file


@pytest.fixture
def server(config: Path) -> Iterator[Uvicorn]:
    """A server of the app."""
    running = Uvicorn(config)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_uvicorn_serves_the_app(server: Uvicorn, stage: Stage) -> None:
    """Calls, ids, threads, fail-closed answers, streams, hang-ups and a clean stop, in one life."""
    for path in ("/summary", "/sync", "/stream", "/refunds"):
        answer, body = server.get(path)
        assert (answer.status, body) == (200, FIRST_TEXT)
        assert answer.headers.get_all("X-Request-ID") == ["req-2026-000042"]
    assert server.get("/nowhere")[0].headers.get_all("X-Request-ID") == ["req-2026-000042"]
    assert stage.first.journal[-1].headers["idempotency-key"].startswith("req-2026-000042-")

    stage.first.script_all(Status(500))
    assert [server.get(path)[1] for path in ("/summary", "/sync", "/stream")] == [SECOND_TEXT] * 3
    stage.second.reset()
    answer, _ = server.get("/refunds")
    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert stage.second.request_count == 0

    stage.first.script_all(StreamOf(chunks=["one", "two", "three"], cut_after=2))
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        server.get("/stream")

    for path, behaviour in (("/summary", Silence()), ("/stream", StreamOf(chunks=["piece "] * 10_000, interval=0.01))):
        stage.first.reset()
        stage.first.script_all(behaviour)
        connection = server.connect()
        connection.request("GET", path)
        stage.first.wait_until(lambda: stage.first.in_flight == 1)
        if path == "/stream":
            assert connection.getresponse().read(6) == b"piece "
        connection.close()
        stage.first.wait_until(lambda: stage.first.in_flight == 0)

    assert server.stop() in (0, -signal.SIGTERM)
    assert not any(word in line for line in server.log for word in ("Unclosed", "ResourceWarning", "was never"))
    assert sum("Exception in ASGI application" in line for line in server.log) == 1  # the stream that broke


def test_a_start_with_marks_that_cannot_hold_is_refused(config: Path) -> None:
    """The server ends, and its log names the endpoint."""
    running = Uvicorn(config, DESK_CATEGORY="paiment")
    assert running.process.wait(LONG_ENOUGH) != 0
    assert running.stop() != 0
    assert "GET /refunds (Refunds.refund): unknown sensitive category 'paiment'" in "".join(running.log)
