"""``flask lanewise``: the core's commands and the list of endpoints, over the app's own config."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from flask_lanewise import Lanewise, sensitive, standard

CONFIG = """
[providers.one]
base_url = "http://127.0.0.1:9/v1"
[routes.flagship]
provider = "one"
model = "gpt-5.5"
[tasks.summary]
primary = "flagship"
[sensitive.payment]
routes = ["flagship"]
[endpoints]
"/invoices/*" = "payment"
"""


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An app with all kinds of endpoints."""
    (tmp_path / "ai.toml").write_text(CONFIG)
    app = Flask("desk")
    Lanewise(app, tmp_path / "ai.toml")

    class Refunds(MethodView):
        @sensitive("payment")
        def post(self) -> str:
            return ""

        def get(self) -> str:
            return ""

    payments = sensitive("payment")(Blueprint("payments", __name__))
    payments.add_url_rule("/pay", "pay", lambda: "")
    app.register_blueprint(payments)
    app.add_url_rule("/refunds", view_func=Refunds.as_view("refunds"))
    app.add_url_rule("/invoices/<int:n>", "invoice", lambda n: "")
    app.add_url_rule("/health", "health", standard(lambda: ""))
    app.add_url_rule("/new", "new", lambda: "")
    return app


def test_endpoints_lists_all_with_their_sensitivity_and_why(app: Flask) -> None:
    """A line for each endpoint, for each method of a MethodView."""
    result = app.test_cli_runner().invoke(args=["lanewise", "endpoints"])
    assert result.exit_code == 0, result.output
    lines = {line.split("│")[1].strip(): line for line in result.output.splitlines() if "│" in line}
    assert "blueprint payments" in lines["GET /pay (payments.pay)"]
    assert "@sensitive" in lines["POST /refunds (refunds)"]
    assert "undeclared: standard" in lines["GET /refunds (refunds)"]
    assert 'path rule "/invoices/*"' in lines["GET /invoices/<int:n> (invoice)"]
    assert "@standard" in lines["GET /health (health)"]
    assert "undeclared: standard" in lines["GET /new (new)"]
    assert "static files" in lines["GET /static/<path:filename> (static)"]
    assert "flagship" in lines["GET /pay (payments.pay)"]


def test_endpoints_fails_where_marks_cannot_hold(app: Flask) -> None:
    """So that a build notices; the table is shown all the same."""
    marked = sensitive("payment")(lambda: "")
    app.add_url_rule("/odd", "odd", lambda: marked())
    result = app.test_cli_runner().invoke(args=["lanewise", "endpoints"])
    assert result.exit_code == 1
    assert "GET /odd (odd)" in result.stdout
    assert "hides its mark 'payment'" in result.output


def test_endpoints_lists_an_app_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the app is made by ``flask`` itself, an unknown category is shown in its place, with no traceback."""
    (tmp_path / "lanewise.toml").write_text(CONFIG)
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\nfrom flask_lanewise import Lanewise, sensitive\n"
        "app = Flask(__name__)\nLanewise(app, 'lanewise.toml')\n"
        "app.add_url_rule('/odd', 'odd', sensitive('paymnt')(lambda: ''))\n"
    )
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "flask", "--app", "shop", "lanewise", "endpoints"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "GET /odd (odd)" in done.stdout) == (1, True), done.stderr
    assert "unknown sensitive category 'paymnt'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "routes"])
def test_the_cores_commands_read_the_apps_config(command: str, app: Flask) -> None:
    """Without naming the file."""
    result = app.test_cli_runner().invoke(args=["lanewise", command])
    assert result.exit_code == 0, result.output
    assert "summary" in result.output
    assert "flagship" in result.output


def test_another_config_can_be_named(app: Flask, tmp_path: Path) -> None:
    """As with the core's own command."""
    (tmp_path / "other.toml").write_text(CONFIG.replace("summary", "triage"))
    result = app.test_cli_runner().invoke(args=["lanewise", "routes", str(tmp_path / "other.toml")])
    assert "triage" in result.output


def test_the_help_lists_all_commands(app: Flask) -> None:
    """The app's and the core's."""
    result = app.test_cli_runner().invoke(args=["lanewise", "--help"])
    assert result.exit_code == 0
    for name in ("endpoints", "check", "routes", "init", "config-schema"):
        assert f"  {name} " in result.output
