"""The retry budget: how many retries it permits, and what gives it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.retry_budget import RetryBudget, RetryBudgetSettings


def retries(budget: RetryBudget, now: float, *, most: int = 1000) -> int:
    """How many retries are permitted now."""
    count = 0
    while budget.permits(now) and count < most:
        budget.spend(now)
        count += 1
    return count


def test_five_retries_and_no_more() -> None:
    """Ten tokens, of which five are kept."""
    assert retries(RetryBudget(RetryBudgetSettings(), 0.0), 0.0) == 5


def test_ten_successes_or_ten_seconds_give_one_back() -> None:
    """And never more than there were."""
    budget = RetryBudget(RetryBudgetSettings(), 0.0)
    retries(budget, 0.0)
    for _ in range(11):
        budget.succeeded(0.0)
    assert retries(budget, 0.0) == 2, "at 5.0 a tenth is enough to be over"
    assert retries(budget, 12.0) == 1
    assert retries(budget, 1e6) == 5


@given(st.lists(st.tuples(st.floats(0, 0.2), st.booleans()), max_size=300))
def test_retries_stay_a_small_part_of_calls_and_time(calls: list[tuple[float, bool]]) -> None:
    """Whatever comes: the first five, a tenth of the successes, a tenth of the seconds."""
    budget, now, made, successes = RetryBudget(RetryBudgetSettings(), 0.0), 0.0, 0, 0
    for step, success in calls:
        now += step
        if success:
            budget.succeeded(now)
            successes += 1
        elif budget.permits(now):
            budget.spend(now)
            made += 1
    assert made <= 5 + 1 + 0.1 * successes + 0.1 * now


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    """Two threads may ask in either order."""
    budget = RetryBudget(RetryBudgetSettings(), 100.0)
    budget.spend(100.0)
    budget.succeeded(99.0)
    assert retries(budget, 100.0) == 5
