"""The command ``lanewise estimate``: reads the samples, and shows the figures as a table or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from lanewise._openai.encodings import encoding, encoding_of
from lanewise._openai.tokens import TokenCount
from lanewise.cli.access.config_file import config_option, read_config
from lanewise.cli.estimate.figures import DAYS_A_MONTH, EstimatedLoad, RouteFigures, figures
from lanewise.cli.estimate.samples import BadSample, read_samples
from lanewise.cli.formatting import dollars as shown_dollars
from lanewise.cli.terminal import print_line, print_table
from lanewise.config import Config, Task
from lanewise.types import Api

__all__ = ["estimate"]

_UNKNOWN: Final = "unknown"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, metavar="T", help="The task whose routes are reckoned with.")
@click.option(
    "--requests-per-day", required=True, metavar="N", type=click.FloatRange(min=0, min_open=True), help="How many."
)
@click.option("--output-tokens", metavar="M", type=click.IntRange(min=0), help="Tokens of one answer, on average.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def estimate(
    file: Path,
    task_name: str,
    requests_per_day: float,
    output_tokens: int | None,
    config_file: Path,
    as_json: bool,
) -> None:
    """Tell what the calls of FILE would cost on each route of a task, and whether they fit.

    FILE is a prompt, or a JSONL sample: a line is the body of a call, its messages, or a text. Nothing is sent. The
    exit code is 1 if a route's price is not known: it is never guessed.
    """
    config = read_config(config_file)
    task = _task(config, task_name)
    try:
        api, samples = read_samples(file, _only_api(config, task))
    except BadSample as error:
        click.echo(f"{file}: {error}", err=True)
        raise click.exceptions.Exit(1) from None
    load = EstimatedLoad(api=api, samples=samples, requests_per_day=requests_per_day, output_tokens=output_tokens)
    found = list(figures(config, task, load))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_document(task, load, found)), indent=2).decode())
    else:
        _show(task, load, found)
    if any(_price_is_missing(each) for each in found):
        raise click.exceptions.Exit(1)


def _task(config: Config, name: str) -> Task:
    task = config.tasks.get(name)
    if task is None:
        raise click.BadParameter(f"no task is called {name!r}; the config has: {', '.join(config.tasks)}")
    return task


def _only_api(config: Config, task: Task) -> Api | None:
    """The kind of API of the task's first route, if it has one alone, or if its model's name implies one."""
    first = config.routes[task.primary.routes[0]]
    if len(first.api) == 1:
        return first.api[0]
    return Api.EMBEDDINGS if "embed" in first.model.lower() else None


def _price_is_missing(found: RouteFigures) -> bool:
    return found.not_used is None and found.usd_per_month is None


# -- the table -----------------------------------------------------------------------------------------------------


def _show(task: Task, load: EstimatedLoad, found: Sequence[RouteFigures]) -> None:
    count = len(load.samples)
    answers = f", answers of {load.output_tokens:,} tokens" if load.output_tokens is not None else ""
    day = f"{load.requests_per_day:,.0f}" if load.requests_per_day >= 1 else f"{load.requests_per_day:g}"
    print_line(f"{task.name}: {count} sample{'' if count == 1 else 's'}, {day} requests a day{answers}", hang=0)
    print_table(_table(load, found))
    for line in _notes(load, found):
        print_line(line)


def _table(load: EstimatedLoad, found: Sequence[RouteFigures]) -> Table:
    table = Table("lane", "route", "model")
    for title in ("tokens in: mean", "p95", "max", "1,000 calls", f"{DAYS_A_MONTH} days"):
        table.add_column(title, justify="right")
    table.add_column("context window")
    for each in found:
        cells = [each.lane.value, each.route, each.model]
        if each.not_used is not None:
            cells += ["-"] * 5 + [f"never used: {each.not_used}"]
        else:
            cells += [_tokens(each.mean), _tokens(each.p95), _tokens(each.most)]
            cells += [_dollars(each.usd_per_1000_calls, each, load), _dollars(each.usd_per_month, each, load)]
            cells.append(_fit(each, load))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _tokens(count: TokenCount | None) -> str:
    return "-" if count is None else str(count)


def _dollars(dollars: float | None, found: RouteFigures, load: EstimatedLoad) -> str:
    if dollars is None:
        return _UNKNOWN
    mark = ("" if load.answers_known else ">") + (
        "" if found.mean is not None and found.mean.exact and found.covered else "~"
    )
    return f"{mark}{shown_dollars(dollars)}"


def _fit(found: RouteFigures, load: EstimatedLoad) -> str:
    if found.context_window is None or found.too_long is None:
        return _UNKNOWN
    window = f"{found.context_window:,}"
    if not found.too_long:
        return f"{window}: fits"
    return f"{window}: {found.too_long} of {len(load.samples)} too long"


def _notes(load: EstimatedLoad, found: Sequence[RouteFigures]) -> Iterator[str]:
    used = [each for each in found if each.not_used is None]
    rough = [each for each in used if each.mean is not None and not each.mean.exact]
    if rough:
        yield "~ is an estimate on the high side: how these models or parts of the prompt are counted is not published."
    for each in used:
        if not each.covered:
            yield f"{each.route}: the price of the service tier that is asked for is not known: ~ is by the plain one."
    if any(_counts_with_tokens_extra(each) for each in rough):
        yield "  pip install 'lanewise[tokens]' counts OpenAI's models exactly."
    if used and not load.answers_known:
        yield "> is without the answers: say how long they are with --output-tokens."
    for each in used:
        for reason, count in each.incapable:
            yield f"{each.route}: {count} of {len(load.samples)} samples would skip it: it {reason}."
    for each in found:
        if _price_is_missing(each):
            yield (
                f"{each.route}: its price is not known, and not guessed. Give it in the config under "
                f"[routes.{each.route}], in US dollars a million tokens: price = {{ input = ..., output = ... }}"
            )
        if each.not_used is None and each.context_window is None:
            yield f"{each.route}: its context window is not known. Under [routes.{each.route}]: context_window = ..."


def _counts_with_tokens_extra(found: RouteFigures) -> bool:
    known = encoding_of(found.model)
    return known is not None and encoding(known) is None


# -- JSON ----------------------------------------------------------------------------------------------------------


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    lane: str
    route: str
    model: str
    not_used: str | None
    incapable: dict[str, int]
    input_tokens_mean: int | None
    input_tokens_p95: int | None
    input_tokens_max: int | None
    tokens_exact: bool | None
    usd_per_1000_calls: float | None
    usd_per_month: float | None
    context_window: int | None
    too_long: int | None


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    api: str
    samples: int
    requests_per_day: float
    days_a_month: int
    output_tokens: int | None
    answers_included: bool
    routes: list[_Route]


def _document(task: Task, load: EstimatedLoad, found: Sequence[RouteFigures]) -> _Document:
    return _Document(
        task=task.name,
        api=load.api.value,
        samples=len(load.samples),
        requests_per_day=load.requests_per_day,
        days_a_month=DAYS_A_MONTH,
        output_tokens=load.output_tokens,
        answers_included=load.answers_known,
        routes=[_route(each) for each in found],
    )


def _route(found: RouteFigures) -> _Route:
    return _Route(
        lane=found.lane.value,
        route=found.route,
        model=found.model,
        not_used=found.not_used,
        incapable=dict(found.incapable),
        input_tokens_mean=None if found.mean is None else found.mean.tokens,
        input_tokens_p95=None if found.p95 is None else found.p95.tokens,
        input_tokens_max=None if found.most is None else found.most.tokens,
        tokens_exact=None if found.mean is None else found.mean.exact,
        usd_per_1000_calls=found.usd_per_1000_calls,
        usd_per_month=found.usd_per_month,
        context_window=found.context_window,
        too_long=found.too_long,
    )
