"""Hedges cut the slow tail at little more than their share of requests, and add nothing to an outage: simulated."""

from __future__ import annotations

import random

import pytest

from lanewise._health.hedge_budget import MOST, HedgeBudget
from lanewise.config import HedgeSettings
from lanewise.types import Api


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(share * len(times))]


def took(draw: random.Random) -> float:
    """A provider's time: about a second, and one answer in 40 takes ten times as long."""
    return draw.lognormvariate(0, 0.3) * (10 if draw.random() < 0.025 else 1)


def simulated(seed: int, calls: int, *, hedged: bool) -> tuple[list[float], int]:
    """How long calls waited, and how many requests they made."""
    draw = random.Random(seed)
    budget = HedgeBudget(HedgeSettings())
    waited, requests = [], 0
    for _ in range(calls):
        budget.count()
        took_first, requests = took(draw), requests + 1
        first = took_first
        delay = budget.delay("a", Api.CHAT, stream=False) if hedged else None
        if delay is not None and first > delay and budget.may_hedge("a", Api.CHAT, stream=False):
            budget.take()
            requests += 1
            first = min(first, delay + took(draw))
        budget.note("a", Api.CHAT, first, stream=False, has_lost=first < took_first)
        waited.append(first)
    return waited, requests


def test_the_99th_percentile_is_cut_by_half_at_a_twentieth_more_requests() -> None:
    """Over 20 seeds, each of 4,000 calls; what half of the calls wait stays as it was."""
    for seed in range(20):
        plain, _ = simulated(seed, 4000, hedged=False)
        hedged, requests = simulated(seed, 4000, hedged=True)
        assert percentile(hedged, 0.99) <= percentile(plain, 0.99) / 2
        assert requests <= 4000 * 1.05
        assert percentile(hedged, 0.5) <= percentile(plain, 0.5) * 1.1
        if not seed:
            print(
                f"p99 {percentile(plain, 0.99):.1f} s without hedges, {percentile(hedged, 0.99):.1f} s with "
                f"{requests / 4000 - 1:.1%} more requests"
            )


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_never_more_than_the_share_of_calls_is_hedged(share: float) -> None:
    """However slow all are; and a quiet time saves up a few at the most."""
    budget = HedgeBudget(HedgeSettings(after=0.001, share=share))
    hedges = 0
    for number in range(1, 5001):
        budget.count()
        if budget.may_hedge("a", Api.CHAT, stream=False):
            budget.take()
            hedges += 1
        assert hedges <= share * number + 1e-6
    quiet = HedgeBudget(HedgeSettings(after=0.001, share=share))
    for _ in range(100_000):
        quiet.count()
    saved = 0
    while quiet.may_hedge("a", Api.CHAT, stream=False):
        quiet.take()
        saved += 1
    assert saved <= MOST


def test_nothing_is_hedged_before_a_route_is_known() -> None:
    """By the 95th percentile; whole answers and streams have their own."""
    budget = HedgeBudget(HedgeSettings())
    for number in range(20):
        assert budget.delay("a", Api.CHAT, stream=False) is None
        budget.note("a", Api.CHAT, float(number), stream=False)
    assert budget.delay("a", Api.CHAT, stream=False) == 18.0
    assert budget.delay("a", Api.CHAT, stream=True) is None
    assert budget.delay("b", Api.CHAT, stream=False) is None
