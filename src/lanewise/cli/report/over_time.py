"""The report's charts over the days, and its map of failures by day and hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lanewise._ledger.queries.aggregates import Aggregates, GroupBy
from lanewise._ledger.queries.failure_hours import HourFact
from lanewise._ledger.queries.report_lines import ReportLine, lines
from lanewise.cli.formatting import dollars, duration
from lanewise.cli.html_files.charts import (
    Cell,
    ColumnChart,
    HeatMap,
    LineChart,
    Part,
    column_chart,
    heat_map,
    line_chart,
)
from lanewise.cli.report.call_ends import end_of, parts_of, unwell_parts
from lanewise.cli.report.html_tables import Table, table_of
from lanewise.cli.report.time_axis import Axis
from lanewise.types import LaneName

__all__ = ["Days", "Failures", "TimeChart", "report_days", "report_failures"]

WORST: Final = 10
"""Hours with the most failures that the table lists."""


@dataclass(frozen=True, slots=True)
class TimeChart:
    """A chart over the days: columns or lines, with what is written at its upper and lower edge."""

    title: str
    chart: ColumnChart | LineChart
    top: str
    bottom: str
    description: str


@dataclass(frozen=True, slots=True)
class Days:
    """The charts over the days; ``unit`` is what a place on the axis stands for."""

    unit: str
    charts: tuple[TimeChart, ...]
    table: Table


@dataclass(frozen=True, slots=True)
class Failures:
    """When attempts failed: by hour of the day and by day, and in which hours most."""

    unit: str
    map: HeatMap
    worst: Table
    description: str


def report_days(aggregates: Aggregates, days: Axis) -> Days:
    found = {line.key[0]: line for line in lines(aggregates, [GroupBy.DAY])}
    at = [ReportLine() for _ in days.names]
    for day, line in found.items():
        if day in days.places:
            _add(at[days.places[day]], line)
    ends: list[Counter[str]] = [Counter() for _ in days.names]
    for call in aggregates.calls:
        if call.day in days.places:
            ends[days.places[call.day]][end_of(call.lane, call.outcome)] += call.calls
    charts = [_calls_by_day(days, ends), _unwell_by_day(days, ends), _times_by_day(days, at)]
    if any(line.cost_usd for line in at):
        charts.append(_cost_by_day(days, at))
    charts += [_score_by_day(days, at, name) for name in sorted({name for line in at for name in line.scored})]
    table = table_of(days.unit, [GroupBy.DAY], list(found.values()), [line.key[0] for line in found.values()])
    return Days(days.unit, tuple(charts), table)


def _add(into: ReportLine, line: ReportLine) -> None:
    """Add a day's line to that of the week, month or year that it is in, as far as the charts need it."""
    into.calls += line.calls
    into.answered += line.answered
    into.times.update(line.times)
    into.scored.update(line.scored)
    for name, value in line.score_sums.items():
        into.score_sums[name] = into.score_sums.get(name, 0.0) + value
    for name in ("cost_usd", "fallback_cost_usd"):
        value = getattr(line, name)
        if value is not None:
            setattr(into, name, (getattr(into, name) or 0.0) + value)


def _calls_by_day(days: Axis, ends: Sequence[Counter[str]]) -> TimeChart:
    stacks = [parts_of(span, counts) for span, counts in zip(days.spans, ends, strict=True)]
    chart = column_chart(days.names, stacks)
    return _time_chart("Calls", chart, lambda value: f"{value:,.0f}", days, [counts.total() for counts in ends])


def _unwell_by_day(days: Axis, ends: Sequence[Counter[str]]) -> TimeChart:
    """The share of calls that the primary lane did not answer: among all calls it would hardly show."""
    stacks = [unwell_parts(span, counts) for span, counts in zip(days.spans, ends, strict=True)]
    chart = column_chart(days.names, stacks)
    shares = [sum(part.value for part in parts) for parts in stacks]
    return _time_chart("Not answered by the primary lane", chart, _axis_percent, days, shares)


