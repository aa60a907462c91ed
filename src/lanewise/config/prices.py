"""What a route costs, as it is declared: prices by kind of token, for long prompts, by service tier, and a request."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

from lanewise.config.values import Count, Text

__all__ = ["LongPromptPrices", "PriceTable", "TierPrices"]

Dollars = Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)]
_ABOVE = "Prompts of more tokens than this pay these prices, for all of their tokens."


class _Prices(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

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
