"""Prices of routes: the route's own ``price``, else that of the list of ``genai-prices``; never a guess."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise._openai.usage.usage import Usage
from lanewise._routing.model_match import is_substitute
from lanewise._telemetry.reckoning import ComputedCost, Price
from lanewise.config import Config, PriceTable, Provider, Route
from lanewise.config.tables.prices import LongPromptPrices, TierPrices, listed_model

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices
    from genai_prices.types import Provider as Seller

__all__ = ["ComputedCost", "Price", "PriceBook", "asked_tier", "context_window", "price_of"]

_KEPT: Final = 1024
"""How many models' prices a book keeps: a provider may answer with any name."""
_ORDERED: Final = 4096
"""How many costs a book keeps for the order of routes."""


class PriceBook:
    """The prices of a config's routes, found once for each model that answers.

    Example::

        price = PriceBook(config).of("flagship", "gpt-5.5-2026-04-23")
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._found: dict[tuple[str, str | None], Price | None] = {}
        self._rough: dict[tuple[str, int, int, str | None, float], tuple[object, float | None]] = {}
        self._list: Callable[[], DataSnapshot] | None = None
        self._snapshot: DataSnapshot | None = None

    def load(self) -> None:
        """Read the price list now, if a route needs it (30 ms, 4 MB), so that no call has to wait for that."""
        if any(route.price is None for route in self._config.routes.values()):
            from genai_prices.data_snapshot import get_snapshot

            self._list = get_snapshot
        for route in self._config.routes:
            self.of(route, None)

    def of(self, route: str, answered: str | None) -> Price | None:
        """The price of what a route's model answered; ``None`` if it is not known. ``answered``: as which model.

        A list that the app keeps up to date (``genai_prices.UpdatePrices``) counts from its update on.
        """
        if self._list is not None and (snapshot := self._list()) is not self._snapshot:
            self._snapshot = snapshot
            self._found.clear()
            self._rough.clear()
        try:
            return self._found[route, answered]
        except KeyError:
            price = self._find(self._config.routes[route], answered)
        if len(self._found) < _KEPT:
            self._found[route, answered] = price
        return price

    def most_output(self, route: Route) -> int | None:
        """The tokens that a route's model can answer with: ``max_output``, else its window; ``None`` if not known."""
        return route.max_output or context_window(route, self._config.providers[route.provider])

    def rough_cost(
        self,
        route: str,
        input_tokens: int,
        output_tokens: int,
        asked_tier: str | None = None,
        cached_share: float = 0.0,
    ) -> float | None:
        """US dollars for about so many tokens in and out, to three digits: for the order of routes, before a call.

        ``cached_share`` is the share of the tokens in that come from the provider's cache.

        A microsecond, once a call of about this size has been reckoned.
        """
        price = self.of(route, None)
        if price is None:
            return None
        now = datetime.now(UTC)
        prices = price.identity(now)
        share = round(cached_share, 2)
        key = (route, _rounded(input_tokens), _rounded(output_tokens), asked_tier, share)
        known = self._rough.get(key)
        if known is not None and known[0] is prices:
            return known[1]
        usage = Usage(input_tokens=key[1], output_tokens=key[2], cached_tokens=int(share * key[1]) or None)
        reckoned = price.reckon(usage, now, asked_tier=asked_tier)
        if len(self._rough) >= _ORDERED:
            self._rough.clear()
        cost = None if reckoned is None else reckoned.usd
        self._rough[key] = prices, cost
        return cost

    def _find(self, route: Route, answered: str | None) -> Price | None:
        provider = self._config.providers[route.provider]
        if route.price is not None or answered is None or answered == route.model:
            return price_of(route, provider)
        price = _price_listed(answered, provider)
        if price is None and not is_substitute(route.model, answered, route.answers_as):
            return price_of(route, provider)
        return price


def price_of(route: Route, provider: Provider) -> Price | None:
    """A route's price, ``None`` if it is not known: then nobody may reckon with one.

    The list is asked for the provider by its base URL: what one provider takes for a model says nothing of another.

    Example::

        price = price_of(config.routes["flagship"], config.providers["openai"])
        cost = None if price is None else price.reckon(Usage(input_tokens=1200, output_tokens=300), datetime.now(UTC))
    """
    if route.price is not None:
        return _Declared(route.price, route.set.get("service_tier"))
    return _price_listed(route.model, provider)


def asked_tier(route: Route, body: RequestBody, *, dropped: Collection[str] = ()) -> str | None:
    """The service tier that a request asks for: the route's own setting, else the app's, unless that is ``dropped``."""
    declared: object = route.set.get("service_tier")
    if declared is None and "service_tier" not in dropped and "service_tier" not in route.drop:
        declared = _decoded(body.fields.get("service_tier"))
    return declared if isinstance(declared, str) else None


def _decoded(raw: msgspec.Raw | None) -> object:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return None


def context_window(route: Route, provider: Provider) -> int | None:
    """The tokens that a route's model can take, question and answer, if the config or the price list knows.

    Example::

        context_window(config.routes["flagship"], config.providers["openai"])  # 1_000_000
    """
    if route.context_window is not None:
        return route.context_window
    found = listed_model(route.model, provider.base_url)
    return None if found is None else found[1].context_window


def _rounded(count: int) -> int:
    """A count to three digits."""
    unit: int = 10 ** max(0, len(str(count)) - 3)
    return round(count / unit) * unit


# -- the list's prices ---------------------------------------------------------------------------------------------


class _Listed(Price):
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


def _price_listed(model: str, provider: Provider) -> Price | None:
    found = listed_model(model, provider.base_url)
    if found is None or found[1].get_prices(datetime.now(UTC)).input_mtok is None:
        return None  # some models are sold by the hour, the page or the request
    return _Listed(*found)


# -- a route's own price -------------------------------------------------------------------------------------------


class _Declared(Price):
    """The route's own price. It is meant for the service tier that the route itself sets."""

    def __init__(self, table: PriceTable, own_tier: object) -> None:
        self._own_tier = own_tier.lower() if isinstance(own_tier, str) else None
        self._table = table
        self._named = frozenset(_NAMES[key] for key in _NAMES if _is_given(table, key))
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
    built = {"": ModelPrice(**_filled(plain))}
    for tier, own in table.service_tiers.items():
        prices = {**plain, **{_NAMES[key]: _decimal(price) for key, price in _given(own).items()}}
        built[tier.lower()] = ModelPrice(**_filled(prices))
    return built


def _plain_prices(table: PriceTable) -> _Prices:
    from genai_prices.types import Tier, TieredPrices

    prices: _Prices = {}
    for key, price in _given(table).items():
        steps = [
            Tier(tier.above, _decimal(step)) for tier in table.tiers if (step := _given(tier).get(key)) is not None
        ]
        prices[_NAMES[key]] = TieredPrices(_decimal(price), steps) if steps else _decimal(price)
    for key in ("requests", "web_searches"):
        if (price := getattr(table, key)) is not None:
            prices[_NAMES[key]] = _decimal(price)
    return prices


def _given(table: PriceTable | TierPrices | LongPromptPrices) -> dict[str, float]:
    """The prices of tokens that a table declares, by the config's keys."""
    return {key: price for key in TierPrices.model_fields if (price := getattr(table, key)) is not None}


def _is_given(table: PriceTable, key: str) -> bool:
    return any(getattr(prices, key, None) is not None for prices in (table, *table.service_tiers.values()))


def _filled(prices: _Prices) -> _Prices:
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
