"""What a row of the ledger holds, and that a call can be read back from its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from _ledger.calls import NOON, attempt, call, rows
from lanewise._ledger.queries.single_calls import calls_of
from lanewise._ledger.schema.schema_version import VERSION_TABLE
from lanewise._ledger.schema.tables import attempts, calls, metadata, scores
from lanewise._ledger.sink import LedgerSink
from lanewise.types import (
    Attempt,
    Call,
    CostStatus,
    Failure,
    FailureKind,
    LaneName,
    Outcome,
    Retry,
    Score,
    Send,
    Skip,
    Stop,
    Switch,
    Wait,
)
from lanewise.types import BreakerEffect as Effect


def test_the_columns_have_the_names_of_the_records() -> None:
    """People query them: an attempt's fields and whose it was, a call's fields."""
    of_attempts = {*Attempt.__struct_fields__, "request_id", "subject_hash", "task"}
    assert of_attempts <= set(attempts.columns.keys())
    assert set(Call.__struct_fields__) <= set(calls.columns.keys())
    assert set(Score.__struct_fields__) == set(scores.columns.keys())


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    """Nothing is missing, nothing is over, no type differs."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        differences = compare_metadata(context, metadata)
    assert [each for each in differences if "comment" not in str(each[0])] == []


def test_a_call_is_written_with_its_attempts(engine: Engine, sink: LedgerSink) -> None:
    """Times are real numbers, moments have their zone, what is unknown is NULL, and who answered is said."""
    made = call(
        attempt("flagship", FailureKind.TIMEOUT, http_status=None, timed_out=True, cost_upper_usd=0.01,
                total_ms=1500.25),
        attempt("sonnet", input_tokens=1200, output_tokens=80, cost_usd=0.0123, cost_status=CostStatus.KNOWN,
                dropped=("temperature", "seed"), model_answered="claude-sonnet-4-6-20260401"),
        subject_hash="0123456789abcdef", labels=(("size", "short"),), sensitive=("medical", "payment"),
    )  # fmt: skip
    sink.write([made])
    (row,) = rows(engine, calls)
    assert row.id == made.id
    assert (row.route, row.lane, row.outcome, row.failure) == ("sonnet", "equivalent", "answered", None)
    assert (row.attempts, row.sensitive, row.labels) == (2, "medical,payment", '{"size":"short"}')
    assert row.started_at == NOON
    assert row.started_at.tzinfo is UTC
    first, second = rows(engine, attempts)
    assert (first.request_id, first.subject_hash, first.task) == (made.request_id, "0123456789abcdef", "ticket-summary")
    assert (first.failure, first.timed_out, first.total_ms, first.http_status) == ("timeout", True, 1500.25, None)
    assert (first.cost_usd, first.cost_status, first.cost_upper_usd) == (None, "unknown", 0.01)
    assert (first.answered, first.absorbed) == (False, True)
    assert (second.answered, second.absorbed, second.dropped) == (True, False, "temperature,seed")
    assert (second.input_tokens, second.cost_usd, second.cost_status) == (1200, 0.0123, "known")


def test_repeats_are_told_from_first_attempts(engine: Engine, sink: LedgerSink) -> None:
    """So that calls can be counted by the routes and lanes that they came to."""
    outage = FailureKind.OUTAGE
    sink.write([call(attempt("flagship", outage), attempt("flagship", outage), attempt("sonnet"))])
    assert [(row.first_on_route, row.first_in_lane) for row in rows(engine, attempts)] == [
        (True, True),
        (False, False),
        (True, True),
    ]


def test_a_call_that_failed_absorbed_nothing(engine: Engine, sink: LedgerSink) -> None:
    """Its failures reached the app."""
    sink.write([call(attempt("flagship", FailureKind.OUTAGE), attempt("mini", FailureKind.OUTAGE))])
    assert [(row.answered, row.absorbed) for row in rows(engine, attempts)] == [(False, False)] * 2


def test_moments_sort_whatever_their_zone(engine: Engine, sink: LedgerSink) -> None:
    """As text too, which is what SQLite sorts by."""
    summer = timezone(timedelta(hours=2))
    moments = [
        datetime(2026, 11, 20, 13, 30, tzinfo=summer),
        datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
        datetime(2026, 11, 20, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 20, 14, 0, 1, tzinfo=summer),
    ]
    made = [call(at=moment) for moment in moments]
    sink.write(made[::-1])
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id FROM calls ORDER BY started_at")).scalars().all()
    assert found == [each.id for each in made]


