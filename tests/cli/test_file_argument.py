"""Each command takes its config's FILE by position; what was written with --config goes on working."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lanewise.cli import main

KEY = "q3Xv9Lr0bTzW6mKd2HnYs8FcJp5GaE1u7RoViQtBxM4="
CONFIG = """
[router]
state = "redis://127.0.0.1:1/0"
ledger = "sqlite:///{ledger}"
storage_key_env = "STORAGE_KEY"
[providers.one]
base_url = "http://127.0.0.1:9/v1"
[routes.first]
provider = "one"
model = "m"
[tasks.t]
primary = "first"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config under another name than the usual one, with a store that is not there."""
    file = tmp_path / "shop.toml"
    file.write_text(CONFIG.format(ledger=tmp_path / "shop.db"))
    made = CliRunner().invoke(main, ["ledger", "upgrade", str(file)])
    assert made.exit_code == 0, made.output
    return file


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("check FILE", "shop.toml: OK"),
        ("routes FILE", "first"),
        ("report FILE", "the ledger is empty"),
        ("explain req-1 FILE", "no request and no call has the id 'req-1'"),
        ("ledger FILE", "up to date"),
        ("ledger status FILE", "up to date"),
        ("ledger FILE status", "up to date"),
        ("ledger upgrade FILE", "up to date"),
        ("reviews FILE", "no case waits"),
        ("reviews list FILE", "no case waits"),
        ("reviews FILE list --status all", "no case is all"),
        ("reviews --config FILE list", "no case waits"),
        ("reviews show id-1 FILE", "no case has this id"),
        ("reviews approve id-1 FILE --by Ada", "no case has this id"),
        ("reviews FILE reject id-1 --by Ada", "no case has this id"),
        ("health FILE", "does not answer"),
        ("health --json FILE", "does not answer"),
        ("health --config FILE --json", "does not answer"),
        ("health open first FILE", "does not answer"),
        ("health FILE close first", "does not answer"),
        ("health open first --config FILE", "does not answer"),
    ],
)
def test_the_file_is_taken_by_position(
    words: str, told: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the command, or behind what else it takes, from anywhere."""
    arguments = [str(file) if word == "FILE" else word for word in words.split()]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments, env={"STORAGE_KEY": KEY})
    assert told in done.output, done.output
    assert "lanewise.toml" not in done.output


@pytest.mark.parametrize("group", ["health", "ledger", "reviews"])
def test_a_command_that_there_is_none_of_is_told_as_that(group: str) -> None:
    """A slip of the finger is not taken for a file."""
    done = CliRunner().invoke(main, [group, "statsu"])
    assert done.exit_code == 2
    assert "No such command" in done.output
