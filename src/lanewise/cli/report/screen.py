"""The report on a terminal: a summary, and tables with bars, of which empty columns are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lanewise._ledger.queries.aggregates import Aggregates, GroupBy
from lanewise._ledger.queries.report_lines import ReportLine, lines, total
from lanewise._ledger.queries.stats import Span
from lanewise.cli.formatting import NOTHING, dollars, duration, number, percent, token_count
from lanewise.cli.terminal import console, fitted, print_styled

__all__ = ["VIEWS", "Column", "Page", "fitting", "notes", "print_report", "summary", "texts"]

VIEWS: Sequence[Sequence[GroupBy]] = ([GroupBy.DAY], [GroupBy.TASK], [GroupBy.LANE, GroupBy.ROUTE])
"""The tables that are printed if none was asked for."""

BAR = 6
"""Characters of a full bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Page:
    """What is reported on: the ledger with the span of all its calls, the days from ``since``, and their figures."""

    ledger: str
    since: datetime
    until: datetime
    ledger_span: Span | None
    aggregates: Aggregates


@dataclass(frozen=True)
class Column:
    """A column. ``spare`` orders what is left out on a narrow terminal: the highest first, 0 never."""

    heading: str
    cell: Callable[[ReportLine, ReportLine], str]
    has_value: Callable[[ReportLine], bool] = lambda whole: True
    spare: int = 0
    left_aligned: bool = False
    of_fallbacks: bool = False


def print_report(page: Page, views: Sequence[Sequence[GroupBy]]) -> None:
    """Print the summary, and a table by each of these keys."""
    screen = console()
    whole = total(page.aggregates)
    for text in summary(page, whole):
        print_styled(screen, text)
    if not whole.calls:
        return
    left_out = False
    for keys in views:
        screen.print()
        screen.print(Text("By " + " and ".join(keys), style="bold"))
        table, complete = fitting(screen, keys, lines(page.aggregates, keys))
        left_out = left_out or not complete
        screen.print(fitted(table, screen.width, screen), crop=False)
    for text in (*notes(whole), *_hints(left_out=left_out)):
        screen.print()
        print_styled(screen, text)


def summary(page: Page, whole: ReportLine) -> list[Text]:
    """The days and the ledger, how many calls were answered, and their cost."""
    last = page.until - timedelta(days=1)
    heading = Text.assemble((f"{page.since:%Y-%m-%d} to {last:%Y-%m-%d}", "bold"), f" (UTC), from {page.ledger}")
    if not whole.calls:
        if page.ledger_span is None:
            return [heading, Text("No calls: the ledger is empty. It fills while the app runs.")]
        days = f"{page.ledger_span.oldest:%Y-%m-%d} to {page.ledger_span.newest:%Y-%m-%d}"
        return [heading, Text(f"No calls in this time. The ledger has some from {days}: see --days and --since.")]
    sentence = f"{whole.calls:,} calls, {percent(whole.answered_share)} answered"
    if whole.absorbed:
        sentence += f"; {whole.absorbed:,} failures were absorbed on the way"
    if whole.by_fallback:
        sentence += f"; {percent(whole.fallback_share)} of the answers came from a fallback"
    sentences = [heading, Text(sentence + ".")]
    if whole.cost_usd is not None:
        cost = f"They cost {_dollars(whole.cost_usd)}"
        cost += f", of which fallbacks {_dollars(whole.fallback_cost_usd)}" if whole.fallback_cost_usd else ""
        cost += f"; {_dollars(whole.estimated_cost_usd)} of it is estimated" if whole.estimated_cost_usd else ""
        sentences.append(Text(cost + "."))
    return sentences


def notes(whole: ReportLine) -> list[Text]:
    """What failed, what was taken out, and what is not in the cost."""
    found = []
    if whole.failures:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in whole.failures.most_common())
        found.append(Text.assemble(("What failed  ", "bold"), kinds))
    if whole.taken_out:
        names = ", ".join(f"{name} {count:,}" for name, count in whole.taken_out.most_common())
        found.append(
            Text.assemble(("Taken out  ", "bold"), f"parameters that a route can't take, by attempts: {names}")
        )
    if whole.unpriced and whole.cost_usd is None:
        mend = "no price is known for these models. A route can say it: price = { input = 1.25, output = 10.0 }"
        found.append(Text.assemble(("Cost  ", "bold"), mend, " (US dollars a million tokens)"))
    elif whole.unpriced:
        known = "no price is known for their model, or they broke off and may yet be billed"
        found.append(
            Text.assemble(("Not in the cost  ", "bold"), f"{whole.unpriced:,} of {whole.attempts:,} attempts: {known}")
        )
    return found


def _hints(*, left_out: bool) -> list[Text]:
    hints = ["One request: lanewise explain REQUEST_ID. Other tables: --by task,route. Times within 4 %."]
    if left_out:
        hints.insert(0, "Columns were left out: a wider terminal shows them, and so do --csv and --json.")
    return [Text(line, style="dim") for line in hints]


def fitting(screen: Console, keys: Sequence[GroupBy], found: Sequence[ReportLine]) -> tuple[Table, bool]:
    """The table with as many columns as the terminal is wide enough for, and whether that is all of them.

    Where not even the least of them fit, all are there: they will stand below each other.
    """
    columns = _columns_with_values(keys, found)
    complete = True
    while True:
        table = _table(keys, found, columns)
        if Measurement.get(screen, screen.options.update(max_width=10_000), table).maximum <= screen.width:
            return table, complete
        first = max(columns, key=lambda column: column.spare)
        if not first.spare:
            return _table(keys, found, [column for column in _columns_with_values(keys, found) if column.heading]), True
        columns.remove(first)
        complete = complete and first.heading == ""


