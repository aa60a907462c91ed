"""The price of a model by the list of ``genai-prices``: looked up by the provider's host, the model and the day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from lanewise._prices.price import Price
from lanewise.config import Provider
from lanewise.config.tables.prices import listed_model

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as Seller

__all__ = ["ListedPrice", "listed_price"]


class ListedPrice(Price):
    """A price of the list, with its tiers for long prompts and for service, its dates and its hours."""

    def __init__(self, seller: Seller, model: ModelInfo) -> None:
        self._seller = seller
        self._model = model

    def _prices(self, at: datetime, terms: Mapping[str, str]) -> ModelPrice:
        return self._model.get_prices(at, terms)

    def _calculated(
        self, counted: Mapping[str, float], at: datetime, terms: Mapping[str, str]
    ) -> tuple[Decimal, ModelPrice]:
        from genai_prices import Usage as Counted

        found = self._model.calc_price(
            Counted(**counted), self._seller, genai_request_timestamp=at, price_context=terms or None
        )
        return found.total_price, found.model_price

    def _has(self, prices: ModelPrice, name: str) -> bool:
        # Of prices a request the list has the highest of several, and which one it was nobody tells.
        return super()._has(prices, name) and prices.requests_kcount is None


def listed_price(model: str, provider: Provider) -> Price | None:
    found = listed_model(model, provider.base_url)
    if found is None or found[1].get_prices(datetime.now(UTC)).input_mtok is None:
        return None  # some models are sold by the hour, the page or the request
    return ListedPrice(*found)
