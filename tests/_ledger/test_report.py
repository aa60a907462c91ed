"""``lanewise report`` and ``lanewise explain``: right numbers, in SQLite and PostgreSQL, that read well."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from sqlalchemy import Engine

from _ledger.calls import NOON, attempt, call
from lanewise._ledger.queries.aggregates import Aggregates, GroupBy, read_aggregates
from lanewise._ledger.queries.histogram import percentile
from lanewise._ledger.queries.report_lines import ReportLine, lines, total
from lanewise._ledger.sink import LedgerSink
from lanewise.cli import main
from lanewise.cli.formatting import dollars
from lanewise.cli.report import screen
from lanewise.types import DRAFT_OF, CostStatus, FailureKind, Outcome, Score

DAY = timedelta(days=1)
CONFIG = """
router.ledger = "env:LEDGER_URL"
providers.openai = {}
routes.main = { provider = "openai", model = "gpt-5.5" }
tasks.chat.primary = "main"
"""


@pytest.fixture
def file(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config whose ledger is at ``url``."""
    monkeypatch.setenv("LEDGER_URL", url)
    monkeypatch.delenv("COLUMNS", raising=False)
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def three_calls(sink: LedgerSink) -> None:
    """One by the primary route, one that fell back, one that failed; two tasks and days; the second has two scores."""
    known = CostStatus.KNOWN
    fell_back = call(
        attempt("flagship", FailureKind.OUTAGE, cost_status=CostStatus.NOT_BILLED),
        attempt("flagship", FailureKind.TIMEOUT, cost_upper_usd=0.02),
        attempt("sonnet", total_ms=300.0, input_tokens=2000, output_tokens=100, cost_usd=0.05, cost_status=known,
                dropped=("temperature", "seed")),
        at=NOON - DAY,
    )  # fmt: skip
    sink.write([
        call(attempt(total_ms=100.0, input_tokens=1000, output_tokens=50, cost_usd=0.01, cost_status=known)),
        fell_back,
        call(attempt("flagship", FailureKind.CONTRACT), attempt("mini", FailureKind.CONTRACT), task="extract"),
        Score(call_id=fell_back.id, name="helpful", value=0.5, at=NOON),
        Score(call_id=fell_back.id, name="helpful", value=1.0, at=NOON + DAY),
    ])  # fmt: skip


