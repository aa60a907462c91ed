"""``lanewise routes``: a table of tasks, lanes and routes, and of which failures move a call into each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from lanewise.cli.access.config_file import config_argument, read_config
from lanewise.cli.terminal import print_line, print_table
from lanewise.config import DEFAULT_ON, Config, Lane, LaneEntry, Task, duration_text
from lanewise.types import NEVER_MOVE, FailureKind, LaneName

__all__ = ["routes", "routes_table"]

_FIRST = {"weight": "a route drawn by weight", "cheapest": "the cheapest route", "fastest": "the fastest route"}


@click.command()
@config_argument
def routes(file: Path) -> None:
    """Show the tasks of the config in FILE (lanewise.toml), their lanes, and what moves where."""
    config = read_config(file)
    print_table(routes_table(config), whole_in_pipes=True)
    excepted = ", ".join(kind.value for kind in FailureKind if kind not in DEFAULT_ON and kind not in NEVER_MOVE)
    for line in _orders(config):
        print_line(line)
    print_line(f"default: every failure but {excepted}")


def _orders(config: Config) -> Iterator[str]:
    """The tasks whose calls start in another lane than the primary, or with another route than a lane's first."""
    for name, task in config.tasks.items():
        if isinstance(task.start, LaneName):
            yield f"{name}: starts in {task.start}"
        elif task.start is not None:
            yield from (f"{name}: starts in {rule.lane} if {rule.when}" for rule in task.start)
        if task.select != "order":
            sticks = f", the same for all calls of a {task.sticky}" if task.sticky is not None else ""
            yield f"{name}: of a lane {_FIRST[task.select]} goes first{sticks}"


def routes_table(config: Config) -> Table:
    """The tasks of a config as a table, a line a route."""
    table = Table("task", "lane", "route", "provider host", "model", "timeout", "moves here on")
    for name, task in config.tasks.items():
        rows = [(lane, entry) for lane in task.lanes for entry in lane.entries]
        for index, (lane, entry) in enumerate(rows):
            route = config.routes[entry.route]
            # Text: a model's name may have brackets, which rich would take for markup.
            cells = (
                f"{name} ({duration_text(task.deadline)})" if index == 0 else "",
                lane.name.value,
                entry.route,
                urlsplit(config.providers[route.provider].base_url).netloc,
                route.model,
                duration_text(route.timeout),
                _moves(config, task, lane, entry, is_first=index == 0),
            )
            last_of_task = index == len(rows) - 1
            table.add_row(*(Text(cell) for cell in cells), end_section=last_of_task)
    return table


def _moves(config: Config, task: Task, lane: Lane, entry: LaneEntry, *, is_first: bool) -> str:
    category = None if task.sensitive is None else config.sensitive[task.sensitive]
    if category is not None and entry.route not in category.routes:
        drafts = ", drafts for a person" if entry.route in category.review_routes else ""
        return f"never: not approved for {task.sensitive}{drafts}"
    if is_first:
        return "first choice"
    on = lane.moves_on(entry)
    return "default" if on == DEFAULT_ON else ", ".join(kind.value for kind in FailureKind if kind in on)
