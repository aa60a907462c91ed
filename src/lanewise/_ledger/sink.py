"""The sink that writes calls and scores into the ledger: in the writer's thread, a transaction a batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from lanewise._ledger.database import open_ledger, place_of, writing
from lanewise._ledger.retention import Retention
from lanewise._ledger.rows import Columns, attempt_rows, call_row, score_row
from lanewise._ledger.schema.schema_version import LedgerOutdated, has_tables, require_current, schema_state
from lanewise._ledger.schema.tables import attempts, calls, scores
from lanewise.types import Call, Score
from lanewise.types.sinks import Record, SinkUnavailable

__all__ = ["LedgerSink", "ready", "why_unavailable"]

_log: Final = logging.getLogger("lanewise")


class LedgerSink:
    """Writes into the ledger at ``url``, and deletes what is older than ``keep``.

    While the database is away, locked or full, or has the tables of another release, it raises SinkUnavailable and the
    writer comes again with the same batch: rows that are there already are left as they are. A new SQLite file gets its
    tables here.

    Example::

        writer = Writer("the ledger", lambda: LedgerSink("sqlite:////srv/shop/lanewise.db", timedelta(days=90)))
    """

    def __init__(self, url: str, keep: timedelta) -> None:
        self._url = url
        self._engine = open_ledger(url)
        self._retention = Retention(keep)
        self._ready = False
        insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        self._insert: dict[str, Insert] = {
            table.name: insert(table).on_conflict_do_nothing() for table in (calls, attempts, scores)
        }

    def write(self, batch: Sequence[Record]) -> None:
        """Write calls with their attempts, and scores. Raises SinkUnavailable: not now, and nothing was written."""
        ended = [record for record in batch if isinstance(record, Call)]
        rows: tuple[tuple[Table, list[Columns]], ...] = (
            (calls, [call_row(call) for call in ended]),
            (attempts, [row for call in ended for row in attempt_rows(call)]),
            (scores, [score_row(record) for record in batch if isinstance(record, Score)]),
        )
        try:
            if not self._ready:
                ready(self._engine, self._url)
                self._ready = True
            with writing(self._engine) as connection:
                self._write_rows(connection, rows)
            self._retention.step(self._engine)
        except (LedgerOutdated, SQLAlchemyError) as error:
            # A connection that has failed once is not used again, and the tables are looked at anew.
            self._ready = False
            self._engine.dispose()
            reason = why_unavailable(error)
            if reason is None:
                raise
            raise SinkUnavailable(reason) from None

    def _write_rows(self, connection: Connection, rows: tuple[tuple[Table, list[Columns]], ...]) -> None:
        for table, columns in rows:
            if columns:
                connection.execute(self._insert[table.name], columns)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def ready(engine: Engine, url: str) -> None:
    """See that the tables are those of this release; a new SQLite file gets them.

    Raises LedgerOutdated: they aren't, and what to do. SQLAlchemyError: the database can't be reached.
    """
    with engine.connect() as connection:
        found = schema_state(connection)
        new_file = found.found is None and engine.dialect.name == "sqlite" and not has_tables(connection)
    if not new_file:
        require_current(found)
        return
    from lanewise._ledger.schema.upgrading import upgrade  # Alembic takes a while, and is needed once

    upgrade(engine)
    _log.info("made a new ledger: %s", place_of(url))


_SHOWN_PHRASES: Final = (
    "connection refused",
    "connection timeout",
    "timeout expired",
    "could not translate host name",
    "failed to resolve host",
    "no such file or directory",
    "password authentication failed",
    "does not exist",
    "permission denied",
    "the database system is starting up",
    "the database system is shutting down",
    "server closed the connection",
    "terminating connection",
    "too many clients",
    "no space left",
    "database is locked",
    "database or disk is full",
    "disk i/o error",
    "unable to open database file",
    "readonly database",
    "no such table",
    "no such column",
    "file is not a database",
    "malformed",
)
"""What databases say, as far as it may be logged: the rest of such a line has names and addresses."""


def why_unavailable(error: Exception) -> str | None:
    """Why the ledger can't be used now, for the log and without any address; ``None`` if it is what was written."""
    if isinstance(error, LedgerOutdated):
        return str(error)
    away = isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    code = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    # Class 42: no such table or column, or no right to it; 40: a deadlock; 25: a server that only reads.
    if not away and code[:2] not in ("40", "42", "25", "53", "57", "58"):
        return None
    text = str(getattr(error, "orig", error)).lower()
    phrases = ", ".join(phrase for phrase in _SHOWN_PHRASES if phrase in text)
    kind = type(getattr(error, "orig", error)).__name__
    return f"{kind}: {phrases}" if phrases else " ".join(filter(None, (kind, code)))
