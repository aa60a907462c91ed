"""A stream that is recorded while it is read, for replay; and one that is replayed."""

from __future__ import annotations

from collections.abc import Callable

from lanewise._routing.restarts import without_announcement
from lanewise._runtime.call.streams.committed_stream import CommittedStream
from lanewise.errors import RoutingError
from lanewise.types import Call, Outcome

__all__ = ["RecordingStream", "ReplayedStream"]


class RecordingStream:
    """Passes a committed stream on as it is. What was read of it is kept once it is complete, and never in part.

    ``largest`` is in bytes: a longer stream is not kept. ``keep`` gets the whole body; ``release`` is called instead of
    it, once, when there will be nothing to keep. Of a stream that started over only the whole answer is kept: who asks
    again is given no half of another one, and need not have asked for restarts.
    """

    def __init__(
        self,
        stream: CommittedStream,
        call: Call,
        *,
        largest: int,
        keep: Callable[[bytes], None],
        release: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._call = call
        self._largest = largest
        self._keep = keep
        self._release = release
        self._pieces: list[bytes] = []
        self._size = 0
        self._over = False
        self._attempts = len(call.attempts)

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken."""
        try:
            piece = await self._stream.read()
        except BaseException:
            self._give_up()
            raise
        if not self._over:
            self._tape(piece)
        return piece

    async def rest(self, seconds: float) -> None:
        """Let what comes gather for so many seconds, to be read at once."""
        await self._stream.rest(seconds)

    async def aclose(self) -> None:
        """Close the exchange now, and record nothing of a stream that is not complete."""
        self._give_up()
        await self._stream.aclose()

    def drop(self) -> None:
        """Close the exchange soon, when the app let go of the stream without closing it. From any thread."""
        self._give_up()
        self._stream.drop()

    def end(self, make_error: Callable[[Call | None], RoutingError]) -> None:
        """Close a stream that is not complete; its reader gets the error of ``make_error``."""
        self._give_up()
        self._stream.end(make_error)

    def _tape(self, piece: bytes) -> None:
        if len(self._call.attempts) > self._attempts:  # it has started over within this read
            self._attempts = len(self._call.attempts)
            self._pieces.clear()
            self._size = 0
            piece = without_announcement(piece)
        self._pieces.append(piece)
        self._size += len(piece)
        outcome = self._call.outcome
        if self._size > self._largest or outcome not in (None, Outcome.ANSWERED):
            self._give_up()
        elif outcome is Outcome.ANSWERED:  # and this was the last piece
            self._over = True
            self._keep(b"".join(self._pieces))
            self._pieces.clear()

    def _give_up(self) -> None:
        if not self._over:
            self._over = True
            self._pieces.clear()
            self._release()


class ReplayedStream:
    """A stream that is here as a whole."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        """What is left of it, ``b""`` at the end."""
        body, self._body = self._body, b""
        return body

    async def rest(self, seconds: float) -> None:
        """All of it is here."""

    async def aclose(self) -> None:
        """Let go of it."""
        self._body = b""

    def drop(self) -> None:
        """Let go of it."""
        self._body = b""
