"""Budgets of all workers, in the shared store: asked by a thread, and kept to alone while the store can't be heard."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

import msgspec

from lanewise._budgets.budget_script import read_reply
from lanewise._budgets.claims import Bucket, Claim, OverBudget, Reservation
from lanewise._budgets.store_thread import StoreThread, Untold
from lanewise.config.environment.store_address import StoreAddress

__all__ = ["SharedBudgets"]

WAIT: Final = 0.5
"""Seconds that an attempt waits for the store, before this worker decides alone."""
SWEPT_EVERY: Final = 1000
"""After so many new buckets those are dropped of which nothing counts any more."""


class _Known(msgspec.Struct):
    """What this worker knows of a bucket, by slots of its window.

    ``own`` is what it spent itself, ``untold`` what of that the store has not heard, and ``alone`` what it granted
    itself since it last told. Of what it told since then (``tellings`` times), ``unanswered`` is what it granted alone:
    that counts as heard once the store says something that makes sense. ``seen`` is what it said last, at ``seen_at``;
    ``reset`` when a person emptied the bucket.
    """

    bucket: Bucket
    own: dict[int, int] = {}
    untold: dict[int, int] = {}
    alone: dict[int, int] = {}
    unanswered: dict[int, int] = {}
    tellings: int = 1
    seen: int = 0
    seen_at: float = 0.0
    reset: int = 0

    def hear(self, seen: int, reset: int, now: float) -> None:
        """Take in what the store says."""
        self.seen, self.seen_at = seen, now
        self.unanswered = {}
        if reset > self.reset:
            self.reset = reset
            self.own, self.untold, self.alone = {}, {}, {}

    def spent(self, now: float) -> int:
        """What is spent, as far as this worker knows: never less than what it spent itself."""
        window = self.bucket.window
        counts = window.slot(self.seen_at) >= window.oldest(now)
        seen = self.seen + window.spent(self.untold, now) if counts else 0
        return max(seen, window.spent(self.own, now))

    def spent_alone(self, now: float) -> int:
        """What this worker granted by itself, and does not know to be heard."""
        window = self.bucket.window
        return window.spent(self.alone, now) + window.spent(self.unanswered, now)


class SharedBudgets:
    """As :class:`~lanewise._budgets.claims.BudgetStore`, over all workers.

    A worker that can't hear the store spends at most a bucket's limit / ``workers`` by itself until it can tell of it.
    It goes by what it spent itself where the store says less: a store that was emptied is told again.

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
        """As :meth:`BudgetStore.reserve`."""
        reply = await self._ask(claims)
        answer = None if reply is None else read_reply(reply, claims)
        with self._lock:
            now = self._clock()
            if answer is None:
                return self._decide_alone(claims, now)
            granted: tuple[Reservation, ...] = ()
            for each, reset in answer.by_claim:
                known = self._of(each.claim.bucket)
                known.hear(each.spent, reset, now)
                if isinstance(each, Reservation):
                    _add(known.own, each.slot, each.claim.amount)
                    granted += (msgspec.structs.replace(each, reset=known.reset),)
            forgotten = tuple(over for each in granted if (over := self._forgotten(each, now)) is not None)
        if not forgotten:
            return granted or cast("tuple[OverBudget, ...]", answer.result)
        for each in granted:
            self.settle(each, 0)
        return forgotten

    def settle(self, reservation: Reservation, amount: int) -> None:
        """As :meth:`BudgetStore.settle`."""
        difference = amount - reservation.claim.amount
        if not difference:
            return
        with self._lock:
            known = self._of(reservation.claim.bucket)
            if known.reset != reservation.reset:
                return  # it was spent of what a person has given back since
            _add(known.own, reservation.slot, difference)
            _add(known.untold, reservation.slot, difference)
            if reservation.alone and (difference > 0 or reservation.alone == known.tellings):
                _add(known.alone, reservation.slot, difference)
        self._tell()

    def close(self) -> None:
        """Tell what the store has not heard, and end the thread. Usable again afterwards."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def after_fork(self) -> None:
        """In the child of a fork: the thread, and what was spent, are the parent's."""
        self._begin()

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _ask(self, claims: Sequence[Claim]) -> object | None:
        """What the store's script said; ``None`` if it can't be heard."""
        thread = self._start()
        if thread is None or thread.is_paused:
            return None
        waiter = _Waiter(lambda reply: self._take_back(reply, claims))
        thread.ask(claims, waiter.tell)
        return await waiter.wait(WAIT)

    def _take_back(self, reply: object, claims: Sequence[Claim]) -> None:
        """The store granted what nobody waits for any more."""
        answer = read_reply(reply, claims)
        with self._lock:
            now = self._clock()
            for each, reset in () if answer is None else answer.by_claim:
                known = self._of(each.claim.bucket)
                known.hear(each.spent, reset, now)
                if isinstance(each, Reservation):
                    _add(known.untold, each.slot, -each.claim.amount)
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._thread.wake()

    def _start(self) -> StoreThread | None:
        with self._lock:
            if self._thread is None:
                thread = StoreThread(self._address, self._untold, self._told, self._trouble)
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
            known, slot = self._of(claim.bucket), claim.bucket.window.slot(now)
            for slots in (known.own, known.untold, known.alone):
                _add(slots, slot, claim.amount)
            granted += (Reservation(claim, slot, known.spent(now), known.reset, alone=known.tellings),)
        return granted

    def _over_alone(self, claim: Claim, now: float) -> OverBudget | None:
        if not claim.enforced:
            return None
        bucket, known = claim.bucket, self._of(claim.bucket)
        spent = known.spent(now)
        share = bucket.limit // self._workers
        if spent + claim.amount <= bucket.limit and known.spent_alone(now) + claim.amount <= share:
            return None
        return OverBudget(claim, spent, bucket.window.room_in(known.own, claim.amount, bucket.limit, now))

    def _forgotten(self, granted: Reservation, now: float) -> OverBudget | None:
        """Where the store says less than this worker alone has spent, it is told again; and what it granted is refused
        if that was too much."""
        bucket = granted.claim.bucket
        known = self._of(bucket)
        now = max(now, granted.slot * bucket.window.slot_seconds)  # the store's clock, if it is ahead
        own = bucket.window.spent(known.own, now)
        untold = bucket.window.spent(known.untold, now)
        if granted.spent + max(0, untold) >= own:
            return None
        for slot, amount in known.own.items():
            known.untold[slot] = amount if slot != granted.slot else amount - granted.claim.amount
        if not granted.claim.enforced or own <= bucket.limit:
            self._tell()
            return None
        wait = bucket.window.room_in(known.own, 0, bucket.limit, now)
        return OverBudget(granted.claim, own - granted.claim.amount, wait)

    # -- telling (from the thread) -----------------------------------------------------------------------------------

    def _untold(self) -> list[Untold]:
        with self._lock:
            return [
                Untold(known.bucket, slot, amount, known.alone.get(slot, 0))
                for known in self._known.values()
                for slot, amount in known.untold.items()
                if amount
            ]

    def _told(self, untold: Sequence[Untold]) -> None:
        with self._lock:
            for each in untold:
                known = self._of(each.bucket)
                _add(known.untold, each.slot, -each.amount)
                if each.alone:
                    _add(known.alone, each.slot, -each.alone)
                    _add(known.unanswered, each.slot, each.alone)
                    known.tellings += 1

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _of(self, bucket: Bucket) -> _Known:
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
            for slots in (known.own, known.untold, known.alone, known.unanswered):
                known.bucket.window.forget(slots, now)
            if not (known.own or known.untold or known.unanswered):
                del self._known[key]


