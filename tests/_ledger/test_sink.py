"""The sink over its life: new files, old tables, databases that go away and come back, forks, and forgetting."""

from __future__ import annotations

import logging
import multiprocessing
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from _ledger.calls import NOON, attempt, call, rows
from _ledger.postgres import Postgres
from busy_machine import LONG_ENOUGH
from lanewise._ledger import database, retention
from lanewise._ledger.database import open_ledger, writing
from lanewise._ledger.retention import forget
from lanewise._ledger.schema import upgrading
from lanewise._ledger.schema.schema_version import MIGRATIONS, VERSION_TABLE, schema_state
from lanewise._ledger.schema.tables import attempts, calls, scores
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._ledger.sink import LedgerSink
from lanewise.types import Score
from lanewise.types.sinks import SinkUnavailable

KEEP = timedelta(days=90)
SOON = LONG_ENOUGH


def sqlite_url(directory: Path) -> str:
    return f"sqlite:///{directory / 'ledger.db'}"


def test_a_new_file_gets_its_tables(tmp_path: Path) -> None:
    """At the first record, in a mode in which writers don't stop readers."""
    sink = LedgerSink(sqlite_url(tmp_path), KEEP)
    assert not (tmp_path / "ledger.db").exists()
    sink.write([call()])
    sink.close()
    engine = open_ledger(sqlite_url(tmp_path))
    with engine.connect() as connection:
        assert schema_state(connection).current
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert len(rows(engine, calls)) == 1
    engine.dispose()


def write_some(url: str, how_many: int) -> None:
    """What a worker does at its start."""
    sink = LedgerSink(url, KEEP)
    left = [call(id=f"{os.getpid()}-{threading.get_ident()}-{number}") for number in range(how_many)]
    while left:
        try:
            sink.write(left[:10])
        except SinkUnavailable:
            continue
        del left[:10]
    sink.close()


def test_workers_that_start_at_once_make_one_ledger(tmp_path: Path) -> None:
    """One makes the tables, none fails, and what each wrote is there."""
    url = sqlite_url(tmp_path)
    with ThreadPoolExecutor(4) as workers:
        for done in [workers.submit(write_some, url, 40) for _ in range(4)]:
            done.result(SOON)
    engine = open_ledger(url)
    assert len(rows(engine, calls)) == 160
    engine.dispose()


@pytest.mark.slow
def test_processes_that_start_at_once_make_one_ledger(tmp_path: Path) -> None:
    """As the workers of a prefork server do."""
    url = sqlite_url(tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_some, args=(url, 40)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SOON)
    assert [worker.exitcode for worker in workers] == [0] * 4
    engine = open_ledger(url)
    assert len(rows(engine, calls)) == 160
    engine.dispose()


def test_a_database_without_tables_says_which_command_to_run(postgres: Postgres) -> None:
    """Nothing is made in a database that others may share, and once the command has run the same sink writes."""
    url = postgres.new_database()
    sink = LedgerSink(url, KEEP)
    with pytest.raises(SinkUnavailable, match=r"no tables yet.*run `lanewise ledger upgrade`"):
        sink.write([call()])
    engine = open_ledger(url)
    upgrade(engine)
    sink.write([call()])
    assert len(rows(engine, calls)) == 1
    sink.close()
    engine.dispose()


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """An app's own database gets the ledger's tables only by the command."""
    url = sqlite_url(tmp_path)
    engine = open_ledger(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE tickets (id INTEGER)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of-the-app')"))
    sink = LedgerSink(url, KEEP)
    with pytest.raises(SinkUnavailable, match="run `lanewise ledger upgrade`"):
        sink.write([call()])
    upgrade(engine)
    sink.write([call()])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).scalar() == "of-the-app"
    sink.close()
    engine.dispose()


def as_version(engine: Engine, version: str, *changes: str) -> None:
    """Make the tables those of another release."""
    with engine.begin() as connection:
        for change in changes:
            connection.execute(text(change))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))


