"""The ledger's database: how it is opened, written to in one transaction, and named to people."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import log
from typing import Final

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from lanewise._process_hooks import at_fork
from lanewise.config.values.http_fields import is_key_name

__all__ = ["open_ledger", "place_of", "writing"]

BUSY_MS: Final = 5000
"""How long a writer waits for another one's transaction in SQLite."""
FORK_WAIT: Final = 1.0
"""Seconds for which a fork waits for this process's transaction in SQLite, which takes some milliseconds."""
CONNECT_SECONDS: Final = 5
SILENT_MS: Final = 10_000
"""After which a PostgreSQL that acknowledges nothing is given up: Linux would wait for a quarter of an hour."""


def open_ledger(url: str) -> Engine:
    """The engine for a ledger's URL. Nothing is opened before its first use. Its errors hold no values of rows.

    Example::

        engine = open_ledger("sqlite:////srv/shop/lanewise.db")
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, hide_parameters=True)
        event.listen(engine, "do_connect", _make_private)
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
            "application_name": "lanewise",
        },
    )


def _make_private(_: Dialect, __: ConnectionPoolEntry, arguments: list[object], ___: dict[str, object]) -> None:
    """A new file is its owner's alone (SQLite would go by the umask); its journals get the same mode from SQLite."""
    path = str(arguments[0]) if arguments else ""
    if path and not path.startswith((":memory:", "file:")):
        with contextlib.suppress(OSError):  # it is there, or SQLite says what is wrong with the place
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    try:
        _set_up(connection)
    except BaseException:
        connection.close()  # the pool has not got it yet, and would leave it open
        raise


def _set_up(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # or it would commit before each CREATE TABLE of an upgrade
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        connection.execute("SELECT ln(1)")
    except sqlite3.OperationalError:  # a build without SQLITE_ENABLE_MATH_FUNCTIONS
        connection.create_function("ln", 1, _ln, deterministic=True)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others when it changes the journal of a new file, whatever the busy timeout."""
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


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
    with _between_forks(engine), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


class _Forks:
    """Keeps forks out of SQLite's transactions: the child would have one that nobody ends, and never write itself."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._ended = threading.Condition()
        self._open = 0

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Of what is done meanwhile."""
        with self._ended:
            self._open += 1
        try:
            yield
        finally:
            with self._ended:
                self._open -= 1
                self._ended.notify_all()

    def before(self) -> None:
        """Wait, not for ever, and let nothing begin until the fork is made."""
        self._ended.acquire()
        self._ended.wait_for(lambda: self._open == 0, FORK_WAIT)

    def after_in_parent(self) -> None:
        self._ended.release()

    def after_in_child(self) -> None:
        self._forget()


_forks: Final = _Forks()
at_fork(_forks.after_in_child, before=_forks.before, in_parent=_forks.after_in_parent)


def _between_forks(engine: Engine) -> AbstractContextManager[object]:
    return _forks.kept_out() if engine.dialect.name == "sqlite" else nullcontext()


def place_of(url: str) -> str:
    """A ledger's URL for people: a path, or a URL without its password."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return str(address.database)
    hidden = {name: "***" for name in address.query if is_key_name(name)}  # the driver takes a password there too
    return address.update_query_dict(hidden).render_as_string(hide_password=True)
