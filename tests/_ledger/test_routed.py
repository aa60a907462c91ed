"""The ledger behind a router: what is declared, what calls leave there over real HTTP, and what they don't wait for."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import text

from _ledger.calls import rows
from _ledger.postgres import Postgres
from _runtime.setting import output, script
from begun_threads import begun_threads
from busy_machine import LONG_ENOUGH, until
from lanewise import ConfigError, Router
from lanewise._ledger.database import open_ledger
from lanewise._ledger.schema.tables import attempts, calls
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._telemetry import writer_thread as run
from lanewise.testing import Answer, FakeProvider, Status

MESSAGES: Any = [{"role": "user", "content": "canary-prompt: where is my parcel?"}]
SOON = LONG_ENOUGH


def config(provider: FakeProvider, ledger: str) -> dict[str, Any]:
    return {
        "router": {"ledger": ledger},
        "providers": {"p": {"base_url": provider.base_url}},
        "routes": {
            "flagship": {"provider": "p", "model": "model-one"},
            "mini": {"provider": "p", "model": "model-two"},
        },
        "tasks": {"ticket-summary": {"primary": "flagship", "degraded": "mini"}},
    }


def ask(router: Router, request_id: str | None = None) -> None:
    with router.scope(request_id=request_id) as scope:
        scope.openai.chat.completions.create(model="ticket-summary", messages=MESSAGES)


def found(url: str, table: Any = calls) -> list[Any]:
    engine = open_ledger(url)
    try:
        return list(rows(engine, table))
    finally:
        engine.dispose()


@pytest.mark.parametrize("form", ["async", "sync"])
async def test_a_routed_call_is_in_the_ledger_once_the_router_is_closed(
    provider: FakeProvider, url: str, form: str, anyio_backend: str
) -> None:
    """With the attempts that failed, those of streams too, and without prompt and answer."""
    engine = open_ledger(url)
    upgrade(engine)
    engine.dispose()
    provider.script("model-one", Status(529))
    provider.script("model-two", Answer("canary-answer"))
    router = Router.from_mapping(config(provider, url))
    options: dict[str, Any] = {"model": "ticket-summary", "messages": MESSAGES}
    async with router:
        with router.scope(request_id="req-2026-000042") as scope:
            for stream in (False, True):
                if form == "sync":
                    import anyio

                    await anyio.to_thread.run_sync(lambda s=stream: _use(scope.openai, s, options))
                elif stream:
                    async for _ in await scope.async_openai.chat.completions.create(**options, stream=True):
                        pass
                else:
                    await scope.async_openai.chat.completions.create(**options)
    whole, streamed = sorted(found(url), key=lambda row: row.started_at)
    for row in (whole, streamed):
        assert (row.request_id, row.task, row.route, row.lane) == (
            "req-2026-000042", "ticket-summary", "mini", "degraded",
        )  # fmt: skip
        assert (row.outcome, row.api) == ("answered", "chat")
        assert row.total_ms > 0
    assert (whole.stream, streamed.stream) == (False, True)
    made = found(url, attempts)
    assert [(row.route, row.failure, row.answered) for row in made] == [
        ("flagship", "outage", False),
        ("mini", None, True),
    ] * 2
    assert "canary" not in str([*found(url), *made])


def _use(client: openai.OpenAI, stream: bool, options: dict[str, Any]) -> None:
    reply: Any = client.chat.completions.create(**options, stream=stream)
    if stream:
        list(reply)


def test_nothing_is_opened_before_the_first_call(provider: FakeProvider, tmp_path: Path) -> None:
    """As prefork servers need it."""
    begun = begun_threads()
    router = Router.from_mapping(config(provider, f"sqlite:///{tmp_path / 'ledger.db'}"))
    with router:
        assert begun() == []
        assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_told_when_the_router_opens(
    provider: FakeProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on, and once somebody makes it so do records: it is no reason to refuse traffic."""
    directory = tmp_path / "later"
    router = Router.from_mapping(config(provider, f"sqlite:///{directory / 'ledger.db'}"))
    with caplog.at_level(logging.WARNING, logger="lanewise"), router:
        ask(router)
        assert f"router.ledger: the directory {directory} does not exist" in caplog.text
        directory.mkdir()
    assert len(found(f"sqlite:///{directory / 'ledger.db'}")) == 1


