"""What providers write of their limits: every form that is in use, and nothing from what can't be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._failures.retry_after import parse_reset
from lanewise._health.rate_limits.gcra_limit import Caps, GcraLimit
from lanewise._health.rate_limits.rate_limit_headers import exhausted_for

ANTHROPIC = "anthropic-ratelimit"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1", 1.0),
        ("0.25", 0.25),
        ("1s", 1.0),
        ("6m0s", 300.0),
        ("1m30.5s", 90.5),
        ("20ms", 0.02),
        ("1h2m3s", 300.0),
        ("2026-11-22T12:00:42Z", 42.0),
        ("2026-11-22T13:00:42+01:00", 42.0),
        (str(int(NOW.timestamp()) + 7), 7.0),
        (str(int(NOW.timestamp() * 1000) + 7500), 7.5),
        ("Sun, 22 Nov 2026 12:00:09 GMT", 9.0),
        ("0", None),
        ("-3", None),
        ("2026-11-22T11:59:00Z", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 500, None),
    ],
)
def test_a_reset_is_read_in_every_form(written: str | None, seconds: float | None) -> None:
    """Five minutes at the most; what is over, or can't be believed, is none."""
    assert parse_reset(written, NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12ms"}, 0.012),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "12ms"}, None),
        ({"x-ratelimit-remaining-tokens": "99", "x-ratelimit-reset-tokens": "6s"}, 6.0),
        ({"x-ratelimit-remaining-tokens": "100", "x-ratelimit-reset-tokens": "6s"}, None),
        ({f"{ANTHROPIC}-requests-remaining": "0", f"{ANTHROPIC}-requests-reset": "2026-11-22T12:00:30Z"}, 30.0),
        ({f"{ANTHROPIC}-input-tokens-remaining": "0", f"{ANTHROPIC}-input-tokens-reset": "2026-11-22T12:00:30Z"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp() * 1000) + 5000)}, 5.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "50"}, 50.0),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "1s"}, None),
        ({}, None),
    ],
)
def test_limits_that_leave_no_room_are_told_from_those_that_do(headers: dict[str, str], seconds: float | None) -> None:
    """A call like this one takes 100 tokens; where several limits are reached the last reset counts."""
    assert exhausted_for(headers, 100, NOW) == (None if seconds is None else pytest.approx(seconds))
    more = {**headers, "x-ratelimit-remaining": "0", "x-ratelimit-reset": "200"}
    assert exhausted_for(more, 100, NOW) == pytest.approx(max(seconds or 0.0, 200.0))


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_that_is_written_there_raises(remaining: str, reset: str) -> None:
    """Nor keeps a route closed for more than five minutes."""
    found = exhausted_for({"x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}, 1, NOW)
    assert found is None or 0 < found <= 300


def test_a_rate_lets_a_minute_s_worth_out_and_then_as_fast_as_time_goes() -> None:
    """Sixty at once, then one a second."""
    rate, waits = GcraLimit(60), []
    for _ in range(62):
        waits.append(rate.wait(1, 0.0))
        rate.take(1, 0.0)
    assert waits[:60] == [0.0] * 60
    assert waits[60:] == pytest.approx([1.0, 2.0])
    assert rate.wait(1, 100.0) == pytest.approx(0.0)


def test_what_is_larger_than_the_rate_goes_out_when_all_of_it_is_free() -> None:
    """It would wait for ever."""
    rate = GcraLimit(100)
    assert rate.wait(5000, 0.0) == 0.0
    rate.take(5000, 0.0)
    assert rate.wait(1, 0.0) == pytest.approx(2940.6)


def test_what_was_counted_too_much_is_given_back() -> None:
    """An estimate that was too high."""
    rate = GcraLimit(60)
    rate.take(60, 0.0)
    rate.take(-30, 0.0)
    assert rate.wait(30, 0.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), max_size=60))
def test_never_more_than_two_minutes_worth_goes_out_in_a_minute(asked: list[tuple[float, int]]) -> None:
    """A burst of one, and what comes free meanwhile."""
    rate, now, out = GcraLimit(60), 0.0, []
    for step, amount in asked:
        now += step
        now += rate.wait(amount, now)
        rate.take(amount, now)
        out.append((now, amount))
    for start, _ in out:
        assert sum(amount for at, amount in out if start <= at < start + 60) <= 120 + 1e-6


def test_workers_share_a_cap() -> None:
    """Of requests at a time each has one at least."""
    assert Caps(600, 80_000, 10).shared_by(4) == Caps(150, 20_000, 2)
    assert Caps(max_concurrency=2).shared_by(16) == Caps(max_concurrency=1)
    assert Caps(rpm=5).shared_by(1) == Caps(rpm=5)
