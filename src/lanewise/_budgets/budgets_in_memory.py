"""Budgets of one process, in its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lanewise._budgets.claims import Bucket, Claim, OverBudget, Reservation

__all__ = ["SWEPT_EVERY", "BudgetsInMemory"]

SWEPT_EVERY: Final = 1000
"""After so many new buckets those are dropped of which nothing counts any more."""


class BudgetsInMemory:
    """A :class:`~lanewise._budgets.claims.BudgetStore` for both loops of a router. ``clock``: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._spent: dict[str, tuple[Bucket, dict[int, int]]] = {}
        self._new = 0

    async def reserve(self, claims: Sequence[Claim]) -> tuple[Reservation, ...] | tuple[OverBudget, ...]:
        """Grant all of the claims, or none: then those that are over their budget."""
        with self._lock:
            now = self._clock()
            over = tuple(refused for claim in claims if (refused := self._over(claim, now)) is not None)
            if over:
                return over
            return tuple(self._grant(claim, now) for claim in claims)

    def settle(self, reservation: Reservation, amount: int) -> None:
        """Put what an attempt has cost in the place of what was reserved. Doesn't wait."""
        bucket = reservation.claim.bucket
        with self._lock:
            slots = self._slots(bucket)
            if reservation.slot in slots:
                slots[reservation.slot] = max(0, slots[reservation.slot] + amount - reservation.claim.amount)

    def fill(self, spent: Iterable[tuple[Bucket, float, int]]) -> None:
        """Add what was spent before: of a bucket, at a time, how much."""
        with self._lock:
            for bucket, at, amount in spent:
                slots, slot = self._slots(bucket), bucket.window.slot(at)
                slots[slot] = slots.get(slot, 0) + amount

    def spent(self) -> dict[str, int]:
        """What counts now, by the keys of buckets."""
        with self._lock:
            now = self._clock()
            return {key: bucket.window.spent(slots, now) for key, (bucket, slots) in self._spent.items()}

    def after_fork(self) -> None:
        """In the child of a fork: what was spent before is the parent's."""
        self._lock = threading.RLock()
        self._spent = {}

    def close(self) -> None:
        """What was spent stays spent while the router is closed."""

    def _over(self, claim: Claim, now: float) -> OverBudget | None:
        bucket = claim.bucket
        slots = self._slots(bucket)
        bucket.window.forget(slots, now)
        spent = sum(slots.values())
        if not claim.enforced or spent + claim.amount <= bucket.limit:
            return None
        return OverBudget(claim, spent, bucket.window.room_in(slots, claim.amount, bucket.limit, now))

    def _grant(self, claim: Claim, now: float) -> Reservation:
        slots = self._slots(claim.bucket)
        slot = claim.bucket.window.slot(now)
        slots[slot] = slots.get(slot, 0) + claim.amount
        return Reservation(claim, slot, sum(slots.values()))

    def _slots(self, bucket: Bucket) -> dict[int, int]:
        found = self._spent.get(bucket.key)
        if found is None:
            self._new += 1
            if self._new >= SWEPT_EVERY:
                self._sweep()
            found = self._spent[bucket.key] = bucket, {}
        return found[1]

    def _sweep(self) -> None:
        self._new = 0
        now = self._clock()
        for key, (bucket, slots) in list(self._spent.items()):
            bucket.window.forget(slots, now)
            if not slots:
                del self._spent[key]
