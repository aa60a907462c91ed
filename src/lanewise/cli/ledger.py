"""``lanewise ledger``: how the ledger's tables stand, and bringing them up to date."""

from __future__ import annotations

from pathlib import Path

import click

from lanewise.cli.access.config_file import FileGroup
from lanewise.cli.access.ledger import ledger_argument, ledger_of

__all__ = ["ledger"]


@click.group(cls=FileGroup, alone="status")
def ledger() -> None:
    """Look after the ledger: the database with the record of calls."""


@ledger.command()
@ledger_argument
def status(file: Path) -> None:
    """Tell where the ledger of the config in FILE (lanewise.toml) is, how its tables stand, and what is in it.

    Exit code 1 if records can't be written to it.
    """
    place = ledger_of(file)
    click.echo(f"ledger: {place.shown}")
    if not place.may_exist:
        click.echo("tables: none yet; a router makes the file and its tables at its first call")
        return
    with place.connect() as connection:
        from lanewise._ledger.queries.stats import ledger_stats
        from lanewise._ledger.schema.schema_version import LedgerOutdated, require_current, schema_state

        found = schema_state(connection)
        try:
            require_current(found)
        except LedgerOutdated as error:
            click.echo(f"tables: {error}")
            raise click.exceptions.Exit(1) from None
        counts = ledger_stats(connection)
    click.echo(f"tables: version {found.found}, up to date")
    click.echo(f"calls:  {counts.calls:,}, their attempts {counts.attempts:,}, scores {counts.scores:,}")
    if counts.span is not None:
        click.echo(f"from:   {counts.span.oldest:%Y-%m-%d %H:%M} to {counts.span.newest:%Y-%m-%d %H:%M} UTC")


@ledger.command()
@ledger_argument
def upgrade(file: Path) -> None:
    """Make the ledger's tables, or bring them up to date, for the config in FILE (lanewise.toml).

    Safe to run again, and while apps write: what they record waits for it.
    """
    place = ledger_of(file)
    from lanewise._ledger.schema.schema_version import LedgerOutdated
    from lanewise._ledger.schema.upgrading import upgrade as bring_up_to_date

    with place.engine() as engine:
        try:
            before = bring_up_to_date(engine)
        except LedgerOutdated as error:
            raise click.ClickException(f"{place.shown}: {error}") from None
    if before.current:
        click.echo(f"{place.shown}: up to date (version {before.newest})")
    elif before.found is None:
        click.echo(f"{place.shown}: made the tables (version {before.newest})")
    else:
        click.echo(f"{place.shown}: upgraded from version {before.found} to {before.newest}")