def texts(keys: Sequence[GroupBy], found: Sequence[ReportLine]) -> tuple[list[Column], list[list[str]]]:
    """The columns without the keys and the bars, and each line's texts in them."""
    columns = [column for column in _columns_with_values(keys, found) if column.heading]
    nobody = ReportLine()
    return columns, [[column.cell(line, nobody) for column in columns] for line in found]


def _columns_with_values(keys: Sequence[GroupBy], found: Sequence[ReportLine]) -> list[Column]:
    """The columns that are not empty in all lines."""
    columns = [column for column in COLUMNS if any(column.has_value(line) for line in found)]
    if GroupBy.LANE in keys:  # a lane's answers are all from a fallback, or none is
        columns = [column for column in columns if not column.of_fallbacks]
    return columns


def _table(keys: Sequence[GroupBy], found: Sequence[ReportLine], columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for key in keys:
        table.add_column(key.value)
    for column in columns:
        justify = "left" if column.left_aligned else "right"
        table.add_column(column.heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    most = ReportLine(calls=max((line.calls for line in found), default=0))
    before: tuple[str, ...] = ()
    for line in found:
        shown = [_once(part, before[:place], line.key[:place], before, place) for place, part in enumerate(line.key)]
        # Text: a name may have brackets, which rich would take for markup.
        table.add_row(*map(Text, shown), *(Text(column.cell(line, most)) for column in columns))
        before = line.key
    return table


def _once(part: str, above: tuple[str, ...], here: tuple[str, ...], before: tuple[str, ...], place: int) -> str:
    """A key's part, left blank where it is that of the line above; never in the last column."""
    repeated = before and above == here and before[place] == part and place < len(before) - 1
    return "" if repeated else part or NOTHING


def _bar(share: float) -> str:
    eighths = round(share * BAR * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    return bar or ("▏" if share > 0 else "")


def _calls_bar(line: ReportLine, most: ReportLine) -> str:
    return _bar(line.calls / most.calls) if most.calls else ""


def _dollars(usd: float | None) -> str:
    if usd is None:
        return NOTHING
    return dollars(usd)


def _per_thousand(line: ReportLine) -> str:
    return NOTHING if line.cost_usd is None or not line.answered else _dollars(line.cost_usd / line.answered * 1000)


def _taken_out(line: ReportLine) -> str:
    return " ".join(line.taken_out) or NOTHING


def _scores(line: ReportLine) -> str:
    return ", ".join(f"{name} {mean:.2f}" for name, mean in line.scores.items()) or NOTHING


COLUMNS: Sequence[Column] = (
    Column("calls", lambda line, most: number(line.calls)),
    Column("", _calls_bar, spare=9, left_aligned=True),
    Column("answered", lambda line, most: percent(line.answered_share)),
    Column("failed", lambda line, most: number(line.outcomes["failed"]),
            lambda line: line.outcomes["failed"] > 0, spare=2),
    Column("refused", lambda line, most: number(line.outcomes["refused"]),
            lambda line: line.outcomes["refused"] > 0, spare=2),
    Column("pending", lambda line, most: number(line.outcomes["pending_review"]),
            lambda line: line.outcomes["pending_review"] > 0, spare=2),
    Column("cancelled", lambda line, most: number(line.outcomes["cancelled"]),
            lambda line: line.outcomes["cancelled"] > 0, spare=2),
    Column("absorbed", lambda line, most: number(line.absorbed), lambda line: line.absorbed > 0, spare=1),
    Column("fallback", lambda line, most: percent(line.fallback_share), lambda line: line.by_fallback > 0,
            spare=1, of_fallbacks=True),
    Column("", lambda line, most: _bar(line.fallback_share or 0), lambda line: line.by_fallback > 0,
            spare=8, left_aligned=True, of_fallbacks=True),
    Column("p50", lambda line, most: duration(line.time(0.5))),
    Column("p95", lambda line, most: duration(line.time(0.95))),
    Column("tokens in", lambda line, most: token_count(line.input_tokens), lambda line: line.input_tokens > 0, spare=6),
    Column("out", lambda line, most: token_count(line.output_tokens), lambda line: line.output_tokens > 0, spare=6),
    Column("cost", lambda line, most: _dollars(line.cost_usd), lambda line: line.cost_usd is not None),
    Column("of fallbacks", lambda line, most: _dollars(line.fallback_cost_usd),
            lambda line: line.fallback_cost_usd is not None, spare=5, of_fallbacks=True),
    Column("per 1,000", lambda line, most: _per_thousand(line), lambda line: line.cost_usd is not None, spare=4),
    Column("off contract", lambda line, most: number(line.contract_failures),
            lambda line: line.contract_failures > 0, spare=2),
    Column("scores", lambda line, most: _scores(line), lambda line: bool(line.scored), spare=3, left_aligned=True),
    Column("taken out", lambda line, most: _taken_out(line),
            lambda line: bool(line.taken_out), spare=7, left_aligned=True),
)  # fmt: skip
"""All columns of a table, from left to right. One that is empty in all lines is left out."""
