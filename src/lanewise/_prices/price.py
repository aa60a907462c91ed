"""The cost of an answer: its usage as ``genai-prices`` counts it, and whether the price covers all of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai.usage.usage import Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelPrice

__all__ = ["STANDARD_TIERS", "ComputedCost", "Price"]

STANDARD_TIERS: Final = frozenset({"default", "standard", "auto", "on_demand"})
"""How providers call the service tier that is sold at the plain price."""


class ComputedCost(msgspec.Struct, frozen=True):
    """US dollars, and whether the price covers everything that was used: else they are an estimate."""

    usd: float
    covered: bool


class Price(ABC):
    """A route's price. Reckoning takes about a tenth of a millisecond: it is not for the path of a call.

    Example::

        price.reckon(Usage(input_tokens=1200, output_tokens=300), at=datetime.now(UTC))
    """

    def reckon(
        self,
        usage: Usage,
        at: datetime,
        *,
        asked_tier: str | None = None,
        media: Collection[str] = (),
        requests: int = 1,
    ) -> ComputedCost | None:
        """What an answer cost; ``None`` if its tokens have no price at all.

        For providers that don't tell: ``asked_tier`` is the service tier that the request asked for, ``media`` are the
        kinds of token that were sent beside text (``input_audio``). ``requests``: the usage is that of so many requests
        together, which asked the same.
        """
        terms, known_tier = self._terms(usage, asked_tier)
        counted = _counted(usage, requests)
        try:
            usd, prices = self._calculated(counted, at, terms)
            covered = known_tier and not usage.unclear and self._covers(usage, prices, at, terms, media)
        except ValueError:  # of parts whose prices don't go together
            counted = {name: counted[name] for name in ("input_tokens", "output_tokens")}
            try:
                usd, prices = self._calculated(counted, at, terms)
            except ValueError:
                return None
            covered = False
        if any(used and getattr(prices, name) is None for used, name in _whole(usage)):
            return None
        return ComputedCost(float(usd) * requests, covered)

    def at_most(self, usage: Usage, at: datetime, *, asked_tier: str | None = None, requests: int = 1) -> float | None:
        """What so many tokens can cost at the most, whatever of them is written to a cache or is no text.

        US dollars; ``None`` if they have no price. ``usage`` tells the kinds that there may be: as many as all of them.
        """
        input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
        kinds = [Usage(input_tokens=input_tokens, output_tokens=output_tokens)]
        kinds.append(msgspec.structs.replace(kinds[0], cache_write_tokens=input_tokens))
        kinds.append(msgspec.structs.replace(kinds[1], cache_write_lifetimes=(("1h", input_tokens),)))
        if usage.input_audio_tokens or usage.output_audio_tokens:
            kinds.append(
                msgspec.structs.replace(kinds[0], input_audio_tokens=input_tokens, output_audio_tokens=output_tokens)
            )
        tiers = {None, asked_tier}
        costs = [self.reckon(kind, at, asked_tier=tier, requests=requests) for kind in kinds for tier in tiers]
        return max((cost.usd for cost in costs if cost is not None), default=None)

    def identity(self, at: datetime) -> object:
        """What is another object once these prices are others: they may have dates and hours."""
        return self._prices(at, {})

    @abstractmethod
    def _prices(self, at: datetime, terms: Mapping[str, str]) -> ModelPrice:
        """The prices at a moment, on these terms."""

    @abstractmethod
    def _calculated(
        self, counted: Mapping[str, float], at: datetime, terms: Mapping[str, str]
    ) -> tuple[Decimal, ModelPrice]:
        """US dollars, and by which prices. Raises ValueError: the counts and the prices don't go together."""

    def _has(self, prices: ModelPrice, name: str) -> bool:
        """Whether there is a price of this name."""
        return getattr(prices, name, None) is not None

    def _terms(self, usage: Usage, asked_tier: str | None) -> tuple[dict[str, str], bool]:
        """On which terms an answer is sold, and whether its provider reports them."""
        tier = (usage.service_tier or "").lower()
        asked = (asked_tier or "").lower()
        known_tier = bool(tier) or not asked or asked in STANDARD_TIERS
        tier = tier or asked
        terms = {"service_tier": tier} if tier and tier not in STANDARD_TIERS else {}
        if usage.speed and usage.speed.lower() not in STANDARD_TIERS:
            terms["speed"] = usage.speed.lower()
        return terms, known_tier

    def _covers(
        self, usage: Usage, prices: ModelPrice, at: datetime, terms: Mapping[str, str], media: Collection[str]
    ) -> bool:
        """Whether everything that an answer used has a price of its own on these terms."""
        for kind in (*media, "output_audio", "output_image"):
            if getattr(prices, f"{kind}_mtok") is not None and getattr(usage, f"{kind}_tokens") is None:
                return False  # they cost something else than text, and nobody says how many they are
        names = [name for used, name in (*_whole(usage), *_parts(usage)) if used]
        if not all(self._has(prices, name) for name in names) or _mixed(usage, prices):
            return False
        return not terms or _on_these_terms(usage, names, prices, self._prices(at, {}))


