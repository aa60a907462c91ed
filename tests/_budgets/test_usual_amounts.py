"""What is usual: nothing before 20 outcomes, then the 95th percentile of the latest."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lanewise._budgets.call_budgets import UsualAmounts
from lanewise._recent_percentiles import KEPT, LEAST


@given(st.lists(st.integers(0, 10**12), max_size=3 * KEPT))
def test_it_is_the_95th_percentile_of_the_latest(amounts: list[int]) -> None:
    """By the nearest rank; nothing only of what is always free."""
    usual = UsualAmounts()
    for amount in amounts:
        usual.note("a", amount)
        usual.note("b", 1)
    latest = sorted(amounts[-KEPT:])
    wanted = latest[math.ceil(0.95 * len(latest)) - 1] if len(latest) >= LEAST else None
    if wanted == 0:
        wanted = min(1, latest[-1])  # what is not always free is not taken for it
    assert usual.of("a") == wanted
    assert usual.of("c") is None
