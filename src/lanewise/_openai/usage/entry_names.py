"""The names under which servers report counts, costs and calls of tools in a usage, and what each is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CACHED", "COSTS", "COUNTS", "FREE_TOOLS", "KINDS", "NOT_BILLED", "REASONING", "SEARCHES", "WRITTEN"]

CACHED: Final = frozenset({
    "cached_tokens", "cache_read_tokens", "cache_read_input_tokens", "num_cached_tokens", "prompt_cache_hit_tokens",
    "cached_input_tokens", "cached_prompt_text_tokens", "input_cached_tokens",
})  # fmt: skip
WRITTEN: Final = frozenset({
    "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cache_write_input_tokens",
    "cached_creation_tokens",
})  # fmt: skip
REASONING: Final = frozenset({"reasoning_tokens", "thinking_tokens", "thoughts_tokens"})
NOT_BILLED: Final = frozenset({
    "total_tokens", "text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
    "prompt_cache_miss_tokens", "market_cost", "cache_discount",
})  # fmt: skip
COUNTS: Final[Mapping[str, str]] = {
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    **dict.fromkeys(CACHED, "cached_tokens"),
    **dict.fromkeys(WRITTEN, "cache_write_tokens"),
    **dict.fromkeys(REASONING, "reasoning_tokens"),
    "prompt_audio_seconds": "input_audio_seconds",
}
COSTS: Final[Mapping[str, str]] = {
    "cost": "reported_cost_usd",
    "cost_usd": "reported_cost_usd",
    "total_cost": "reported_cost_usd",
    "cost_in_usd_ticks": "reported_cost_usd",
    "estimated_cost": "estimated_cost_usd",
    "upstream_inference_cost": "upstream_cost_usd",
}
KINDS: Final = frozenset({"audio_tokens", "image_tokens", "video_tokens"})
SEARCHES: Final = frozenset({"web_search", "web_searches", "search_web", "search_queries", "search", "live_search"})
FREE_TOOLS: Final = frozenset({"web_fetch", "fetch_url", "open_page", "mcp", "function"})
"""Tools whose calls cost nothing but the tokens."""