def _axis_percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _times_by_day(days: Axis, at: Sequence[ReportLine]) -> TimeChart:
    halves, most = [line.time(0.5) for line in at], [line.time(0.95) for line in at]
    chart = line_chart(days.names, [("p50", "half", halves), ("p95", "95 %", most)])
    return _time_chart("Answered within", chart, duration, days, most)


def _cost_by_day(days: Axis, at: Sequence[ReportLine]) -> TimeChart:
    stacks = []
    for span, line in zip(days.spans, at, strict=True):
        fallback = line.fallback_cost_usd or 0.0
        primary = max((line.cost_usd or 0.0) - fallback, 0.0)
        stacks.append([
            Part(LaneName.PRIMARY, primary, f"{span}: {dollars(primary)} of the primary lane"),
            Part(LaneName.EQUIVALENT, fallback, f"{span}: {dollars(fallback)} of fallbacks"),
        ])  # fmt: skip
    chart = column_chart(days.names, stacks)
    return _time_chart("Cost", chart, dollars, days, [line.cost_usd for line in at])


def _score_by_day(days: Axis, at: Sequence[ReportLine], name: str) -> TimeChart:
    means = [line.scores.get(name) for line in at]
    chart = line_chart(days.names, [("score", name, means)], bottom=None)
    return _time_chart(f"Score {name}", chart, "{:.4g}".format, days, means)


def _time_chart(
    title: str,
    chart: ColumnChart | LineChart,
    shown: Callable[[float], str],
    days: Axis,
    values: Sequence[float | None],
) -> TimeChart:
    known = [(value, span) for value, span in zip(values, days.spans, strict=True) if value is not None]
    description = f"{title} by {days.unit}"
    if known:
        (least, _), (most, when) = min(known), max(known)
        description += f": from {shown(least)} to {shown(most)}, most in {when}"
    bottom = chart.bottom if isinstance(chart, LineChart) else 0.0
    return TimeChart(title, chart, shown(chart.top), "0" if bottom == 0 else shown(bottom), description)


def report_failures(hours: Sequence[HourFact], days: Axis) -> Failures | None:
    failed: dict[datetime, Counter[str]] = {}
    sent: Counter[datetime] = Counter()
    for fact in hours:
        sent[fact.hour] += fact.attempts
        if fact.failure is not None:
            failed.setdefault(fact.hour, Counter())[fact.failure] += fact.attempts
    places: dict[tuple[int, int], list[datetime]] = {}
    for hour in failed:
        place = days.places.get(str(hour.date()))
        if place is not None:
            places.setdefault((place, hour.hour), []).append(hour)
    if not places:
        return None
    cells = []
    for (column, row), there in sorted(places.items()):
        kinds = sum((failed[hour] for hour in there), Counter[str]())
        failures_text = _failed(kinds, sum(sent[hour] for hour in there))
        cells.append(Cell(column, row, kinds.total(), f"{days.spans[column]}, {_clock(row)}: {failures_text}"))
    worst = sorted(failed, key=lambda hour: (-failed[hour].total(), hour))[:WORST]
    rows = tuple(
        (f"{hour:%Y-%m-%d} {_clock(hour.hour)}", f"{failed[hour].total():,}", f"{sent[hour]:,}", _kinds(failed[hour]))
        for hour in worst
    )
    most = worst[0]
    description = f"Failed attempts by {days.unit} and hour (UTC): most on {most:%Y-%m-%d} {_clock(most.hour)}"
    table = Table(("hour (UTC)", "failed", "of attempts", "how"), rows, frozenset({3}))
    return Failures(days.unit, heat_map(days.names, cells), table, f"{description}, {failed[most].total():,}")


def _failed(kinds: Counter[str], of: int) -> str:
    return f"{kinds.total():,} of {of:,} attempts failed ({_kinds(kinds)})"


def _kinds(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())


def _clock(hour: int) -> str:
    return f"{hour:02}:00 to {(hour + 1) % 24:02}:00"