# -- what is counted -----------------------------------------------------------------------------------------------

_PARTS: Final = (
    ("cached_tokens", "cache_read_tokens", "cache_read_mtok"),
    ("cache_write_tokens", "cache_write_tokens", "cache_write_mtok"),
    ("input_audio_tokens", "input_audio_tokens", "input_audio_mtok"),
    ("output_audio_tokens", "output_audio_tokens", "output_audio_mtok"),
    ("cached_audio_tokens", "cache_audio_read_tokens", "cache_audio_read_mtok"),
    ("input_image_tokens", "input_image_tokens", "input_image_mtok"),
    ("output_image_tokens", "output_image_tokens", "output_image_mtok"),
    ("cached_image_tokens", "cache_image_read_tokens", "cache_image_read_mtok"),
    ("input_video_tokens", "input_video_tokens", "input_video_mtok"),
    ("output_video_tokens", "output_video_tokens", "output_video_mtok"),
    ("input_audio_seconds", "input_audio_seconds", "input_audio_hours"),
)
"""The parts of a usage, the library's names of what is counted, and of its price."""
_LIFETIMES: Final = {"5m": "cache_write_mtok", "30m": "cache_write_mtok", "1h": "cache_write_1h_mtok"}
"""The price of what is kept in a cache for so long: the shortest lifetime is a provider's plain one."""
_TOOLS: Final = {
    "web_search": ("web_searches", "web_searches_kcount"),
    "file_search": ("storage_searches", "storage_searches_kcount"),
    "collections_search": ("storage_searches", "storage_searches_kcount"),
    "x_search": ("social_searches", "social_searches_kcount"),
    "code_execution": ("code_executions", "code_executions_kcount"),
    "code_interpreter": ("code_executions", "code_executions_kcount"),
}
_UNPRICED: Final = "unpriced"


def _whole(usage: Usage) -> tuple[tuple[int, str], ...]:
    return (usage.input_tokens or 0, "input_mtok"), (usage.output_tokens or 0, "output_mtok")


def _parts(usage: Usage) -> list[tuple[int, str]]:
    """How much was used of each part, and the name of its price."""
    parts = [(getattr(usage, field) or 0, price) for field, _, price in _PARTS]
    parts += [(count, _LIFETIMES.get(lifetime, _UNPRICED)) for lifetime, count in usage.cache_write_lifetimes]
    parts += [(count, _TOOLS.get(tool, (tool, _UNPRICED))[1]) for tool, count in usage.tool_calls]
    return parts


def _counted(usage: Usage, requests: int) -> dict[str, float]:
    """A usage in the library's words: of one request, where several were made."""
    counted = {"input_tokens": usage.input_tokens or 0, "output_tokens": usage.output_tokens or 0}
    for field, name, _ in _PARTS:
        if (count := getattr(usage, field)) is not None:
            counted[name] = count
    for lifetime, count in usage.cache_write_lifetimes:
        if lifetime in ("5m", "1h"):
            counted[f"cache_write_{lifetime}_tokens"] = count
    for tool, count in usage.tool_calls:
        if tool in _TOOLS:
            name = _TOOLS[tool][0]
            counted[name] = counted.get(name, 0) + count
    if usage.reasoning_tokens:
        counted["output_reasoning_tokens"] = usage.reasoning_tokens
    if usage.input_audio_seconds:
        counted["audio_seconds"] = usage.input_audio_seconds
    for kind in ("audio", "image"):
        _guess_cached(usage, kind, counted)
    return dict(counted) if requests == 1 else {name: count / requests for name, count in counted.items()}


def _guess_cached(usage: Usage, kind: str, counted: dict[str, int]) -> None:
    """Where it is not reported how many of the cached tokens are no text: as few as there can be, the dearer guess."""
    own: int = getattr(usage, f"input_{kind}_tokens") or 0
    if own and usage.cached_tokens and getattr(usage, f"cached_{kind}_tokens") is None:
        counted[f"cache_{kind}_read_tokens"] = max(0, usage.cached_tokens + own - (usage.input_tokens or 0))


def _mixed(usage: Usage, prices: ModelPrice) -> bool:
    """Whether two prices apply to some of the same tokens, and it is not reported to how many."""
    for kind in ("audio", "image"):
        if getattr(usage, f"input_{kind}_tokens") and getattr(prices, f"input_{kind}_mtok") is not None:
            if usage.cache_write_tokens:
                return True
            if usage.cached_tokens and getattr(usage, f"cached_{kind}_tokens") is None:
                return True
    return False


def _on_these_terms(usage: Usage, names: list[str], prices: ModelPrice, standard: ModelPrice) -> bool:
    """Whether the prices of tokens are those of the terms, and not the plain ones for want of others."""
    for name in names:
        price, plain = getattr(prices, name), getattr(standard, name, None)
        if not name.endswith("_mtok"):
            continue
        if price is plain:
            return False
        steps = getattr(plain, "tiers", ())
        if steps and not hasattr(price, "tiers") and (usage.input_tokens or 0) > steps[0].start:
            return False  # what a long prompt costs on these terms is not listed
    return True
