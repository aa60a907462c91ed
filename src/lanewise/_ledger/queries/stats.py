"""Statistics of a ledger: how many rows it has, and from when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from lanewise._ledger.schema.tables import attempts, calls, scores

__all__ = ["LedgerStats", "Span", "ledger_stats", "span"]


@dataclass(frozen=True, slots=True)
class Span:
    """When the oldest and the newest call began (UTC)."""

    oldest: datetime
    newest: datetime


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """Numbers of rows, and from when they are (``None`` if there are no calls)."""

    calls: int
    attempts: int
    scores: int
    span: Span | None


def span(connection: Connection) -> Span | None:
    """From when the calls in a ledger are; ``None`` if there are none."""
    oldest, newest = (
        connection.execute(select(edge(calls.c.started_at))).scalar() for edge in (func.min, func.max)
    )  # one at a time, so that an index answers
    return None if oldest is None or newest is None else Span(oldest, newest)


def ledger_stats(connection: Connection) -> LedgerStats:
    """What a ledger holds. Counts every row: a second or so for millions."""
    held = {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (calls, attempts, scores)
    }
    return LedgerStats(**held, span=span(connection))
