"""``litestar lanewise``, really run: the list of endpoints, and the core's commands over the app's own config."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from litestar_lanewise import LanewisePlugin

HERE = Path(__file__).parent
CONFIG = """
[providers.one]
base_url = "http://127.0.0.1:9/v1"
[routes.flagship]
provider = "one"
model = "gpt-5.5"
[tasks.ticket-summary]
primary = "flagship"
[sensitive.payment]
routes = ["flagship"]
[endpoints]
"/stream" = "payment"
"""


def litestar(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Litestar's command line on the app."""
    file = tmp_path / "desk.toml"
    file.write_text(CONFIG)
    environ = {**os.environ, "DESK_CONFIG": str(file), "COLUMNS": "200", "NO_COLOR": "1", **environment}
    command = [sys.executable, "-m", "litestar", "--app-dir", str(HERE), "--app", "desk:app", "lanewise", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False, timeout=30)


def test_endpoints_are_listed_with_their_sensitivity_and_why(tmp_path: Path) -> None:
    """A line for each, and none for Litestar's own."""
    done = litestar(tmp_path, "endpoints")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert list(lines) == [
        "GET /refunds (Refunds.refund)",
        "GET /stream (stream)",
        "GET /summary (summary)",
        "GET /sync (in_a_thread)",
    ]
    assert "guard of Refunds" in lines["GET /refunds (Refunds.refund)"]
    assert 'path rule "/stream"' in lines["GET /stream (stream)"]
    assert "undeclared: standard" in lines["GET /summary (summary)"]


def test_endpoints_fails_where_marks_cannot_hold(tmp_path: Path) -> None:
    """So that a build notices; the table is shown all the same."""
    done = litestar(tmp_path, "endpoints", DESK_CATEGORY="paiment")
    assert done.returncode == 1
    assert "GET /refunds" in done.stdout
    assert "unknown sensitive category 'paiment'" in done.stderr


def test_the_core_checks_the_apps_config(tmp_path: Path) -> None:
    """Without naming the file."""
    done = litestar(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert "desk.toml: OK" in done.stdout


@pytest.fixture
def group(tmp_path: Path) -> click.Group:
    """The group, as the plugin adds it."""
    file = tmp_path / "desk.toml"
    file.write_text(CONFIG)
    cli = click.Group()
    LanewisePlugin(file).on_cli_init(cli)
    return cli


def test_the_core_shows_the_apps_routes_or_anothers(tmp_path: Path, group: click.Group) -> None:
    """As with the core's own command, a file can be named."""
    assert "ticket-summary" in CliRunner().invoke(group, ["lanewise", "routes"]).output
    (tmp_path / "other.toml").write_text(CONFIG.replace("ticket-summary", "triage"))
    assert "triage" in CliRunner().invoke(group, ["lanewise", "routes", str(tmp_path / "other.toml")]).output


def test_the_help_lists_all_commands(group: click.Group) -> None:
    """The app's and the core's."""
    result = CliRunner().invoke(group, ["lanewise", "--help"])
    assert result.exit_code == 0
    for name in ("endpoints", "check", "routes", "init", "config-schema"):
        assert f"  {name} " in result.output


def test_endpoints_needs_an_app(group: click.Group) -> None:
    """And says how one is named."""
    result = CliRunner().invoke(group, ["lanewise", "endpoints"])
    assert result.exit_code == 1
    assert "litestar --app" in result.output
