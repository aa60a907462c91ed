"""The commands of the ledger without its extra: a sentence that says what to install, and no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lanewise.cli import main

CONFIG = """
[router]
ledger = "sqlite:///ledger.db"
[providers.openai]
[routes.main]
provider = "openai"
model = "gpt-5.5"
[tasks.chat]
primary = "main"
"""


@pytest.mark.parametrize(
    "command", [["report"], ["explain", "req-2026-000042"], ["ledger", "upgrade"], ["ledger", "status"]], ids=" ".join
)
@pytest.mark.parametrize("missing", ["sqlalchemy", "alembic"])
def test_a_command_of_the_ledger_says_what_to_install(
    command: list[str], missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of the extra is not there."""
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG, encoding="utf-8")
    for name in [name for name in sys.modules if name.split(".")[0] == missing or name.startswith("lanewise._ledger")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    done = CliRunner().invoke(main, [*command, str(file)])
    assert done.exit_code == 1
    assert f"the package {missing} is not installed. pip install 'lanewise[ledger]'" in done.output
    assert isinstance(done.exception, SystemExit)
