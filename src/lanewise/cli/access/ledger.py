"""The ledger of a command: found by the config, opened, and an exit that says what to do where it can't be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanewise.cli.access.config_file import config_argument, read_config
from lanewise.config.environment.ledger_url import look_up_ledger
from lanewise.config.mistakes import MistakeCollector

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["LedgerPlace", "ledger_argument", "ledger_of"]

ledger_argument = config_argument
"""The path of the config that names the ledger."""

NO_LEDGER = """\
{file} declares no ledger, so nothing was recorded. Add one, and run the app for a while:

    [router]
    ledger = "sqlite:///lanewise.db"    # relative to this file; needs: pip install 'lanewise[ledger]'
"""


@dataclass(frozen=True)
class LedgerPlace:
    """Where a ledger is. ``shown`` is the URL or path without a password, for people."""

    url: str = field(repr=False)
    shown: str

    @property
    def may_exist(self) -> bool:
        """Whether the database can exist: opening an SQLite file that does not would make it."""
        return not self.url.startswith("sqlite") or Path(self.shown).exists()

    @property
    def name(self) -> str:
        """The database's name without path, host and user, for a page that is sent to others."""
        from sqlalchemy.engine import make_url

        return Path(make_url(self.url).database or "").name

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The database. If it can't be reached, the command ends with its message."""
        from sqlalchemy.exc import SQLAlchemyError

        from lanewise._ledger.database import open_ledger

        engine = open_ledger(self.url)
        try:
            yield engine
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).strip() or type(error).__name__
            raise click.ClickException(f"the ledger at {self.shown} can't be used: {reason}") from None
        finally:
            engine.dispose()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection to the database."""
        with self.engine() as engine, engine.connect() as connection:
            yield connection

    @contextmanager
    def up_to_date(self) -> Iterator[Connection]:
        """A connection to a ledger whose tables are those of this release. Else the command ends, and says why."""
        from lanewise._ledger.schema.schema_version import LedgerOutdated, require_current, schema_state

        if not self.may_exist:
            made = "a router makes it at its first call"
            if not Path(self.shown).parent.is_dir():
                made = f"a router makes it once there is a directory {Path(self.shown).parent}"
            raise click.ClickException(f"the ledger {self.shown} does not exist yet: {made}")
        with self.connect() as connection:
            try:
                require_current(schema_state(connection))
            except LedgerOutdated as error:
                raise click.ClickException(f"the ledger at {self.shown}: {error}") from None
            yield connection


def ledger_of(file: Path) -> LedgerPlace:
    """The ledger that a config declares, or the end of the command: there is none, or its variable is unset.

    Also where the extra ``ledger`` is missing, so this comes before anything of the ledger's room is imported.
    """
    config = read_config(file)
    findings = MistakeCollector()
    url = look_up_ledger(config.router.ledger, config.source, os.environ, findings)
    if findings.found:
        raise click.ClickException("\n".join(str(mistake) for mistake in findings.found))
    if url is None:
        raise click.ClickException(NO_LEDGER.format(file=file))
    from lanewise._ledger.database import place_of

    return LedgerPlace(url, place_of(url))
