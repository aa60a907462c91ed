"""The ledger's database: how it is opened, written to in one transaction, and named to people."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from math import log
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from understudy.config.wire import is_key_name

__all__ = ["open_ledger", "place_of", "writing"]

BUSY_MS: Final = 5000
"""How long a writer waits for another one's transaction in SQLite."""
CONNECT_SECONDS: Final = 5
SILENT_MS: Final = 10_000
"""After which a PostgreSQL that acknowledges nothing is given up: Linux would wait for a quarter of an hour."""


def open_ledger(url: str) -> Engine:
    """The engine for a ledger's URL. Nothing is opened before its first use. Its errors hold no values of rows.

    Example::

        engine = open_ledger("sqlite:////srv/shop/understudy.db")
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, hide_parameters=True)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        address,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": SILENT_MS,
            "application_name": "understudy",
        },
    )


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # or it would commit before each CREATE TABLE of an upgrade
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        connection.execute("SELECT ln(1)")
    except sqlite3.OperationalError:  # a build without SQLITE_ENABLE_MATH_FUNCTIONS
        connection.create_function("ln", 1, _ln, deterministic=True)


def _ln(value: float | None) -> float | None:
    return None if value is None or value <= 0 else log(value)


def _begin_sqlite(connection: Connection) -> None:
    # Who reads first and writes later could not get the lock any more once another writer came in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes.

    Example::

        with writing(engine) as connection:
            connection.execute(...)
    """
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def place_of(url: str) -> str:
    """A ledger's URL for people: a path, or a URL without its password."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return str(address.database)
    hidden = {name: "***" for name in address.query if is_key_name(name)}  # the driver takes a password there too
    return address.update_query_dict(hidden).render_as_string(hide_password=True)
