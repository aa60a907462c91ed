"""Prices of routes: the route's own ``price``, else that of the list of ``genai-prices``; never a guess."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise._openai.usage.usage import Usage
from lanewise._prices.declared_price import DeclaredPrice
from lanewise._prices.listed_price import listed_price
from lanewise._prices.price import Price
from lanewise._routing.model_match import is_substitute
from lanewise.config import Config, Provider, Route
from lanewise.config.tables.prices import listed_model

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

__all__ = ["PriceBook", "asked_tier", "context_window", "price_of"]

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
        price = listed_price(answered, provider)
        if price is None and not is_substitute(route.model, answered, route.answers_as):
            return price_of(route, provider)
        return price


def price_of(route: Route, provider: Provider) -> Price | None:
    """A route's price, ``None`` if it is not known: then its costs are unknown too.

    The list is asked for the provider by its base URL: what one provider takes for a model says nothing of another.

    Example::

        price = price_of(config.routes["flagship"], config.providers["openai"])
        cost = None if price is None else price.reckon(Usage(input_tokens=1200, output_tokens=300), datetime.now(UTC))
    """
    if route.price is not None:
        return DeclaredPrice(route.price, route.set.get("service_tier"))
    return listed_price(route.model, provider)


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
