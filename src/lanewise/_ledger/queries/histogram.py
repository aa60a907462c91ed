"""Times counted in buckets by the database."""

from __future__ import annotations

from math import log
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, func

from lanewise.types.time_buckets import GROWTH, LEAST_MS, percentile

__all__ = ["bucket", "percentile"]


def bucket(connection: Connection, milliseconds: ColumnElement[Any]) -> ColumnElement[int]:
    """The number of the bucket that a column's value falls into; NULL for NULL."""
    at_least = case((milliseconds < LEAST_MS, LEAST_MS), else_=milliseconds)
    steps = (func.ln(at_least) - log(LEAST_MS)) / log(GROWTH)  # never negative
    # A cast cuts in SQLite and rounds in PostgreSQL. SQLAlchemy has floor() call Python, for each row, in SQLite.
    return cast(steps if connection.dialect.name == "sqlite" else func.floor(steps), Integer)
