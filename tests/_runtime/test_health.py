"""What the health of a router keeps in this process: nothing that grows with its calls."""

from __future__ import annotations

import asyncio

from lanewise import Api, Config
from lanewise._failures import failure_table as failures
from lanewise._health.breakers.permit import Permit
from lanewise._health.rate_limits.gcra_limit import Caps
from lanewise._health.rate_limits.rate_limiter import RateLimiter
from lanewise._health.router_health import RouterHealth

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"task": {"primary": "first"}},
}
FAILED = failures.SERVER_ERROR.failure(http_status=500)


def test_failures_leave_nothing_behind_where_nobody_is_told_of_them() -> None:
    """With state = "memory" there is nobody to hear of a failure, nor of the success after it."""
    health = RouterHealth(Config.from_mapping(CONFIG))
    for outcome in (FAILED, None, None) * 200:
        permit = health.enter("first", Api.CHAT)
        assert permit is not None
        health.leave("first", Api.CHAT, permit, outcome, is_plain=lambda: True)
    assert health.pending_events() == {}
    assert not health.busy


def test_a_call_that_ends_while_garbage_is_collected_does_not_wait_for_itself() -> None:
    """A stream that nobody closed ends in the middle of whatever its thread does, under its locks too."""
    dropped: list[Permit] = []

    def clock() -> float:
        if dropped:
            health.leave("first", Api.CHAT, dropped.pop(), FAILED, is_plain=lambda: True)
        return 1.0

    health = RouterHealth(Config.from_mapping(CONFIG), clock=clock)
    first, second = (health.enter("first", Api.CHAT) for _ in range(2))
    assert first is not None
    assert second is not None
    health.leave("first", Api.CHAT, first, FAILED, is_plain=lambda: True)
    dropped.append(second)
    assert health.enter("first", Api.CHAT) is not None
    assert health.circuit("route first chat").consecutive_failures == 2


def test_a_place_that_is_given_up_while_garbage_is_collected_is_free() -> None:
    """The same for our own caps."""
    held: list[bool] = []

    def clock() -> float:
        if dropped and gate._lock._is_owned():  # type: ignore[attr-defined]
            held.append(True)
            gate.leave(dropped.pop())
        return 1.0

    dropped: list[int] = []
    gate = RateLimiter(Caps(rpm=600, max_concurrency=2), clock=clock)

    async def enter() -> float | None:
        assert await gate.enter(10, 0.0) is not None
        dropped.append(0)
        return await gate.enter(10, 0.0)

    assert asyncio.run(enter()) is not None
    assert held
