"""Budgets in memory, filled before the first attempt with what was spent before the process began."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Final

from lanewise._budgets.budgets_in_memory import BudgetsInMemory
from lanewise._budgets.claims import Bucket, Claim, OverBudget, Reservation

__all__ = ["FilledBudgets"]

WAIT: Final = 5.0
"""Seconds that an attempt waits for the filling at most: then it goes on with what is there."""
PAUSE: Final = 10.0
"""Seconds after which a filling that failed is tried again."""

Load = Callable[[], Iterable[tuple[Bucket, float, int]]]
"""Reads what was spent: of a bucket, when, how much. May block, and raise anything."""


class FilledBudgets:
    """A :class:`~lanewise._budgets.claims.BudgetStore` in memory. ``trouble`` gets what made a filling fail."""

    def __init__(self, memory: BudgetsInMemory, load: Load, trouble: Callable[[Exception], None]) -> None:
        self._memory = memory
        self._load = load
        self._trouble = trouble
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._filled = False
        self._filling: Future[None] | None = None
        self._not_before = 0.0

    async def reserve(self, claims: Sequence[Claim]) -> tuple[Reservation, ...] | tuple[OverBudget, ...]:
        """Grant all of the claims, or none: then those that are over their budget."""
        if not self._filled:
            await self._fill()
        return await self._memory.reserve(claims)

    def settle(self, reservation: Reservation, amount: int) -> None:
        """Put what an attempt has cost in the place of what was reserved. Doesn't wait."""
        self._memory.settle(reservation, amount)

    def close(self) -> None:
        """What was spent stays spent while the router is closed."""

    def after_fork(self) -> None:
        """In the child of a fork: it fills its own."""
        self._memory.after_fork()
        self._begin()

    async def _fill(self) -> None:
        filling = self._start()
        if filling is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT):
                    await asyncio.shield(asyncio.wrap_future(filling))

    def _start(self) -> Future[None] | None:
        """The filling that runs; ``None`` if none does, since the last one failed a moment ago."""
        with self._lock:
            if self._filling is None and time.monotonic() >= self._not_before:
                filling: Future[None] = Future()
                with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can be started
                    threading.Thread(
                        target=self._run, args=(filling,), name="lanewise-budgets-ledger", daemon=True
                    ).start()
                    self._filling = filling
            return self._filling

    def _run(self, filling: Future[None]) -> None:
        try:
            self._memory.fill(list(self._load()))
            self._filled = True
        except Exception as error:  # noqa: BLE001 - the border of a foreign database
            self._not_before = time.monotonic() + PAUSE
            self._trouble(error)
        with self._lock:
            self._filling = None
        filling.set_result(None)
