"""``lanewise ledger``: what it tells, what it makes, and what it says when it can do neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from _ledger.calls import call
from lanewise._ledger.database import open_ledger
from lanewise._ledger.schema.schema_version import VERSION_TABLE
from lanewise._ledger.sink import LedgerSink
from lanewise.cli import main

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
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG)
    return file


def run(*arguments: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(main, [os.fspath(argument) for argument in arguments])


def test_a_ledger_is_made_and_told_of(file: Path, url: str) -> None:
    """Upgrading is safe to repeat, and the status counts what is in it."""
    made, again = run("ledger", "upgrade", file), run("ledger", "upgrade", file)
    assert (made.exit_code, again.exit_code) == (0, 0)
    assert "made the tables (version" in made.output
    assert "up to date (version" in again.output
    from datetime import timedelta

    sink = LedgerSink(url, timedelta(days=36_500))
    sink.write([call(), call()])
    sink.close()
    status = run("ledger", "status", file)
    assert status.exit_code == 0
    assert "calls:  2, their attempts 2, scores 0" in status.output
    assert "2026-11-20 12:00 to 2026-11-20 12:00 UTC" in status.output


def test_tables_of_a_later_release_are_left_alone(file: Path, url: str) -> None:
    """Both commands say what to install."""
    run("ledger", "upgrade", file)
    engine = open_ledger(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE attempts DROP COLUMN detail"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    for command in ("status", "upgrade"):
        done = run("ledger", command, file)
        assert done.exit_code == 1
        assert "version 9999, which this release does not know: install the newer lanewise" in done.output


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_database_without_tables_says_what_to_run(file: Path) -> None:
    """With exit code 1, for deployments that look."""
    done = run("ledger", "status", file)
    assert done.exit_code == 1
    assert "run `lanewise ledger upgrade`" in done.output


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_looking_at_a_file_that_is_not_there_does_not_make_it(file: Path, tmp_path: Path) -> None:
    """The router does, at its first call."""
    done = run("ledger", "status", file)
    assert done.exit_code == 0
    assert "none yet" in done.output
    assert not (tmp_path / "ledger.db").exists()


def test_a_config_without_a_ledger_is_told_how_to_get_one(tmp_path: Path) -> None:
    """With the lines to add."""
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG.replace('router.ledger = "env:LEDGER_URL"', ""))
    done = run("ledger", "status", file)
    assert done.exit_code == 1
    assert 'ledger = "sqlite:///lanewise.db"' in done.output


@pytest.mark.parametrize("secret", ["shop:canary-word@/ledger?", "/ledger?user=shop&password=canary-word&"])
def test_a_database_that_is_not_there_is_told_without_its_password(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But with its place; a password may stand before the host, or in the query."""
    monkeypatch.setenv("LEDGER_URL", f"postgresql://{secret}host={tmp_path}")
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG)
    done = run("ledger", "status", file)
    assert done.exit_code == 1
    assert "can't be used" in done.output
    assert f"host={tmp_path}" in done.output.replace("%2F", "/")
    assert "canary" not in done.output