def test_a_router_that_opens_again_writes_on(provider: FakeProvider, tmp_path: Path) -> None:
    """The path is relative to the config's file."""
    file = tmp_path / "lanewise.toml"
    file.write_text(f"""
router.ledger = "sqlite:///of-the-shop.db"
providers.p.base_url = "{provider.base_url}"
routes.flagship = {{ provider = "p", model = "model-one" }}
tasks.ticket-summary.primary = "flagship"
""")
    router = Router.from_file(file)
    for _ in range(2):
        with router:
            ask(router)
    assert len(found(f"sqlite:///{tmp_path / 'of-the-shop.db'}")) == 2


def test_the_url_may_come_from_a_variable(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As platforms hand out their databases."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    router = Router.from_mapping(config(provider, "env:DATABASE_URL"))
    with router:
        ask(router)
    assert len(found(f"sqlite:///{tmp_path / 'ledger.db'}")) == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "the variable DATABASE_URL is not set"),
        ("mysql://u:canary-word@h/db", "the URL in DATABASE_URL can't be used: a ledger is in SQLite or in PostgreSQL"),
        ("canary-word", "the URL in DATABASE_URL can't be used: this is not the URL of a database"),
    ],
)
def test_a_variable_without_a_url_is_told_when_the_router_opens(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, value: str | None, says: str
) -> None:
    """And what is in it is not shown."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("DATABASE_URL", value)
    router = Router.from_mapping(config(provider, "env:DATABASE_URL"))
    with pytest.raises(ConfigError, match=says) as raised, router:
        pass
    assert "canary" not in str(raised.value)


def test_a_missing_package_is_told_when_the_router_opens(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the extra to install."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    router = Router.from_mapping(config(provider, f"sqlite:///{tmp_path / 'ledger.db'}"))
    with pytest.raises(ConfigError, match=r"pip install 'lanewise\[ledger\]'"), router:
        pass


@pytest.mark.parametrize(
    ("ledger", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("lanewise.db", "not the URL of a database"),
        ("mysql://host/db", "in SQLite or in PostgreSQL"),
        ("postgresql://host:eight/db", "not the URL of a database"),
        ("env:", "the name of a variable"),
        ("env:sk-proj-abcdefgh", "the name of a variable"),
    ],
)
def test_a_ledger_that_can_not_be_one_is_a_mistake_of_the_config(
    provider: FakeProvider, ledger: str, says: str
) -> None:
    """Told with what would be right."""
    with pytest.raises(ConfigError, match=says) as raised:
        Router.from_mapping(config(provider, ledger))
    assert "env:DATABASE_URL" in str(raised.value)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may stop."""
    with Postgres() as server:
        yield server


def down_for(server: Postgres, provider: FakeProvider, least_seconds: float, how_many: int) -> tuple[int, float, int]:
    """Stop the server under a router's calls: how many were answered, the longest in seconds, and how many are kept."""
    url = server.new_database()
    engine = open_ledger(url)
    upgrade(engine)
    engine.dispose()
    router = Router.from_mapping(config(provider, url))
    answered, longest = 0, 0.0
    with router:
        ask(router)
        until(lambda: len(found(url)) == 1)
        server.stop()
        stopped = time.monotonic()
        while answered < how_many or time.monotonic() - stopped < least_seconds:
            began = time.monotonic()
            ask(router)
            longest = max(longest, time.monotonic() - began)
            answered += 1
            if answered >= how_many:
                time.sleep(0.05)
        server.start()
    return answered, longest, len(found(url)) - 1


def test_a_database_that_is_away_costs_no_request_and_no_record(own_postgres: Postgres, provider: FakeProvider) -> None:
    """What comes meanwhile is written when it is back."""
    answered, _, kept = down_for(own_postgres, provider, least_seconds=1.0, how_many=40)
    assert kept == answered >= 40


