"""Budgets of all workers, in the shared store: over a thread, and each worker's share while it is out of reach."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

import msgspec

from lanewise._budgets.budget_script import read_reply
from lanewise._budgets.budgets_in_memory import SWEPT_EVERY
from lanewise._budgets.claims import Bucket, Claim, OverBudget, Reservation
from lanewise._budgets.store_thread import StoreThread, UnsentSpending
from lanewise._store import StoreWaiter
from lanewise.config.environment.store_address import StoreAddress

__all__ = ["SharedBudgets"]

WAIT: Final = 0.5
"""Seconds that an attempt waits for the store, before this worker decides alone."""


class _Known(msgspec.Struct):
    """What this worker knows of a bucket, by slots of its window.

    ``own`` is what it spent itself, ``unsent`` what of that is not in the store yet, and ``alone`` what it granted
    without the store since it last sent. ``reports`` counts how often it sent such amounts, and ``unanswered`` is their
    sum, which counts as taken once the store replies something that makes sense. ``seen`` is what the store replied
    last, at ``seen_at``; ``reset`` when a person emptied the bucket.
    """

    bucket: Bucket
    own: dict[int, int] = {}
    unsent: dict[int, int] = {}
    alone: dict[int, int] = {}
    unanswered: dict[int, int] = {}
    reports: int = 1
    seen: int = 0
    seen_at: float = 0.0
    reset: int = 0

    def update(self, seen: int, reset: int, now: float) -> None:
        """Take in the store's reply."""
        self.seen, self.seen_at = seen, now
        self.unanswered = {}
        if reset > self.reset:
            self.reset = reset
            self.own, self.unsent, self.alone = {}, {}, {}

    def spent(self, now: float) -> int:
        """What is spent, as far as this worker knows: never less than what it spent itself."""
        window = self.bucket.window
        counts = window.slot(self.seen_at) >= window.oldest(now)
        seen = self.seen + window.spent(self.unsent, now) if counts else 0
        return max(seen, window.spent(self.own, now))

    def spent_alone(self, now: float) -> int:
        """What this worker granted without the store, and does not know to be in it."""
        window = self.bucket.window
        return window.spent(self.alone, now) + window.spent(self.unanswered, now)


