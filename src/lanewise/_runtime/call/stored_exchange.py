"""One request for what a provider has stored: tried again as the plain SDK would, and its stream passed on."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Final

from lanewise._failures.classification import from_status
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._runtime.call.attempts.attempt import CONNECT_TIMEOUT, ERROR_BODY
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.final_errors import class_of_status, details_of
from lanewise._runtime.upstreams import KeyUnavailable, Upstream
from lanewise._transport import Exchange
from lanewise.config.deadline_budget import DEADLINE_ALONE
from lanewise.errors import ErrorDetails, FailClosed, RoutingError, StreamBroken, Unreachable, UpstreamTimeout
from lanewise.types import Call

__all__ = ["StoredExchange", "StoredStream"]

TRIES: Final = 3
"""As many as the plain SDK makes."""
LONGEST_WAIT: Final = 60.0
STALL: Final = 300.0
LONGEST_STREAM: Final = 1800.0
_AGAIN: Final = frozenset({408, 409, 429})


class StoredExchange:
    """One request to the route that made an answer, tried again as the plain SDK would."""

    def __init__(self, context: CallContext, path: str, upstream: Upstream, call: Call) -> None:
        self._context = context
        self._path = path
        self._request = request = context.request
        self._upstream = upstream
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + min(request.timeout or DEADLINE_ALONE, DEADLINE_ALONE)

    async def send(self, query: str) -> tuple[int, list[tuple[bytes, bytes]], bytes | Exchange]:
        """The provider's answer, or its stream. Raises RoutingError."""
        for tries in range(1, TRIES + 1):
            error: RoutingError
            wait: float | None = None
            try:
                exchange = await self._open(query)
                if exchange.status < 300:
                    return await self._read(exchange)
                error, wait = await self._refused(exchange)
                if exchange.status < 500 and exchange.status not in _AGAIN:
                    raise error
            except TransportFailure as failure:
                error = self._failed(failure)
                if failure.signal is TransportSignal.LOCAL:
                    raise error from None
            pause = wait or 0.5 * 2.0 ** (tries - 1) * (1 - 0.25 * random.random())
            if tries == TRIES or pause > LONGEST_WAIT or self._loop.time() + pause >= self._deadline:
                break
            await asyncio.sleep(pause)
        raise error

    async def _open(self, query: str) -> Exchange:
        request, upstream = self._request, self._upstream
        try:
            key = await upstream.key_headers(self._deadline)
        except KeyUnavailable as reason:
            raise Unreachable(f"nothing was sent: {reason}", self._call, ErrorDetails(path=self._path)) from None
        return await self._context.loop.transport(upstream.provider.name).send(
            upstream.stored_target(self._path, query),
            (*upstream.allowed(request.headers), *key),
            request.body,
            method=request.method,
            stream="stream=true" in query,
            deadline=self._deadline,
            connect_timeout=CONNECT_TIMEOUT,
        )

    async def _read(self, exchange: Exchange) -> tuple[int, list[tuple[bytes, bytes]], bytes | Exchange]:
        if "event-stream" in exchange.headers.get("content-type", "").lower():
            return exchange.status, list(exchange.raw_headers), exchange
        try:
            body = await exchange.read(self._context.runtime.limits.answer)
        finally:
            exchange.release()
        return exchange.status, list(exchange.raw_headers), body

    async def _refused(self, exchange: Exchange) -> tuple[RoutingError, float | None]:
        try:
            body = await exchange.read(ERROR_BODY)
        except TransportFailure:
            body = b""
        finally:
            exchange.release()
        failure = from_status(exchange.status, exchange.headers, body, now=datetime.now(UTC), bound=True)
        details = details_of(self._call, failure, self._path, exchange.status)
        text = f"{self._request.method} /{self._path[:200]}: {self._upstream.route.name} answered {exchange.status}"
        kind = FailClosed if self._call.sensitive else class_of_status(exchange.status)
        return kind(f"{text}, {details.code} [call {self._call.id}]", self._call, details), failure.retry_after

    def _failed(self, failure: TransportFailure) -> RoutingError:
        late = failure.signal is TransportSignal.TIMEOUT
        kind = FailClosed if self._call.sensitive else UpstreamTimeout if late else Unreachable
        text = f"{self._request.method} /{self._path[:200]}: no answer of {self._upstream.route.name} ({failure})"
        return kind(f"{text} [call {self._call.id}]", self._call, ErrorDetails(path=self._path))


class StoredStream:
    """A stored response as a stream, passed on as it comes: what is stored was judged when it was made."""

    def __init__(self, exchange: Exchange, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange
        self._call = call
        self._until = self._loop.time() + LONGEST_STREAM
        self._ended = False

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken."""
        if self._ended:
            return b""
        self._exchange.bound_reads(min(self._until, self._loop.time() + STALL))
        try:
            data = await self._exchange.read_some()
        except TransportFailure as failure:
            raise StreamBroken(f"the stored stream broke ({failure}) [call {self._call.id}]", self._call) from None
        if not data:
            await self.aclose()
        return data

    async def rest(self, seconds: float) -> None:
        """Let what comes gather for so many seconds, to be read at once."""
        if not self._ended:
            await self._exchange.rest(seconds)

    async def aclose(self) -> None:
        """Close the exchange, or give its connection back. Idempotent."""
        if not self._ended:
            self._ended = True
            self._exchange.release()

    def drop(self) -> None:
        """Close the exchange soon. From any thread."""
        if not self._ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._exchange.release)
