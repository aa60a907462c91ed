"""The table: what is compared with what, and the ratio to hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """``ours`` is to cost at most ``hold`` times the CPU time of ``theirs``. ``calls`` are those of one run.

    ``at_once`` is how many tasks call, or threads where the side is synchronous.
    """

    name: str
    what: str
    against: str
    hold: float
    ours: str
    theirs: str
    at_once: int
    calls: int
    answer: Literal["whole", "stream", "burst"] = "whole"


CASES = (
    Case("async-32", "routed async call, 32 at once", "AsyncOpenAI", 0.60, "routed", "plain", 32, 1200),
    Case("async-1", "routed async call, one at a time", "AsyncOpenAI", 0.60, "routed", "plain", 1, 960),
    Case(
        "aiohttp-32",
        "routed async call, 32 at once",
        "AsyncOpenAI over DefaultAioHttpClient",
        0.80,
        "routed",
        "plain_aiohttp",
        32,
        1200,
    ),
    Case("sync-1", "routed sync call, one thread", "OpenAI", 0.85, "routed_sync", "plain_sync", 1, 960),
    Case("sync-16", "routed sync call, 16 threads", "OpenAI", 0.70, "routed_sync", "plain_sync", 16, 1200),
    Case(
        "stream",
        "stream of 100 chunks, 2 ms apart",
        "AsyncOpenAI",
        0.60,
        "routed_stream",
        "plain_stream",
        8,
        128,
        "stream",
    ),
    Case(
        "stream-burst",
        "stream of 100 chunks, all at once",
        "AsyncOpenAI",
        0.60,
        "routed_stream",
        "plain_stream",
        8,
        128,
        "burst",
    ),
    Case("litellm", "routed async call, 32 at once", "LiteLLM Router", 1 / 5, "routed", "litellm", 32, 800),
)
