"""Making the counts of a usage add up: input and output are the whole, and no part is more than its whole."""

from __future__ import annotations

from typing import Final

__all__ = ["complete_totals"]

_PARTS: Final = (
    ("input_tokens", ("cache_write_tokens", "cached_tokens")),
    ("input_tokens", ("input_audio_tokens", "input_image_tokens", "input_video_tokens")),
    ("output_tokens", ("output_audio_tokens", "output_image_tokens", "output_video_tokens")),
    ("output_tokens", ("reasoning_tokens",)),
    ("input_audio_tokens", ("cached_audio_tokens",)),
    ("input_image_tokens", ("cached_image_tokens",)),
    ("cached_tokens", ("cached_audio_tokens", "cached_image_tokens")),
)


def complete_totals(found: dict[str, int], total: int | None, *, cached_apart: bool) -> list[str]:
    """Make the input and the output the whole of theirs, wherever a server counts a part of them apart.

    ``found`` is changed in place. ``total`` is the server's own. ``cached_apart``: its shape is Anthropic's, whose
    input is without what is cached or written. Returns the names of what still does not add up.

    Example::

        complete_totals({"input_tokens": 5, "cached_tokens": 100}, None, cached_apart=True)  # input_tokens: 105
    """
    unclear: list[str] = []
    apart = found.get("cached_tokens", 0) + found.get("cache_write_tokens", 0)
    input_tokens, output_tokens = found.get("input_tokens"), found.get("output_tokens")
    if total is not None and input_tokens is None:
        rest = total - (output_tokens or 0)
        if rest > 0:
            found["input_tokens"] = input_tokens = rest
    elif total is not None and output_tokens is None and input_tokens is not None and total > input_tokens:
        found["output_tokens"] = output_tokens = total - input_tokens
    if input_tokens is None:
        return unclear
    gap = None if total is None else total - input_tokens - (output_tokens or 0)
    reasoning = found.get("reasoning_tokens", 0)
    is_apart = cached_apart and (gap is None or apart > input_tokens)
    if apart and (is_apart or gap in (apart, apart + reasoning) or (gap is None and apart > input_tokens)):
        found["input_tokens"] = input_tokens + apart
        gap = None if gap is None else gap - apart
    if gap is not None and gap > 0:  # reasoning beside the output: xAI counts it apart, Gemini in the total
        found["output_tokens"] = (output_tokens or 0) + gap
        if gap != reasoning:
            unclear.append("total_tokens")
    elif reasoning > (output_tokens or 0):
        found["output_tokens"] = (output_tokens or 0) + reasoning
        unclear.append("reasoning_tokens")
    return unclear + _bounded(found)


def _bounded(found: dict[str, int]) -> list[str]:
    """Lower each part that is more than its whole, which can't be believed. Returns the names of those wholes."""
    unclear: list[str] = []
    for whole, parts in _PARTS:
        most = found.get(whole, 0)
        if sum(found.get(part, 0) for part in parts) > most:
            unclear.append(whole)
            for part in parts:
                if part in found:
                    found[part] = min(found[part], most)
                    most -= found[part]
    return unclear
