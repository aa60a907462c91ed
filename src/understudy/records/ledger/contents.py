"""How much is in a ledger, and from when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from understudy.records.ledger.tables import attempts, calls, scores

__all__ = ["Contents", "contents"]


@dataclass(frozen=True, slots=True)
class Contents:
    """Numbers of rows, and when the oldest and the newest call began (UTC; ``None`` if there is none)."""

    calls: int
    attempts: int
    scores: int
    oldest: datetime | None
    newest: datetime | None


def contents(connection: Connection) -> Contents:
    """What a ledger holds. Counts every row: a second or so for millions."""
    oldest, newest = connection.execute(select(func.min(calls.c.started_at), func.max(calls.c.started_at))).one()
    held = {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (calls, attempts, scores)
    }
    return Contents(**held, oldest=oldest, newest=newest)
