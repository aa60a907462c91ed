"""A store that falls silent on request: a proxy before the real one, whose bytes stand still while it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from busy_machine import LONG_ENOUGH

__all__ = ["Stalling", "stalling"]


class Stalling:
    """The proxy. ``url`` is for ``router.state``."""

    def __init__(self, server: socket.socket, target: tuple[str, int]) -> None:
        self.url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        self._server = server
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []

    def stall(self) -> None:
        """Pass nothing on from now on; connections are still made."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what has come, and what comes."""
        self._flowing.set()

    def serve(self) -> None:
        """Take connections until the proxy is closed."""
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close everything."""
        self.flow()
        self._server.shutdown(socket.SHUT_RDWR)
        for each in (self._server, *self._sockets):
            each.close()


@contextmanager
def stalling(host: str, port: int) -> Iterator[Stalling]:
    """A proxy before a server."""
    server = socket.create_server(("127.0.0.1", 0))
    proxy = Stalling(server, (host, port))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(LONG_ENOUGH)
