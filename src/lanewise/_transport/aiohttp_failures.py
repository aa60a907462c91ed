"""What went wrong in aiohttp, said in our signals. A table, and the few questions that a table can't answer."""

from __future__ import annotations

import errno
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.aiohttp_pool import AttemptState
from lanewise._transport.certificates import certificate_problem
from lanewise._transport.local_trouble import NOT_SENT, lacks_descriptors, trouble_in
from lanewise.types import LocalTrouble

__all__ = ["CLASSES", "body_failure", "send_failure"]

_LOST: TransportSignal | None = None
"""The connection went: which signal that is depends on the attempt."""

# The first class that fits decides, so a class stands above its bases.
CLASSES: tuple[tuple[type[BaseException], TransportSignal | None, str], ...] = (
    (aiohttp.InvalidURL, TransportSignal.LOCAL, "the URL is not one that can be sent to"),
    (aiohttp.NonHttpUrlClientError, TransportSignal.LOCAL, "the URL is not one that can be sent to"),
    (aiohttp.ClientConnectorCertificateError, TransportSignal.TLS, "the certificate is not trusted for this host"),
    (aiohttp.ServerFingerprintMismatch, TransportSignal.TLS, "the certificate is not the expected one"),
    (aiohttp.ClientSSLError, TransportSignal.TLS, "no TLS connection could be agreed on"),
    (aiohttp.ClientHttpProxyError, TransportSignal.UNREACHABLE, "the proxy refused to connect"),
    (aiohttp.ClientProxyConnectionError, TransportSignal.UNREACHABLE, "the proxy can't be reached"),
    (aiohttp.ClientConnectorDNSError, TransportSignal.UNREACHABLE, "the host's name has no address"),
    (aiohttp.ClientConnectorError, TransportSignal.UNREACHABLE, "no connection was made"),
    (aiohttp.ConnectionTimeoutError, TransportSignal.CONNECT_TIMEOUT, "no connection was made in time"),
    (aiohttp.ServerTimeoutError, TransportSignal.TIMEOUT, "no answer in time"),
    (aiohttp.ClientPayloadError, TransportSignal.CUT, "the body ended before its end"),
    (aiohttp.ClientResponseError, TransportSignal.MALFORMED_HTTP, "the peer's answer is not HTTP"),
    (HttpProcessingError, TransportSignal.MALFORMED_HTTP, "the peer's answer is not HTTP"),
    (aiohttp.UploadAbortedError, _LOST, "the connection was lost while the request was written"),
    (aiohttp.ServerDisconnectedError, _LOST, "the peer closed the connection"),
    (aiohttp.ClientConnectionError, _LOST, "the connection was lost"),
    (aiohttp.RedirectClientError, TransportSignal.MALFORMED_HTTP, "the peer redirects to nowhere"),
    (aiohttp.ClientError, _LOST, "the exchange failed"),
    (TimeoutError, TransportSignal.TIMEOUT, "no answer in time"),
    (ssl.SSLError, TransportSignal.TLS, "no TLS connection could be agreed on"),
    (OSError, _LOST, "the connection was lost"),
    (ValueError, TransportSignal.LOCAL, "the request can't be written as HTTP"),
    (TypeError, TransportSignal.LOCAL, "the request can't be written as HTTP"),
)


def send_failure(error: Exception, attempt: AttemptState) -> TransportFailure:
    """The failure of an attempt that got no status line."""
    if isinstance(error, TransportFailure):
        return error
    signal, detail = _look_up(error)
    chain = _causes(error)
    trouble = trouble_in(error, attempt.host)
    if trouble is None and signal is TransportSignal.TLS and lacks_descriptors():
        trouble = LocalTrouble.DESCRIPTORS  # with which the store of trusted certificates could not be read
    if trouble is not None:
        return _own(trouble, chain, written=attempt.written)
    if any(isinstance(cause, LineTooLong) for cause in chain):
        return TransportFailure(TransportSignal.TOO_LARGE, "the head of the answer is over the cap")
    if any(isinstance(cause, ssl.SSLError) and _is_alert(cause) for cause in chain):
        return TransportFailure(TransportSignal.TLS, _refusal(chain))
    if signal is TransportSignal.TLS:
        return TransportFailure(signal, certificate_problem(chain) or detail)
    if signal is TransportSignal.TIMEOUT and not attempt.written:
        signal, detail = TransportSignal.CONNECT_TIMEOUT, "nothing could be sent in time"
    return TransportFailure(signal or _lost(error, attempt), detail + _errno(chain))


def body_failure(error: BaseException) -> TransportFailure:
    """The failure of a body whose head had arrived."""
    if isinstance(error, TransportFailure):
        return error
    signal, detail = _look_up(error)
    if signal is TransportSignal.TIMEOUT:
        return TransportFailure(signal, "the body did not come in time")
    trouble = trouble_in(error)
    if trouble is not None:
        return _own(trouble, _causes(error), written=True)
    return TransportFailure(TransportSignal.CUT, detail)


def _own(trouble: LocalTrouble, chain: list[BaseException], *, written: bool) -> TransportFailure:
    signal = TransportSignal.LOCAL_TROUBLE_AFTER_WRITE if written else TransportSignal.LOCAL_TROUBLE
    return TransportFailure(signal, NOT_SENT[trouble] + _errno(chain), trouble=trouble)


def _look_up(error: BaseException) -> tuple[TransportSignal | None, str]:
    for kind, signal, detail in CLASSES:
        if isinstance(error, kind):
            return signal, detail
    return _LOST, "the exchange failed"


def _lost(error: Exception, attempt: AttemptState) -> TransportSignal:
    # aiohttp's message is a text if nothing of an answer had come, else the part of its head that had.
    begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
    if attempt.reused and not begun:
        return TransportSignal.STALE_CONNECTION
    return TransportSignal.RESET_AFTER_WRITE if attempt.written else TransportSignal.UNREACHABLE


def _refusal(chain: list[BaseException]) -> str:
    if any("CERTIFICATE_EXPIRED" in (getattr(error, "reason", None) or "") for error in chain):
        return "the peer refused our client certificate: it has expired"
    return "the peer refused our TLS (a client certificate, say)"


def _is_alert(error: ssl.SSLError) -> bool:
    # aiohttp's own subclasses are made without what OpenSSL said.
    return "ALERT" in (getattr(error, "reason", None) or "")


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        cause = getattr(cause, "os_error", None) or cause.__cause__
        if cause in chain:
            break
    return chain


def _errno(chain: list[BaseException]) -> str:
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return ""  # the numbers of OpenSSL are none of these: its 1 is not EPERM
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
            return f" ({errno.errorcode[cause.errno]})"
    return ""
