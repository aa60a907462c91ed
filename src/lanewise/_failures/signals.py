"""The signals that a transport gives: what happened to the bytes of one attempt, before it is classified."""

from __future__ import annotations

from enum import StrEnum

from lanewise.types import LocalTrouble

__all__ = ["TransportFailure", "TransportSignal"]


class TransportSignal(StrEnum):
    """How one HTTP exchange failed, seen from the socket. ``_failures/failure_table.py`` says what each means."""

    LOCAL = "local"
    """A bad header or URL, a text that can't be encoded: ours or the app's bug. Nothing was sent."""
    UNREACHABLE = "unreachable"
    """DNS, refused, a proxy that won't connect, or a reset before anything was written."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection was made in time, or the look-up of the name hung. Nothing was sent."""
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
    LOCAL_TROUBLE = "local_trouble"
    """This process lacks what any request needs: a descriptor, a port, memory, a network. Nothing was written."""
    LOCAL_TROUBLE_AFTER_WRITE = "local_trouble_after_write"
    """The same, after the request was written. It may still run."""
    LOOP_LATE = "loop_late"
    """The last moment passed while this process's own event loop stood still, and nothing was there to be read."""


class TransportFailure(Exception):
    """An attempt that got no complete answer: the only exception that leaves a transport.

    ``detail`` is in our own words: no URL, header or body is in it, so both may be logged. ``partial`` is what could be
    decoded of a body that is UNDECODABLE only at its end: it may be whole all the same. ``trouble`` is what this
    process lacked, where the signal is about that.
    """

    def __init__(
        self,
        signal: TransportSignal,
        detail: str = "",
        partial: bytes = b"",
        trouble: LocalTrouble | None = None,
    ) -> None:
        super().__init__(signal, detail)
        self.signal = signal
        self.detail = detail
        self.partial = partial
        self.trouble = trouble

    def __str__(self) -> str:
        return f"{self.signal}: {self.detail}" if self.detail else str(self.signal)
