"""What a transport is: one HTTP attempt goes out as bytes, and its answer comes back as bytes or as a signal."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from lanewise._transport.content_decoding import Decoder

__all__ = ["LATE_BYTES", "TURN", "Exchange", "Headers", "OutgoingRequest", "RawHeaders", "Target", "Transport"]

Headers = Sequence[tuple[str, str]]
"""Header fields in order, each a name and a value."""
RawHeaders = Sequence[tuple[bytes, bytes]]


TURN: Final = 0.005
"""Seconds for which a reader that need not wait may go on before it lets others have their turn."""
LATE_BYTES: Final = 1024 * 1024
"""Bytes that are still read after the deadline, if they are there already."""


class Target(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """Where the attempts of one route go. Made once a route, and used for each of its attempts.

    ``headers`` are sent with each attempt; ``proxy`` is a URL, or ``None`` to connect directly. Headers may hold a
    key, so they are not in the repr, and a target is not pickled.

    Example::

        Target("https://api.openai.com/v1/chat/completions", (("Authorization", "Bearer ..."),))
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    proxy: str | None = None

    def __repr__(self) -> str:
        return "Target(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Target may hold a key and is not pickled")


class OutgoingRequest(msgspec.Struct, frozen=True, eq=False):
    """One attempt as it is sent: what goes where, and by when. See :meth:`Transport.send`."""

    target: Target
    headers: Headers
    body: bytes
    stream: bool
    deadline: float
    connect_timeout: float
    latest: float
    fresh: bool
    method: str

    def __repr__(self) -> str:
        return "OutgoingRequest(...)"


class Exchange(ABC):
    """An answer whose status line and headers have arrived.

    It ends by :meth:`release` or :meth:`abort`, one of which the caller calls in any case. Cancelling a read aborts.

    ``headers`` are case-insensitive; ``Set-Cookie`` is taken out, and what no longer holds of the decoded body.
    ``raw_headers`` are the same fields in order, as the bytes that came: a header's value need not be text.
    """

    __slots__ = ("_decoder", "_odd", "headers", "raw_headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], raw_headers: RawHeaders, odd: tuple[str, ...] = ()
    ) -> None:
        self.status = status
        self.headers = headers
        self.raw_headers = raw_headers
        self._odd = odd
        self._decoder: Decoder | None = None

    @property
    def lenient(self) -> tuple[str, ...]:
        """What was odd and was let pass: ``http`` (its head), ``content_encoding``. Known once the body is read."""
        if self._decoder is None or self._decoder.was_needed:
            return self._odd
        return (*self._odd, "content_encoding")

    @property
    @abstractmethod
    def http_version(self) -> str:
        """``"1.1"``, say."""

    @abstractmethod
    def bound_reads(self, deadline: float, latest: float = math.inf) -> None:
        """Move the deadline (clock of :func:`anyio.current_time`) that reads obey. Until then it is that of the send.

        Time that the event loop had none of moves it on by as much, but not past ``latest``.

        Cheap enough to be called at each event of a stream. It also holds for a read that already waits.
        """

    @abstractmethod
    async def read(self, limit: int) -> bytes:
        """The whole decoded body, of at most ``limit`` bytes. The connection then goes back to the pool.

        Raises TransportFailure: TOO_LARGE, TIMEOUT, CUT, UNDECODABLE (with what could be decoded).
        """

    @abstractmethod
    async def read_some(self) -> bytes:
        """The next decoded piece of the body, under 1 MiB; ``b""`` at its clean end. For one reader at a time.

        A reader that need not wait gives way at least every 5 ms. Of what is there already at the
        deadline a mebibyte is still read: a loop that stood still is not the provider's fault.

        Raises TransportFailure: CUT (also when another task has aborted), TIMEOUT, UNDECODABLE.
        """

    @abstractmethod
    async def give_way(self) -> None:
        """Let others have their turn in the loop, if the reader has gone on for a while without having to wait.

        Reads do so by themselves; it is for who works for long on what was read.
        """

    async def rest(self, seconds: float) -> None:
        """Leave for a while what comes unread, so that it is read at once. For the reader, between two reads."""
        await asyncio.sleep(seconds)

    @abstractmethod
    def abort(self) -> None:
        """Close the connection now; nothing goes back to the pool. Idempotent, does nothing after the clean end."""

    @abstractmethod
    def release(self) -> None:
        """Give the connection back if the body was read to its clean end, else abort. Idempotent."""


class Transport(ABC):
    """Sends attempts, and keeps connections for the next ones. It belongs to the event loop that first sent by it."""

    def send(
        self,
        target: Target,
        headers: Headers,
        body: bytes,
        *,
        stream: bool,
        deadline: float,
        connect_timeout: float,
        latest: float = math.inf,
        fresh: bool = False,
        method: str = "POST",
    ) -> Coroutine[Any, Any, Exchange]:
        """Send ``body`` and return once the status line and the headers of the final answer have arrived.

        ``headers`` are added to those of the target, and win over them. ``deadline`` is by the clock of
        :func:`anyio.current_time`, ``connect_timeout`` in seconds; both move on by what the event loop lost meanwhile,
        but not past ``latest``. ``fresh`` takes no connection out of the pool:
        for the retry after STALE_CONNECTION.

        Raises TransportFailure. Redirects are answers like others.
        """
        return self._send(
            OutgoingRequest(target, headers, body, stream, deadline, connect_timeout, latest, fresh, method)
        )

    @abstractmethod
    async def _send(self, request: OutgoingRequest) -> Exchange: ...

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections, and wait until they are. Idempotent; a later send opens anew."""

    @abstractmethod
    def forget(self) -> None:
        """Let go of all connections without the loop that they belong to: it is closed, or the parent's of a fork.

        In this process they are closed; what the parent has goes on. Idempotent.
        """
