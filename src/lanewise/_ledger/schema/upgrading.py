"""Bringing a ledger's tables up to date: all of the missing versions in one transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text

from lanewise._ledger.database import writing
from lanewise._ledger.schema.schema_version import MIGRATIONS, SchemaState, require_current, schema_state

__all__ = ["upgrade"]

_LOGGERS: Final = (
    "alembic.runtime.plugins",
    "alembic.runtime.migration",
    "alembic.runtime.environment",
    "alembic.script.base",
    "alembic.script.revision",
    "alembic.util.messaging",
    "alembic.ddl.impl",
    "alembic.ddl.postgresql",
    "alembic.ddl.sqlite",
)
_LOCK: Final = 0x756E6465727374
"""The advisory lock of upgrades in PostgreSQL: any number that nobody else uses ("underst" in ASCII)."""


def upgrade(engine: Engine) -> SchemaState:
    """Bring the tables up to date, and give their state before. Safe to run twice at a time.

    Raises LedgerOutdated: a newer release made them. SQLAlchemyError: the database can't be reached or refuses it.
    """
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = schema_state(connection)
        if not before.known:
            require_current(before)
        if not before.current:
            with _without_alembics_lines():
                _run_migrations(connection)
    return before


def _run_migrations(connection: Connection) -> None:
    from alembic import command  # here: it writes to the log when it is imported
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", MIGRATIONS.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _without_alembics_lines() -> Iterator[None]:
    """Keep Alembic's INFO lines about the ledger's tables out of the app's log; those of the app's own Alembic stay."""
    here = threading.get_ident()

    def is_let_through(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.thread != here

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(is_let_through)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_let_through)