class _Waiter:
    """An attempt that waits in its loop for what the thread brings. ``too_late`` takes what nobody waits for any more;
    it is called in the loop, or in the thread if the loop is closed."""

    __slots__ = ("_future", "_given_up", "_loop", "_too_late")

    def __init__(self, too_late: Callable[[object], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[object | None] = self._loop.create_future()
        self._too_late = too_late
        self._given_up = False

    async def wait(self, seconds: float) -> object | None:
        """What came; ``None`` if nothing did in time, or the store could not be heard."""
        try:
            await asyncio.wait((self._future,), timeout=seconds)
        except BaseException:
            if self._future.done() and self._future.result() is not None:
                self._too_late(self._future.result())
            raise
        finally:
            self._given_up = True
        return self._future.result() if self._future.done() else None

    def tell(self, reply: object | None) -> None:
        """From the thread."""
        try:
            self._loop.call_soon_threadsafe(self._set, reply)
        except RuntimeError:  # the loop is closed
            if reply is not None:
                self._too_late(reply)

    def _set(self, reply: object | None) -> None:
        if not self._given_up:
            self._future.set_result(reply)
        elif reply is not None:
            self._too_late(reply)


def _add(slots: dict[int, int], slot: int, amount: int) -> None:
    left = slots.get(slot, 0) + amount
    if left:
        slots[slot] = left
    else:
        slots.pop(slot, None)
