"""What tokens cost a budget: by the prices of routes, and where a route has none by the dearest that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lanewise._prices.price_book import PriceBook
from lanewise.config import Budget, Config
from lanewise.config.tables.budgets import NANO, nano_usd

__all__ = ["ASSUMED_OUTPUT", "LARGEST", "BudgetPrices", "bounded_nano_usd"]

ASSUMED_OUTPUT: Final = 1000
"""Tokens that an answer is taken to have while nothing is known of its task, and the app sets no lower limit."""
LARGEST: Final = 10**15
"""No attempt takes more: the largest limit is as large."""


class BudgetPrices:
    """The prices of the routes of each budget of a config, in billionths of a dollar.

    Example::

        BudgetPrices(config, PriceBook(config)).cost(config.budgets["free-users"], "flagship", 800, 200)
    """

    def __init__(self, config: Config, prices: PriceBook) -> None:
        self._prices = prices
        self._routes: Mapping[str, tuple[str, ...]] = {
            budget.name: tuple(
                dict.fromkeys(
                    route for name, task in config.tasks.items() if budget.covers(name) for route in task.routes
                )
            )
            for budget in config.budgets.values()
        }
        self._known = frozenset(config.routes)

    def cost(self, budget: Budget, route: str, input_tokens: int, output_tokens: int, tier: str | None = None) -> int:
        """What so many tokens in and out cost on a route, which may be one that the config has no more."""
        cost = self._prices.rough_cost(route, input_tokens, output_tokens, tier) if route in self._known else None
        if cost is None:
            costs = (self._prices.rough_cost(other, input_tokens, output_tokens) for other in self._routes[budget.name])
            cost = max((known for known in costs if known is not None), default=None)
        return budget.limit.amount if cost is None else bounded_nano_usd(cost)


def bounded_nano_usd(dollars: float) -> int:
    """Billionths of a cost; of one that no provider means: nothing, or as much as the largest limit.

    Example::

        assert bounded_nano_usd(float("inf")) == LARGEST and bounded_nano_usd(-1.0) == 0
    """
    return nano_usd(min(max(0.0, dollars), LARGEST / NANO))
