"""HTTP/1.1 requests out of bytes: heads, bodies with a length, chunked bodies, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BadRequest", "Request", "RequestReader"]

_MAX_HEAD = 256 * 1024


class BadRequest(ValueError):
    """The bytes are no HTTP/1.1 request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole. ``keep_alive`` is whether the peer wants the connection kept."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool


@dataclass(slots=True)
class _Head:
    method: str
    target: str
    headers: list[tuple[str, str]]
    keep_alive: bool
    length: int
    chunked: bool
    expects_continue: bool


class RequestReader:
    """Takes bytes as they come and gives whole requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._chunks = bytearray()

    def feed(self, data: bytes) -> None:
        """More bytes from the peer."""
        self._buffer += data

    def wants_continue(self) -> bool:
        """Whether the peer waits for ``100 Continue`` before it sends the body; true once a request."""
        if self._head is None or not self._head.expects_continue:
            return False
        self._head.expects_continue = False
        return True

    def next(self) -> Request | None:
        """The next request, once it is there to its last byte.

        Raises:
            BadRequest: these bytes are no request; nothing that follows can be read either.
        """
        if self._head is None:
            self._head = self._read_head()
        head = self._head
        if head is None:
            return None
        body = self._read_chunks() if head.chunked else self._read_length(head.length)
        if body is None:
            return None
        self._head = None
        return Request(head.method, head.target, head.headers, body, head.keep_alive)

    def _read_head(self) -> _Head | None:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise BadRequest("the head of the request is too large")
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise BadRequest("not an HTTP/1.1 request line")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest("a header without a colon")
            headers.append((name, value.strip()))
        return _head(parts, headers)

    def _read_length(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        if len(self._buffer) == length:
            body = bytes(self._buffer)
            self._buffer.clear()
            return body
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return None
            try:
                size = int(self._buffer[:end].split(b";")[0], 16)
            except ValueError as error:
                raise BadRequest("a chunk without a size") from error
            if len(self._buffer) < end + 2 + size + 2:
                return None
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]
            if size == 0:
                body = bytes(self._chunks)
                self._chunks.clear()
                return body


def _head(parts: list[str], headers: list[tuple[str, str]]) -> _Head:
    head = _Head(parts[0], parts[1], headers, parts[2] != "HTTP/1.0", 0, False, False)
    for name, value in headers:
        match name.lower():
            case "content-length":
                if not value.isdigit():
                    raise BadRequest("a content length that is no number")
                head.length = int(value)
            case "transfer-encoding":
                head.chunked = "chunked" in value.lower()
            case "connection":
                head.keep_alive = "close" not in value.lower()
            case "expect":
                head.expects_continue = value.lower() == "100-continue"
    return head