def test_the_sql_that_people_write_works(engine: Engine, sink: LedgerSink) -> None:
    """A date compares with a moment, and a sum over unknown costs leaves them out."""
    older = call(attempt(cost_usd=9.0), at=NOON - timedelta(days=2))
    sink.write([call(attempt(cost_usd=0.5)), call(attempt(cost_usd=None)), older])
    query = "SELECT route, sum(cost_usd) FROM attempts WHERE started_at >= '2026-11-20' AND answered GROUP BY route"
    with engine.connect() as connection:
        assert connection.execute(text(query)).all() == [("flagship", 0.5)]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_call_read_back_explains_itself_as_it_did(engine: Engine, sink: LedgerSink, outcome: Outcome) -> None:
    """Every kind of move, to the letter."""
    opened = Failure(kind=FailureKind.RATE_LIMIT, retry=Retry.WAIT, breaker=Effect.NEUTRAL, retry_after=3.0)
    moves = (
        (0.04, Send(route="flagship", lane=LaneName.PRIMARY, attempt_number=1, timeout=20.0, first_token=9.0)),
        (12.31, Wait(seconds=0.322, route="flagship", lane=LaneName.PRIMARY, reason="again after outage")),
        (333.3, Switch(route="sonnet", lane=LaneName.EQUIVALENT, attempt_number=2, timeout=30.0, cause="switch",
                       skipped=(Skip("spare", LaneName.EQUIVALENT, "it is open", opened),))),
        (400.0, Stop(failure=opened, reason="no route is left",
                     skipped=(Skip("mini", LaneName.DEGRADED, "no tools"),))),
    )  # fmt: skip
    made = call(
        attempt("flagship", FailureKind.OUTAGE, provider_error_code="server_error", detail="asks to wait 3 s"),
        attempt("sonnet", dropped=("temperature",), adapted=("a system message for n", "one for stop")),
        moves=moves,
        notes=((20.0, "the answer kept no contract"),),
        outcome=outcome,
        failure=None if outcome is Outcome.ANSWERED else FailureKind.OUTAGE,
    )
    sink.write([made])
    with engine.connect() as connection:
        (found,) = calls_of(connection, made.id)
    assert found.explain() == made.explain()
    for mine, theirs in zip(made.attempts, found.attempts, strict=True):
        assert msgspec.structs.asdict(theirs) == msgspec.structs.asdict(mine)


def test_moves_of_another_release_spoil_nothing(engine: Engine, sink: LedgerSink) -> None:
    """The call and its attempts are told all the same."""
    made = call()
    sink.write([made])
    with engine.begin() as connection:
        connection.execute(calls.update().values(moves='[[0.0,{"type":"teleport"}]]'))
    with engine.connect() as connection:
        (found,) = calls_of(connection, made.request_id)
    assert "answered by flagship" in found.explain()


def test_what_no_database_takes_is_left_out(engine: Engine, sink: LedgerSink) -> None:
    """A provider may name its model as it likes, and count without end: the rest of the row is kept."""
    strange = attempt(model_answered="gpt\0-5.5\udc80", input_tokens=2**70, output_tokens=-1)
    made = call(strange, labels=(("note", "a\0b\ud800"),))
    sink.write([made, Score(call_id=made.id, name="help\0ful", value=0.8, at=NOON)])
    (row,) = rows(engine, attempts)
    assert (row.model_answered, row.input_tokens, row.output_tokens) == ("gpt-5.5?", None, None)
    assert [score.name for score in rows(engine, scores)] == ["helpful"]


def test_a_batch_that_comes_again_is_not_written_twice(engine: Engine, sink: LedgerSink) -> None:
    """As after a commit whose answer was lost."""
    made = call(attempt("flagship", FailureKind.OUTAGE), attempt("sonnet"))
    score = Score(call_id=made.id, name="helpful", value=0.8, at=NOON)
    sink.write([made, score])
    sink.write([made, score, call()])
    assert [len(rows(engine, table)) for table in (calls, attempts, scores)] == [2, 3, 1]
