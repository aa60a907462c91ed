"""Deadlines by the time that a loop had: what it lost is given back, what came is read first, and all of them end."""

from __future__ import annotations

import asyncio
import math
import threading
import time

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _transport.peers import ANSWER, Peer, Wire
from busy_machine import LONG_ENOUGH
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Target, Transport
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpxTransport
from lanewise._transport.loop_lag import BEAT, GRACE, MOST_GRACE, NOTICEABLE, LagDeadline, LagTimeout, LoopLag

pytestmark = pytest.mark.anyio


class Armed:
    """A timer's handle."""

    def __init__(self, timers: list[tuple[float, object]], timer: tuple[float, object]) -> None:
        self._timers = timers
        self._timer = timer

    def cancel(self) -> None:
        self._timers.remove(self._timer)


class Clock:
    """A loop of which only the clock and the timers are used; ``run_to`` fires what is due, as late as it is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: object, context: object = None) -> object:
        timer = (when, callback)
        self.timers.append(timer)
        return Armed(self.timers, timer)

    def run_to(self, now: float) -> None:
        """Let time pass evenly, with all timers on time."""
        while due := [timer for timer in self.timers if timer[0] <= now]:
            when, callback = timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = max(self.now, when)
            callback()  # type: ignore[operator]
        self.now = now

    def blocked_to(self, now: float) -> None:
        """Let time pass while nothing runs."""
        self.now = now


def beating() -> tuple[Clock, LoopLag]:
    clock = Clock()
    lag = LoopLag(clock)  # type: ignore[arg-type]
    lag.enter()
    return clock, lag


def test_a_loop_on_time_loses_nothing() -> None:
    """However long it runs; and the beat ends with the last attempt."""
    clock, lag = beating()
    clock.run_to(130.0)
    assert lag.lost == lag.lost_at(clock.now) == 0.0
    lag.leave()
    clock.run_to(131.0)
    assert clock.timers == []


def test_what_a_blocked_loop_lost_is_known_before_the_beat_comes() -> None:
    """A timer that is due earlier than the beat may run first."""
    clock, lag = beating()
    clock.run_to(101.0)
    clock.blocked_to(108.0)
    assert lag.lost_at(clock.now) == pytest.approx(7.0, abs=BEAT)
    clock.run_to(108.0)
    assert lag.lost == pytest.approx(7.0, abs=BEAT)


def test_a_deadline_moves_on_by_what_was_lost() -> None:
    """Five seconds, of which the loop stood still for four, and nobody else set a limit."""
    clock, lag = beating()
    deadline = LagDeadline(lag, 105.0)
    clock.run_to(102.0)
    clock.blocked_to(106.0)
    due = deadline.due(clock.now, 105.0)
    assert due == pytest.approx(109.0, abs=2 * BEAT)
    clock.run_to(due)
    assert deadline.due(clock.now, due) <= clock.now
    assert deadline.lost_of(clock.now) == 0.0, "it had all its time"


def test_past_the_last_moment_there_is_time_to_read_and_then_it_is_the_loops_fault() -> None:
    """The call's deadline passed while the loop stood still."""
    clock, lag = beating()
    deadline = LagDeadline(lag, 105.0, 105.0)
    clock.run_to(101.0)
    clock.blocked_to(110.0)
    due = deadline.due(clock.now, 105.0)
    assert due == clock.now + GRACE
    clock.run_to(due)
    assert deadline.due(clock.now, due) <= clock.now
    assert deadline.lost_of(clock.now) == pytest.approx(9.0, abs=2 * BEAT)


def test_a_late_timer_knows_itself_where_nothing_beats() -> None:
    """In the middle of a committed stream, say."""
    clock = Clock()
    deadline = LagDeadline(LoopLag(clock), 105.0)  # type: ignore[arg-type]
    clock.blocked_to(108.0)
    assert deadline.due(clock.now, 105.0) == 108.0
    assert deadline.lost_of(clock.now) == 0.0


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 5.0)), max_size=30),
    st.floats(0.01, 20.0),
    st.floats(0.0, 40.0) | st.just(math.inf),
)
def test_every_deadline_comes(pieces: list[tuple[float, float]], length: float, more: float) -> None:
    """Never sooner than it is set for; never later than what was lost, or than the last moment and some seconds."""
    clock, lag = beating()
    began = clock.now
    deadline = LagDeadline(lag, began + length, began + length + more)
    armed, lost = began + length, 0.0
    for runs, stands in [*pieces, (200.0, 0.0)]:
        while armed <= clock.now + runs:
            clock.run_to(max(clock.now, armed))
            due = deadline.due(clock.now, armed)
            if due <= clock.now:
                took = clock.now - began
                assert took >= length - 1e-9
                assert took <= length + lost + MOST_GRACE + 1.0 + 2 * len(pieces) * BEAT
                assert deadline.lost_of(clock.now) <= lost + NOTICEABLE + 2 * len(pieces) * BEAT
                return
            runs = max(0.0, runs - max(0.0, armed - clock.now))
            armed = due
        clock.run_to(clock.now + runs)
        clock.blocked_to(clock.now + stands)
        lost += stands
    raise AssertionError("it never came")


async def test_what_came_in_the_same_turn_counts() -> None:
    """The timer and the answer are due together: the answer is handled first."""
    loop = asyncio.get_running_loop()
    lag = LoopLag(loop)
    answer = loop.create_future()
    loop.call_at(loop.time() + 0.05, answer.set_result, "answer")
    with LagTimeout(LagDeadline(lag, loop.time() + 0.05)):
        time.sleep(0.1)
        assert await answer == "answer"


