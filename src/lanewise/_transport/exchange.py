"""What a transport is: one HTTP attempt goes out as bytes, and its answer comes back as bytes or as a signal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, Protocol

import msgspec

__all__ = ["LATE_BYTES", "TURN", "Exchange", "Headers", "RawHeaders", "Target", "Transport"]

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


class Exchange(Protocol):
    """An answer whose status line and headers have arrived.

    It ends by :meth:`release` or :meth:`abort`, one of which the caller calls in any case. Cancelling a read aborts.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive. ``Set-Cookie`` is taken out, and what no longer holds of the decoded body."""
        ...

    @property
    def raw_headers(self) -> RawHeaders:
        """The same fields in order, as the bytes that came: a header's value need not be text."""
        ...

    @property
    def lenient(self) -> tuple[str, ...]:
        """What was odd and was let pass: ``http`` (its head), ``content_encoding``. Known once the body is read."""
        ...

    @property
    def http_version(self) -> str:
        """``"1.1"``, say."""
        ...

    def bound_reads(self, deadline: float, latest: float = math.inf) -> None:
        """Move the deadline (clock of :func:`anyio.current_time`) that reads obey. Until then it is that of the send.

        Time that the event loop had none of moves it on by as much, but not past ``latest``.

        Cheap enough to be called at each event of a stream. It also holds for a read that already waits.
        """
        ...

    async def read(self, limit: int) -> bytes:
        """The whole decoded body, of at most ``limit`` bytes. The connection then goes back to the pool.

        Raises TransportFailure: TOO_LARGE, TIMEOUT, CUT, UNDECODABLE (with what could be decoded).
        """
        ...

    async def read_some(self) -> bytes:
        """The next decoded piece of the body, under 1 MiB; ``b""`` at its clean end. For one reader at a time.

        A reader that need not wait gives way at least every 5 ms. Of what is there already at the
        deadline a mebibyte is still read: a loop that stood still is not the provider's fault.

        Raises TransportFailure: CUT (also when another task has aborted), TIMEOUT, UNDECODABLE.
        """
        ...

    async def give_way(self) -> None:
        """Let others have their turn in the loop, if the reader has gone on for a while without having to wait.

        Reads do so by themselves; it is for who works for long on what was read.
        """
        ...

    def abort(self) -> None:
        """Close the connection now; nothing goes back to the pool. Idempotent, does nothing after the clean end."""
        ...

    def release(self) -> None:
        """Give the connection back if the body was read to its clean end, else abort. Idempotent."""
        ...


class Transport(Protocol):
    """Sends attempts, and keeps connections for the next ones. It belongs to the event loop that first sent by it."""

    async def send(
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
    ) -> Exchange:
        """Send ``body`` and return once the status line and the headers of the final answer have arrived.

        ``headers`` are added to those of the target, and win over them. ``deadline`` is by the clock of
        :func:`anyio.current_time`, ``connect_timeout`` in seconds; both move on by what the event loop lost meanwhile,
        but not past ``latest``. ``fresh`` takes no connection out of the pool:
        for the retry after STALE_CONNECTION.

        Raises TransportFailure. Redirects are answers like others.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections, and wait until they are. Idempotent; a later send opens anew."""
        ...

    def forget(self) -> None:
        """Let go of all connections without the loop that they belong to: it is closed, or the parent's of a fork.

        In this process they are closed; what the parent has goes on. Idempotent.
        """
        ...
