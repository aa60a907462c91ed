"""The users: steady traffic over HTTP to both endpoints, each request timed from outside the app."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import anyio
import httpx2
import msgspec

from lanewise.cli.demo.stage import Phase, Stage
from lanewise.cli.demo.tally import Sample, Side, Tally
from lanewise.types import LaneName

__all__ = ["PATIENCE", "RATE", "Traffic", "scheduled"]

RATE = 12
"""Requests a second, to each endpoint."""
PATIENCE = 10.0
"""Seconds after which a user gives up."""
LAST_ANSWERS = 3.0
"""Seconds that the last requests to the plain app still get: it does not keep the demo waiting."""


class _AppReply(msgspec.Struct, frozen=True):
    """The JSON that the app answers one request with."""

    error: str | None = None
    lane: LaneName | None = None
    failures: tuple[str, ...] = ()


GAVE_UP = _AppReply(error=f"gave up after {PATIENCE:.0f} s")
STILL_WAITING = _AppReply(error="still waiting at the end")


def scheduled(phases: Sequence[Phase], seconds: float) -> Iterator[tuple[float, int]]:
    """When each request goes out, in seconds from the first, and in which phase. Every phase has a request at least."""
    begin = 0.0
    for index, phase in enumerate(phases):
        end = begin + phase.share * seconds
        yield begin, index
        for step in count(1):
            at = begin + step / RATE
            if at >= end:
                break
            yield at, index
        begin = end


class Traffic:
    """Sends the same requests to both endpoints of the app, through all phases.

    ``phase`` is the index of the current one, ``elapsed`` the seconds since the first request.
    """

    def __init__(self, base_url: str, stage: Stage, phases: Sequence[Phase], seconds: float, tally: Tally) -> None:
        self._base_url = base_url
        self._stage = stage
        self._phases = phases
        self._seconds = seconds
        self._tally = tally
        self._started: float | None = None
        self.phase = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the first request, at most all of them."""
        return 0.0 if self._started is None else min(time.perf_counter() - self._started, self._seconds)

    async def run(self, phase_began: Callable[[int], None]) -> None:
        """Sends everything, and returns when every request has ended, or its time is up."""
        # No limit: users don't queue for each other.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(base_url=self._base_url, timeout=None, limits=limits, trust_env=False) as client:
            await self._send_all(client, phase_began)

    async def _send_all(self, client: httpx2.AsyncClient, phase_began: Callable[[int], None]) -> None:
        self._started = time.perf_counter()
        current = -1
        async with anyio.create_task_group() as plain, anyio.create_task_group() as routed:
            for number, (at, phase) in enumerate(scheduled(self._phases, self._seconds), 1):
                await self._wait_until(at)
                if phase != current:
                    await anyio.to_thread.run_sync(self._phases[phase].begin, self._stage)
                    self.phase = current = phase
                    phase_began(phase)
                request_id = f"demo-{number:06}"
                routed.start_soon(self._ask, client, Side.ROUTED, phase, request_id)
                plain.start_soon(self._ask, client, Side.PLAIN, phase, request_id)
            await self._wait_until(self._seconds)
            plain.cancel_scope.deadline = anyio.current_time() + LAST_ANSWERS

    async def _wait_until(self, at: float) -> None:
        assert self._started is not None
        await anyio.sleep(max(0.0, self._started + at - time.perf_counter()))

    async def _ask(self, client: httpx2.AsyncClient, side: Side, phase: int, request_id: str) -> None:
        self._tally.sent(side, phase)
        began = time.perf_counter()
        reply = STILL_WAITING
        try:
            with anyio.move_on_after(PATIENCE) as patience:
                reply = await _exchange(client, side, request_id)
            if patience.cancelled_caught:
                reply = GAVE_UP
        finally:
            seconds = time.perf_counter() - began
            self._tally.ended(Sample(side, phase, request_id, seconds, reply.error, reply.lane, len(reply.failures)))


async def _exchange(client: httpx2.AsyncClient, side: Side, request_id: str) -> _AppReply:
    try:
        response = await client.get(f"/{side}", headers={"X-Request-ID": request_id})
    except httpx2.HTTPError as error:
        return _AppReply(error=f"{type(error).__name__} at the app")
    try:
        reply = msgspec.json.decode(response.content, type=_AppReply)
    except msgspec.DecodeError:
        return _AppReply(error=f"HTTP {response.status_code} of the app")
    return reply if response.is_success or reply.error else _AppReply(error=f"HTTP {response.status_code} of the app")
