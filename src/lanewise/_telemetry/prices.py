"""What tokens cost: by the route's own ``price``, else by the price list of ``genai-prices``; never by a guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from lanewise._routing.model_match import is_substitute
from lanewise.config import Config, Provider, Route

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

__all__ = ["Price", "PriceBook", "Tokens", "context_window", "price_of"]

_MILLION: Final = 1_000_000
_KEPT: Final = 1024
"""How many models' prices a book keeps: a provider may answer with any name."""


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """What one call is billed for. The cached input tokens are among the input tokens, as in the provider's usage."""

    input: int
    output: int
    cached_input: int = 0


class Price(Protocol):
    """A route's price."""

    def cost(self, tokens: Tokens) -> float:
        """US dollars for one call. About 1 us."""
        ...


class PriceBook:
    """The prices of a config's routes, found once for each model that answers.

    Example::

        price = PriceBook(config).of("flagship", "gpt-5.5-2026-04-23")
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._found: dict[tuple[str, str | None], Price | None] = {}
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

    def _find(self, route: Route, answered: str | None) -> Price | None:
        provider = self._config.providers[route.provider]
        if route.price is not None or answered is None or answered == route.model:
            return price_of(route, provider)
        price = _price_listed(answered, provider)
        if price is None and not is_substitute(route.model, answered, route.answers_as):
            return price_of(route, provider)
        return price


class _Declared:
    """The route's own price, in US dollars a million tokens."""

    def __init__(self, price: Mapping[str, float]) -> None:
        self._input = price["input"]
        self._output = price["output"]
        self._cached_input = price.get("cached_input", self._input)

    def cost(self, tokens: Tokens) -> float:
        fresh = tokens.input - tokens.cached_input
        dollars = fresh * self._input + tokens.cached_input * self._cached_input + tokens.output * self._output
        return dollars / _MILLION


class _Rate:
    """A price of the list for one kind of token: a step for prompts longer than so many tokens, the dearest first."""

    __slots__ = ("_base", "_steps")

    def __init__(self, price: object) -> None:
        tiers = getattr(price, "tiers", ())
        self._base = float(getattr(price, "base", price))  # type: ignore[arg-type]
        self._steps = tuple((tier.start, float(tier.price)) for tier in reversed(tiers))

    def a_million(self, prompt: int) -> float:
        for start, dollars in self._steps:
            if prompt > start:
                return dollars
        return self._base


class _Rates:
    """What the list takes in one of its periods, in US dollars a million tokens, and a request."""

    __slots__ = ("cached", "input", "of", "output", "request")

    def __init__(self, prices: ModelPrice) -> None:
        self.of = prices  # kept, because the rates are found by its identity
        self.input = _Rate(prices.input_mtok)
        self.output = _Rate(prices.output_mtok or 0)
        self.cached = self.input if prices.cache_read_mtok is None else _Rate(prices.cache_read_mtok)
        self.request = _Rate(prices.requests_kcount or 0).a_million(0) / 1000


class _Listed:
    """A price of the list, with its tiers for long prompts and its dates and hours.

    Reckoned here, because the list's own way takes a hundred times as long. It knows more kinds of tokens (audio,
    images, writes into the cache) than a provider's usage tells: all are taken for text.
    """

    def __init__(self, model: ModelInfo) -> None:
        self._model = model
        self._rates: dict[int, _Rates] = {}

    def cost(self, tokens: Tokens) -> float:
        prices = self._model.get_prices(datetime.now(UTC))
        found = self._rates.get(id(prices))
        if found is None:
            found = self._rates[id(prices)] = _Rates(prices)
        prompt, reused = tokens.input, tokens.cached_input
        dollars = (prompt - reused) * found.input.a_million(prompt) + tokens.output * found.output.a_million(prompt)
        if reused:
            dollars += reused * found.cached.a_million(prompt)
        return dollars / _MILLION + found.request


def price_of(route: Route, provider: Provider) -> Price | None:
    """A route's price, ``None`` if it is not known: then nobody may reckon with one.

    The list is asked for the provider by its base URL: what one provider takes for a model says nothing of another.

    Example::

        price = price_of(config.routes["flagship"], config.providers["openai"])
        dollars = None if price is None else price.cost(Tokens(input=1200, output=300))
    """
    if route.price is not None:
        return _Declared(route.price)
    return _price_listed(route.model, provider)


def context_window(route: Route, provider: Provider) -> int | None:
    """The tokens that a route's model can take, question and answer, if the config or the price list knows.

    Example::

        context_window(config.routes["flagship"], config.providers["openai"])  # 1_000_000
    """
    if route.context_window is not None:
        return route.context_window
    model = _listed(route.model, provider.base_url)
    return None if model is None else model.context_window


def _price_listed(model: str, provider: Provider) -> Price | None:
    found = _listed(model, provider.base_url)
    if found is None or found.get_prices(datetime.now(UTC)).input_mtok is None:
        return None  # some models are sold by the hour, the page or the request
    return _Listed(found)


def _listed(model: str, base_url: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot  # 30 ms: only where a price is asked for

    try:
        return get_snapshot().find_provider_model(model, None, None, base_url)[1]
    except LookupError:
        return None
