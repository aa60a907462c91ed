"""An answer as it arrives over aiohttp: its body in pieces, under one deadline that may be moved."""

from __future__ import annotations

import asyncio
import math

import aiohttp
from multidict import CIMultiDict

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport.aiohttp_failures import body_failure
from lanewise._transport.aiohttp_parser import was_mended
from lanewise._transport.content_decoding import decoder_for, is_odd, read_decoded
from lanewise._transport.exchange import LATE_BYTES, TURN, Exchange
from lanewise._transport.local_trouble import late_failure
from lanewise._transport.loop_lag import LagDeadline
from lanewise._transport.plain_post import PlainResponse

__all__ = ["AiohttpExchange", "abort_connection"]


_ENDLESS = "the body did not end in time"
_NOT_UP = frozenset((b"set-cookie", b"content-encoding"))
_NOT_UP_DECODED = _NOT_UP | {b"content-length"}


def abort_connection(transport: asyncio.Transport | None) -> None:
    # Not close(): that first writes what is left to be written, and over TLS waits for the peer's farewell.
    if transport is not None:
        transport.abort()


class AiohttpExchange(Exchange):
    """An answer that arrives over aiohttp."""

    __slots__ = (
        "_aborted",
        "_armed",
        "_content",
        "_deadline",
        "_late_bytes",
        "_loop",
        "_response",
        "_timer",
        "_transport",
        "_turn_at",
        "_waits",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse | PlainResponse,
        transport: asyncio.Transport | None,
        loop: asyncio.AbstractEventLoop,
        deadline: LagDeadline,
    ) -> None:
        odd = ("http",) if was_mended(transport) else ()
        super().__init__(response.status, response.headers, response.raw_headers, odd)
        self._response = response
        self._content = response.content
        self._transport = transport
        self._loop = loop
        self._deadline = deadline
        self._timer: asyncio.Handle | None = None
        self._armed = 0.0
        self._waits = False
        self._turn_at = loop.time() + TURN
        self._late_bytes = 0
        self._aborted = False

    @property
    def http_version(self) -> str:
        version = self._response.version
        return "1.1" if version is None else f"{version.major}.{version.minor}"

    def prepare_body(self) -> None:
        """Find out how the body is encoded, and take out the headers that do not go up.

        Raises TransportFailure: UNDECODABLE.
        """
        headers = self._response.headers
        if "Content-Encoding" not in headers and "Set-Cookie" not in headers:
            return
        kept = CIMultiDict(headers)
        kept.popall("Set-Cookie", None)
        encoding = ", ".join(kept.popall("Content-Encoding", []))
        self.headers = kept
        if is_odd(encoding):
            self._odd = (*self._odd, "content_encoding")
        self._decoder = decoder_for(encoding)
        left_out = _NOT_UP
        if self._decoder is not None:
            kept.popall("Content-Length", None)
            left_out = _NOT_UP_DECODED
        self.raw_headers = tuple([field for field in self.raw_headers if field[0].lower() not in left_out])

    def bound_reads(self, deadline: float, latest: float = math.inf) -> None:
        """As :meth:`Exchange.bound_reads`."""
        self._deadline.move(deadline, latest)
        if self._late_bytes and deadline > self._loop.time():
            self._late_bytes = 0
        # A later deadline is found when the timer fires. An earlier one needs a timer of its own.
        if self._timer is not None and deadline < self._armed:
            self._timer.cancel()
            self._arm(deadline)

    async def read(self, limit: int) -> bytes:
        """As :meth:`Exchange.read`."""
        length = self._response.headers.get("Content-Length", "")
        if self._decoder is None and length.isdigit() and len(length) < 20 and int(length) > limit:
            raise self._too_large()
        first = await self.read_some()
        if len(first) > limit:
            raise self._too_large()
        if not first:
            return first
        pieces, size = [first], len(first)
        try:
            while piece := await self.read_some():
                size += len(piece)
                if size > limit:
                    raise self._too_large()
                pieces.append(piece)
        except TransportFailure as failure:
            if failure.signal is TransportSignal.UNDECODABLE:
                failure.partial = b"".join(pieces)
            raise
        return first if len(pieces) == 1 else b"".join(pieces)

    async def read_some(self) -> bytes:
        """As :meth:`Exchange.read_some`."""
        try:
            now = self._loop.time()
            if now >= self._turn_at:
                await self._take_turns()
            elif now >= self._deadline.when:
                self._check_time()
            if self._decoder is None:
                return await self._read_raw()
            data = await read_decoded(self._decoder, self._read_raw, self._take_turns)
            self._note_late(data)
            return data
        except BaseException:
            self.abort()
            raise

    async def give_way(self) -> None:
        """As :meth:`Exchange.give_way`."""
        if self._loop.time() >= self._turn_at:
            await asyncio.sleep(0)
            self._turn_at = self._loop.time() + TURN

    async def rest(self, seconds: float) -> None:
        """As :meth:`Exchange.rest`."""
        transport = self._transport
        # Once the body has ended the connection is the pool's; while nothing is read, it can't end.
        if transport is None or self._content.is_eof() or not transport.is_reading():
            await asyncio.sleep(seconds)
            return
        transport.pause_reading()
        try:
            await asyncio.sleep(seconds)
        finally:
            if not transport.is_closing():
                transport.resume_reading()

    async def _take_turns(self) -> None:
        """Let others have their turn. Raises TransportFailure: CUT, if one of them has aborted; TIMEOUT, LOOP_LATE."""
        await asyncio.sleep(0)
        self._turn_at = self._loop.time() + TURN
        if self._aborted:
            raise TransportFailure(TransportSignal.CUT, "the exchange was aborted")
        if self._loop.time() >= self._deadline.when:
            self._check_time()

    def _note_late(self, data: bytes) -> None:
        if self._loop.time() >= self._deadline.when:
            self._late_bytes += len(data)

    def _check_time(self) -> None:
        """The deadline has passed, and the reader needs no wait. Raises TransportFailure: TIMEOUT, LOOP_LATE."""
        now = self._loop.time()
        if now < self._deadline.due(now, now):
            self._late_bytes = 0
        elif self._late_bytes > LATE_BYTES:
            lost = self._deadline.lost_of(now)
            raise late_failure(lost) if lost else TransportFailure(TransportSignal.TIMEOUT, _ENDLESS)

    def abort(self) -> None:
        """As :meth:`Exchange.abort`."""
        self._aborted = True
        self._stop_timer()
        response = self._response
        # Once the body is complete the connection is the pool's, and may be another attempt's by now.
        if not response.closed:
            abort_connection(self._transport)
        self._transport = None
        response.close()

    def release(self) -> None:
        """As :meth:`Exchange.release`."""
        if self._content.at_eof():
            self._stop_timer()
            self._transport = None
            self._response.release()
        else:
            self.abort()

    async def _read_raw(self) -> bytes:
        content = self._content
        if content.at_eof():
            self._stop_timer()
            return b""
        # Also before a cut: what had come may be all that matters ([DONE], say), and aiohttp's own reads drop it.
        if content._buffer:
            data = _taken(content)
            self._note_late(data)
            return data
        try:
            self._waits = True
            self._start_timer()
            if content.exception() is None:
                await content._wait("read_some")
            data = _taken(content) if content._buffer else await content.readany()
            self._turn_at = self._loop.time() + TURN
        except Exception as error:  # noqa: BLE001 - the border where aiohttp's failures become ours
            failure = body_failure(error)
        else:
            if not data:
                self._stop_timer()
            return data
        finally:
            self._waits = False
        if content._buffer and failure.signal is TransportSignal.CUT:
            return _taken(content)
        raise failure

    def _start_timer(self) -> None:
        if self._timer is None:
            self._arm(self._deadline.when)

    def _arm(self, when: float) -> None:
        self._armed = max(when, self._loop.time())  # set in the past, it is not late for that
        self._timer = self._loop.call_at(when, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if not self._waits:
            return
        now = self._loop.time()
        due = self._deadline.due(now, self._armed)
        if due > now:
            self._arm(due)
        else:
            self._timer = self._loop.call_soon(self._time_out)  # what has come in this turn of the loop is read first

    def _time_out(self) -> None:
        self._timer = None
        if not self._waits or self._content._buffer or self._content.at_eof():
            return
        lost = self._deadline.lost_of(self._loop.time())
        self._content.set_exception(late_failure(lost) if lost else TimeoutError())

    def _too_large(self) -> TransportFailure:
        self.abort()
        return TransportFailure(TransportSignal.TOO_LARGE, "the body is over the cap")


def _taken(content: aiohttp.StreamReader) -> bytes:
    """All that lies in a reader, as one piece: by itself it looks after each chunk whether it may read on."""
    pieces = content._buffer
    if len(pieces) > 1:
        whole = b"".join(pieces)
        pieces.clear()
        pieces.append(whole)
    return content._read_nowait(-1)