@pytest.mark.parametrize(
    ("version", "change"),
    [
        ("0000", "ALTER TABLE attempts ADD COLUMN mood TEXT"),
        ("9999", "ALTER TABLE attempts DROP COLUMN detail"),
        ("9999", "ALTER TABLE scores RENAME TO marks"),
        ("9999", "DROP TABLE scores"),
    ],
)
def test_tables_of_another_release_are_not_written(engine: Engine, sink: LedgerSink, version: str, change: str) -> None:
    """Nothing is guessed: it is said, and the records wait."""
    as_version(engine, version, change)
    with pytest.raises(SinkUnavailable, match="install the newer"):
        sink.write([call()])
    assert rows(engine, calls) == []


def test_an_older_worker_goes_on_to_write_into_the_tables_of_a_newer_release(engine: Engine, sink: LedgerSink) -> None:
    """A newer release only adds what may be left out: whoever is deployed last need not be restarted first."""
    as_version(
        engine,
        "9999",
        "ALTER TABLE attempts ADD COLUMN mood TEXT",
        "ALTER TABLE calls ADD COLUMN weather TEXT NOT NULL DEFAULT 'fair'",
    )
    sink.write([call()])
    with engine.connect() as connection:
        assert schema_state(connection).current
        assert connection.execute(text("SELECT mood FROM attempts")).scalar() is None
    assert upgrade(engine).found == "9999"


def test_the_files_of_the_versions_are_named_after_them(engine: Engine) -> None:
    """The newest is that which Alembic would upgrade to."""
    with engine.connect() as connection:
        assert schema_state(connection).newest == ScriptDirectory(MIGRATIONS).get_current_head()


def test_tables_that_vanish_are_missed(engine: Engine, sink: LedgerSink) -> None:
    """The batch waits, and is written when they are back."""
    sink.write([call()])
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE attempts"))
    with pytest.raises(SinkUnavailable):
        sink.write([call()])
    with engine.begin() as connection:
        attempts.create(connection)
    sink.write([call()])
    assert len(rows(engine, calls)) == 2


def test_nothing_of_a_batch_is_written_when_a_part_of_it_can_not_be(engine: Engine, sink: LedgerSink) -> None:
    """So that what is counted as lost is what was lost."""
    wrong = call(attempt(http_status="no number" if engine.dialect.name == "postgresql" else object()))
    with pytest.raises(SQLAlchemyError):
        sink.write([call(), wrong])
    assert rows(engine, calls) == []
    sink.write([call()])
    assert len(rows(engine, calls)) == 1


def test_a_file_that_can_not_be_opened_is_told_without_its_name(tmp_path: Path) -> None:
    """The log says what is wrong, and no address."""
    sink = LedgerSink(f"sqlite:///{tmp_path / 'no-such-directory' / 'ledger.db'}", KEEP)
    with pytest.raises(SinkUnavailable, match="unable to open database file") as raised:
        sink.write([call()])
    assert str(tmp_path) not in str(raised.value)
    sink.close()


def test_a_server_that_is_not_there_is_told_without_its_address(tmp_path: Path) -> None:
    """Neither host, nor user, nor password."""
    sink = LedgerSink(f"postgresql+psycopg://canary-user:canary-word@/db?host={tmp_path}", KEEP)
    with pytest.raises(SinkUnavailable, match="OperationalError: ") as raised:
        sink.write([call()])
    assert "canary" not in str(raised.value)
    assert str(tmp_path) not in str(raised.value)
    sink.close()


