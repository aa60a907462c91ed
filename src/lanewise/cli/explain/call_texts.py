"""Texts of a call and its attempts: when it began, the tokens that attempts used, and their cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lanewise.cli.formatting import plain
from lanewise.types import Attempt, Call, CostStatus

__all__ = ["usage", "when"]


def when(call: Call) -> str:
    """When a call began, and what kind of a call it was."""
    labels = "".join(f", {plain(name)}={plain(value)}" for name, value in call.labels)
    kinds = [call.api.value, *(["stream"] if call.stream else []), *(f"sensitive: {name}" for name in call.sensitive)]
    return f"began {call.started_at:%Y-%m-%d %H:%M:%S} UTC ({', '.join(kinds)}{labels})"


def usage(attempt: Attempt) -> list[str]:
    """The tokens, tool calls and cost of an attempt as texts; what is not known is left out."""
    parts = []
    if attempt.input_tokens is not None or attempt.output_tokens is not None:
        about = "about " if attempt.tokens_estimated else ""
        parts.append(f"{about}{attempt.input_tokens or 0:,} tokens in{_of_them(attempt, _INPUT)}")
        parts.append(f"{attempt.output_tokens or 0:,} out{_of_them(attempt, _OUTPUT)}")
    parts += [f"{count:,} {plain(tool)}" for tool, count in attempt.tool_calls]
    if attempt.service_tier is not None:
        parts.append(f"service tier {plain(attempt.service_tier)}")
    if attempt.cost_usd is not None:
        about = "about " if attempt.cost_status is CostStatus.ESTIMATED else ""
        whose = " as the provider says" if attempt.cost_status is CostStatus.REPORTED else ""
        parts.append(f"{about}${attempt.cost_usd:.6f}{whose}")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.cost_upper_usd is not None:
        parts.append(f"may be billed, ${attempt.cost_upper_usd:.6f} at the most")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.failure is not None:
        parts.append("may be billed, nobody knows how much")
    return parts


_INPUT: Final = {
    "cached_tokens": "cached",
    "cache_write_tokens": "written to the cache",
    "input_audio_tokens": "audio",
    "input_image_tokens": "images",
}
_OUTPUT: Final = {"reasoning_tokens": "reasoning", "output_audio_tokens": "audio", "output_image_tokens": "images"}


def _of_them(attempt: Attempt, names: Mapping[str, str]) -> str:
    """The parts of a count, in parentheses: of input tokens those from the cache, for example."""
    parts = [f"{count:,} {what}" for name, what in names.items() if (count := getattr(attempt, name))]
    return f" ({', '.join(parts)})" if parts else ""
