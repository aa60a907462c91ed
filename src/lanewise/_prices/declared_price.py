"""A route's own ``price`` in the config, as ``genai-prices`` calculates with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from lanewise._openai.usage.usage import Usage
from lanewise._prices.price import Price
from lanewise.config import PriceTable
from lanewise.config.tables.prices import LongPromptPrices, TierPrices

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

__all__ = ["DeclaredPrice"]


class DeclaredPrice(Price):
    """The route's own price. It is meant for the service tier that the route itself sets."""

    def __init__(self, table: PriceTable, own_tier: object) -> None:
        self._own_tier = own_tier.lower() if isinstance(own_tier, str) else None
        self._table = table
        self._named = frozenset(_NAMES[key] for key in _NAMES if _is_declared(table, key))
        self._built: dict[str, ModelPrice] = {}

    def _terms(self, usage: Usage, asked_tier: str | None) -> tuple[dict[str, str], bool]:
        terms, complete = super()._terms(usage, asked_tier)
        if self._own_tier is not None and terms.get("service_tier") == self._own_tier:
            return {name: term for name, term in terms.items() if name != "service_tier"}, True
        return terms, complete

    def _prices(self, at: datetime, terms: Mapping[str, str]) -> ModelPrice:
        tier = terms.get("service_tier", "")
        if not self._built:
            self._built = _model_prices(self._table)
        return self._built.get(tier, self._built[""])

    def _calculated(
        self, counted: Mapping[str, float], at: datetime, terms: Mapping[str, str]
    ) -> tuple[Decimal, ModelPrice]:
        from genai_prices import Usage as Counted

        prices = self._prices(at, terms)
        return prices.calc_price(Counted(**counted))["total_price"], prices

    def _has(self, prices: ModelPrice, name: str) -> bool:
        if name not in self._named:
            return _whole_of(name) in self._named and getattr(prices, _whole_of(name)) == 0  # of nothing all is free
        return super()._has(prices, name)


_NAMES: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "cached_audio_input": "cache_audio_read_mtok",
    "audio_output": "output_audio_mtok",
    "image_input": "input_image_mtok",
    "image_output": "output_image_mtok",
    "requests": "requests_kcount",
    "web_searches": "web_searches_kcount",
}
"""The config's keys, and the library's names for the same prices."""


def _whole_of(name: str) -> str:
    """The price that tokens are paid by which have none of their own."""
    return "output_mtok" if name.startswith("output_") else "input_mtok" if name.endswith("_mtok") else name


_Prices = dict[str, "Decimal | TieredPrices"]


def _model_prices(table: PriceTable) -> dict[str, ModelPrice]:
    """A table's prices as the library has them: the plain ones under "", and those of each service tier."""
    from genai_prices.types import ModelPrice

    plain = _plain_prices(table)
    built = {"": ModelPrice(**_with_required(plain))}
    for tier, own in table.service_tiers.items():
        prices = {**plain, **{_NAMES[key]: _decimal(price) for key, price in _declared(own).items()}}
        built[tier.lower()] = ModelPrice(**_with_required(prices))
    return built


def _plain_prices(table: PriceTable) -> _Prices:
    from genai_prices.types import Tier, TieredPrices

    prices: _Prices = {}
    for key, price in _declared(table).items():
        steps = [
            Tier(tier.above, _decimal(step)) for tier in table.tiers if (step := _declared(tier).get(key)) is not None
        ]
        prices[_NAMES[key]] = TieredPrices(_decimal(price), steps) if steps else _decimal(price)
    for key in ("requests", "web_searches"):
        if (price := getattr(table, key)) is not None:
            prices[_NAMES[key]] = _decimal(price)
    return prices


def _declared(table: PriceTable | TierPrices | LongPromptPrices) -> dict[str, float]:
    """The prices of tokens that a table declares, by the config's keys."""
    return {key: price for key in TierPrices.model_fields if (price := getattr(table, key)) is not None}


def _is_declared(table: PriceTable, key: str) -> bool:
    return any(getattr(prices, key, None) is not None for prices in (table, *table.service_tiers.values()))


def _with_required(prices: _Prices) -> _Prices:
    """With the prices that the library wants beside these: nothing that has to be paid by them is known."""
    filled = dict(prices)
    if "cache_audio_read_mtok" in filled:
        filled.setdefault("input_audio_mtok", filled["input_mtok"])
        filled.setdefault("cache_read_mtok", filled["input_mtok"])
    if "cache_write_1h_mtok" in filled:
        filled.setdefault("cache_write_mtok", filled["input_mtok"])
    for kind in ("audio", "image"):
        for cached in ("read", "write", "write_1h"):
            if f"input_{kind}_mtok" in filled and f"cache_{cached}_mtok" in filled:
                filled.setdefault(f"cache_{kind}_{cached}_mtok", filled[f"input_{kind}_mtok"])
    return filled


def _decimal(dollars: float) -> Decimal:
    return Decimal(repr(dollars))
