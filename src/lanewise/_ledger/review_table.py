"""The statements for the table of cases that wait for a person. Its texts come sealed, and are not known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, Row, event, insert, null, select, update

from lanewise._ledger.database import open_ledger, writing
from lanewise._ledger.retention import forget_texts
from lanewise._ledger.schema.tables import reviews
from lanewise._ledger.sink import ready

__all__ = ["ReviewRow", "ReviewTable", "Unwanted"]

PATIENCE_MS: Final = 5000
"""How long a statement, or a silent network, is waited for: a request waits for it."""

_PENDING: Final = "pending"


class Unwanted(Exception):
    """Nobody waits any more for what was to be written: nothing was."""


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table ``reviews``. What is sealed is ``None`` once it was deleted, or is not there yet."""

    id: str
    request_id: str
    call_id: str
    task: str
    api: str
    sensitive: str
    why: str
    status: str
    created_at: datetime
    expires_at: datetime
    texts_until: datetime
    keep_seconds: float
    decided_by: str | None = None
    decided_at: datetime | None = None
    draft_route: str | None = None
    sealed_data: bytes | None = None
    sealed_question: bytes | None = None
    sealed_draft: bytes | None = None
    sealed_answer: bytes | None = None
    row_seal: bytes | None = None

    def __repr__(self) -> str:
        return f"ReviewRow({self.id}, {self.status})"


class ReviewTable:
    """The statements, each in a transaction of its own. Blocking.

    All raise SQLAlchemyError if the database can't be reached, and LedgerOutdated if its tables are not those of this
    release.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_ledger(url)
        self._ready = False
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _lose_nothing)
        else:
            event.listen(self._engine, "do_connect", _be_impatient)

    def add(self, row: ReviewRow, wanted: Callable[[], bool]) -> None:
        """Write a new case. Raises Unwanted: ``wanted`` said no in the end, and nothing was written."""
        with writing(self._checked()) as connection:
            connection.execute(insert(reviews), msgspec.structs.asdict(row))
            if not wanted():
                raise Unwanted

    def get(self, review_id: str) -> ReviewRow | None:
        """A case."""
        with self._checked().connect() as connection:
            found = connection.execute(select(reviews).where(reviews.c.id == review_id)).one_or_none()
        return None if found is None else _row(found)

    def latest(self, status: str | None, most: int) -> list[ReviewRow]:
        """The cases of a status (``None``: of any), newest first, without their texts."""
        columns = [null().label(column.name) if column.name.startswith("sealed_") else column for column in reviews.c]
        asked = select(*columns).order_by(reviews.c.created_at.desc()).limit(most)
        if status is not None:
            asked = asked.where(reviews.c.status == status)
        with self._checked().connect() as connection:
            return [_row(found) for found in connection.execute(asked)]

    def add_draft(self, row: ReviewRow, now: datetime) -> bool:
        """Put a row's draft into a case that still waits. Whether it does."""
        draft = {"sealed_draft": row.sealed_draft, "draft_route": row.draft_route, "row_seal": row.row_seal}
        with writing(self._checked()) as connection:
            return _changed(connection, row.id, now, draft)

    def decide(self, row: ReviewRow, at: datetime) -> bool:
        """Decide a case that still waits, as a row says. Whether it did: of two who decide at a time one does.

        A draft that came since the row was read is not kept: it was no part of what was decided.
        """
        with writing(self._checked()) as connection:
            return _changed(connection, row.id, at, msgspec.structs.asdict(row))

    def forget(self, now: datetime) -> int:
        """Let cases expire whose time is over, and delete the texts that were kept long enough. How many rows."""
        with writing(self._checked()) as connection:
            return forget_texts(connection, now)

    def close(self) -> None:
        """Let go of the database. It may be used again."""
        self._engine.dispose()

    def leave_behind(self) -> None:
        """In the child of a fork: the connections are the parent's, and are not closed."""
        self._engine.dispose(close=False)

    def _checked(self) -> Engine:
        if not self._ready:
            ready(self._engine, self._url)
            self._ready = True
        return self._engine


def _changed(connection: Connection, review_id: str, now: datetime, values: Mapping[str, object]) -> bool:
    waits = reviews.c.id == review_id, reviews.c.status == _PENDING, reviews.c.expires_at > now
    return connection.execute(update(reviews).where(*waits).values(values)).rowcount == 1


def _row(found: Row[tuple[object, ...]]) -> ReviewRow:
    return ReviewRow(**found._mapping)


def _lose_nothing(connection: object, _: object) -> None:
    import sqlite3

    assert isinstance(connection, sqlite3.Connection)
    connection.execute("PRAGMA synchronous = FULL")  # the caller was told that a person will see to it


def _be_impatient(
    _dialect: object, _record: object, _arguments: Sequence[object], parameters: dict[str, object]
) -> None:
    parameters.setdefault("options", f"-c statement_timeout={PATIENCE_MS} -c lock_timeout={PATIENCE_MS}")
    parameters.setdefault("tcp_user_timeout", PATIENCE_MS)
