"""``lanewise check``: all that is wrong with a config, which keys are unset, and how long each lane gets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from lanewise._contracts.task_contracts import look_up_contracts
from lanewise.cli.access.config_file import config_argument, look_here_for_modules, read_config
from lanewise.cli.check.warnings import warnings_of
from lanewise.cli.terminal import print_line
from lanewise.config import Config, ConfigError, Task, duration_text
from lanewise.config.deadline_budget import deadline_alone, route_times
from lanewise.config.environment.credentials import look_up_keys
from lanewise.config.tables.contracts import is_reference

__all__ = ["check"]


@click.command()
@config_argument
@click.option("--load", is_flag=True, help="Also import what contracts name: this runs the app's code.")
@click.option("--live", is_flag=True, help="Also ask each route one tiny question.")
@click.option("--yes", is_flag=True, help="With --live: don't ask before sending.")
@click.option("--strict", is_flag=True, help="For CI: a warning is a failure.")
def check(file: Path, load: bool, live: bool, yes: bool, strict: bool) -> None:
    """Tell all that is wrong with the config in FILE (lanewise.toml).

    Exit code 1 if it can't be used, and with --strict also if there is a warning. What contracts name is looked for,
    with modules also found in the working directory, and nothing of it is run, unless --load asks for what a router
    that opens does. Keys that are unset here are listed, and are no mistake: they may be set where the app runs.

    With --live each route is asked one tiny question, by the keys that are set here: what it answers as, how fast, and
    which parameters it refused. How many requests that takes is shown before. Exit code 1 if a route can't answer.
    """
    config = read_config(file)
    look_here_for_modules()
    _, findings = look_up_contracts(config, run=load)
    if findings.found:
        click.echo(str(ConfigError(findings.found, str(file))), err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{file}: OK ({_count(config)})")
    _section("Not run", () if load else unrun(config))
    _section("Keys", unset_keys(config, os.environ))
    _section("Time", times(config))
    warnings = list(warnings_of(config))
    _section("Warnings", warnings)
    if live:
        _ask_live(config, yes=yes)
    if strict and warnings:
        raise click.exceptions.Exit(1)


def _ask_live(config: Config, *, yes: bool) -> None:
    from lanewise.cli.check.live import announcement, ask_routes  # brings the router and the SDK along

    off = look_up_keys(config, os.environ)[0].off_routes
    print_line(f"\nLive\n  {announcement(config, off)}")
    if not yes:
        click.confirm("  Send them?", abort=True)
    found = asyncio.run(ask_routes(config, off))
    widest = max(len(one.route) for one in found)
    for one in found:
        print_line(f"  {one.route:<{widest}}  {one.text}", column=widest + 4)
    if not all(one.well for one in found):
        raise click.exceptions.Exit(1)


def _count(config: Config) -> str:
    counts = {"provider": len(config.providers), "route": len(config.routes), "task": len(config.tasks)}
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items())


def _section(title: str, lines: Iterable[str]) -> None:
    if listed := list(lines):
        click.echo(f"\n{title}")
        for line in listed:
            print_line(f"  {line}")


def unrun(config: Config) -> Iterator[str]:
    """The names in the app's code that contracts refer to and that were found without being imported."""
    for name, task in config.tasks.items():
        contract = task.contract
        source = contract.source if contract is not None and isinstance(contract.source, str) else ""
        named = [source] if is_reference(source) else []
        named += [contract.check] if contract is not None and contract.check is not None else []
        if named:
            yield f"tasks.{name}.contract: {' and '.join(named)} (--load imports and checks what a contract names)"


def unset_keys(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """The mistakes and warnings about keys that a router would have if it opened now."""
    credentials, findings = look_up_keys(config, environ)
    yield from (f"{mistake}" for mistake in findings.found)
    yield from credentials.warnings
    if findings.found:
        yield "A router that opens here, with this environment, would refuse the config."


def times(config: Config) -> Iterator[str]:
    """How long each route gets: with the whole deadline before it, and after the routes before it timed out."""
    widest = max(len(name) for name in config.routes)
    for name, task in config.tasks.items():
        yield f"{name}: {_deadline(task)} in all"
        for time in route_times(task, config.routes):
            best, worst = duration_text(time.at_best), duration_text(time.at_worst)
            after = "" if worst == best else f", {worst} after the routes before it timed out"
            yield f"  {time.lane.value:<10}  {time.route:<{widest}}  {best}{after}"


def _deadline(task: Task) -> str:
    if deadline_alone(task) == task.deadline:
        return duration_text(task.deadline)
    if len(task.routes) == 1:
        return duration_text(deadline_alone(task))
    return f"{duration_text(task.deadline)} ({duration_text(deadline_alone(task))} once no other route could be used)"