class SharedBudgets:
    """A :class:`~lanewise._budgets.claims.BudgetStore` that all workers share.

    A worker that can't reach the store spends at most a bucket's limit / ``workers`` by itself until it can send that.
    It goes by what it spent itself where the store has less: to a store that was emptied it is sent again.

    Its thread starts at the first use in a process.
    """

    def __init__(
        self,
        address: StoreAddress,
        workers: int,
        trouble: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        import redis  # noqa: F401 - not only at the first call, which waits for some milliseconds

        self._address = address
        self._workers = workers
        self._trouble = trouble
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens
        self._known: dict[str, _Known] = {}
        self._new = 0
        self._thread: StoreThread | None = None

    async def reserve(self, claims: Sequence[Claim]) -> tuple[Reservation, ...] | tuple[OverBudget, ...]:
        """Grant all of the claims, or none: then those that are over their budget."""
        reply = await self._ask(claims)
        answer = None if reply is None else read_reply(reply, claims)
        with self._lock:
            now = self._clock()
            if answer is None:
                return self._decide_alone(claims, now)
            granted: tuple[Reservation, ...] = ()
            for each, reset in answer.by_claim:
                known = self._known_of(each.claim.bucket)
                known.update(each.spent, reset, now)
                if isinstance(each, Reservation):
                    _add(known.own, each.slot, each.claim.amount)
                    granted += (msgspec.structs.replace(each, reset=known.reset),)
            forgotten = tuple(over for each in granted if (over := self._lost_by_store(each, now)) is not None)
        if not forgotten:
            return granted or cast("tuple[OverBudget, ...]", answer.result)
        for each in granted:
            self.settle(each, 0)
        return forgotten

    def settle(self, reservation: Reservation, amount: int) -> None:
        """Put what an attempt has cost in the place of what was reserved. Doesn't wait."""
        difference = amount - reservation.claim.amount
        if not difference:
            return
        with self._lock:
            known = self._known_of(reservation.claim.bucket)
            if known.reset != reservation.reset:
                return  # it was spent of what a person has given back since
            _add(known.own, reservation.slot, difference)
            _add(known.unsent, reservation.slot, difference)
            if reservation.alone and (difference > 0 or reservation.alone == known.reports):
                _add(known.alone, reservation.slot, difference)
        self._wake()

    def close(self) -> None:
        """Send what is not in the store yet, and end the thread. Usable again afterwards."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def after_fork(self) -> None:
        """In the child of a fork: the thread, and what was spent, are the parent's."""
        self._begin()

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _ask(self, claims: Sequence[Claim]) -> object | None:
        """The reply of the store's script; ``None`` if there is none in time."""
        thread = self._start()
        if thread is None or thread.is_paused:
            return None
        waiter = StoreWaiter(lambda reply: self._take_back(reply, claims))
        thread.ask(claims, waiter.deliver)
        try:
            return await waiter.wait(WAIT)
        except TimeoutError:
            return None

    def _take_back(self, reply: object, claims: Sequence[Claim]) -> None:
        """The store granted what nobody waits for any more."""
        if reply is None:
            return
        answer = read_reply(reply, claims)
        with self._lock:
            now = self._clock()
            for each, reset in () if answer is None else answer.by_claim:
                known = self._known_of(each.claim.bucket)
                known.update(each.spent, reset, now)
                if isinstance(each, Reservation):
                    _add(known.unsent, each.slot, -each.claim.amount)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._thread.wake()

    def _start(self) -> StoreThread | None:
        with self._lock:
            if self._thread is None:
                thread = StoreThread(self._address, self._unsent, self._mark_sent, self._trouble)
                with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can be started
                    thread.start()
                    self._thread = thread
            return self._thread

    # -- alone -------------------------------------------------------------------------------------------------------

    def _decide_alone(self, claims: Sequence[Claim], now: float) -> tuple[Reservation, ...] | tuple[OverBudget, ...]:
        over = tuple(refused for claim in claims if (refused := self._over_alone(claim, now)) is not None)
        if over:
            return over
        granted: tuple[Reservation, ...] = ()
        for claim in claims:
            known, slot = self._known_of(claim.bucket), claim.bucket.window.slot(now)
            for slots in (known.own, known.unsent, known.alone):
                _add(slots, slot, claim.amount)
            granted += (Reservation(claim, slot, known.spent(now), known.reset, alone=known.reports),)
        return granted

    def _over_alone(self, claim: Claim, now: float) -> OverBudget | None:
        if not claim.enforced:
            return None
        bucket, known = claim.bucket, self._known_of(claim.bucket)
        spent = known.spent(now)
        share = bucket.limit // self._workers
        if spent + claim.amount <= bucket.limit and known.spent_alone(now) + claim.amount <= share:
            return None
        return OverBudget(claim, spent, bucket.window.room_in(known.own, claim.amount, bucket.limit, now))

    def _lost_by_store(self, granted: Reservation, now: float) -> OverBudget | None:
        """Where the store has less than this worker alone has spent, that is sent again; and what the store granted is
        refused if it was too much."""
        bucket = granted.claim.bucket
        known = self._known_of(bucket)
        now = max(now, granted.slot * bucket.window.slot_seconds)  # the store's clock, if it is ahead
        own = bucket.window.spent(known.own, now)
        unsent = bucket.window.spent(known.unsent, now)
        if granted.spent + max(0, unsent) >= own:
            return None
        for slot, amount in known.own.items():
            known.unsent[slot] = amount if slot != granted.slot else amount - granted.claim.amount
        if not granted.claim.enforced or own <= bucket.limit:
            self._wake()
            return None
        wait = bucket.window.room_in(known.own, 0, bucket.limit, now)
        return OverBudget(granted.claim, own - granted.claim.amount, wait)

    # -- sending (from the thread) -----------------------------------------------------------------------------------

    def _unsent(self) -> list[UnsentSpending]:
        with self._lock:
            return [
                UnsentSpending(known.bucket, slot, amount, known.alone.get(slot, 0))
                for known in self._known.values()
                for slot, amount in known.unsent.items()
                if amount
            ]

    def _mark_sent(self, unsent: Sequence[UnsentSpending]) -> None:
        with self._lock:
            for each in unsent:
                known = self._known_of(each.bucket)
                _add(known.unsent, each.slot, -each.amount)
                if each.alone:
                    _add(known.alone, each.slot, -each.alone)
                    _add(known.unanswered, each.slot, each.alone)
                    known.reports += 1

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _known_of(self, bucket: Bucket) -> _Known:
        known = self._known.get(bucket.key)
        if known is None:
            self._new += 1
            if self._new >= SWEPT_EVERY:
                self._sweep()
            known = self._known[bucket.key] = _Known(bucket)
        return known

    def _sweep(self) -> None:
        self._new = 0
        now = self._clock()
        for key, known in list(self._known.items()):
            for slots in (known.own, known.unsent, known.alone, known.unanswered):
                known.bucket.window.forget(slots, now)
            if not (known.own or known.unsent or known.unanswered):
                del self._known[key]


def _add(slots: dict[int, int], slot: int, amount: int) -> None:
    left = slots.get(slot, 0) + amount
    if left:
        slots[slot] = left
    else:
        slots.pop(slot, None)