def test_what_does_not_fit_while_the_database_is_away_is_counted(
    own_postgres: Postgres,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To the record: what was asked is what is kept and what is counted as lost."""
    monkeypatch.setattr(run, "CAPACITY", 20)
    with caplog.at_level(logging.WARNING, logger="lanewise"):
        answered, _, kept = down_for(own_postgres, provider, least_seconds=0.5, how_many=100)
    lost = sum(getattr(record, "dropped", 0) for record in caplog.records)
    assert lost > 0
    assert kept + lost == answered
    assert "the ledger is not available" in caplog.text


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_half_a_minute_without_a_database(
    own_postgres: Postgres,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No request takes longer for it, and the loss is counted to the record."""
    monkeypatch.setattr(run, "CAPACITY", 400)
    with caplog.at_level(logging.WARNING, logger="lanewise"):
        answered, longest, kept = down_for(own_postgres, provider, least_seconds=30.0, how_many=1000)
    lost = sum(getattr(record, "dropped", 0) for record in caplog.records)
    assert lost > 0
    assert kept + lost == answered
    assert longest < 2.0


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds the server's processes under /proc")
@pytest.mark.timeout(120)
def test_a_database_that_stands_still_holds_no_request_up(own_postgres: Postgres, provider: FakeProvider) -> None:
    """It neither answers nor hangs up for ten seconds; when it goes on, every record is there."""
    url = own_postgres.new_database()
    engine = open_ledger(url)
    upgrade(engine)
    engine.dispose()
    with Router.from_mapping(config(provider, url)) as router:
        ask(router)
        until(lambda: len(found(url)) == 1)
        own_postgres.freeze()
        try:
            frozen, longest, count = time.monotonic(), 0.0, 1
            while time.monotonic() - frozen < 10:
                began = time.monotonic()
                ask(router)
                longest = max(longest, time.monotonic() - began)
                count += 1
                time.sleep(0.01)
        finally:
            own_postgres.thaw()
        ask(router)
    assert longest < 2.0
    assert len(found(url)) == count + 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.timeout(120)
def test_a_full_disk_costs_no_request(provider: FakeProvider, tmp_path: Path) -> None:
    """What no longer fits is told and counted, to the record; what was there stays readable."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    text = f"""
import logging, resource
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
lost = 0
def count(record):
    global lost
    lost += getattr(record, "dropped", 0)
    return True
logging.getLogger("lanewise").addFilter(count)
router = Router.from_mapping({{**CONFIG, "router": {{"ledger": {url!r}}}}})
def ask():
    with router.scope() as scope:
        scope.openai.chat.completions.create(model="t", messages=MESSAGES)
with router:
    for _ in range(50):
        ask()
    time.sleep(1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    for _ in range(1500):
        ask()
print("answered", 1550, "lost", lost)
"""
    said = output(script(text, provider))
    (last,) = [line.split() for line in said.splitlines() if line.startswith("answered")]
    assert "the ledger is not available" in said
    assert int(last[3]) > 0
    assert len(found(url)) + int(last[3]) == 1550


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_of_a_fork_writes_records_of_its_own(provider: FakeProvider, tmp_path: Path) -> None:
    """And the parent goes on with its connection."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    text = f"""
import warnings
warnings.simplefilter("ignore")  # of forking beside threads
router = Router.from_mapping({{**CONFIG, "router": {{"ledger": {url!r}}}}})
def ask(request_id):
    with router.scope(request_id=request_id) as scope:
        scope.openai.chat.completions.create(model="t", messages=MESSAGES)
with router:
    ask("of-the-parent")
    pid = os.fork()
    if pid == 0:
        ask("of-the-child")
        router.__exit__(None, None, None)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    ask("of-the-parent")
print("done")
"""
    assert output(script(text, provider)).split() == ["done"]
    assert sorted(row.request_id for row in found(url)) == ["of-the-child", "of-the-parent", "of-the-parent"]


def test_a_ledger_that_was_never_made_is_told_in_the_log(
    postgres: Postgres, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on, and the line says which command makes it."""
    url = postgres.new_database()
    router = Router.from_mapping(config(provider, url))
    with caplog.at_level(logging.WARNING, logger="lanewise"), router:
        ask(router)
        until(lambda: "run `lanewise ledger upgrade`" in caplog.text)
        engine = open_ledger(url)
        upgrade(engine)
        with engine.connect() as connection:
            until(lambda: bool(connection.execute(text("SELECT count(*) FROM calls")).scalar()))
        engine.dispose()
