"""An answer as it arrives over an httpx2 client: its body in pieces, under one deadline that may be moved."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable

import anyio
import anyio.lowlevel
import httpx2

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.content_decoding import decoder_for, is_odd, read_decoded
from lanewise._transport.exchange import TURN, Exchange
from lanewise._transport.httpx_failures import body_failure
from lanewise._transport.local_trouble import late_failure
from lanewise._transport.loop_lag import LagDeadline
from lanewise._transport.timed_scope import TimedScope

__all__ = ["HttpxExchange"]

_CLOSE_SECONDS = 1.0


class HttpxExchange(Exchange):
    """An answer that arrives over an httpx2 client."""

    def __init__(
        self,
        response: httpx2.Response,
        deadline: float,
        leave: Callable[[HttpxExchange], None],
        bound: LagDeadline | None = None,
    ) -> None:
        super().__init__(response.status_code, response.headers, response.headers.raw)
        self._response = response
        self._pieces = response.aiter_raw()
        self._deadline = deadline
        self._bound = bound
        self._leave = leave
        self._reading: TimedScope | None = None
        self._turn_at = anyio.current_time() + TURN
        self._ended = False
        self._aborted = False
        self._closed = False

    @property
    def http_version(self) -> str:
        return self._response.http_version.removeprefix("HTTP/")

    def prepare_body(self) -> None:
        """Find out how the body is encoded, and take out the headers that do not go up.

        Raises TransportFailure: UNDECODABLE.
        """
        headers = self._response.headers
        if "Content-Encoding" not in headers and "Set-Cookie" not in headers:
            return
        kept = httpx2.Headers(headers.raw)  # as bytes: its own texts can't be made into headers again
        encoding = kept.pop("Content-Encoding", None)
        kept.pop("Set-Cookie", None)
        self.headers = kept
        if is_odd(encoding):
            self._odd = ("content_encoding",)
        self._decoder = decoder_for(encoding)
        if self._decoder is not None:
            kept.pop("Content-Length", None)
        self.raw_headers = kept.raw

    def bound_reads(self, deadline: float, latest: float = math.inf) -> None:
        """As :meth:`Exchange.bound_reads`."""
        self._deadline = deadline
        if self._bound is not None:
            self._bound.move(deadline, latest)
        if self._reading is not None:
            self._reading.moved(deadline)

    async def read(self, limit: int) -> bytes:
        """As :meth:`Exchange.read`."""
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await self.read_some():
                size += len(piece)
                if size > limit:
                    await self.close()
                    raise TransportFailure(TransportSignal.TOO_LARGE, "the body is over the cap")
                pieces.append(piece)
        except TransportFailure as failure:
            if failure.signal is TransportSignal.UNDECODABLE:
                failure.partial = b"".join(pieces)
            raise
        return b"".join(pieces)

    async def read_some(self) -> bytes:
        """As :meth:`Exchange.read_some`."""
        try:
            if anyio.current_time() >= self._turn_at:
                await self._take_turns()
            if self._decoder is None:
                return await self._read_raw()
            return await read_decoded(self._decoder, self._read_raw, self._take_turns)
        except BaseException:
            await self.close()
            raise

    async def give_way(self) -> None:
        """As :meth:`Exchange.give_way`."""
        if anyio.current_time() >= self._turn_at:
            await anyio.lowlevel.checkpoint()
            self._turn_at = anyio.current_time() + TURN

    async def _take_turns(self) -> None:
        """Let others have their turn. Raises TransportFailure: CUT, if one of them has aborted."""
        await anyio.lowlevel.checkpoint()
        self._turn_at = anyio.current_time() + TURN
        self._raise_if_aborted()

    def abort(self) -> None:
        """As :meth:`Exchange.abort`."""
        if self._ended or self._aborted:
            return
        self._aborted = True
        self._shut_socket()
        if self._reading is None:
            self._leave(self)
        else:
            self._reading.scope.cancel()

    def release(self) -> None:
        """As :meth:`Exchange.release`."""
        self.abort()

    async def close(self) -> None:
        """Close the response and its connection, if the body did not end. Also when cancelled."""
        if self._closed:
            return
        self._closed = True
        if not self._ended:
            self._aborted = True
            self._shut_socket()
        with contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError):  # how it goes does not matter any more
            # By a cancellation, which ends each of httpx2's nested generators; aclose() would leave the inner ones.
            with anyio.CancelScope(shield=True) as scope:
                scope.cancel()
                while await anext(self._pieces, b""):
                    pass
        with (
            anyio.move_on_after(_CLOSE_SECONDS, shield=True),
            contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError),
        ):
            await self._response.aclose()

    async def _read_raw(self) -> bytes:
        if self._ended:
            return b""
        self._raise_if_aborted()
        piece: bytes | None = None
        failure = TransportFailure(TransportSignal.TIMEOUT, "the body did not come in time")
        timed = self._reading = TimedScope(self._bound, self._deadline)
        try:
            with timed:
                piece = await anext(self._pieces, b"")
        except Exception as error:  # noqa: BLE001 - the border where httpx2's failures become ours
            failure = body_failure(error)
        finally:
            self._reading = None
        if piece is not None:
            self._ended = not piece
            return piece
        self._raise_if_aborted()
        raise late_failure(timed.lost) if timed.lost else failure

    def _raise_if_aborted(self) -> None:
        if self._aborted:
            raise TransportFailure(TransportSignal.CUT, "the exchange was aborted")

    def _shut_socket(self) -> None:
        # An HTTP/2 connection carries others' exchanges too.
        if not self.http_version.startswith("1"):
            return
        stream = self._response.extensions.get("network_stream")
        raw = None if stream is None else stream.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):  # gone already
                raw.shutdown(socket.SHUT_RDWR)
