"""Where a router's budgets are kept: in the shared store, or in memory, filled from the ledger where there is one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from lanewise._budgets.budget_prices import BudgetPrices
from lanewise._budgets.budgets_in_memory import BudgetsInMemory
from lanewise._budgets.call_budgets import RouterBudgets
from lanewise._budgets.claims import Bucket, BudgetStore
from lanewise._budgets.filled_budgets import FilledBudgets
from lanewise._budgets.history import spent_before
from lanewise._budgets.shared_budgets import SharedBudgets
from lanewise._prices.price_book import PriceBook, asked_tier
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise.config import Config, Credentials

__all__ = ["router_budgets"]

_log: Final = logging.getLogger("lanewise")


def router_budgets(
    config: Config, prices: PriceBook, credentials: Credentials, services: BackgroundServices
) -> RouterBudgets | None:
    """The budgets of a config, if it declares any."""
    if not config.budgets:
        return None
    costs = BudgetPrices(config, prices)
    store: BudgetStore
    if credentials.store is not None:
        store = SharedBudgets(credentials.store, config.router.expected_workers or 1, _log.warning)
        services.add(store)
    elif credentials.ledger is not None:
        load = partial(_spent_before, config, credentials, credentials.ledger, costs, datetime.now(UTC))
        store = FilledBudgets(BudgetsInMemory(), load, _unfilled)
        services.add(store)
    else:
        store = BudgetsInMemory()
        services.add(store)
    return RouterBudgets(config, costs, asked_tier, store, credentials.secret)


def _spent_before(
    config: Config, credentials: Credentials, url: str, prices: BudgetPrices, until: datetime
) -> Iterator[tuple[Bucket, float, int]]:
    """What the ledger says of the budgets' windows. May raise anything that a database raises."""
    from lanewise._ledger.database import open_ledger  # of the extra `ledger`
    from lanewise._ledger.queries.past_spending import past_spending
    from lanewise._ledger.schema.schema_version import has_tables

    since = until - timedelta(seconds=max(budget.window for budget in config.budgets.values()))
    engine = open_ledger(url)
    try:
        with engine.connect() as connection:
            if has_tables(connection):
                past = past_spending(connection, since, until)
                knows_subjects = credentials.secret is not None
                yield from spent_before(config.budgets.values(), past, prices, knows_subjects=knows_subjects)
    finally:
        engine.dispose()


def _unfilled(error: Exception) -> None:
    _log.warning(
        "budgets: what was spent before could not be read from the ledger (%s). Their windows begin empty until it can",
        type(error).__name__,
    )
