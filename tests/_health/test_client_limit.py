"""The limits of one client of the endpoint, by a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lanewise._health.rate_limits.client_limit import ClientLimit
from lanewise._health.rate_limits.gcra_limit import Caps


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50), st.lists(st.floats(0, 20), max_size=120))
def test_no_more_calls_begin_than_a_minute_allows(rpm: int, pauses: list[float]) -> None:
    """However they come: a minute's worth at once, and after that as fast as the minute goes by."""
    clock = Clock()
    limit = ClientLimit(Caps(rpm=rpm), clock)
    begun = []
    for pause in pauses:
        clock.now += pause
        wait = limit.enter()
        if wait is None:
            begun.append(clock.now)
            limit.leave()
        else:
            assert 0 < wait <= 60
    for first in begun:
        assert sum(first <= at < first + 60 for at in begun) <= 2 * rpm


def test_calls_at_a_time_are_given_back() -> None:
    """One that has ended makes room for the next."""
    limit = ClientLimit(Caps(max_concurrency=2))
    assert [limit.enter(), limit.enter()] == [None, None]
    assert limit.enter() is not None
    limit.leave()
    assert limit.enter() is None


def test_workers_share_a_limit_out() -> None:
    """Each of so many has its part, of calls at a time one at least."""
    clock = Clock()
    limit = ClientLimit(Caps(rpm=8, max_concurrency=3), clock)
    limit.share_with(4)
    assert limit.enter() is None
    assert limit.enter() is not None, "one at a time"
    limit.leave()
    assert limit.enter() is None
    limit.leave()
    assert limit.enter() is not None, "two a minute"
    limit.share_with(1)
    clock.now += 60
    assert limit.enter() is None
