"""Servers as people run them: each in a process of its own, started by its own command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path

__all__ = ["SERVERS", "Running", "ServerKind"]

TESTS = Path(__file__).parent.parent
START: float = 60
"""Seconds that a server may take to start, on a busy machine."""


@dataclass(frozen=True)
class ServerKind:
    """How a server is started, and which packages that takes."""

    command: tuple[str, ...]
    packages: tuple[str, ...]
    adapters: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether all that it takes is there."""
        return all(find_spec(package) for package in self.packages)


_ASGI = ("starlette", "fastapi", "litestar")
_UVICORN = ("-m", "uvicorn", "servers.apps:app", "--port", "PORT", "--timeout-graceful-shutdown", "5")
_GUNICORN = ("-m", "gunicorn", "servers.apps:app", "--bind", "127.0.0.1:PORT", "--no-control-socket", "--worker-class")
_WERKZEUG = """
from werkzeug.serving import run_simple
from servers.apps import app
run_simple("127.0.0.1", PORT, app, threaded=True)
"""
_HYPERCORN = ("-m", "hypercorn", "servers.apps:app", "--bind", "127.0.0.1:PORT", "--graceful-timeout", "5")
_GRANIAN = ("-m", "granian", "servers.apps:app", "--port", "PORT", "--no-ws", "--workers-kill-timeout", "5")
_UWSGI = """
import pyuwsgi
pyuwsgi.run(["--http-socket", "127.0.0.1:PORT", "--module", "servers.apps:app", "--master", "--enable-threads",
             "--threads", "4", "--die-on-term", "--need-app", "--lazy-apps"])
"""
SERVERS = {
    "uvicorn": ServerKind(_UVICORN, ("uvicorn",), _ASGI),
    "hypercorn": ServerKind(_HYPERCORN, ("hypercorn",), _ASGI),
    "hypercorn on trio": ServerKind((*_HYPERCORN, "--worker-class", "trio"), ("hypercorn", "trio"), _ASGI),
    "granian": ServerKind((*_GRANIAN, "--interface", "asgi"), ("granian",), _ASGI),
    "gunicorn asgi": ServerKind((*_GUNICORN, "asgi"), ("gunicorn",), _ASGI),
    "gunicorn, uvicorn's worker": ServerKind(
        (*_GUNICORN, "uvicorn.workers.UvicornWorker"), ("gunicorn", "uvicorn"), _ASGI
    ),
    "gunicorn sync": ServerKind((*_GUNICORN, "sync"), ("gunicorn",), ("flask",)),
    "gunicorn gthread": ServerKind((*_GUNICORN, "gthread", "--threads", "4"), ("gunicorn",), ("flask",)),
    "waitress": ServerKind(("-m", "waitress", "--port=PORT", "servers.apps:app"), ("waitress",), ("flask",)),
    "werkzeug": ServerKind(("-c", _WERKZEUG), ("werkzeug",), ("flask",)),
    "granian, WSGI": ServerKind((*_GRANIAN, "--interface", "wsgi"), ("granian",), ("flask",)),
    "uWSGI": ServerKind(("-c", _UWSGI), ("pyuwsgi",), ("flask",)),
    "a2wsgi under LanewiseMiddleware": ServerKind(_UVICORN, ("uvicorn", "a2wsgi"), ("flask-mounted",)),
    "a2wsgi alone": ServerKind(_UVICORN, ("uvicorn", "a2wsgi"), ("flask-bridged",)),
}


class Running:
    """A server that serves."""

    def __init__(self, kind: ServerKind, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
        self.process = subprocess.Popen(
            [sys.executable, *(part.replace("PORT", str(self.port)) for part in kind.command)],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1", **environ},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        until = time.monotonic() + START
        while time.monotonic() < until:
            assert self.process.poll() is None, f"it did not start:\n{self.log}"
            try:
                with self.get("/plain") as answer:
                    assert answer.status == 200, self.log
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"it did not start in time:\n{self.log}")

    @property
    def log(self) -> str:
        """All that it has logged."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")  # without moving where it writes

    @contextmanager
    def get(self, path: str, headers: dict[str, str] | None = None) -> Iterator[HTTPResponse]:
        """The answer to a request, whose connection is closed afterwards."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers=headers or {})
            with connection.getresponse() as response:
                yield response

    def text(self, path: str) -> str:
        """The whole answer to a request."""
        with self.get(path) as answer:
            return answer.read().decode()

    def send(self, path: str) -> socket.socket:
        """A connection on which a request was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return connection

    def terminate(self, within: float = 20) -> int:
        """Send SIGTERM; the exit code of the process."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        finally:
            self.kill()

    def close(self) -> None:
        """End it, and forget its log."""
        self.kill()
        self._log.close()

    def kill(self) -> None:
        """End what is left of it: its workers are in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
