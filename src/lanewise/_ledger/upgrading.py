"""Bringing a ledger's tables up to date: all of the missing versions in one transaction."""

from __future__ import annotations

from typing import Final

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine, text

from lanewise._ledger.database import writing
from lanewise._ledger.schema_version import MIGRATIONS, Standing, require_current, standing

__all__ = ["upgrade"]

_LOCK: Final = 0x756E6465727374
"""The advisory lock of upgrades in PostgreSQL: any number that nobody else uses ("underst" in ASCII)."""


def upgrade(engine: Engine) -> Standing:
    """Bring the tables up to date, and tell how they stood before. Safe to run twice at a time.

    Raises LedgerOutdated: a newer release made them. SQLAlchemyError: the database can't be reached or refuses it.
    """
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = standing(connection)
        if not before.known:
            require_current(before)
        if not before.current:
            config = AlembicConfig()
            config.set_main_option("script_location", MIGRATIONS.replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before
