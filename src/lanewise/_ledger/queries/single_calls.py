"""Look-up of single calls, with their attempts and scores: those of a request, or one by its own id."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from lanewise._ledger.rows import call_of
from lanewise._ledger.schema.tables import attempts, calls, scores
from lanewise.types import Call, Score

__all__ = ["calls_of", "scores_of"]


def calls_of(connection: Connection, wanted: str, most: int | None = None) -> list[Call]:
    """The calls of a request id, or the one of a call id, oldest first; ``most`` bounds how many.

    Example::

        with open_ledger(url).connect() as connection:
            for call in calls_of(connection, "req-2026-000042"):
                print(call.explain())
    """
    query = select(calls).where(or_(calls.c.id == wanted, calls.c.request_id == wanted))
    found = connection.execute(query.order_by(calls.c.started_at, calls.c.id).limit(most)).all()
    numbered = select(attempts).order_by(attempts.c.attempt_number)
    return [
        call_of(row, connection.execute(numbered.where(attempts.c.call_id == row._mapping["id"])).all())
        for row in found
    ]


def scores_of(connection: Connection, call_id: str) -> list[Score]:
    """The scores that the app gave to a call, oldest first."""
    scores_of_call = select(scores).where(scores.c.call_id == call_id).order_by(scores.c.at, scores.c.name)
    return [
        Score(call_id=row.call_id, name=row.name, value=row.value, at=row.at)
        for row in connection.execute(scores_of_call)
    ]
