"""Times counted in buckets: a percentile is found in some hundred numbers, not in millions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, exp, log
from typing import Final

__all__ = ["GROWTH", "LEAST_MS", "bucket_of", "percentile"]

GROWTH: Final = 1.08
"""A bucket reaches from ``GROWTH**n`` to ``GROWTH**(n+1)`` milliseconds: its middle is within 4 % of all in it."""
LEAST_MS: Final = 0.01
"""What is shorter counts as this long."""


def bucket_of(milliseconds: float) -> int:
    """The number of the bucket that a time falls into.

    Example::

        assert bucket_of(0.0) == 0
    """
    return int(log(max(milliseconds, LEAST_MS) / LEAST_MS) / log(GROWTH))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The time in milliseconds that a share of all stays below, within 4 %; ``None`` if there are none.

    Example::

        assert percentile({}, 0.95) is None
    """
    wanted = ceil(share * sum(counts.values()))
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= max(wanted, 1):
            return LEAST_MS * exp((number + 0.5) * log(GROWTH))
    return None
