"""The outcomes of calls as parts of bars and columns: the lane that answered, or why none did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from lanewise.cli.formatting import percent
from lanewise.cli.html_files.charts import Part
from lanewise.types import LaneName, Outcome

__all__ = ["ENDS", "end_of", "parts_of", "unwell_parts"]

ENDS: Final[Mapping[str, str]] = {
    LaneName.PRIMARY: "primary lane",
    LaneName.EQUIVALENT: "equivalent lane",
    LaneName.DEGRADED: "degraded lane",
    Outcome.FAILED: "failed",
    Outcome.REFUSED: "refused",
    Outcome.PENDING_REVIEW: "waiting for a person",
    Outcome.CANCELLED: "cancelled",
}
"""The outcomes in the order of a bar, each with its name in the legend."""


def end_of(lane: str | None, outcome: str) -> str:
    return lane or LaneName.PRIMARY if outcome == Outcome.ANSWERED else outcome


def parts_of(of: str, counts: Counter[str]) -> list[Part]:
    whole = counts.total()
    return [
        Part(kind, counts[kind], f"{of}: {counts[kind]:,} {name} ({percent(counts[kind] / whole)})")
        for kind, name in ENDS.items()
        if counts[kind]
    ]


def unwell_parts(of: str, counts: Counter[str]) -> list[Part]:
    """The calls that the primary lane did not answer: each outcome's share of all calls."""
    whole = counts.total()
    return [Part(p.kind, p.value / whole, p.shown) for p in parts_of(of, counts) if p.kind != LaneName.PRIMARY]
