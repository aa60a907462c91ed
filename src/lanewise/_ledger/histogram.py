"""Times counted in buckets: the database counts, and a percentile is found in some hundred numbers, not in millions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, exp, log
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, func

__all__ = ["bucket", "percentile"]

GROWTH: Final = 1.08
"""A bucket reaches from ``GROWTH**n`` to ``GROWTH**(n+1)`` milliseconds: its middle is within 4 % of all in it."""
LEAST_MS: Final = 0.01
"""What is shorter counts as this long."""


def bucket(connection: Connection, milliseconds: ColumnElement[Any]) -> ColumnElement[int]:
    """The number of the bucket that a column's value falls into; NULL for NULL."""
    at_least = case((milliseconds < LEAST_MS, LEAST_MS), else_=milliseconds)
    steps = (func.ln(at_least) - log(LEAST_MS)) / log(GROWTH)  # never negative
    # A cast cuts in SQLite and rounds in PostgreSQL. SQLAlchemy has floor() call Python, for each row, in SQLite.
    return cast(steps if connection.dialect.name == "sqlite" else func.floor(steps), Integer)


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