def run(*arguments: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(main, [os.fspath(argument) for argument in arguments])


def facts_of(engine: Engine, *by: GroupBy) -> Aggregates:
    with engine.connect() as connection:
        return read_aggregates(connection, NOON - 10 * DAY, NOON + 10 * DAY, [by])


@pytest.mark.usefixtures("three_calls")
def test_the_whole_is_added_up(engine: Engine) -> None:
    """Calls, failures absorbed and not, tokens, costs, and the latest score of each call."""
    whole = total(facts_of(engine))
    assert (whole.calls, whole.answered, whole.attempts, whole.absorbed, whole.by_fallback) == (3, 2, 6, 2, 1)
    assert (whole.input_tokens, whole.output_tokens) == (3000, 150)
    assert (whole.cost_usd, whole.fallback_cost_usd) == (pytest.approx(0.06), pytest.approx(0.05))
    assert whole.unpriced == 3
    assert whole.contract_failures == 2
    assert whole.taken_out == {"temperature": 1, "seed": 1}
    assert whole.scores == {"helpful": 1.0}


def test_a_draft_costs_and_answers_nobody(engine: Engine, sink: LedgerSink) -> None:
    """It is for a person: the request that it was written for is the one call, and waits."""
    known, labels = CostStatus.KNOWN, ((DRAFT_OF, "01a203e9-aa42-7b3a-bc28-000000000000"),)
    waits = Outcome.PENDING_REVIEW
    draft = attempt("sonnet", cost_usd=0.05, cost_status=known)
    sink.write([
        call(attempt("flagship", FailureKind.OUTAGE), outcome=waits),
        call(draft, outcome=waits, labels=labels),
        call(attempt("sonnet", FailureKind.OUTAGE), labels=labels),
    ])  # fmt: skip
    whole = total(facts_of(engine))
    assert (whole.calls, whole.answered, whole.by_fallback, whole.cost_usd) == (1, 0, 0, pytest.approx(0.05))
    by_route = {
        line.key: (line.calls, line.answered) for line in lines(facts_of(engine, GroupBy.ROUTE), [GroupBy.ROUTE])
    }
    assert by_route == {("flagship",): (1, 0), ("sonnet",): (0, 0)}


def test_calls_that_came_to_no_route_are_in_every_table(engine: Engine, sink: LedgerSink, file: Path) -> None:
    """Refused, waiting for a person, given again: each table tells of every call, and how it ended."""
    none: dict[str, Any] = {"attempts": (), "moves": ()}
    sink.write([
        call(),
        call(attempt("flagship", FailureKind.OUTAGE)),
        *[call(outcome=Outcome.REFUSED, route=None, lane=None, **none) for _ in range(3)],
        *[call(outcome=Outcome.PENDING_REVIEW, route=None, lane=None, **none) for _ in range(2)],
        call(outcome=Outcome.CANCELLED, route=None, lane=None, **none),
        call(replayed_from="another", **none),
    ])  # fmt: skip
    (task,) = lines(facts_of(engine), [GroupBy.TASK])
    assert (task.calls, task.answered) == (9, 2)
    assert task.outcomes == {"answered": 2, "failed": 1, "refused": 3, "pending_review": 2, "cancelled": 1}
    assert sum(task.outcomes.values()) == task.calls
    for by in [GroupBy.LANE], [GroupBy.ROUTE], [GroupBy.LANE, GroupBy.ROUTE]:
        found = lines(facts_of(engine, *by), by)
        told = {line.key[-1]: (line.calls, line.answered) for line in found}
        first = "primary" if by == [GroupBy.LANE] else "flagship"
        assert list(told) == [first, "(cancelled)", "(given again)", "(pending review)", "(refused)"]
        assert list(told.values()) == [(2, 1), (1, 0), (1, 1), (2, 0), (3, 0)]
        assert sum(line.calls for line in found) == 9
    shown = run("report", "--since", "2026-11-01", "--until", "2026-11-30", file).output
    assert "(refused)" in shown
    assert "pending" in shown


@pytest.mark.usefixtures("three_calls")
def test_days_and_tasks_count_calls(engine: Engine) -> None:
    """Each where it began."""
    facts = facts_of(engine)
    days = {line.key: (line.calls, line.answered, line.absorbed) for line in lines(facts, [GroupBy.DAY])}
    assert days == {("2026-11-19",): (1, 1, 2), ("2026-11-20",): (2, 1, 0)}
    tasks = {line.key: (line.calls, line.answered) for line in lines(facts, [GroupBy.TASK])}
    assert tasks == {("extract",): (1, 0), ("ticket-summary",): (2, 2)}


@pytest.mark.usefixtures("three_calls")
def test_routes_and_lanes_count_the_calls_that_came_to_them(engine: Engine) -> None:
    """A retry is no second call; the lanes are in their order."""
    found = lines(facts_of(engine, GroupBy.LANE, GroupBy.ROUTE), [GroupBy.LANE, GroupBy.ROUTE])
    assert [(line.key, line.calls, line.answered, line.attempts) for line in found] == [
        (("primary", "flagship"), 3, 1, 4),
        (("equivalent", "sonnet"), 1, 1, 1),
        (("degraded", "mini"), 1, 0, 1),
    ]
    assert found[1].time(0.5) == pytest.approx(300, rel=0.05)
    assert found[2].time(0.5) is None
    assert [line.scores for line in found] == [{}, {"helpful": 1.0}, {}]
    by_lane = lines(facts_of(engine, GroupBy.LANE), [GroupBy.LANE])
    assert [(line.key, line.calls) for line in by_lane] == [(("primary",), 3), (("equivalent",), 1), (("degraded",), 1)]


@pytest.mark.usefixtures("three_calls")
@pytest.mark.parametrize("by", [[GroupBy.DAY, GroupBy.ROUTE], [GroupBy.TASK, GroupBy.LANE], list(GroupBy)])
def test_lines_add_up_to_the_whole(engine: Engine, by: list[GroupBy]) -> None:
    """Whatever they are told apart by."""
    found = lines(facts_of(engine, *by), by)
    assert sum(line.attempts for line in found) == 6
    assert sum(line.answered for line in found) == 2
    assert sum(sum(line.times.values()) for line in found) == 2
    assert sum(line.cost_usd or 0 for line in found) == pytest.approx(0.06)


def test_percentiles_are_within_five_percent(engine: Engine, sink: LedgerSink) -> None:
    """Beside those of the times themselves, from a hundredth of a millisecond to minutes."""
    dice = random.Random(7)
    times = sorted(dice.lognormvariate(6.5, 1.2) for _ in range(1500))
    sink.write([call(attempt(total_ms=each), total_ms=each) for each in times])
    whole = total(facts_of(engine))
    for share in (0.01, 0.5, 0.95, 0.99):
        exact = times[-(-int(share * 100) * len(times) // 100) - 1]
        assert whole.time(share) == pytest.approx(exact, rel=0.05)


def test_times_that_are_next_to_nothing_are_counted(engine: Engine, sink: LedgerSink) -> None:
    """Zero has no logarithm."""
    sink.write([call(total_ms=0.0), call(total_ms=0.002), call(total_ms=None)])
    whole = total(facts_of(engine))
    assert sum(whole.times.values()) == 2
    assert whole.time(0.5) == pytest.approx(0.01, rel=0.05)
    assert percentile({}, 0.5) is None


def test_the_end_of_a_span_is_not_in_it(engine: Engine, sink: LedgerSink) -> None:
    """So that spans side by side count everything once."""
    sink.write([call(at=NOON), call(at=NOON + DAY)])
    with engine.connect() as connection:
        spans = [read_aggregates(connection, NOON + DAY * n, NOON + DAY * (n + 1), []) for n in range(-1, 2)]
    assert [total(facts).calls for facts in spans] == [0, 1, 1]


@pytest.mark.usefixtures("three_calls")
def test_the_report_is_read_from_top_to_bottom(file: Path) -> None:
    """What happened in two sentences, then the tables, then what to do next."""
    done = run("report", file, "--since", "2026-11-19", "--until", "2026-11-20")
    assert done.exit_code == 0, done.output
    told = done.output.splitlines()
    assert told[0].startswith("2026-11-19 to 2026-11-20 (UTC), from ")
    assert told[1] == (
        "3 calls, 66.7 % answered; 2 failures were absorbed on the way; 50.0 % of the answers came from a fallback."
    )
    assert told[2] == "They cost $0.0600, of which fallbacks $0.0500."
    for said in ("By day", "By task", "By lane and route", "helpful 1.00", "temperature seed", "off contract"):
        assert said in done.output
    assert "What failed  contract 2, outage 1, timeout 1" in done.output
    assert "3 of 6 attempts" in done.output
    assert "lanewise explain REQUEST_ID" in done.output


@pytest.mark.usefixtures("three_calls")
def test_csv_and_json_say_the_same(file: Path) -> None:
    """A line a key, with plain numbers in stated units."""
    span = ("--since", "2026-11-19", "--until", "2026-11-20", "--by", "task,route")
    rows = list(csv.DictReader(io.StringIO(run("report", file, *span, "--csv").output)))
    said: dict[str, Any] = json.loads(run("report", file, *span, "--json").output)
    assert said["since"] == "2026-11-19T00:00:00+00:00"
    assert [(row["task"], row["route"]) for row in rows] == [(line["task"], line["route"]) for line in said["lines"]]
    sonnet = next(line for line in said["lines"] if line["route"] == "sonnet")
    assert (sonnet["calls"], sonnet["cost_usd"], sonnet["taken_out"]) == (1, 0.05, {"temperature": 1, "seed": 1})
    assert sonnet["scores"] == {"helpful": 1.0}
    assert next(row for row in rows if row["route"] == "sonnet")["taken_out"] == "temperature=1;seed=1"


@pytest.mark.usefixtures("three_calls")
def test_a_time_without_calls_says_when_there_were_some(file: Path) -> None:
    """Instead of empty tables."""
    done = run("report", file, "--since", "2020-01-01", "--until", "2020-01-31")
    assert done.exit_code == 0
    assert "No calls in this time. The ledger has some from 2026-11-19 to 2026-11-20" in done.output


@pytest.mark.usefixtures("engine")
def test_an_empty_ledger_says_so(file: Path) -> None:
    """It fills by itself."""
    assert "the ledger is empty" in run("report", file).output


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--by", "week"), "'week' is none of day, task, lane and route"),
        (("--since", "yesterday"), "write it as 2026-11-20"),
        (("--since", "2026-11-20", "--until", "2026-11-19"), "lies after"),
        (("--since", "2026-11-20", "--days", "3"), "give one of them"),
    ],
)
def test_options_that_make_no_sense_are_told(file: Path, options: tuple[str, ...], says: str) -> None:
    """Before anything is looked up."""
    done = run("report", file, *options)
    assert done.exit_code == 2
    assert says in done.output


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", [("report",), ("explain", "req-2026-000042")])
def test_a_ledger_that_does_not_exist_yet_is_not_made_by_looking(
    file: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """And it is said who makes it."""
    done = run(*command, file)
    assert done.exit_code == 1
    assert "does not exist yet: a router makes it at its first call" in done.output
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("columns", [80, 100, 170])
def test_no_figure_is_cut_on_a_narrow_terminal(columns: int) -> None:
    """Columns are left out instead, and the last line says so."""
    line = ReportLine(("equivalent", "sonnet-with-a-name"),
                calls=123_456, answered=123_400, attempts=130_000, absorbed=6_500,
                by_fallback=123_400, input_tokens=10**9, output_tokens=10**8, cost_usd=12_345.67,
                fallback_cost_usd=12_345.67, unpriced=3)  # fmt: skip
    line.times.update({150: 100, 170: 10})
    line.failures.update({"contract": 12, "outage": 6_000})
    line.taken_out.update({"temperature": 5, "seed": 2})
    line.scored.update({"helpful": 4})
    line.score_sums["helpful"] = 3.0
    text = io.StringIO()
    console = Console(file=text, width=columns, force_terminal=True, color_system=None)
    table, complete = screen.fitting(console, [GroupBy.LANE, GroupBy.ROUTE], [line])
    console.print(table)
    told = text.getvalue()
    assert "…" not in told
    assert "$12,345.67" in told
    assert "123,456" in told
    assert max(len(each.rstrip()) for each in told.splitlines()) <= columns
    assert complete is (columns > 150)


@pytest.mark.parametrize(
    ("usd", "told"),
    [(0.0, "$0.00"), (0.00002, "<$0.0001"), (0.0268, "$0.0268"), (0.6, "$0.6000"), (1234.5, "$1,234.50")],
)
def test_a_small_amount_is_not_told_as_nothing(usd: float, told: str) -> None:
    """Nor in powers of ten."""
    assert dollars(usd) == told


def test_a_request_is_explained_from_the_ledger(engine: Engine, sink: LedgerSink, file: Path) -> None:
    """By the request's id, or the call's own; as the call itself would, with what it used, and its scores."""
    made = call(
        attempt("flagship", FailureKind.TIMEOUT, cost_upper_usd=0.02),
        attempt("sonnet", input_tokens=2000, output_tokens=100, cost_usd=0.05, cost_status=CostStatus.KNOWN),
        labels=(("size", "short\x1b[2J"),),
    )
    sink.write([made, call(), Score(call_id=made.id, name="helpful", value=0.5, at=NOON)])
    by_request, by_call = run("explain", made.request_id, file), run("explain", made.id, file)
    assert by_request.exit_code == 0
    assert by_request.output == by_call.output
    assert by_request.output.startswith(made.explain())
    for said in (
        "began 2026-11-20 12:00:00 UTC (chat, size=short\ufffd[2J)",
        "attempt 1 (flagship): may be billed, $0.020000 at the most",
        "attempt 2 (sonnet): 2,000 tokens in, 100 out, $0.050000",
        "score helpful: 0.5",
    ):
        assert said in by_request.output


def test_all_that_was_billed_is_explained(sink: LedgerSink, file: Path) -> None:
    """What is billed apart, and whose word the cost is; a provider's own words are none of the terminal's."""
    made = call(
        attempt(
            input_tokens=2000, output_tokens=100, cached_tokens=1500, cache_write_tokens=300, input_audio_tokens=20,
            reasoning_tokens=60, tool_calls=(("web_search\x1b[2J", 2),), service_tier="flex", cost_usd=0.05,
            cost_status=CostStatus.REPORTED, reported_cost_usd=0.05,
        )
    )  # fmt: skip
    sink.write([made])
    told = "2,000 tokens in (1,500 cached, 300 written to the cache, 20 audio), 100 out (60 reasoning)"
    rest = "2 web_search\ufffd[2J, service tier flex, $0.050000 as the provider says"
    assert f"attempt 1 (flagship): {told}, {rest}" in run("explain", made.id, file).output


def test_a_report_tells_how_much_of_a_cost_is_estimated(sink: LedgerSink, file: Path) -> None:
    """On the screen, in JSON and in CSV: what was told and what is known are no estimate."""
    costs = {CostStatus.REPORTED: 1.0, CostStatus.KNOWN: 2.0, CostStatus.ESTIMATED: 4.0}
    sink.write([call(attempt(cost_usd=usd, cost_status=status)) for status, usd in costs.items()])
    span = ("--since", "2026-11-01", "--until", "2026-11-30")
    assert "They cost $7.00; $4.00 of it is estimated." in run("report", *span, file).output
    whole = json.loads(run("report", *span, "--json", "--by", "task", file).output)["lines"][0]
    assert (whole["cost_usd"], whole["estimated_cost_usd"]) == (7.0, 4.0)


def test_what_may_be_billed_is_told_also_where_nothing_bounds_it(sink: LedgerSink, file: Path) -> None:
    """An attempt without a figure is not one without a cost; one that was not billed has none to tell."""
    free = attempt("flagship", FailureKind.RATE_LIMIT, cost_status=CostStatus.NOT_BILLED)
    made = call(attempt("flagship", FailureKind.TIMEOUT), free, attempt("sonnet"))
    sink.write([made])
    told = run("explain", made.id, file).output
    assert "attempt 1 (flagship): may be billed, nobody knows how much" in told
    assert "attempt 2" not in told


@pytest.mark.usefixtures("three_calls")
def test_an_id_that_nobody_knows_says_what_the_ledger_has(file: Path) -> None:
    """With exit code 1."""
    done = run("explain", "req-of-nobody", file)
    assert done.exit_code == 1
    assert "no request and no call has the id 'req-of-nobody'" in done.output
    assert "has calls from 2026-11-19 to 2026-11-20" in done.output
