"""A total outage of ten thousand calls, breakers off: what the retry budget alone keeps back, over virtual time."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import pytest

from _routing.planning import Told, layout
from lanewise._failures import failure_table as failures
from lanewise._failures.failure_table import TABLE, Row
from lanewise._routing.plan import Plan
from lanewise._routing.retry_budget import RetryBudget, RetryBudgetSettings
from lanewise.types import Failure, FailureKind, Move, Retry, Send, Wait

CALLS = 10_000
A_SECOND = 50.0
HOLD = 1.1
ON_LAST = 3
"""Attempts a call on the last route, as the plain SDK makes them: none is throttled where breakers are off."""
TOOK = 0.05
"""Seconds of an attempt."""

LAYOUTS = {"two providers": layout(primary="a", equivalent="b"), "one provider": layout(primary="a")}
"""Each route is at a provider of its own."""

MET = [row for row in TABLE if row is not failures.STALE_CONNECTION]
"""What attempts can meet, call after call. A reused connection that had been closed is met once at most: the attempt
after it has a fresh one, and who never answers leaves none to be reused."""
OUTAGES = {(row.kind, row.retry, row.outcome_unknown): row for row in reversed(MET)}
"""One row for each way in which a plan treats them."""


@dataclass
class Counts:
    """What a provider got: first attempts, and attempts again on the same route."""

    firsts: Counter[str]
    again: Counter[str]


def outage(failure: Failure, name: str, *, retries: Mapping[FailureKind, int] | None = None) -> Counts:
    """Have all attempts of ten thousand calls fail so."""
    rng = random.Random(f"{failure.kind} {name}")
    budgets = {route.route: RetryBudget(RetryBudgetSettings(), 0.0) for route in LAYOUTS[name]}
    counts = Counts(Counter(), Counter())
    order = count()
    agenda: list[tuple[float, int, Plan, Move | None]] = []
    clock = [0.0]

    class Health(Told):
        def permits(self, route: str) -> bool:
            return budgets[route].permits(clock[0])

    health = Health()
    health.answers = False

    for number in range(CALLS):
        start = number / A_SECOND
        plan = Plan(
            LAYOUTS[name], deadline=start + 60, budget=60, patience=2, retries=retries, sensitive=True, health=health
        )
        agenda.append((start, next(order), plan, None))
    while agenda:
        clock[0], _, plan, before = heapq.heappop(agenda)
        now = clock[0]
        if before is None:
            move = plan.begin(now)
        elif isinstance(before, Wait):
            move = plan.waited(now)
        else:
            move = plan.failed(failure, now, rng.random(), repairable=failure.kind is FailureKind.CONTRACT)
            if plan.charged:
                assert isinstance(move, Send | Wait)
                budgets[move.route].spend(now)
        if isinstance(move, Send):
            (counts.again if move.cause in ("retry", "repair", "drop") else counts.firsts)[move.route] += 1
            heapq.heappush(agenda, (now + TOOK, next(order), plan, move))
        elif isinstance(move, Wait):
            heapq.heappush(agenda, (now + move.seconds, next(order), plan, move))
    return counts


def check(counts: Counts) -> None:
    """By provider: attempts for each call."""
    assert counts.firsts["a"] == CALLS
    last = max(counts.firsts)
    for provider, firsts in counts.firsts.items():
        attempts = firsts + counts.again[provider]
        assert attempts / CALLS <= (ON_LAST if provider == last else HOLD), (provider, attempts)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("row", OUTAGES.values(), ids=lambda row: row.id)
def test_attempts_on_a_provider_are_at_most_a_tenth_more_than_calls_while_another_is_left(row: Row, name: str) -> None:
    """Whatever the failure is, a 429 without Retry-After among them, and with one where it may have one."""
    check(outage(row.failure(), name))


@pytest.mark.parametrize("row", [row for row in TABLE if row.retry is Retry.WAIT], ids=lambda row: row.id)
@pytest.mark.parametrize("retry_after", [0.01, 1.0])
def test_the_same_holds_where_the_provider_says_when_to_come_again(row: Row, retry_after: float) -> None:
    """A short Retry-After invites all calls to try again at once."""
    for name in LAYOUTS:
        check(outage(row.failure(retry_after=retry_after), name))


def test_the_same_holds_where_a_task_asks_for_more_retries() -> None:
    """``retries`` of a task says how often; the budget says how many in all."""
    check(outage(failures.TIMEOUT.failure(), "two providers", retries={FailureKind.TIMEOUT: 3}))


def test_without_the_budget_it_would_be_far_more() -> None:
    """So the proof would show it."""
    counts = outage(failures.STALE_CONNECTION.failure(), "two providers")
    assert counts.firsts["a"] + counts.again["a"] > HOLD * CALLS
