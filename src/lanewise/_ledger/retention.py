"""Retention, in the writer's thread: deletes rows older than ``keep``, a few at a time, and texts of expired cases."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Column, Connection, Delete, Engine, Table, case, delete, literal, select, tuple_, update

from lanewise._ledger.database import writing
from lanewise._ledger.schema.tables import attempts, calls, interventions, reviews, scores

__all__ = ["Retention", "forget", "forget_texts"]

FOR_EVER: Final = timedelta(days=36_500)
"""Beyond a hundred years there may be no such date."""
SLICE: Final = 500
"""Rows of each table that one step deletes: a few milliseconds of a database's lock."""
EVERY: Final = 3600.0
"""Seconds between two looks for old rows."""
PAUSE: Final = 0.05
"""Seconds between two steps while there are old rows left: twice as many go as may come, or a ledger that is written
at its full rate would grow for ever."""


class Retention:
    """When the next old rows are deleted. ``keep`` is how long a row stays."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = min(keep, FOR_EVER)
        self._due_at = 0.0

    def step(self, engine: Engine) -> None:
        """Delete some old rows, if it is time to."""
        now = time.monotonic()
        if now < self._due_at:
            return
        more = forget(engine, datetime.now(UTC) - self._keep)
        with writing(engine) as connection:
            forget_texts(connection, datetime.now(UTC))
        self._due_at = now + (PAUSE if more else EVERY)


def forget(engine: Engine, before: datetime, most: int = SLICE) -> bool:
    """Delete what began before a moment, at most so many rows a table. Whether there may be more of it."""
    with writing(engine) as connection:
        deleted = [
            connection.execute(_oldest(table, column, before, most)).rowcount
            for table, column in (
                (attempts, attempts.c.started_at),
                (calls, calls.c.started_at),
                (scores, scores.c.at),
                (interventions, interventions.c.at),
            )
        ]
    return max(deleted) >= most


def forget_texts(connection: Connection, now: datetime) -> int:
    """Let cases expire whose time is over, and delete texts that were kept long enough. How many cases that were.

    Their rows stay: who decided, and when.
    """
    over = update(reviews).where(reviews.c.texts_until <= now, reviews.c.sealed_question.is_not(None))
    status = case((reviews.c.status == "pending", literal("expired")), else_=reviews.c.status)
    texts = [column.name for column in reviews.c if column.name.startswith("sealed_")]
    return connection.execute(over.values({"status": status, **dict.fromkeys(texts)})).rowcount


def _oldest(table: Table, moment: Column[datetime], before: datetime, most: int) -> Delete:
    key = list(table.primary_key.columns)
    old = select(*key).where(moment < before).order_by(moment).limit(most)
    return delete(table).where(tuple_(*key).in_(old) if len(key) > 1 else key[0].in_(old))
