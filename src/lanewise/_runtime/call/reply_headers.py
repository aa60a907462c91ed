"""The headers of a reply: the provider's own, as the bytes that came, and those of ours about the call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import httpx2
import msgspec

from lanewise.types import Call

__all__ = ["ReplyHeaders", "as_json", "as_stream", "reply_headers", "reply_id"]

_REQUEST_ID: Final = b"x-request-id"
_OURS: Final = ("x-lanewise-route", "x-lanewise-lane", "x-lanewise-attempts", "x-lanewise-call-id")
_ROUTE, _LANE, _ATTEMPTS, _CALL_ID = (name.encode() for name in _OURS)
_JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream"


class ReplyHeaders(msgspec.Struct, frozen=True):
    """``all`` go to the app, ``reply_id`` is the id by which it will know the reply.

    ``limits`` are those of the provider's that speak of its rate limits; their names are lower-case.
    """

    all: list[tuple[bytes, bytes]]
    reply_id: str
    limits: dict[str, str]


def reply_headers(call: Call, provider: Iterable[tuple[bytes, bytes]]) -> ReplyHeaders:
    """What the app gets of the provider's headers, and ours. A reply without an id gets the call's."""
    headers: list[tuple[bytes, bytes]] = []
    limits: dict[str, str] = {}
    ids: list[bytes] = []
    for name, value in provider:
        lower = name.lower()
        if lower == _REQUEST_ID:
            if not value.strip():
                continue
            ids.append(value)
        elif b"ratelimit" in lower:
            limits[lower.decode("latin-1")] = value.decode("latin-1")
        if not lower.startswith(b"x-lanewise-"):
            headers.append((name, value))
    if not ids:
        headers.append((_REQUEST_ID, call.id.encode()))
        known_by = call.id
    elif len(ids) == 1 and ids[0].isascii():
        known_by = ids[0].decode()
    else:
        known_by = reply_id(headers)
    headers += [
        (_ROUTE, (call.route or "").encode()),
        (_LANE, (call.lane or "").encode()),
        (_ATTEMPTS, b"%d" % len(call.attempts)),
        (_CALL_ID, call.id.encode()),
    ]
    return ReplyHeaders(headers, known_by, limits)


def reply_id(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The id by which the SDK will know a reply with these headers, read as it reads them."""
    return httpx2.Headers(list(headers))["x-request-id"]


def as_json(headers: Iterable[tuple[bytes, bytes]], *, rewritten: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that is JSON, whatever the provider called it: the SDK goes by the name.

    ``rewritten``: the body is not the provider's own bytes.
    """
    return _as(_JSON, b"json", headers, rewritten=rewritten)


def as_stream(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an event stream, whatever the provider called it. Its length is not the provider's any more."""
    return _as(_EVENTS, b"event-stream", headers, rewritten=True)


def _as(
    content_type: bytes, word: bytes, headers: Iterable[tuple[bytes, bytes]], *, rewritten: bool
) -> list[tuple[bytes, bytes]]:
    fields = []
    typed = False
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length" and rewritten:
            continue
        if lower == b"content-type":
            typed = True
            if word not in value or (rewritten and word == b"json"):
                fields.append((name, content_type))
                continue
        fields.append((name, value))
    return fields if typed else [*fields, (b"content-type", content_type)]