def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's long transaction loses nothing."""
    monkeypatch.setattr(database, "BUSY_MS", 50)
    url = sqlite_url(tmp_path)
    sink = LedgerSink(url, KEEP)
    sink.write([call()])
    other = open_ledger(url)
    with writing(other), pytest.raises(SinkUnavailable, match="database is locked"):
        sink.write([call()])
    sink.write([call()])
    assert len(rows(other, calls)) == 2
    sink.close()
    other.dispose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its middle SQLite would leave the child a lock that nobody gives back."""
    monkeypatch.setattr(database, "BUSY_MS", 500)
    url = sqlite_url(tmp_path)
    engine = open_ledger(url)
    upgrade(engine)
    begun = threading.Event()

    def write_slowly() -> None:
        with writing(engine) as connection:
            connection.execute(text("DELETE FROM calls"))
            begun.set()
            time.sleep(0.2)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    begun.wait(SOON)
    pid = os.fork()
    if pid == 0:
        written = 1
        try:
            LedgerSink(url, KEEP).write([call()])
            written = 0
        finally:
            os._exit(written)
    assert os.waitpid(pid, 0)[1] == 0
    writer.join()
    assert len(rows(engine, calls)) == 1
    engine.dispose()


def test_what_is_old_is_forgotten_in_small_steps(url: str, engine: Engine) -> None:
    """The oldest first; what is younger stays."""
    sink = LedgerSink(url, timedelta(days=1_000_000))  # which is longer than there are dates
    old = [call(attempt(), attempt("sonnet"), at=NOON - timedelta(days=100 - day)) for day in range(5)]
    young = call()
    sink.write([*old, young, Score(call_id=old[0].id, name="helpful", value=1.0, at=NOON - timedelta(days=99))])
    before = NOON - KEEP
    assert forget(engine, before, most=4)
    assert [len(rows(engine, table)) for table in (calls, attempts, scores)] == [2, 7, 0]
    assert forget(engine, before, most=4)
    assert not forget(engine, before, most=4)
    assert [row.id for row in rows(engine, calls)] == [young.id]
    assert {row.call_id for row in rows(engine, attempts)} == {young.id}
    sink.close()


def test_forgetting_goes_along_with_writing(url: str, engine: Engine) -> None:
    """At the first batch of a process, and seldom after that."""
    sink = LedgerSink(url, KEEP)
    now = datetime.now(UTC)
    sink.write([call(at=now - timedelta(days=91)), call(at=now - timedelta(days=89))])
    assert len(rows(engine, calls)) == 1
    sink.write([call(at=now - timedelta(days=91))])
    assert len(rows(engine, calls)) == 2
    sink.close()


def test_forgetting_keeps_up_with_writing(url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the full rate, 250 calls in each twentieth of a second, the old ones become fewer all the time."""
    clock = 1000.0
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock)
    now = datetime.now(UTC)
    sink = LedgerSink(url, timedelta(days=1_000_000))
    sink.write([call(at=now - timedelta(days=91)) for _ in range(1200)])
    sink.close()
    sink = LedgerSink(url, KEEP)
    left = []
    for _ in range(4):
        sink.write([call(at=now) for _ in range(250)])
        left.append(len([row for row in rows(engine, calls) if row.started_at < now - KEEP]))
        clock += 0.051
    assert left == [700, 200, 0, 0]
    sink.close()


def test_upgrading_twice_at_once_is_safe(url: str) -> None:
    """Two people, or several deployments: the second finds it done."""
    with ThreadPoolExecutor(4) as all_of_them:
        before = [done.result(SOON) for done in [all_of_them.submit(upgrade_at, url) for _ in range(4)]]
    assert before.count(None) == 1
    assert len(set(before)) == 2
    engine = open_ledger(url)
    with engine.connect() as connection:
        assert schema_state(connection).current
    engine.dispose()


def upgrade_at(url: str) -> str | None:
    engine = open_ledger(url)
    before = upgrade(engine)
    engine.dispose()
    return before.found


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Its journals too, whatever the umask."""
    before = os.umask(0)
    try:
        engine = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        upgrade(engine)
        with writing(engine):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes["ledger.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_making_the_tables_puts_no_line_of_alembics_into_the_apps_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at DEBUG either; what the app itself does with Alembic meanwhile, in another thread, is told as ever."""
    engine = open_ledger(f"sqlite:///{tmp_path / 'lanewise.db'}")
    with caplog.at_level(logging.DEBUG):
        upgrade(engine)
        quiet = [record.getMessage() for record in caplog.records if record.name.startswith("alembic")]
        with upgrading._without_alembics_lines():
            here = logging.getLogger("alembic.runtime.migration")
            here.info("ours")
            other = threading.Thread(target=here.info, args=("the app's",))
            other.start()
            other.join()
        here.info("later")
    engine.dispose()
    assert quiet == []
    told = [record.getMessage() for record in caplog.records if record.name.startswith("alembic")]
    assert told == ["the app's", "later"]
