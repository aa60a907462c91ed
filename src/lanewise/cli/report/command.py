"""The command ``lanewise report``: its options, and its output as CSV and JSON."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanewise.cli.access.ledger import ledger_argument, ledger_of
from lanewise.cli.html_files.writing import force_option, html_option, require_place, write_page

if TYPE_CHECKING:
    from lanewise._ledger.queries.aggregates import GroupBy
    from lanewise._ledger.queries.report_lines import ReportLine

    _DayType = click.ParamType[date]
    _KeysType = click.ParamType[tuple[str, ...]]
else:  # generic at run time since click 8.4
    _DayType = _KeysType = click.ParamType

__all__ = ["report"]

DAYS = 30


class _Day(_DayType):
    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day: write it as 2026-11-20", param, ctx)


class _Keys(_KeysType):
    name = "day|task|lane|route"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        keys = tuple(part.strip() for part in str(value).split(","))
        for key in keys:
            if key not in ("day", "task", "lane", "route"):
                self.fail(f"{key!r} is none of day, task, lane and route", param, ctx)
        return keys


@click.command()
@ledger_argument
@click.option("--days", type=click.IntRange(1, 36_500), help=f"How many days, up to now.  [default: {DAYS}]")
@click.option("--since", type=_Day(), help="The first day (UTC), as 2026-11-20.")
@click.option("--until", type=_Day(), help="The last day (UTC).  [default: today]")
@click.option("--by", type=_Keys(), help="One table by these, with commas between: task,route")
@click.option("--csv", "form", flag_value="csv", help="CSV, a line a day, task, lane and route if not --by.")
@click.option("--json", "form", flag_value="json", help="The same as JSON.")
@html_option
@force_option
def report(
    file: Path,
    days: int | None,
    since: date | None,
    until: date | None,
    by: tuple[str, ...] | None,
    form: str | None,
    html_file: Path | None,
    force: bool,
) -> None:
    """Report on the calls in the ledger of the config in FILE (lanewise.toml).

    How many there were and were answered, which failures were absorbed, how much came from fallbacks, how long it took
    and what it cost. Days are those of UTC; percentiles are within 4 %.
    """
    begin, end = _span(days, since, until)
    if html_file is not None:
        if form is not None or by is not None:
            raise click.UsageError("--html has all tables in one file: give it without --by, --csv and --json")
        _write_html(file, html_file, begin, end, force=force)
        return
    place = ledger_of(file)
    from lanewise._ledger.queries.aggregates import GroupBy, read_aggregates
    from lanewise._ledger.queries.report_lines import lines
    from lanewise._ledger.queries.stats import span
    from lanewise.cli.report.screen import VIEWS, Page, print_report

    views = (
        [[key for key in GroupBy if key in by]] if by is not None else [list(GroupBy)] if form is not None else VIEWS
    )
    with place.up_to_date() as connection:
        aggregates = read_aggregates(connection, begin, end, views)
        ledger_span = span(connection)
    if form is None:
        print_report(Page(place.shown, begin, end, ledger_span, aggregates), views)
        return
    keys = list(views[0])
    found = lines(aggregates, keys)
    if form == "csv":
        _write_csv(keys, found)
    else:
        written = {"ledger": place.shown, "since": begin.isoformat(), "until": end.isoformat()}
        click.echo(json.dumps({**written, "lines": [_columns(keys, line) for line in found]}, indent=2))


def _write_html(config: Path, out: Path, begin: datetime, end: datetime, *, force: bool) -> None:
    """The page of a span of time."""
    require_place(out, force=force)
    place = ledger_of(config)
    from lanewise.cli.report.html_page import read_report

    with place.up_to_date() as connection:
        content = read_report(connection, place.name, begin, end)
    write_page(out, "report.html", content, force=force)
    click.echo(f"Wrote {out}: one page that needs nothing else, to look at, print or send.")


def _span(days: int | None, since: date | None, until: date | None) -> tuple[datetime, datetime]:
    """The first moment, and the first one after it."""
    if days is not None and since is not None:
        raise click.UsageError("--days and --since both say where to begin: give one of them")
    last = until or datetime.now(UTC).date()
    first = since or last - timedelta(days=(days or DAYS) - 1)
    if first > last:
        raise click.UsageError(f"{first} lies after {last}")
    if last == date.max:
        raise click.UsageError(f"{last} has no day after it")
    return _midnight(first), _midnight(last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _columns(keys: list[GroupBy], line: ReportLine) -> dict[str, object]:
    return {
        **dict(zip(keys, line.key, strict=True)),
        "calls": line.calls,
        "answered": line.answered,
        "failed": line.outcomes["failed"],
        "refused": line.outcomes["refused"],
        "pending_review": line.outcomes["pending_review"],
        "cancelled": line.outcomes["cancelled"],
        "absorbed_failures": line.absorbed,
        "fallback_answers": line.by_fallback,
        "fallback_share": _rounded(line.fallback_share, 4),
        "p50_ms": _rounded(line.time(0.5), 1),
        "p95_ms": _rounded(line.time(0.95), 1),
        "attempts": line.attempts,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "cost_usd": _rounded(line.cost_usd, 6),
        "estimated_cost_usd": _rounded(line.estimated_cost_usd, 6),
        "fallback_cost_usd": _rounded(line.fallback_cost_usd, 6),
        "unpriced_attempts": line.unpriced,
        "contract_failures": line.contract_failures,
        "failures": dict(line.failures.most_common()),
        "taken_out": dict(line.taken_out.most_common()),
        "scores": {name: _rounded(mean, 4) for name, mean in line.scores.items()},
    }


def _write_csv(keys: list[GroupBy], found: list[ReportLine]) -> None:
    from lanewise._ledger.queries.report_lines import ReportLine

    blank = ReportLine(tuple("" for _ in keys))
    writer = csv.DictWriter(sys.stdout, _columns(keys, blank).keys(), lineterminator="\n")
    writer.writeheader()
    for line in found:
        columns = _columns(keys, line)
        writer.writerow({name: _cell(value) for name, value in columns.items()})


def _cell(value: object) -> object:
    """A table within a cell is written as ``name=number`` with semicolons between."""
    return ";".join(f"{name}={number}" for name, number in value.items()) if isinstance(value, dict) else value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
