"""genai-prices: the snapshot of the price list, whose prices are reckoned with here."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["GENAI_PRICES"]

GENAI_PRICES: Final = Library(
    "genai-prices",
    ("0.2", "0.2.3"),
    (
        Part("genai_prices.data_snapshot:get_snapshot"),
        Part("genai_prices.data_snapshot:DataSnapshot.find_provider_model"),
        Part("genai_prices.types:ModelInfo.get_prices"),
        Part("genai_prices.types:TieredPrices", takes=("base", "tiers")),
        Part("genai_prices.types:Tier", takes=("start", "price")),
    ),
)
