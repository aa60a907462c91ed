"""What goes into an attempt, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lanewise._openai.response_check import Answer
from lanewise._runtime.call.streams.upstream_stream import UpstreamStream
from lanewise._runtime.response_affinity import id_of
from lanewise._runtime.upstreams import Upstream
from lanewise._transport import Headers, Target, Transport
from lanewise._transport.loop_lag import LoopLag
from lanewise.types import Api, Attempt, Failure

__all__ = [
    "AttemptRequest",
    "AttemptResult",
    "BuiltAttempt",
    "ByteLimits",
    "CompleteResponse",
    "StreamStarted",
]


class ByteLimits(msgspec.Struct, frozen=True):
    """Caps in decoded bytes."""

    answer: int
    embeddings: int
    event: int


class AttemptRequest(msgspec.Struct, frozen=True):
    """Everything that one attempt needs. ``timeout`` and ``first_token`` are in seconds, ``latest`` is the call's
    deadline by the loop's clock; without a ``first_token`` no other route could be used, and a stream may be silent
    for as long.
    """

    transport: Transport
    upstream: Upstream
    api: Api
    target: Target
    headers: Headers
    body: bytes
    stream: bool
    hide_usage: bool
    hold_all: bool
    choices: int
    bound: bool
    fresh: bool
    timeout: float
    latest: float
    first_token: float | None
    limits: ByteLimits
    lag: LoopLag
    on_bytes: Callable[[], None]
    """Called when bytes of the answer come."""
    has_attachments: Callable[[], bool]
    """Whether pictures, sound or files go out, which a server may have no eyes or ears for."""
    first_byte: float | None = None
    """Seconds for the answer to begin, where it is the probe of a route that hung."""
    accepts: Callable[[str], bool] | None = None
    """Whether a model may answer, where not each may."""
    keep_content: bool = False
    """Accumulate the content of a stream: it will be checked against a contract."""
    added: tuple[str, ...] = ()
    """What the app did not write and the request holds."""

    def __repr__(self) -> str:
        return f"AttemptRequest({self.upstream.route.name})"


class BuiltAttempt(msgspec.Struct, frozen=True):
    """An attempt that is about to go out, and the beginning of its record."""

    request: AttemptRequest
    record: Attempt
    more: tuple[AttemptRequest, ...] = ()
    """What goes out beside it, where several requests make one answer."""

    def __repr__(self) -> str:
        return f"BuiltAttempt({self.record.route})"


class CompleteResponse(msgspec.Struct, frozen=True):
    """An answer that has come whole."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    answer: Answer
    status: int = 200
    lenient: tuple[str, ...] = ()
    """What was odd in it and was let pass."""

    def response_id(self, api: Api) -> str | None:
        """The id by which its provider knows it."""
        return id_of(self.body) if api is Api.CHAT else self.answer.response_id


class StreamStarted(msgspec.Struct, frozen=True):
    """A stream that has begun to answer: ``held`` is what came so far, ``ended`` whether that is all."""

    headers: list[tuple[bytes, bytes]]
    flow: UpstreamStream
    held: bytes
    ended: bool
    status: int = 200

    def response_id(self, _: Api) -> str | None:
        """The id by which its provider knows the answer."""
        return self.flow.validator.response_id

    def after(self, chunk: bytes) -> StreamStarted:
        """The stream with a chunk of ours before it."""
        return msgspec.structs.replace(self, held=chunk + self.held)


AttemptResult = CompleteResponse | StreamStarted | Failure
"""What an attempt comes to."""
