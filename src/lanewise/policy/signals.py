"""The signals that a transport gives: what happened to the bytes of one attempt, before anybody judges it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["TransportSignal"]


class TransportSignal(StrEnum):
    """How one HTTP exchange failed, seen from the socket. ``policy/failures.py`` says what each means."""

    LOCAL = "local"
    """A bad header or URL, a text that can't be encoded: ours or the app's bug. Nothing was sent."""
    UNREACHABLE = "unreachable"
    """DNS, refused, connect time-out, a proxy that won't connect, or a reset before anything was written."""
    STALE_CONNECTION = "stale_connection"
    """A *reused* connection was closed before any byte of an answer: the commonest reset of all."""
    TLS = "tls"
    """The peer's certificate or its TLS is wrong."""
    TIMEOUT = "timeout"
    """The deadline came after the request was written, or written in part. It may still run."""
    RESET_AFTER_WRITE = "reset_after_write"
    """A fresh connection was closed after the request was written, before an answer. It may still run."""
    CUT = "cut"
    """The connection ended within the body of an answer."""
    TOO_LARGE = "too_large"
    """The answer, an event of it or its head is over the cap."""
    UNDECODABLE = "undecodable"
    """The body is not what its Content-Encoding says, or is in an encoding that was not asked for."""
    MALFORMED_HTTP = "malformed_http"
    """The peer does not speak HTTP."""
