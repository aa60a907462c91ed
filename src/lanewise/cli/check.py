"""``lanewise check``: all that is wrong with a config, which keys are unset, and how long each lane gets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from lanewise._contracts.task_contracts import look_up_contracts
from lanewise.cli.reading import config_argument, look_here_for_modules, read_config
from lanewise.config import Config, ConfigError, Task, duration_text
from lanewise.config.contracts import is_reference
from lanewise.config.credentials import look_up_keys
from lanewise.config.deadline_budget import deadline_alone, reserve, route_times

__all__ = ["check", "concerns"]


@click.command()
@config_argument
@click.option("--load", is_flag=True, help="Also import what contracts name: this runs the app's code.")
@click.option("--live", is_flag=True, help="Also ask each route one tiny question.")
@click.option("--yes", is_flag=True, help="With --live: don't ask before sending.")
def check(file: Path, load: bool, live: bool, yes: bool) -> None:
    """Tell all that is wrong with the config in FILE (lanewise.toml).

    Exit code 1 if it can't be used. What contracts name is looked for, with modules also found in the working
    directory, and nothing of it is run, unless --load asks for what a router that opens does. Keys that are unset here
    are told, and are no mistake: they may be set where the app runs.

    With --live each route is asked one tiny question, by the keys that are set here: what it answers as, how fast, and
    which parameters it refused. How many requests that takes is told before. Exit code 1 if a route can't answer.
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
    _section("Warnings", concerns(config))
    if live:
        _ask_live(config, yes=yes)


def _ask_live(config: Config, *, yes: bool) -> None:
    from lanewise.cli.live import announcement, ask_routes  # brings the router and the SDK along

    off = look_up_keys(config, os.environ)[0].off_routes
    click.echo(f"\nLive\n  {announcement(config, off)}")
    if not yes:
        click.confirm("  Send them?", abort=True)
    found = asyncio.run(ask_routes(config, off))
    widest = max(len(one.route) for one in found)
    for one in found:
        click.echo(f"  {one.route:<{widest}}  {one.text}")
    if not all(one.well for one in found):
        raise click.exceptions.Exit(1)


def _count(config: Config) -> str:
    counts = {"provider": len(config.providers), "route": len(config.routes), "task": len(config.tasks)}
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items())


def _section(title: str, lines: Iterable[str]) -> None:
    if told := list(lines):
        click.echo(f"\n{title}")
        for line in told:
            click.echo(f"  {line}")


def unrun(config: Config) -> Iterator[str]:
    """What contracts name in the app's code, which is there and was not run."""
    for name, task in config.tasks.items():
        contract = task.contract
        source = contract.source if contract is not None and isinstance(contract.source, str) else ""
        named = [source] if is_reference(source) else []
        named += [contract.check] if contract is not None and contract.check is not None else []
        if named:
            yield f"tasks.{name}.contract: {' and '.join(named)} (--load imports and checks what a contract names)"


def unset_keys(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What would be said of the keys if a router opened now."""
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


def concerns(config: Config) -> Iterator[str]:
    """What is allowed and probably not meant."""
    for name, task in config.tasks.items():
        yield from _short_deadline(name, task, config)
        yield from _contradicted(name, task, config)
        yield from _unknown_prices(name, task, config)
    yield from (f"{place}: declared, but this version does not carry it out yet" for place in config.not_yet())
    yield from _unused(config)


def _contradicted(name: str, task: Task, config: Config) -> Iterator[str]:
    """A lane's own text that may ask for anything but the JSON that the task's contract wants."""
    if task.contract is None or task.contract.source is None:
        return
    for route in (config.routes[route] for route in task.routes):
        if route.system_suffix is not None and "json" not in route.system_suffix.lower():
            yield (
                f"routes.{route.name}.system_suffix: it says nothing of the JSON that the contract of tasks.{name} "
                "wants: an answer that follows the text may break the contract"
            )


def _short_deadline(name: str, task: Task, config: Config) -> Iterator[str]:
    first = config.routes[task.primary.routes[0]]
    alone = len(task.routes) == 1
    if alone and "timeout" not in first.model_fields_set:
        return  # it gives way to the deadline
    deadline = deadline_alone(task) if alone else task.deadline
    kept = reserve(deadline, len(task.lanes) - 1)
    if deadline < first.timeout + kept:
        yield (
            f"tasks.{name}.deadline: {duration_text(deadline)} is shorter than the timeout of {first.name} "
            f"({duration_text(first.timeout)}) and what is kept for later lanes ({duration_text(kept)}), "
            f"so {first.name} gets {duration_text(deadline - kept)}"
        )


def _unknown_prices(name: str, task: Task, config: Config) -> Iterator[str]:
    if task.select != "cheapest":
        return
    from lanewise._telemetry.prices import price_of

    for route in (config.routes[route] for route in task.routes):
        if price_of(route, config.providers[route.provider]) is None:
            yield f"tasks.{name}.select: the price of {route.name} is not known, so it goes last: give it a `price`"


def _unused(config: Config) -> Iterator[str]:
    routes = {route for task in config.tasks.values() for route in task.routes}
    routes |= {route for category in config.sensitive.values() for route in category.review_routes}
    providers = {route.provider for route in config.routes.values()}
    categories = {task.sensitive for task in config.tasks.values()} | set(config.endpoints.values())
    categories.add(config.router.undeclared.removeprefix("sensitive:"))
    yield from (f"routes.{name}: no task uses it" for name in config.routes if name not in routes)
    yield from (f"providers.{name}: no route uses it" for name in config.providers if name not in providers)
    for name in config.sensitive:
        if name not in categories:
            yield f"sensitive.{name}: no task or endpoint in the file uses it (marks in the code may)"
