"""What went wrong in an httpx2 client, said in our signals: the sibling of ``aiohttp_failures.py``."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx2

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.certificates import certificate_problem
from lanewise._transport.local_trouble import NOT_SENT, lacks_descriptors, trouble_in
from lanewise.types import LocalTrouble

__all__ = ["CLASSES", "HttpxClientState", "body_failure", "send_failure"]

_LOST: TransportSignal | None = None
"""The connection went: which signal that is depends on the attempt."""

# The first class that fits decides, so a class stands above its bases.
CLASSES: tuple[tuple[type[BaseException], TransportSignal | None, str], ...] = (
    (httpx2.InvalidURL, TransportSignal.LOCAL, "the URL is not one that can be sent to"),
    (httpx2.UnsupportedProtocol, TransportSignal.LOCAL, "the URL is not one that can be sent to"),
    (httpx2.LocalProtocolError, TransportSignal.LOCAL, "the request can't be written as HTTP"),
    (httpx2.CookieConflict, TransportSignal.LOCAL, "the handed client's cookies are in conflict"),
    (httpx2.HTTPStatusError, TransportSignal.LOCAL, "the handed client raises on a status, by a hook of its own"),
    (httpx2.ConnectTimeout, TransportSignal.CONNECT_TIMEOUT, "no connection was made in time"),
    (httpx2.PoolTimeout, TransportSignal.UNREACHABLE, "the handed client had no connection free"),
    (httpx2.ProxyError, TransportSignal.UNREACHABLE, "the proxy refused to connect"),
    (httpx2.ConnectError, TransportSignal.UNREACHABLE, "no connection was made"),
    (httpx2.TimeoutException, TransportSignal.TIMEOUT, "no answer in time"),
    (httpx2.RemoteProtocolError, TransportSignal.MALFORMED_HTTP, "the peer's answer is not HTTP"),
    (httpx2.DecodingError, TransportSignal.UNDECODABLE, "the body is not what its encoding says"),
    (httpx2.TooManyRedirects, TransportSignal.MALFORMED_HTTP, "the peer redirects without end"),
    (httpx2.HTTPError, _LOST, "the connection was lost"),
    (httpx2.StreamError, TransportSignal.CUT, "the body can't be read any more"),
    (ssl.SSLError, TransportSignal.TLS, "no TLS connection could be agreed on"),
    (OSError, _LOST, "the connection was lost"),
    (RuntimeError, TransportSignal.LOCAL, "the handed client can't be used (closed, or of another event loop)"),
    (ValueError, TransportSignal.LOCAL, "the request can't be written as HTTP"),
    (TypeError, TransportSignal.LOCAL, "the request can't be written as HTTP"),
)


class HttpxClientState:
    """How far an attempt's request has come, as the ``trace`` extension of httpcore tells."""

    __slots__ = ("connected", "host", "traced", "wrote")

    def __init__(self, host: str = "") -> None:
        self.host = host
        self.traced = False
        self.connected = False
        self.wrote = False

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        self.traced = True
        if event.startswith("connection.connect_"):
            self.connected = True
        elif event.endswith(".send_request_headers.started"):
            # A CONNECT to a proxy is no part of the request.
            self.wrote = getattr(info.get("request"), "method", b"") != b"CONNECT"

    @property
    def written(self) -> bool:
        """A transport that tells nothing may have written: then the outcome is unknown."""
        return self.wrote or not self.traced

    def is_connecting(self) -> bool:
        """Whether its connection is still to be made, as far as the client's transport tells."""
        return self.traced and not self.wrote

    @property
    def reused(self) -> bool:
        return self.wrote and not self.connected


def send_failure(error: Exception, state: HttpxClientState) -> TransportFailure:
    """The failure of an attempt that got no status line."""
    signal, detail = _look_up(error)
    tls = _ssl_causes(error) if isinstance(error, httpx2.ConnectError) else []
    trouble = trouble_in(error, state.host)
    if trouble is None and tls and lacks_descriptors():
        trouble = LocalTrouble.DESCRIPTORS  # with which the store of trusted certificates could not be read
    if trouble is not None:
        return _own(trouble, written=state.wrote)
    if tls:
        return TransportFailure(
            TransportSignal.TLS, certificate_problem(tls) or "the certificate or the TLS of the peer is wrong"
        )
    # httpcore says a disconnect with the class of garbage, and only the text differs.
    if isinstance(error, httpx2.RemoteProtocolError) and "disconnected" in str(error):
        signal, detail = _LOST, "the peer closed the connection"
    return TransportFailure(signal or _lost(state), detail)


def body_failure(error: BaseException) -> TransportFailure:
    """The failure of a body whose head had arrived."""
    trouble = trouble_in(error)
    if trouble is not None:
        return _own(trouble, written=True)
    return TransportFailure(TransportSignal.CUT, _look_up(error)[1])


def _own(trouble: LocalTrouble, *, written: bool) -> TransportFailure:
    signal = TransportSignal.LOCAL_TROUBLE_AFTER_WRITE if written else TransportSignal.LOCAL_TROUBLE
    return TransportFailure(signal, NOT_SENT[trouble], trouble=trouble)


def _lost(state: HttpxClientState) -> TransportSignal:
    if state.reused:
        return TransportSignal.STALE_CONNECTION
    return TransportSignal.RESET_AFTER_WRITE if state.written else TransportSignal.UNREACHABLE


def _look_up(error: BaseException) -> tuple[TransportSignal | None, str]:
    for kind, signal, detail in CLASSES:
        if isinstance(error, kind):
            return signal, detail
    return _LOST, "the exchange failed"


def _ssl_causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, ssl.SSLError):
            found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
