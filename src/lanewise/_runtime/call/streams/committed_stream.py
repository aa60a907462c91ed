"""A committed stream on its way to the app: watched until its end, or until it breaks and perhaps starts over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from lanewise._failures.signals import TransportFailure
from lanewise._runtime.call.attempts.attempt_types import StreamStarted
from lanewise._runtime.call.cancellation import CallCancellation
from lanewise._runtime.call.streams.stream_outcome import StreamOutcome
from lanewise._runtime.call.unforeseen import as_failure
from lanewise.errors import RoutingError, StreamBroken
from lanewise.types import Call, Failure

__all__ = ["CommittedStream"]

AT_ONCE: Final = 16 * 1024
"""Bytes of what was held back that the app gets at once, but for the end of an event."""
DRAIN: Final = 0.1
"""Seconds given to a finished stream to end cleanly; the SDK gives as much."""


class CommittedStream:
    """Passes a committed stream on. ``max_at`` is by the loop's clock.

    Where the call asked for that, a stream that breaks starts over at the read that would have raised.

    The app's pauses between two reads don't count as silence of the provider.
    """

    def __init__(self, started: StreamStarted, outcome: StreamOutcome, *, max_at: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._flow = started.flow
        self._kept_back = b""
        """What ends a stream whose contract is still to be checked: with it an app would take the answer for whole."""
        self._ready = started.held if started.ended else self._passed_on(started.held)
        self._outcome = outcome
        self._limits = outcome.limits()
        self._max_at = max_at
        self._error: RoutingError | None = None
        self._broke: Failure | None = None
        self._restarting: CallCancellation | None = None
        self._complete = False
        self._closed = False
        self._last_life = self._last_byte = self._returned_at = self._loop.time()
        self._limit = self._loop.call_at(max_at, self._over)
        if started.ended:
            self._completed()
        else:
            outcome.end_with_caller(self.hang_up)

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken, RouterClosed, CallerGone: again at each read."""
        if self._error is None and (self._ready or not self._complete):
            self._stop_if_overtaken()
        if self._ready:
            await self._flow.exchange.give_way()
            ready, self._ready = _cut(self._ready)
            if ready:
                return ready
        if self._error is not None:
            raise self._error
        if self._complete:
            return await self._drain()
        if self._broke is not None:
            return await self._start_over(self._broke)
        now = self._loop.time()
        self._last_life += now - self._returned_at
        self._last_byte += now - self._returned_at
        try:
            data = await self._next()
        except RoutingError:
            self._abandon()
            raise
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            self._break(as_failure(error))
            return await self.read()
        except BaseException:
            self._abandon()  # a cancelled read has aborted the exchange
            raise
        self._returned_at = self._loop.time()
        if data and self._error is None:
            self._stop_if_overtaken()
            if self._error is not None:
                raise self._error
        return data

    async def rest(self, seconds: float) -> None:
        """Let what comes gather for so many seconds, to be read at once."""
        if not (self._complete or self._closed or self._ready or self._flow.has_more):
            await self._flow.exchange.rest(seconds)

    async def aclose(self) -> None:
        """Give the connection back if the stream came to its end, else close the exchange now. Idempotent."""
        if self._complete:
            await self._drain()
        else:
            self._abandon()

    def drop(self) -> None:
        """Close a stream that the app let go of without closing it. From any thread: the garbage collector calls it."""
        if not self._closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._dropped)

    def end(self, make_error: Callable[[Call | None], RoutingError]) -> None:
        """Close the exchange of a stream that has not come to its end; its reader gets the error of ``make_error``."""
        if not self._closed and not self._complete:
            self._abandon()
            self._error = make_error(self._outcome.call)

    def hang_up(self) -> None:
        """End the stream because the caller of the request has gone. May come from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hung_up)

    def _hung_up(self) -> None:
        if not self._closed and not self._complete:
            self._error = self._outcome.caller_gone()
            self._close()

    def _stop_if_overtaken(self) -> None:
        error = self._outcome.overtaken()
        if error is not None:
            self._ready = b""
            self._error = error
            if not self._closed:
                self._close()

    async def _next(self) -> bytes:
        flow = self._flow
        while True:
            limits = self._limits
            flow.exchange.bound_reads(
                min(self._max_at, self._last_life + limits.silence, self._last_byte + limits.stall)
            )
            try:
                piece = await flow.next_piece()
            except TransportFailure:
                self._break(flow.validator.stalled())
                return await self.read()
            if self._closed:
                return await self.read()  # hung up, or over, while others had their turn
            self._last_byte = self._loop.time()
            if piece.alive:
                self._last_life = self._last_byte
            if piece.failure is not None:
                self._break(piece.failure)
                return piece.data or await self.read()
            if piece.ended:
                await self._finish()
                last = self._kept_back + piece.data
                return last if self._complete and last else await self.read()
            if data := self._passed_on(piece.data):
                return data

    def _passed_on(self, data: bytes) -> bytes:
        """What of a piece the app may have now: nothing from the end of an answer on, while that is to be checked."""
        if self._flow.validator.accumulator is None or not self._flow.validator.complete:
            return data
        self._kept_back += data
        return b""

    def _dropped(self) -> None:
        if self._complete and not self._closed:
            self._close()
        else:
            self._abandon()

    def _abandon(self) -> None:
        if not self._closed and not self._complete:
            self._close()
            self._ready = b""
            self._error = StreamBroken("the stream was closed before its end")
            self._outcome.abandoned()

    async def _finish(self) -> None:
        failure = await self._outcome.breach()
        if self._closed:
            return
        if failure is not None:
            self._break(failure)
        else:
            self._completed()

    def _completed(self) -> None:
        self._outcome.completed()
        self._complete = True
        self._limit.cancel()

    def _break(self, failure: Failure) -> None:
        if self._closed:
            return
        if self._outcome.broke(failure):
            self._flow.exchange.abort()
            self._broke = failure
        else:
            self._close()
            self._error = self._outcome.broken(failure)

    async def _start_over(self, failure: Failure) -> bytes:
        try:
            restarted = await self._restarted(failure)
        except RoutingError as error:
            self._close()
            self._error = error
            raise
        except BaseException:
            self._abandon()
            raise
        self._broke = None
        self._flow, self._limits, self._kept_back = restarted.flow, self._outcome.limits(), b""
        self._ready = restarted.held if restarted.ended else self._passed_on(restarted.held)
        if restarted.ended:
            self._completed()
        self._last_life = self._last_byte = self._returned_at = self._loop.time()
        return await self.read()

    async def _restarted(self, failure: Failure) -> StreamStarted:
        restarting = self._restarting = CallCancellation()
        try:
            return await self._outcome.start_over(failure, self._max_at)
        except asyncio.CancelledError:
            closed = restarting.taken_back(self._outcome.call)
            if closed is None:
                raise
            raise closed from None
        finally:
            restarting.disarm()
            self._restarting = None

    def _over(self) -> None:
        """``stream.max`` has passed, whether the app reads or not: there is no time left to start over in."""
        if not self._closed:
            self._close()
            self._error = self._outcome.broken(self._flow.validator.stalled())

    def _close(self) -> None:
        self._closed = True
        self._limit.cancel()
        self._flow.exchange.abort()
        if self._restarting is not None:
            self._restarting.end(self._why_closed)

    def _why_closed(self, _: Call | None) -> RoutingError:
        assert self._error is not None, "a stream is closed with its error"
        return self._error

    async def _drain(self) -> bytes:
        if self._closed:
            return b""
        self._closed = True
        try:
            return await self._flow.drain(self._loop.time() + DRAIN)
        finally:
            self._flow.exchange.release()


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Some events of what was held back, and the rest: the SDK lets nobody in between those that come at once."""
    end = data.find(b"\n\n", AT_ONCE) + 2
    return (data[:end], data[end:]) if len(data) > AT_ONCE and end > 1 else (data, b"")
