"""How the commands get at a ledger: from the config, with its variables, and with errors that say what to do."""

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
    """Where a ledger is. ``shown`` is that for people, without a password."""

    url: str = field(repr=False)
    shown: str

    @property
    def there(self) -> bool:
        """Whether there can be tables: a file that does not exist has none, and would be made by looking."""
        return not self.url.startswith("sqlite") or Path(self.shown).exists()

    @property
    def name(self) -> str:
        """What it is called, for a page that goes to others: no path, no host and no user."""
        from sqlalchemy.engine import make_url

        return Path(make_url(self.url).database or "").name

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The database. What it says when it can't be reached ends the command."""
        from sqlalchemy.exc import SQLAlchemyError

        from lanewise._ledger.database import open_ledger

        engine = open_ledger(self.url)
        try:
            yield engine
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", error)).strip() or type(error).__name__
            raise click.ClickException(f"the ledger at {self.shown} can't be used: {said}") from None
        finally:
            engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to a database that is there."""
        with self.engine() as engine, engine.connect() as connection:
            yield connection

    @contextmanager
    def filled(self) -> Iterator[Connection]:
        """A connection to a ledger whose tables are those of this release. Else the command ends, and says why."""
        from lanewise._ledger.schema_version import LedgerOutdated, require_current, standing

        if not self.there:
            made = "a router makes it at its first call"
            if not Path(self.shown).parent.is_dir():
                made = f"a router makes it once there is a directory {Path(self.shown).parent}"
            raise click.ClickException(f"the ledger {self.shown} does not exist yet: {made}")
        with self.reading() as connection:
            try:
                require_current(standing(connection))
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
