"""Which version a ledger's tables have, and what to do if it is not that of this release."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from lanewise._ledger.schema.tables import metadata

__all__ = [
    "MIGRATIONS",
    "VERSION_TABLE",
    "LedgerOutdated",
    "SchemaState",
    "has_tables",
    "require_current",
    "schema_state",
]

MIGRATIONS: Final = str(Path(__file__).parent / "migrations")
VERSION_TABLE: Final = "lanewise_version"
"""Not Alembic's default: the database may be the app's own, with Alembic's table of the app in it."""


class LedgerOutdated(Exception):
    """The tables are not those of this release. The text names the command that mends it."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which version a ledger's tables have (``None``: there are none), and which this release reads and writes.

    ``known`` says whether this release knows the version that was found; ``fits``, whether it can go on with
    tables of a version that it does not know: a newer release only adds what may be left out.
    """

    found: str | None
    newest: str
    known: bool
    fits: bool = False

    @property
    def current(self) -> bool:
        """Whether the tables are what this release reads and writes."""
        return self.found == self.newest or self.fits


@cache
def _versions() -> tuple[str, ...]:
    """All versions that this release knows, newest first: by the names of their files, as Alembic takes a while."""
    return tuple(sorted((file.name[1:5] for file in Path(MIGRATIONS, "versions").glob("v*.py")), reverse=True))


def schema_state(connection: Connection) -> SchemaState:
    """The version of a database's tables, compared with this release's.

    Example::

        with engine.connect() as connection:
            assert schema_state(connection).current
    """
    found = None
    if inspect(connection).has_table(VERSION_TABLE):
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    known = _versions()
    if found is None or found in known:
        return SchemaState(found, known[0], known=True)
    return SchemaState(found, known[0], known=False, fits=found > known[0] and _fits(connection))


def _fits(connection: Connection) -> bool:
    """Whether all columns that this release knows are there, and every other one may be left out."""
    there = inspect(connection)
    for table in metadata.sorted_tables:
        if not there.has_table(table.name):
            return False
        columns = {column["name"]: column for column in there.get_columns(table.name)}
        if not set(table.columns.keys()) <= set(columns):
            return False
        more = [column for name, column in columns.items() if name not in table.columns]
        if any(not column["nullable"] and column.get("default") is None for column in more):
            return False
    return True


def has_tables(connection: Connection) -> bool:
    """Whether a database has any tables, of ours or of anybody."""
    return bool(inspect(connection).get_table_names())


def require_current(found: SchemaState) -> None:
    """Nothing, if the tables are those of this release. Raises LedgerOutdated: what to do."""
    if not found.known and not found.fits:
        raise LedgerOutdated(
            f"its tables have version {found.found}, which this release does not know: install the newer lanewise"
        )
    if not found.current:
        has = "it has no tables yet" if found.found is None else f"its tables have version {found.found}"
        raise LedgerOutdated(f"{has}, and this release needs version {found.newest}: run `lanewise ledger upgrade`")
