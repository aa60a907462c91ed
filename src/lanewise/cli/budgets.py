"""``lanewise budgets``: what was spent of each budget, and giving one back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lanewise.cli.access.config_file import FileGroup, config_option, last_file_argument, read_config
from lanewise.cli.access.store import connected, store_of
from lanewise.config import Budget, Config, duration_text
from lanewise.config.environment.credentials import look_up_keys
from lanewise.config.environment.store_address import MEMORY
from lanewise.config.mistakes import nearest

if TYPE_CHECKING:
    import redis

__all__ = ["budgets"]

_MEANWHILE: Final = "Each worker goes on with its part of the budgets meanwhile"


@dataclass(frozen=True)
class Row:
    """What is spent of one bucket. ``whose`` is a task, a client, a label's value or a subject's hash; "-" is all."""

    budget: str
    whose: str
    spent: str
    limit: str
    window: str
    is_over: bool


@click.group(cls=FileGroup, invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for monitors.")
@click.pass_context
def budgets(context: click.Context, config_file: Path, as_json: bool) -> None:
    """Show what is spent of the budgets: budgets [FILE].

    Of workers that share a store as it stands, reservations included. Where each worker counts for itself
    (state = "memory") what the ledger says of the same windows.
    """
    if context.invoked_subcommand is not None:
        return
    config = _config(config_file)
    address = store_of(config, config_file)
    if address is None:
        rows = _from_ledger(config, config_file)
    else:
        with connected(address, meanwhile=_MEANWHILE) as store:
            rows = _from_store(config, store)
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row)))
    elif rows:
        _print(rows)
    else:
        click.echo("nothing is spent")


@budgets.command(name="reset")
@click.argument("budget")
@last_file_argument
@config_option
@click.option("--whose", help="Only this bucket, as `lanewise budgets` shows it.")
@click.option("--subject", help="Only this subject's bucket.")
def reset(budget: str, file: Path | None, config_file: Path, whose: str | None, subject: str | None) -> None:
    """Give BUDGET back: all workers that share the store go on as if nothing had been spent of it."""
    from lanewise._budgets.buckets import bucket_of, subject_name

    config_file = file or config_file
    config = _config(config_file)
    if budget not in config.budgets:
        raise click.ClickException(f"no budget is called {budget!r}. {nearest(budget, config.budgets)}")
    declared = config.budgets[budget]
    address = store_of(config, config_file)
    if address is None:
        raise click.ClickException(
            f'{config_file} has state = "{MEMORY}": each worker counts for itself, and can\'t be reached from outside. '
            'Share it: [router] state = "redis://HOST:6379/0"'
        )
    if subject is not None:
        secret = look_up_keys(config, os.environ)[0].secret
        if config.router.secret_env is not None and secret is None:
            raise click.ClickException(f"the variable {config.router.secret_env} is not set: it hashes the subjects")
        whose = subject_name(subject, secret)
    with connected(address, meanwhile=_MEANWHILE) as store:
        emptied = _empty(declared, store, None if whose is None else bucket_of(declared, whose).key)
    if not emptied:
        raise click.ClickException(f"nothing is spent of {budget}" + ("" if whose is None else " there"))
    click.echo(f"{budget}: {emptied} {'bucket' if emptied == 1 else 'buckets'} given back")


def _empty(budget: Budget, store: redis.Redis, only: str | None) -> int:
    from lanewise._budgets.buckets import budget_key
    from lanewise._budgets.budget_script import empty_bucket, stored_buckets
    from lanewise._budgets.spending_window import SpendingWindow

    found = [key for key, _ in stored_buckets(store, budget_key(budget) + ":") if only is None or key == only]
    for key in found:
        empty_bucket(store, key, SpendingWindow(budget.window))
    return len(found)


def _config(config_file: Path) -> Config:
    config = read_config(config_file)
    if not config.budgets:
        raise click.ClickException(f"{config_file} declares no budget: [budgets.NAME] with a limit and a window is one")
    return config


def _from_store(config: Config, store: redis.Redis) -> list[Row]:
    from lanewise._budgets.buckets import budget_key
    from lanewise._budgets.budget_script import stored_buckets
    from lanewise._budgets.spending_window import SpendingWindow

    seconds, micros = store.time()
    now = seconds + micros / 1e6
    rows = []
    for budget in config.budgets.values():
        prefix = budget_key(budget) + ":"
        window = SpendingWindow(budget.window)
        found = ((key.removeprefix(prefix), window.spent(slots, now)) for key, slots in stored_buckets(store, prefix))
        rows += _rows(budget, found)
    return rows


def _from_ledger(config: Config, config_file: Path) -> list[Row]:
    if config.router.ledger is None:
        raise click.ClickException(
            f'{config_file} has state = "{MEMORY}" and no ledger: each worker counts for itself, and nothing is to be '
            'seen from outside. Share it: [router] state = "redis://HOST:6379/0"'
        )
    from lanewise.cli.access.ledger import ledger_of

    place = ledger_of(config_file)
    from lanewise._budgets.buckets import budget_key
    from lanewise._budgets.budget_prices import BudgetPrices
    from lanewise._budgets.budgets_in_memory import BudgetsInMemory
    from lanewise._budgets.history import spent_before
    from lanewise._ledger.queries.past_spending import past_spending
    from lanewise._prices.price_book import PriceBook

    now = datetime.now(UTC)
    since = now - timedelta(seconds=max(budget.window for budget in config.budgets.values()))
    spent = BudgetsInMemory()
    knows_subjects = config.router.secret_env is not None
    with place.up_to_date() as connection:
        past = past_spending(connection, since, now)
        prices = BudgetPrices(config, PriceBook(config))
        spent.fill(spent_before(config.budgets.values(), past, prices, knows_subjects=knows_subjects))
    counted = spent.spent()
    rows = []
    for budget in config.budgets.values():
        prefix = budget_key(budget) + ":"
        rows += _rows(budget, ((key.removeprefix(prefix), n) for key, n in counted.items() if key.startswith(prefix)))
    return rows


def _rows(budget: Budget, found: Iterable[tuple[str, int]]) -> list[Row]:
    """The buckets of a budget of which something is spent, the most first."""
    limit = budget.limit
    return [
        Row(budget.name, name, limit.shown(spent), str(limit), duration_text(budget.window), spent >= limit.amount)
        for name, spent in sorted(found, key=lambda one: (-one[1], one[0]))
        if spent
    ]


def _print(rows: list[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    from lanewise.cli.terminal import print_table

    shown = Table("budget", "whose", "spent", "limit", "window")
    for row in rows:
        shown.add_row(
            *(Text(row.budget), Text(row.whose), Text(row.spent, "red" if row.is_over else "")),
            *(Text(row.limit), Text(row.window)),
        )
    print_table(shown)
