"""The headers of a reply: the provider's own, and what the app is told of the call."""

from __future__ import annotations

import msgspec

from lanewise.types import Call

__all__ = ["ReplyHeaders", "reply_headers"]


class ReplyHeaders(msgspec.Struct, frozen=True):
    """``all`` go to the app, ``reply_id`` is the id by which it will know the reply.

    ``limits`` are those of the provider's that speak of its rate limits; their names are lower-case.
    """

    all: list[tuple[str, str]]
    reply_id: str
    limits: dict[str, str]


def reply_headers(call: Call, provider: list[tuple[str, str]]) -> ReplyHeaders:
    """What the app gets of the provider's headers, and ours. A reply without an id gets the call's."""
    headers = []
    limits: dict[str, str] = {}
    reply_id = None
    for name, value in provider:
        lower = name.lower()
        if lower == "x-request-id":
            reply_id = value
        elif "ratelimit" in lower:
            limits[lower] = value
        if not lower.startswith("x-lanewise-"):
            headers.append((name, value))
    if reply_id is None:
        reply_id = call.id
        headers.append(("x-request-id", reply_id))
    headers += [
        ("x-lanewise-route", call.route or ""),
        ("x-lanewise-lane", call.lane or ""),
        ("x-lanewise-attempts", str(len(call.attempts))),
        ("x-lanewise-call-id", call.id),
    ]
    return ReplyHeaders(headers, reply_id, limits)