async def test_a_time_out_is_one_as_asyncios_is() -> None:
    """TimeoutError on time; a cancellation from outside stays one."""
    loop = asyncio.get_running_loop()
    lag = LoopLag(loop)
    timeout = LagTimeout(LagDeadline(lag, loop.time() + 0.05))
    with pytest.raises(TimeoutError), timeout:
        await asyncio.sleep(30)
    assert timeout.lost == 0.0

    async def waits() -> None:
        with LagTimeout(LagDeadline(lag, loop.time() + 30)):
            await asyncio.sleep(30)

    task = loop.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("begins", [True, False])
def test_what_passes_while_no_attempt_runs_is_lost_to_nobody(*, begins: bool) -> None:
    """A loop that is run in pieces: its last beat is due in the pause between two of them."""
    clock = Clock()
    told: list[float] = []
    lag = LoopLag(clock, on_beat=told.append, on_lost=told.append)  # type: ignore[arg-type]
    for pause in (30.0, 0.001, 5.0):
        lag.enter()
        clock.run_to(clock.now + 0.01)
        lag.leave()
        clock.blocked_to(clock.now + pause)
        assert lag.lost_at(clock.now) == 0.0
        if not begins:
            clock.run_to(clock.now + 1)
    assert lag.lost == sum(told) == 0.0


def test_what_was_lost_before_the_last_attempt_ended_counts() -> None:
    """It ended in the very turn in which the loop went on, before the beat."""
    clock, lag = beating()
    clock.run_to(101.0)
    clock.blocked_to(104.0)
    lag.leave()
    clock.blocked_to(120.0)
    lag.enter()
    assert lag.lost == pytest.approx(3.0, abs=BEAT)
    assert lag.lost_at(clock.now) == lag.lost


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop between whose runs time has passed."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_loop_that_is_run_in_pieces_is_not_late(attempts: int) -> None:
    """``run_until_complete`` again and again, as scripts and notebooks do."""
    loop = SkippingLoop()
    lag = LoopLag(loop)

    async def attempt() -> None:
        lag.enter()
        await asyncio.sleep(0.001)
        lag.leave()

    async def run() -> None:
        await asyncio.gather(*(attempt() for _ in range(attempts)))

    try:
        for _ in range(4):
            loop.run_until_complete(run())
            loop.skipped += 600.0
    finally:
        loop.close()
    assert lag.lost < 300.0  # what a busy machine takes counts, as it should


async def test_lag_is_told_beat_by_beat_and_in_sum() -> None:
    """For the metric and for the log."""
    beats: list[float] = []
    lost: list[float] = []
    lag = LoopLag(asyncio.get_running_loop(), on_beat=beats.append, on_lost=lost.append)
    lag.enter()
    await asyncio.sleep(0.12)
    time.sleep(1.2)
    await asyncio.sleep(0.06)
    lag.leave()
    assert max(beats) >= 1.1
    assert max(lost) >= 1.1  # a busy machine may have been late before


def stand_still(loop: asyncio.AbstractEventLoop, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loop finds after so long a wait within one of its turns."""
    before = loop.time
    monkeypatch.setattr(loop, "time", lambda: before() + seconds)


@pytest.mark.parametrize("name", ["aiohttp", "httpx2"])
async def test_an_answer_in_the_socket_of_a_blocked_loop_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over each transport, past the attempt's timeout and the call's deadline."""
    transports = {
        "aiohttp": AiohttpTransport,
        "httpx2": lambda: HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False)),
    }
    transport: Transport = transports[name]()
    loop = asyncio.get_running_loop()
    asked, blocked, answered = threading.Event(), threading.Event(), threading.Event()

    def talk(wire: Wire) -> None:
        wire.request()
        asked.set()
        blocked.wait()
        wire.send(ANSWER)
        answered.set()
        wire.wait_for_the_end()

    async def ask() -> bytes:
        now = loop.time()
        exchange = await transport.send(
            Target(peer.url), (), b"{}", stream=False, deadline=now + 30, latest=now + 40, connect_timeout=30
        )
        return await exchange.read(1000)

    with Peer(talk) as peer:
        asking = loop.create_task(ask())
        while not asked.is_set():
            await asyncio.sleep(0.005)
        blocked.set()
        assert answered.wait(LONG_ENOUGH)
        stand_still(loop, 60.0, monkeypatch)
        assert await asking == b'{"ok":true}'
        await transport.aclose()


@pytest.mark.parametrize("name", ["aiohttp", "httpx2"])
async def test_a_silent_peer_of_a_blocked_loop_is_not_blamed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over soon after the last moment, and said to be the loop's fault."""
    loop = asyncio.get_running_loop()
    lag = LoopLag(loop)
    lag.enter()
    transports = {
        "aiohttp": lambda: AiohttpTransport(lag=lag),
        "httpx2": lambda: HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False), lag=lag),
    }
    transport: Transport = transports[name]()
    asked = threading.Event()

    def talk(wire: Wire) -> None:
        wire.request()
        asked.set()
        wire.wait_for_the_end()

    with Peer(talk) as peer:
        until = loop.time() + 30
        asking = loop.create_task(
            transport.send(Target(peer.url), (), b"{}", stream=False, deadline=until, latest=until, connect_timeout=30)
        )
        while not asked.is_set():
            await asyncio.sleep(0.005)
        stand_still(loop, 60.0, monkeypatch)
        with pytest.raises(TransportFailure) as caught:
            await asking
        await transport.aclose()
    lag.leave()
    assert caught.value.signal is TransportSignal.LOOP_LATE
