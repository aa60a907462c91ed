"""The report by task, lane and route: charts of quality, cost and time, and a table of all figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lanewise._ledger.queries.aggregates import Aggregates, GroupBy
from lanewise._ledger.queries.report_lines import ReportLine, lines
from lanewise.cli.formatting import dollars, duration, percent
from lanewise.cli.html_files.charts import Bar, Part, bars
from lanewise.cli.report.call_ends import ENDS, end_of, parts_of, unwell_parts
from lanewise.cli.report.html_tables import Table, table_of

__all__ = ["BarChart", "Group", "report_group", "top_tasks"]

MOST_BARS: Final = 15
"""Bars of one chart; the table beside it has all."""
TEN: Final = 10


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars under a heading; ``more`` is how many were left out."""

    title: str
    bars: tuple[Bar, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The calls told apart by task, lane or route."""

    title: str
    charts: tuple[BarChart, ...]
    table: Table


def report_group(aggregates: Aggregates, key: GroupBy) -> Group:
    found = lines(aggregates, [key])
    names = [line.key[0] for line in found]
    quality = _by_task(aggregates, found) if key is GroupBy.TASK else [_came_to(found)]
    charts = [*quality, _cost_chart(found), _time_bars("95 % of the answers within", found)]
    for name in sorted({name for line in found for name in line.scored}):
        scored = [(line, line.scores[name]) for line in found if name in line.scored]
        charts.append(_single(f"Score {name}", "score", [(line, mean, f"{mean:.2f}") for line, mean in scored]))
    off = [(line, float(line.contract_failures), f"{line.contract_failures:,}") for line in found]
    charts.append(_single("Answers off their contract", "failed", off))
    return Group(f"By {key}", tuple(chart for chart in charts if chart.bars), table_of(key.value, [key], found, names))


def _by_task(aggregates: Aggregates, found: Sequence[ReportLine]) -> list[BarChart]:
    counts: dict[str, Counter[str]] = {}
    for call in aggregates.calls:
        counts.setdefault(call.task, Counter())[end_of(call.lane, call.outcome)] += call.calls
    answered = {line.key[0]: percent(line.answered_share) for line in found}
    unwell = {task: unwell_parts(task, ends) for task, ends in counts.items()}
    rows = [(task, parts, percent(sum(part.value for part in parts))) for task, parts in unwell.items() if parts]
    return [
        _cut(
            "Calls, and who answered", [(task, parts_of(task, ends), answered[task]) for task, ends in counts.items()]
        ),
        _cut("Not answered by the primary lane", rows),
    ]


def _came_to(found: Sequence[ReportLine]) -> BarChart:
    rows = []
    for line in found:
        if line.answered_share is None:
            continue
        name = line.key[0]
        kind = name if name in ENDS else "answered"
        parts = [
            Part(kind, line.answered_share, f"{name}: {line.answered:,} of {line.calls:,} answered there"),
            Part("elsewhere", 1 - line.answered_share, f"{name}: {line.calls - line.answered:,} not answered there"),
        ]
        rows.append((name, parts, percent(line.answered_share)))
    return BarChart("Answered of what came to it", bars(rows[:MOST_BARS], 1.0), _more(rows))


def _cost_chart(found: Sequence[ReportLine]) -> BarChart:
    return _single("Cost", "cost", [(line, line.cost_usd, dollars(line.cost_usd)) for line in found if line.cost_usd])


def _time_bars(title: str, found: Iterable[ReportLine]) -> BarChart:
    times = [(line, time) for line in found if (time := line.time(0.95)) is not None]
    return _single(title, "p95", [(line, time, duration(time)) for line, time in times])


def _single(title: str, kind: str, rows: Iterable[tuple[ReportLine, float, str]]) -> BarChart:
    """A chart whose bars have one part each."""
    made = [
        (line.key[0], [Part(kind, value, f"{line.key[0]}: {figure}")], figure) for line, value, figure in rows if value
    ]
    return _cut(title, made)


def _cut(title: str, rows: Sequence[tuple[str, Sequence[Part], str]]) -> BarChart:
    """The longest bars, the longest first."""
    by_size = sorted(rows, key=lambda row: -sum(part.value for part in row[1]))
    return BarChart(title, bars(by_size[:MOST_BARS]), _more(rows))


def _more(rows: Sequence[object]) -> int:
    return max(len(rows) - MOST_BARS, 0)


def top_tasks(by_task: Sequence[ReportLine]) -> tuple[BarChart, ...]:
    slowest = sorted(by_task, key=lambda line: -(line.time(0.95) or 0.0))[:TEN]
    dearest = sorted(by_task, key=lambda line: -(line.cost_usd or 0.0))[:TEN]
    charts = [_time_bars("The slowest tasks: 95 % of their answers within", slowest), _cost_chart(dearest)]
    return tuple(chart for chart in charts if chart.bars)
