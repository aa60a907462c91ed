"""The commands ``lanewise health``, ``health open`` and ``health close``, over the store that workers share."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lanewise.cli.access.config_file import FileGroup, config_option, last_file_argument, read_config
from lanewise.cli.access.store import connected, store_of
from lanewise.config import Config
from lanewise.config.environment.store_address import MEMORY
from lanewise.config.mistakes import nearest

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lanewise._health.sharing.breaker_store import BreakerStore
    from lanewise.cli.health.table import HealthRow

__all__ = ["health"]

WATCH_INTERVAL: Final = 1.0
"""Seconds between two looks of ``--watch``."""


@click.group(cls=FileGroup, invoke_without_command=True)
@config_option
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for monitors.")
@click.pass_context
def health(context: click.Context, config_file: Path, watch: bool, as_json: bool) -> None:
    """Show which routes are open, throttled, limited or well, for all workers that share a store: health [FILE].

    Where each worker keeps health to itself (state = "memory") there is nothing to be seen from outside.
    """
    if context.invoked_subcommand is not None:
        return
    config = read_config(config_file)
    with _circuits(config, config_file) as circuits:
        from lanewise.cli.health.table import read_rows, table

        if as_json:
            _repeat(
                watch, lambda: click.echo("\n".join(json.dumps(row.as_data()) for row in read_rows(config, circuits)))
            )
        elif watch:
            _watch(lambda: table(read_rows(config, circuits)))
        else:
            _print(read_rows(config, circuits))


@health.command(name="open")
@click.argument("route")
@last_file_argument
@config_option
def open_route(route: str, file: Path | None, config_file: Path) -> None:
    """Open ROUTE: no worker sends anything to it until it is closed by hand."""
    _by_hand(route, file or config_file, opens=True)
    click.echo(f"{route} is open: no worker sends to it. `lanewise health close {route}` ends that.")


@health.command(name="close")
@click.argument("route")
@last_file_argument
@config_option
def close_route(route: str, file: Path | None, config_file: Path) -> None:
    """Close ROUTE, and its provider's account: all workers send to it again, and judge it anew."""
    _by_hand(route, file or config_file, opens=False)
    click.echo(f"{route} is closed: all workers send to it again.")


def _by_hand(route: str, config_file: Path, *, opens: bool) -> None:
    config = read_config(config_file)
    if route not in config.routes:
        raise click.ClickException(f"no route is called {route!r}. {nearest(route, config.routes)}")
    with _circuits(config, config_file) as circuits:
        from lanewise._health.sharing.by_hand import change_in

        change_in(circuits, config, route, opens=opens)


@contextlib.contextmanager
def _circuits(config: Config, config_file: Path) -> Iterator[BreakerStore]:
    """The store's circuits."""
    address = store_of(config, config_file)
    if address is None:
        raise click.ClickException(
            f'{config_file} has state = "{MEMORY}": each worker keeps health to itself, and nothing is to be seen from '
            'outside. Share it: [router] state = "redis://HOST:6379/0"'
        )
    from lanewise._health.sharing.breaker_store import BreakerStore

    with connected(address, meanwhile="The workers go on by themselves meanwhile") as store:
        yield BreakerStore(store)


def _repeat(watch: bool, show: Callable[[], object]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        show()
        while watch:
            time.sleep(WATCH_INTERVAL)
            show()


def _watch(new_table: Callable[[], Table]) -> None:
    from rich.live import Live

    from lanewise.cli.terminal import console, fitted

    screen = console()

    def picture() -> RenderableType:
        return fitted(new_table(), screen.width, screen)

    with contextlib.suppress(KeyboardInterrupt), Live(picture(), console=screen, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_INTERVAL)
            live.update(picture(), refresh=True)


def _print(rows: tuple[HealthRow, ...]) -> None:
    from lanewise.cli.health.table import table
    from lanewise.cli.terminal import print_table

    print_table(table(rows))
