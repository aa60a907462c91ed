"""What an answer used: tokens by kind and lifetime, billed tool calls, service tier, what its provider says it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

__all__ = ["NO_USAGE", "Usage", "add_up", "most"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer used. ``None`` is what its provider did not report.

    Cached and written tokens are among ``input_tokens``, reasoning among ``output_tokens``, and so are audio, images
    and video. ``cache_write_lifetimes`` has those of the written tokens whose lifetime was reported (``5m``, ``1h``).
    ``tool_calls`` are calls of the provider's own tools. ``unclear`` names what may be billed and was not understood,
    or does not add up. Costs are in US dollars: ``reported_cost_usd`` is the provider's word, ``estimated_cost_usd``
    its guess, ``upstream_cost_usd`` what the provider behind it bills to the app's own key (``own_key``).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_lifetimes: tuple[tuple[str, int], ...] = ()
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    cached_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    cached_image_tokens: int | None = None
    input_video_tokens: int | None = None
    output_video_tokens: int | None = None
    input_audio_seconds: int | None = None
    tool_calls: tuple[tuple[str, int], ...] = ()
    service_tier: str | None = None
    speed: str | None = None
    reported_cost_usd: float | None = None
    estimated_cost_usd: float | None = None
    upstream_cost_usd: float | None = None
    own_key: bool | None = None
    unclear: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether the provider reported anything."""
        return self != NO_USAGE


NO_USAGE: Final = Usage()

_TABLES: Final = ("cache_write_lifetimes", "tool_calls")
_WORDS: Final = ("service_tier", "speed", "own_key")
_WHOLE: Final = frozenset({"input_tokens", "output_tokens", "reported_cost_usd", "estimated_cost_usd"})
_NUMBERS: Final = tuple(name for name in Usage.__struct_fields__ if name not in (*_TABLES, *_WORDS, "unclear"))


def add_up(usages: Sequence[Usage]) -> Usage:
    """What several answers used together. A total that one of them lacks is ``None``: it would be too small."""
    return usages[0] if len(usages) == 1 else _merged(usages, sum)


def most(usages: Sequence[Usage]) -> Usage:
    """One usage that was reported several times, or piece by piece: of each count the largest."""
    if not usages:
        return NO_USAGE
    return usages[0] if len(usages) == 1 else _merged(usages, max)


def _merged(usages: Sequence[Usage], put_together: Callable[[Sequence[float]], float]) -> Usage:
    """All of them by one rule for numbers; of words the last."""
    merged: dict[str, object] = {}
    for name in _NUMBERS:
        numbers = [number for usage in usages if (number := getattr(usage, name)) is not None]
        missing = not numbers or (put_together is sum and name in _WHOLE and len(numbers) < len(usages))
        merged[name] = None if missing else put_together(numbers)
    for name in _TABLES:
        tables: list[dict[str, int]] = [dict(getattr(usage, name)) for usage in usages]
        rows = sorted({row for table in tables for row in table})
        merged[name] = tuple((row, put_together([table.get(row, 0) for table in tables])) for row in rows)
    for name in _WORDS:
        merged[name] = next((word for usage in reversed(usages) if (word := getattr(usage, name)) is not None), None)
    merged["unclear"] = tuple(dict.fromkeys(name for usage in usages for name in usage.unclear))
    return Usage(**merged)  # type: ignore[arg-type]
