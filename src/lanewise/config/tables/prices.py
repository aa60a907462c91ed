"""``routes.NAME.price``: prices by kind of token, for long prompts, by service tier, and a request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, Strict

from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.scalars import Count, Text

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo
    from genai_prices.types import Provider as Seller

__all__ = ["LongPromptPrices", "PriceTable", "TierPrices", "least_cost", "listed_model"]

Dollars = Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)]
_ABOVE = "Prompts of more tokens than this pay these prices, for all of their tokens."


class _Prices(BaseModel):
    model_config = DECLARED

    input: Dollars | None = Field(default=None, description="Tokens in.")
    output: Dollars | None = Field(default=None, description="Tokens out, reasoning included.")
    cached_input: Dollars | None = Field(default=None, description="Tokens in that came from the provider's cache.")
    cache_write: Dollars | None = Field(default=None, description="Tokens in that were written to the cache.")
    cache_write_1h: Dollars | None = Field(default=None, description="The same, to be kept for an hour.")
    audio_input: Dollars | None = Field(default=None, description="Tokens in of audio.")
    cached_audio_input: Dollars | None = Field(default=None, description="Tokens in of audio, from the cache.")
    audio_output: Dollars | None = Field(default=None, description="Tokens out of audio.")
    image_input: Dollars | None = Field(default=None, description="Tokens in of images.")
    image_output: Dollars | None = Field(default=None, description="Tokens out of images.")


class LongPromptPrices(_Prices):
    """Prices for prompts of more than ``above`` tokens. What is not given here stays as it is."""

    above: Count = Field(description=_ABOVE)


class TierPrices(_Prices):
    """Prices of one service tier. What is not given here has no price there."""


class PriceTable(_Prices):
    """A route's own prices: US dollars a million tokens, and a thousand requests or searches.

    Example::

        PriceTable(input=1.25, output=10.0, cached_input=0.125, requests=5.0)
    """

    input: Dollars = Field(description="Tokens in.")
    output: Dollars = Field(description="Tokens out, reasoning included.")
    requests: Dollars | None = Field(default=None, description="A thousand requests, beside their tokens.")
    web_searches: Dollars | None = Field(default=None, description="A thousand web searches of the provider's own.")
    tiers: tuple[LongPromptPrices, ...] = Field(
        default=(), description="Prices for long prompts, each from its `above` on."
    )
    service_tiers: dict[Text, TierPrices] = Field(
        default={}, description="Prices by service tier, for answers that come from another than the route itself sets."
    )


def listed_model(model: str, base_url: str) -> tuple[Seller, ModelInfo] | None:
    """A model as the public list has it, by the base URL of who sells it; ``None`` if it has not."""
    from genai_prices.data_snapshot import get_snapshot  # 30 ms: only where a price is asked for

    try:
        return get_snapshot().find_provider_model(model, None, None, base_url)
    except LookupError:
        return None


def least_cost(price: PriceTable | None, model: str, base_url: str) -> float | None:
    """US dollars for one token in and one out, by a route's own price or the list's; ``None`` if it has none.

    Example::

        assert least_cost(PriceTable(input=1.0, output=2.0), "gpt-5.5", "https://api.openai.com/v1") == 3e-06
    """
    if price is not None:
        return (price.input + price.output) / 1e6
    found = listed_model(model, base_url)
    if found is None or found[1].get_prices(datetime.now(UTC)).input_mtok is None:
        return None  # some models are sold by the hour, the page or the request
    from genai_prices import Usage

    seller, listed = found
    cost = listed.calc_price(Usage(input_tokens=1, output_tokens=1), seller, genai_request_timestamp=datetime.now(UTC))
    return float(cost.total_price)
