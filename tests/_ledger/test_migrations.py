"""From the tables of one release to those of the next: every row stays, and workers of both go on to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine, Table, bindparam, inspect, select, text

from _ledger.calls import attempt, call, rows
from lanewise._ledger.database import open_ledger, writing
from lanewise._ledger.queries.aggregates import read_aggregates
from lanewise._ledger.queries.report_lines import total
from lanewise._ledger.queries.single_calls import calls_of
from lanewise._ledger.rows import attempt_rows, call_row
from lanewise._ledger.schema.schema_version import MIGRATIONS, schema_state
from lanewise._ledger.schema.tables import attempts, calls, reviews, scores
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._ledger.sink import LedgerSink
from lanewise.types import Call, CostStatus, FailureKind

NEW_COLUMNS = {
    "cache_write_tokens", "cache_write_lifetimes", "input_audio_tokens", "output_audio_tokens", "input_image_tokens",
    "output_image_tokens", "tool_calls", "service_tier", "reported_cost_usd", "upstream_cost_usd",
    "lenient",
}  # fmt: skip
"""Of versions 0003 and 0004, in ``attempts``."""
TABLES = (calls, attempts, scores, reviews)


def upgraded_to(engine: Engine, version: str) -> None:
    """The tables of an older release, made as that release makes them."""
    with writing(engine) as connection:
        config = AlembicConfig()
        config.set_main_option("script_location", MIGRATIONS)
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def written_before(engine: Engine, *made: Call) -> None:
    """What the release before wrote: it knows no newer column, and names all that it knows."""
    with writing(engine) as connection:
        for each in made:
            connection.execute(calls.insert(), dict(call_row(each)))
            for row in attempt_rows(each):
                old = {name: value for name, value in row.items() if name not in NEW_COLUMNS}
                names = ", ".join(old)
                values = ", ".join(f":{name}" for name in old)
                types = {name: attempts.c[name].type for name in old}
                insert = text(f"INSERT INTO attempts ({names}) VALUES ({values})")
                processed = {
                    name: value.value if isinstance(value, FailureKind | CostStatus) else value
                    for name, value in old.items()
                }
                bound = insert.bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))
                connection.execute(bound, processed)


def everything(engine: Engine, table: Table) -> list[dict[str, Any]]:
    """All that a table holds now, whichever columns it has, by its key."""
    with engine.connect() as connection:
        there = [column["name"] for column in inspect(connection).get_columns(table.name)]
        known = [table.c[name] for name in there if name in table.c]
        found = connection.execute(select(*known).order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in found]


@pytest.fixture
def old(url: str) -> Any:
    """A ledger of version 0002, with calls of all kinds in it."""
    engine = open_ledger(url)
    upgraded_to(engine, "0002")
    written_before(
        engine,
        call(attempt(input_tokens=1200, output_tokens=80, cost_usd=0.0123, cost_status=CostStatus.KNOWN)),
        call(
            attempt("flagship", FailureKind.TIMEOUT, http_status=None, cost_upper_usd=0.01),
            attempt("sonnet", cached_tokens=400, reasoning_tokens=60, cost_usd=0.2, cost_status=CostStatus.ESTIMATED),
        ),
        call(attempt("mini", FailureKind.RATE_LIMIT, cost_status=CostStatus.NOT_BILLED)),
    )
    yield engine
    engine.dispose()


def test_the_columns_of_the_release_before_are_all_there(old: Engine) -> None:
    """So that this is indeed a ledger of that release."""
    with old.connect() as connection:
        there = {column["name"] for column in inspect(connection).get_columns("attempts")}
    assert there == set(attempts.c.keys()) - NEW_COLUMNS


def test_an_upgrade_keeps_every_row_as_it_is(old: Engine) -> None:
    """What is new is NULL there, and never 0."""
    before = {table.name: everything(old, table) for table in TABLES}
    assert len(before["attempts"]) == 4
    assert upgrade(old).found == "0002"
    for table in TABLES:
        after = everything(old, table)
        known = [{name: row[name] for name in row if name not in NEW_COLUMNS} for row in after]
        assert known == before[table.name]
    assert all(row[name] is None for row in everything(old, attempts) for name in NEW_COLUMNS)
    with old.connect() as connection:
        assert schema_state(connection).current
        told = calls_of(connection, before["calls"][1]["id"])[0]
    assert [each.cost_status for each in told.attempts] == [CostStatus.UNKNOWN, CostStatus.ESTIMATED]
    assert (told.attempts[1].cached_tokens, told.attempts[1].cache_write_tokens) == (400, None)
    assert (told.attempts[1].tool_calls, told.attempts[1].cache_write_lifetimes) == ((), ())


def test_workers_of_two_releases_write_into_one_ledger(old: Engine, url: str) -> None:
    """The older one names its own columns only; both are read, and a report adds both up."""
    upgrade(old)
    newer = LedgerSink(url, timedelta(days=36500))
    for number in range(3):
        written_before(old, call(attempt(cost_usd=1.0, cost_status=CostStatus.KNOWN)))
        reported = attempt(
            cost_usd=2.0 + number,
            cost_status=CostStatus.REPORTED,
            reported_cost_usd=2.0 + number,
            tool_calls=(("web_search", 2),),
            cache_write_tokens=7,
            cache_write_lifetimes=(("1h", 7),),
            service_tier="flex",
        )
        newer.write([call(reported)])
    newer.close()
    assert len(rows(old, attempts)) == 4 + 6
    first, last = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    with old.connect() as connection:
        whole = total(read_aggregates(connection, first, last, []))
        row = connection.execute(select(attempts).where(attempts.c.cost_usd == 3.0)).one()
        (told,) = calls_of(connection, row.call_id)
    assert whole.cost_usd == pytest.approx(0.0123 + 0.2 + 3.0 + 9.0)
    assert whole.estimated_cost_usd == pytest.approx(0.2)
    assert (row.tool_calls, row.cache_write_lifetimes, row.service_tier) == ('{"web_search":2}', '{"1h":7}', "flex")
    assert told.attempts[0].tool_calls == (("web_search", 2),)
    assert (told.attempts[0].cost_status, told.attempts[0].reported_cost_usd) == (CostStatus.REPORTED, 3.0)


def test_an_upgrade_while_an_older_worker_writes_stops_nobody(old: Engine, url: str) -> None:
    """The connection that it has holds on, and so does what it has prepared."""
    older = open_ledger(url)
    written_before(older, call(attempt(cost_usd=1.0, cost_status=CostStatus.KNOWN)))
    upgrade(old)
    written_before(older, call(attempt(cost_usd=1.0, cost_status=CostStatus.KNOWN)))
    older.dispose()
    assert len(rows(old, attempts)) == 4 + 2
