"""Under which ids a reply may be known: a parsed answer, a stream, or a raw response of the SDK's."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["reply_ids"]


def reply_ids(reply: object) -> Iterator[str]:
    """The ids that a reply gives away, the surest first."""
    own = getattr(reply, "_request_id", None)
    if isinstance(own, str):
        yield own
    for holder in (reply, getattr(reply, "response", None), getattr(reply, "_response", None)):
        headers = getattr(holder, "headers", None)
        if headers is not None:
            for name in ("x-lanewise-call-id", "x-request-id"):
                value = headers.get(name)
                if isinstance(value, str):
                    yield value
