"""The content of ``lanewise report --html``: figures, charts and tables from the ledger's aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lanewise._ledger.queries.aggregates import GroupBy, read_aggregates
from lanewise._ledger.queries.failure_hours import HourFact, failure_hours
from lanewise._ledger.queries.report_lines import ReportLine, lines, total
from lanewise._ledger.queries.stats import span
from lanewise.cli.formatting import dollars, duration, percent
from lanewise.cli.report.call_ends import ENDS, end_of
from lanewise.cli.report.changes import Change, Notable, changes, notable_failures, notable_lines
from lanewise.cli.report.groups import BarChart, Group, report_group, top_tasks
from lanewise.cli.report.over_time import Days, Failures, report_days, report_failures
from lanewise.cli.report.screen import Page, notes, summary
from lanewise.cli.report.time_axis import axis

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Compared", "ReportContent", "read_report"]

VIEWS: Final[Sequence[Sequence[GroupBy]]] = ([GroupBy.DAY], [GroupBy.TASK], [GroupBy.LANE], [GroupBy.ROUTE])
"""The groupings that the page needs."""


@dataclass(frozen=True, slots=True)
class Compared:
    """This span against the one before. ``missing`` says why there is nothing to compare with."""

    span: str
    figures: tuple[Change, ...]
    notable: tuple[Notable, ...]
    missing: str
    note: str


@dataclass(frozen=True, slots=True)
class ReportContent:
    """The whole page. ``ends`` are the colours of the calls' bars with their names, as far as they are used."""

    heading: str
    ledger: str
    summary: tuple[str, ...]
    tiles: tuple[tuple[str, str], ...]
    ends: tuple[tuple[str, str], ...]
    days: Days | None
    groups: tuple[Group, ...]
    failures: Failures | None
    top: tuple[BarChart, ...]
    compared: Compared | None
    notes: tuple[tuple[str, str], ...]


def read_report(connection: Connection, ledger: str, begin: datetime, end: datetime) -> ReportContent:
    """The page of a span of time, compared with a span of the same length before it. If the span ends today, both end
    at this time of day.

    Example::

        content = read_report(connection, "lanewise.db", midnight - timedelta(days=30), midnight)
    """
    earlier = until = begin
    if (length := end - begin) <= begin - datetime.min.replace(tzinfo=UTC):  # else nothing can be before it
        earlier = begin - length
        until = earlier + max(min(end, datetime.now(UTC)) - begin, timedelta(0))
    ledger_span = span(connection)
    page = Page(ledger, begin, end, ledger_span, read_aggregates(connection, begin, end, VIEWS))
    views_before = [[GroupBy.TASK], [GroupBy.ROUTE]]
    before = Page(ledger, earlier, until, ledger_span, read_aggregates(connection, earlier, until, views_before))
    return _content(page, failure_hours(connection, begin, end), before)


def _content(page: Page, hours: Sequence[HourFact], before: Page) -> ReportContent:
    whole = total(page.aggregates)
    sentences = [text.plain for text in summary(page, whole)]
    heading = f"{page.since:%Y-%m-%d} to {page.until - timedelta(days=1):%Y-%m-%d} (UTC)"
    if not whole.calls or page.ledger_span is None:
        return ReportContent(heading, page.ledger, tuple(sentences[1:]), (), (), None, (), None, (), None, ())
    first = max(page.since, page.ledger_span.oldest).date()
    last = min(page.until - timedelta(days=1), page.ledger_span.newest).date()
    days = axis(min(first, last), last)
    by_task = lines(page.aggregates, [GroupBy.TASK])
    ended = {end_of(fact.lane, fact.outcome) for fact in page.aggregates.calls}
    return ReportContent(
        heading=heading,
        ledger=page.ledger,
        summary=tuple(sentences[1:]),
        tiles=_tiles(whole),
        ends=tuple((kind, name) for kind, name in ENDS.items() if kind in ended),
        days=report_days(page.aggregates, days),
        groups=tuple(report_group(page.aggregates, key) for key in (GroupBy.TASK, GroupBy.LANE, GroupBy.ROUTE)),
        failures=report_failures(hours, days),
        top=top_tasks(by_task),
        compared=_compared(page, whole, before),
        notes=tuple(_split(text.plain) for text in notes(whole)),
    )


def _split(note: str) -> tuple[str, str]:
    name, _, rest = note.partition("  ")
    return name, rest


def _tiles(whole: ReportLine) -> tuple[tuple[str, str], ...]:
    tiles = [
        ("calls", f"{whole.calls:,}"),
        ("answered", percent(whole.answered_share)),
        ("failures absorbed", f"{whole.absorbed:,}"),
        ("of the answers from a fallback", percent(whole.fallback_share)),
        ("half of the answers within", duration(whole.time(0.5))),
        ("95 % within", duration(whole.time(0.95))),
    ]
    if whole.cost_usd is not None:
        tiles.append(("cost", dollars(whole.cost_usd)))
    return tuple(tiles)


def _compared(page: Page, whole: ReportLine, before: Page) -> Compared:
    assert page.ledger_span is not None
    span_before = f"{before.since:%Y-%m-%d} to {before.until:%Y-%m-%d %H:%M} (UTC)"
    earlier = total(before.aggregates)
    if not earlier.calls:
        return Compared(span_before, (), (), f"No calls from {span_before}: there is nothing to compare with.", "")
    note = ""
    if page.ledger_span.oldest > before.since:
        note = f"The ledger begins at {page.ledger_span.oldest:%Y-%m-%d %H:%M}: of the span before it has a part."
    stands_out = [
        *notable_lines("task", *(lines(each.aggregates, [GroupBy.TASK]) for each in (page, before))),
        *notable_lines("route", *(lines(each.aggregates, [GroupBy.ROUTE]) for each in (page, before))),
        *notable_failures(whole, earlier),
    ]
    stands_out.sort(key=lambda notable: {False: 0, None: 1, True: 2}[notable.good])
    return Compared(span_before, tuple(changes(whole, earlier)), tuple(stands_out), "", note)
