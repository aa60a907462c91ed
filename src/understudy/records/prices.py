"""What tokens cost: by the route's own ``price``, else by the price list of ``genai-prices``; never by a guess."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from understudy.config import Provider, Route

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

__all__ = ["Price", "Tokens", "context_window", "price_of"]

_MILLION: Final = 1_000_000


class Tokens(msgspec.Struct, frozen=True):
    """What one call is billed for. The cached input tokens are among the input tokens, as in the provider's usage."""

    input: int
    output: int
    cached_input: int = 0


class Price(Protocol):
    """A route's price."""

    def cost(self, tokens: Tokens) -> float:
        """US dollars for one call."""
        ...


class _Declared:
    """The route's own price, in US dollars a million tokens."""

    def __init__(self, price: Mapping[str, float]) -> None:
        self._input = price["input"]
        self._output = price["output"]
        self._cached_input = price.get("cached_input", self._input)

    def cost(self, tokens: Tokens) -> float:
        fresh = tokens.input - tokens.cached_input
        parts = fresh * self._input, tokens.cached_input * self._cached_input, tokens.output * self._output
        return sum(parts) / _MILLION


class _Listed:
    """A price of the list, with its tiers for long prompts."""

    def __init__(self, model: ModelInfo) -> None:
        self._model = model

    def cost(self, tokens: Tokens) -> float:
        from genai_prices import Usage

        prices = self._model.get_prices(datetime.now(UTC))
        usage = Usage(
            input_tokens=tokens.input, output_tokens=tokens.output, cache_read_tokens=tokens.cached_input or None
        )
        return float(prices.calc_price(usage)["total_price"])


def price_of(route: Route, provider: Provider) -> Price | None:
    """A route's price, ``None`` if it is not known: then nobody may reckon with one.

    The list is asked for the provider by its base URL: what one provider takes for a model says nothing of another.

    Example::

        price = price_of(config.routes["flagship"], config.providers["openai"])
        dollars = None if price is None else price.cost(Tokens(input=1200, output=300))
    """
    if route.price is not None:
        return _Declared(route.price)
    model = _listed(route.model, provider.base_url)
    return None if model is None else _Listed(model)


def context_window(route: Route, provider: Provider) -> int | None:
    """The tokens that a route's model can take, question and answer, if the config or the price list knows.

    Example::

        context_window(config.routes["flagship"], config.providers["openai"])  # 1_000_000
    """
    if route.context_window is not None:
        return route.context_window
    model = _listed(route.model, provider.base_url)
    return None if model is None else model.context_window


def _listed(model: str, base_url: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot  # 0.2 s: only where a price is asked for

    try:
        return get_snapshot().find_provider_model(model, None, None, base_url)[1]
    except LookupError:
        return None
