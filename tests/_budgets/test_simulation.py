"""Budgets under 200 workers whose attempts cost what nobody could know before: simulated, with time injected."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from _budgets.claiming import at_once, bucket, claim
from lanewise._budgets.budgets_in_memory import BudgetsInMemory
from lanewise._budgets.call_budgets import UsualAmounts
from lanewise._budgets.claims import Bucket, OverBudget, Reservation
from lanewise._budgets.spending_window import DAY

WORKERS = 200
MIDNIGHT = 20_000 * DAY


@dataclass
class Sent:
    """An attempt that was let out. ``cost`` is what it turns out to take, ``None`` what nobody will know."""

    at: float
    reserved: int
    cost: int | None
    over: bool = True

    @property
    def excess(self) -> int:
        return 0 if self.cost is None else max(0, self.cost - self.reserved)

    @property
    def taken(self) -> int:
        return self.reserved if self.cost is None else self.cost


@dataclass
class World:
    """Workers with one budget between them, over a while of virtual time."""

    seed: int
    bucket: Bucket
    length: float
    now: float = MIDNIGHT
    sent: list[Sent] = field(default_factory=list)
    refused: int = 0
    allowed_excess: int = 0
    """Of the attempts that were in flight when the last one was let out: by how much they cost more than reserved."""

    def run(self) -> None:
        draw = random.Random(self.seed)
        store = BudgetsInMemory(lambda: self.now)
        usual = [UsualAmounts() for _ in range(WORKERS)]
        events: list[tuple[float, int, int, Reservation | None, Sent | None]] = []
        for worker in range(WORKERS):
            heapq.heappush(events, (self.now + draw.expovariate(1 / 20), worker, worker, None, None))
        number = WORKERS
        in_flight: set[int] = set()
        flying: dict[int, Sent] = {}
        while events and events[0][0] < MIDNIGHT + self.length:
            self.now, key, worker, reservation, sent = heapq.heappop(events)
            number += 1
            if reservation is not None and sent is not None:
                store.settle(reservation, sent.taken)
                if sent.cost is not None:
                    usual[worker].note("task", sent.cost)
                in_flight.discard(key)
                flying.pop(key)
                heapq.heappush(events, (self.now + draw.expovariate(1 / 20), number, worker, None, None))
                continue
            amount = usual[worker].of("task") or 8_000
            result = at_once(claim(store, self.bucket, amount))
            if isinstance(result, OverBudget):
                self.refused += 1
                heapq.heappush(events, (self.now + max(1.0, result.retry_after), number, worker, None, None))
                continue
            cost = None if draw.random() < 0.05 else int(min(4_000 * draw.paretovariate(1.2), 4_000_000))
            sent = Sent(self.now, amount, cost)
            self.sent.append(sent)
            flying[number] = sent
            self.allowed_excess = max(self.allowed_excess, sum(each.excess for each in flying.values()))
            heapq.heappush(events, (self.now + draw.lognormvariate(1, 1), number, worker, result, sent))

    def most_spent(self) -> int:
        """The most that any window had in it."""
        seconds = self.bucket.window.seconds
        if seconds == DAY:
            days: dict[int, int] = {}
            for each in self.sent:
                days[int(each.at // DAY)] = days.get(int(each.at // DAY), 0) + each.taken
            return max(days.values())
        most = spent = first = 0
        for each in self.sent:
            spent += each.taken
            while self.sent[first].at <= each.at - seconds:
                spent -= self.sent[first].taken
                first += 1
            most = max(most, spent)
        return most


def check(seed: int) -> World:
    seconds, length = ((DAY, 1800.0), (600.0, 1800.0))[seed % 2]
    world = World(seed, bucket(6_000_000, seconds=seconds), length)
    world.run()
    assert world.most_spent() <= world.bucket.limit + world.allowed_excess
    assert world.refused
    assert world.most_spent() > world.bucket.limit * 0.8  # it is used, too
    return world


@pytest.mark.parametrize("block", range(4))
def test_a_budget_is_overrun_by_no_more_than_what_is_in_flight(block: int) -> None:
    """By at most the sum over attempts in flight of what they cost less what was reserved: 100 seeds."""
    for seed in range(block * 25, block * 25 + 25):
        check(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_budget_is_overrun_by_no_more_than_what_is_in_flight_at_length() -> None:
    """10,000 seeds."""
    overruns = []
    for seed in range(10_000):
        world = check(seed)
        overruns.append(max(0, world.most_spent() - world.bucket.limit) / world.bucket.limit)
    overruns.sort()
    print(f"overrun of the limit: median {overruns[5000]:.2%}, p99 {overruns[9900]:.2%}, most {overruns[-1]:.2%}")
