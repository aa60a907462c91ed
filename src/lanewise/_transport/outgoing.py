"""What may leave: header fields and URLs are checked before a connection is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.exchange import Headers

__all__ = ["ACCEPT_ENCODING", "check_url", "checked", "outgoing"]

ACCEPT_ENCODING = "gzip, deflate"
"""What ``content_decoding.py`` decodes."""

# RFC 9110, 5.1 and 5.5. Values are ASCII: what else they could mean differs from server to server.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?").fullmatch

# The framing of a message and the life of a connection are the transport's; what it accepts is what it can decode.
_OURS = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def checked(headers: Headers) -> Iterator[tuple[str, str]]:
    """The fields that may be sent, without those that are the transport's own.

    Raises TransportFailure: LOCAL, for a field that would break or smuggle a message. Its detail names a name only.
    """
    for name, value in headers:
        if _NAME(name) is None:
            raise TransportFailure(TransportSignal.LOCAL, "a header's name has characters that HTTP does not allow")
        if _VALUE(value) is None:
            raise TransportFailure(TransportSignal.LOCAL, f"the value of header {name[:60]} is not plain ASCII text")
        if name.lower() not in _OURS:
            yield name, value


def outgoing(base: Headers, extra: Headers, *, stream: bool) -> list[tuple[str, str]]:
    """The header fields of an attempt: ``extra`` wins over ``base`` (already checked), and the rest is filled in."""
    fields = list(checked(extra))
    names = {name.lower() for name, _ in fields}
    for name, value in base:
        if (lowered := name.lower()) not in names:
            fields.append((name, value))
            if lowered in _DEFAULTS:
                names.add(lowered)
    if "content-type" not in names:
        fields.append(("Content-Type", "application/json"))
    if "accept" not in names:
        fields.append(("Accept", "text/event-stream" if stream else "application/json"))
    if "user-agent" not in names:
        fields.append(("User-Agent", "lanewise"))
    # A compressed stream is held back by its compressor, so streams are asked for as they are.
    fields.append(("Accept-Encoding", "identity" if stream else ACCEPT_ENCODING))
    return fields


_DEFAULTS = frozenset(("content-type", "accept", "user-agent"))


def check_url(scheme: str, host: str | None, *, has_credentials: bool) -> None:
    """Raises TransportFailure: LOCAL, for a URL that is not a plain http or https one."""
    if scheme not in ("http", "https") or not host:
        raise TransportFailure(TransportSignal.LOCAL, "the URL is not an http or https URL")
    if has_credentials:
        raise TransportFailure(TransportSignal.LOCAL, "the URL has credentials in it")
