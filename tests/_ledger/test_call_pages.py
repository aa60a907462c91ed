"""Lists of past calls, paged by key: what they hold, in which order, and how little of the ledger they look at."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text

from _ledger.calls import NOON, attempt, call
from lanewise._ledger.database import writing
from lanewise._ledger.queries import call_pages
from lanewise._ledger.queries.call_pages import call_page
from lanewise._ledger.sink import LedgerSink
from lanewise.types import Call, FailureKind
from lanewise.types.past_calls import ANY, CallFilter, CallPage, PageKey
from lanewise.web.dashboard.recent_calls import RecentCalls

ROUTES = ("flagship", "sonnet", "mini")
FAILURES = (FailureKind.RATE_LIMIT, FailureKind.OUTAGE, FailureKind.CONTRACT)
ODD = ('a"b', "50%", "under_score", "back\\slash", '","x":"y', "größe", "", "<script>")
Paged = Callable[[CallFilter, PageKey | None, int], CallPage]


def some_calls(chance: random.Random, number: int) -> list[Call]:
    """Calls of all kinds, several of them at the very same moment."""
    return [_some_call(chance) for _ in range(number)]


def _some_call(chance: random.Random) -> Call:
    at = NOON + timedelta(seconds=chance.randrange(40))
    attempts = [
        attempt(chance.choice(ROUTES), chance.choice((None, *FAILURES)), started_at=at, cost_usd=0.25)
        for _ in range(chance.randint(1, 3))
    ]
    return call(
        *attempts,
        task=chance.choice(("translate", "summary")),
        at=at,
        labels=((chance.choice(("size", 'si"ze')), chance.choice(ODD)),),
    )


def some_filter(chance: random.Random, among: list[Call]) -> CallFilter:
    """One that asks for some things and not for others."""

    def perhaps(*values: object) -> object:
        return chance.choice((None, None, *values))

    one = chance.choice(among)
    return CallFilter(
        task=perhaps("translate", "summary", "none such"),
        lane=perhaps("primary", "equivalent"),
        route=perhaps(*ROUTES),
        outcome=perhaps("answered", "failed"),
        failure=perhaps(ANY, *(kind.value for kind in FAILURES)),
        label=perhaps(("size", chance.choice(ODD)), ('si"ze', None), ("si", None), ("x", "y")),
        request_id=chance.choice((None, None, None, None, one.request_id, one.id)),
        since=perhaps(NOON + timedelta(seconds=10)),
        until=perhaps(NOON + timedelta(seconds=30)),
    )


def all_of(page_of: Paged, wanted: CallFilter, size: int) -> list[str]:
    """The ids of the calls of all pages, one after the other."""
    found: list[str] = []
    after: PageKey | None = None
    while True:
        page = page_of(wanted, after, size)
        found += [each.id for each in page.calls]
        assert len(page.calls) <= size
        if page.older is None:
            return found
        after = page.older


@pytest.fixture
def known(sink: LedgerSink) -> tuple[list[Call], RecentCalls]:
    """The same calls in the ledger and in memory."""
    made = some_calls(random.Random(1), 100)
    sink.write(made)
    recent = RecentCalls()
    recent.write(made)
    return made, recent


@pytest.mark.parametrize("looks", [call_pages.LOOKS, (7,), (2, 3)])
def test_all_pages_together_have_each_call_once(
    known: tuple[list[Call], RecentCalls], engine: Engine, looks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked for and however small the pages: what memory finds too, in the same order; also where a page
    may look through a few rows only."""
    monkeypatch.setattr(call_pages, "LOOKS", looks)
    made, recent = known
    chance = random.Random(2)
    with engine.connect() as connection:

        def page_of(wanted: CallFilter, after: PageKey | None, size: int) -> CallPage:
            return call_page(connection, wanted, after, size)

        for _ in range(30):
            wanted = some_filter(chance, made)
            expected = all_of(recent.page, wanted, 1000)
            assert all_of(page_of, wanted, chance.choice((4, 50))) == expected, wanted


def test_a_page_says_how_far_it_has_looked(
    known: tuple[list[Call], RecentCalls], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that found less than it may show, since it looked through enough, says so, and where to go on."""
    monkeypatch.setattr(call_pages, "LOOKS", (5, 15))
    with engine.connect() as connection:
        page = call_page(connection, CallFilter(label=("none such", None)), None, 50)
    assert page.calls == ()
    assert page.older is not None
    assert page.looked_back_to == page.older.at


def test_a_summary_tells_what_a_call_met_and_cost(sink: LedgerSink, engine: Engine) -> None:
    """The failures of its attempts in order, and what is known of their cost."""
    made = call(
        attempt("flagship", FailureKind.RATE_LIMIT),
        attempt("sonnet", FailureKind.OUTAGE, cost_usd=0.5),
        attempt("mini", cost_usd=0.25),
    )
    sink.write([made])
    with engine.connect() as connection:
        (found,) = call_page(connection, CallFilter(), None, 50).calls
    assert found.failures == (("flagship", "rate_limit"), ("sonnet", "outage"))
    assert found.cost_usd == 0.75
    assert (found.route, found.lane, found.outcome) == ("mini", "degraded", "answered")


@pytest.mark.parametrize(
    "wanted",
    [
        CallFilter(),
        CallFilter(task="translate"),
        CallFilter(route="mini"),
        CallFilter(lane="degraded"),
        CallFilter(outcome="failed"),
        CallFilter(failure="rate_limit"),
        CallFilter(failure=ANY),
        CallFilter(request_id="req-2026-000042"),
        CallFilter(task="translate", failure="outage", label=("size", "short")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("after", [None, PageKey(NOON, "x")], ids=["first", "later"])
def test_no_page_scans_a_table(engine: Engine, wanted: CallFilter, after: PageKey | None) -> None:
    """Each statement of a page walks an index: the database's own plan says so."""
    explain, scan = ("EXPLAIN ", "Seq Scan")
    if engine.dialect.name == "sqlite":
        explain, scan = ("EXPLAIN QUERY PLAN ", r"SCAN (calls|attempts|this|earlier)$")
    plans = _plans(engine, wanted, after, explain)
    assert plans
    assert not [line for line in plans if re.search(scan, line)], plans


def _plans(engine: Engine, wanted: CallFilter, after: PageKey | None, explain: str) -> list[str]:
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, _x: object, _m: object) -> None:
        statements.append((statement, parameters))

    with writing(engine) as connection:
        if engine.dialect.name != "sqlite":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        event.listen(engine, "before_cursor_execute", note)
        try:
            call_page(connection, wanted, after, 50)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        found = []
        for statement, parameters in statements:
            rows = connection.exec_driver_sql(explain + statement, parameters)  # type: ignore[arg-type]
            found += [str(row[-1]) for row in rows]
    return found
