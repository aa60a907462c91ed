"""Peers on loopback that speak bytes, one thread a connection, so that any event loop can be their client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

from busy_machine import LONG_ENOUGH

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


class Wire:
    """A connection, from the peer's side."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._buffer = b""

    def request(self) -> tuple[str, bytes] | None:
        """The next request's head and body; ``None`` if the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(self._buffer) < length:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return head.decode(), body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_the_end(self) -> None:
        while self._more():
            pass

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)


Talk = Callable[[Wire], None]


class Peer:
    """A server that does ``talk`` with each connection, and knows how many are open."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self.port}/v1/chat/completions"

    @property
    def open(self) -> int:
        with self._lock:
            return len(self._open)

    def __enter__(self) -> Peer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG_ENOUGH)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.accepted += 1
                with self._lock:
                    self._open.add(sock)
                self._start(self._serve, sock, self.accepted)

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(20)
        wrapped = sock
        try:
            with contextlib.suppress(OSError):
                if self._tls is not None:
                    wrapped = self._tls.wrap_socket(sock, server_side=True)
                    wrapped.settimeout(20)
                    with self._lock:
                        self._open.add(wrapped)
                self._talk(Wire(wrapped, number))
        finally:
            with self._lock:
                self._open -= {sock, wrapped}
            wrapped.close()
            sock.close()


def answers(answer: bytes = ANSWER) -> Talk:
    """Answers each request alike, and keeps the connection."""

    def talk(wire: Wire) -> None:
        while wire.request() is not None:
            wire.send(answer)

    return talk


def answers_once(answer: bytes) -> Talk:
    """Answers one request and closes."""

    def talk(wire: Wire) -> None:
        if wire.request() is not None:
            wire.send(answer)

    return talk


def silent(wire: Wire) -> None:
    """Reads and never answers."""
    wire.wait_for_the_end()


def dripping(wire: Wire) -> None:
    """An endless body, a byte at a time."""
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(500):
        wire.send(b"x")
        time.sleep(0.01)


def connect_proxy(wire: Wire, heard: bytearray | None = None) -> None:
    """A proxy that only knows CONNECT, to loopback; ``heard`` gets everything that the client says to it."""
    first = wire.request()
    if first is None:
        return
    method, place, _ = first[0].split("\r\n")[0].split(" ")
    if heard is not None:
        heard += first[0].encode() + b"\r\n\r\n"
    if method != "CONNECT":
        wire.send(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n")
        return
    with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])), timeout=LONG_ENOUGH) as upstream:
        wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_pump, args=(upstream, wire.sock, None), daemon=True)
        back.start()
        _pump(wire.sock, upstream, heard)
        back.join(LONG_ENOUGH)


def _pump(source: socket.socket, sink: socket.socket, heard: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if heard is not None:
                heard += data
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
