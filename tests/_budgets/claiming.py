"""Claims on a budget, asked for by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from busy_machine import LONG_ENOUGH
from lanewise._budgets.claims import Bucket, BudgetStore, Claim, OverBudget, Reservation
from lanewise._budgets.shared_budgets import SharedBudgets
from lanewise._budgets.spending_window import SpendingWindow
from lanewise.config.environment.store_address import StoreAddress

__all__ = ["at_once", "bucket", "claim", "shared", "until_sent"]


def bucket(limit: int = 1000, *, seconds: float = 3600.0, key: str = "0:free:-") -> Bucket:
    return Bucket("free", key, limit, SpendingWindow(seconds))


async def claim(store: BudgetStore, bucket: Bucket, amount: int, *, enforced: bool = True) -> Reservation | OverBudget:
    return (await store.reserve([Claim(bucket, amount, enforced)]))[0]


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@contextmanager
def shared(
    url: str, workers: int = 4, count: int = 2, told: Callable[[str], None] = lambda line: None
) -> Iterator[list[SharedBudgets]]:
    """So many workers over one store, one of ``workers`` each; ``told`` gets the lines of the log."""
    stores = [SharedBudgets(StoreAddress(url), workers, told) for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            store.close()


async def until_sent(store: SharedBudgets) -> None:
    """Wait until the store has heard all."""
    async with asyncio.timeout(LONG_ENOUGH):
        while store._unsent():
            await asyncio.sleep(0.005)
