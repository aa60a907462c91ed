"""Asking an app over HTTP as callers do, the rude ones as well, and what came back."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from busy_machine import LONG_ENOUGH

__all__ = ["Reply", "get", "hanging"]


@dataclass(frozen=True)
class Reply:
    """What came back: ``whole`` says that the answer ended as an answer ends."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    whole: bool = True

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The only value of a header, if there is one."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether it is an RFC 9457 problem."""
        return self.header("content-type") == "application/problem+json"


def get(
    address: str, path: str, headers: Sequence[tuple[str, str]] = (), *, body: bytes | None = None, timeout: float = 45
) -> Reply:
    """One GET, or a POST where there is a body, on a connection of its own. Paths and headers are sent as they are."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    with closing(connection):
        connection.putrequest("GET" if body is None else "POST", path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return _read(connection)


def _read(connection: HTTPConnection) -> Reply:
    try:
        response = connection.getresponse()
    except (HTTPException, ConnectionError):
        return Reply(0, whole=False)
    pieces: list[bytes] = []
    whole = True
    try:
        while piece := response.read1():
            pieces.append(piece)
    except (HTTPException, ConnectionError):
        whole = False
    chunked = response.getheader("transfer-encoding") == "chunked"
    whole = whole and (
        chunked or response.length == 0
    )  # without either, nothing would tell a cut answer from a whole one
    return Reply(response.status, tuple(response.getheaders()), b"".join(pieces), whole)


@dataclass
class hanging:
    """A caller who asks, reads on until something has come, and hangs up at the end of the block."""

    address: str
    path: str
    headers: Sequence[tuple[str, str]] = ()
    read: bytes | None = None
    seen: bytes = field(default=b"", init=False)

    def __enter__(self) -> hanging:
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=LONG_ENOUGH)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        self._socket.sendall(f"GET {self.path} HTTP/1.1\r\nHost: app\r\n{lines}\r\n".encode())
        while self.read is not None and self.read not in self.seen:
            piece = self._socket.recv(65536)
            assert piece, f"the answer ended: {self.seen!r}"
            self.seen += piece
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
