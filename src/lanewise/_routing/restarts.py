"""Streams that start over after they broke: which may, and the chunk that announces it to the app."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Attempt, FailureKind

__all__ = ["ERROR", "OnBreak", "announcement", "on_break", "without_announcement"]

_OPENING: Final = b"\n\n"
"""The empty line that ends an event which the broken stream may have left open."""
_TOOLS: Final = ("tools", "functions")


class OnBreak(msgspec.Struct, frozen=True):
    """What becomes of a stream that breaks after its first content: it starts over, or it is an error.

    ``why_not`` says why a call that asked for a restart does not get one.
    """

    restarts: bool = False
    why_not: str = ""


ERROR: Final = OnBreak()
"""The default: a broken stream is an error."""


def on_break(api: Api, body: RequestBody, *, allowed: bool, sensitive: bool, helper: bool) -> OnBreak:
    """What becomes of the stream of a call that asks to start over.

    ``allowed`` is the task's word. ``helper`` says that one of the SDK's own helpers reads the stream.

    Example::

        on_break(Api.RESPONSES, body, allowed=True, sensitive=False, helper=False).why_not  # "one response id ..."
    """
    why_not = _why_not(api, body, allowed=allowed, sensitive=sensitive, helper=helper)
    return OnBreak(restarts=not why_not, why_not=why_not)


def _why_not(api: Api, body: RequestBody, *, allowed: bool, sensitive: bool, helper: bool) -> str:
    if not allowed:
        return 'its task does not say stream.on_break = "restart"'
    if sensitive:
        return "it is sensitive"
    if api is not Api.CHAT:
        return "one response id must hold throughout"
    if any(body.has(name) for name in _TOOLS):
        return "it has tools"
    if helper:
        return "the SDK's .stream() helper would join both answers"
    return ""


def announcement(attempt: Attempt, validator: StreamValidator, reason: FailureKind, created: int) -> bytes:
    """The event that goes before the new answer: a chunk without choices, whose ``lanewise`` says what happened.

    ``attempt`` and ``validator`` are those of the new answer, ``created`` is in seconds since 1970.

    Example::

        data: {"id":"chatcmpl-2",...,"choices":[],"lanewise":{"restart":true,"route":"sonnet",...}}
    """
    chunk = {
        "id": validator.response_id or attempt.call_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": validator.model or attempt.model_asked,
        "choices": [],
        "lanewise": {"restart": True, "route": attempt.route, "lane": attempt.lane, "reason": reason},
    }
    return _OPENING + b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def without_announcement(piece: bytes) -> bytes:
    """What follows the :func:`announcement` that a piece of a stream begins with."""
    return piece[piece.index(b"\n\n", len(_OPENING)) + 2 :]
