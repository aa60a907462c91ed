"""The example app on Litestar, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib import import_module

import pytest
from litestar import Litestar

from busy_machine import without_lag
from integrations.readmes import ROOT, Example
from litestar_lanewise import assert_endpoints_declared

EXAMPLE = Example("litestar_clinic", "http://127.0.0.1:8013/")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Litestar:
    """The app, imported as its README's commands do."""
    monkeypatch.syspath_prepend(ROOT)
    made: Litestar = import_module("example_apps.litestar_clinic.app").create_app()
    return made


def test_the_readme_is_true() -> None:
    """Its commands in order: a leaflet, a triage, a broken primary, a triage that fails closed, the mended primary."""
    with EXAMPLE.running():
        plain, with_id = EXAMPLE.curled("A leaflet")
        assert (plain.json["text"], plain.json["route"]) == ("Written by the flagship.", "flagship")
        assert "answered by flagship" in plain.json["why"]
        assert with_id.headers["X-Request-ID"] == "req-2026-000042"
        [triage] = EXAMPLE.curled("A triage")
        assert triage.body in EXAMPLE.readme

        _, leaflet, refused, seen = EXAMPLE.curled("Break the primary")
        assert (leaflet.json["text"], leaflet.json["route"]) == ("Written by its standby.", "sonnet")
        assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
        assert refused.headers["cache-control"] == "no-store"
        assert seen.json["by_model"] == {"claude-sonnet-4-6": 1}

        _, mended = EXAMPLE.curled("Mend it")
        assert mended.body in EXAMPLE.readme


def test_the_document_marks_what_is_sensitive(app: Litestar) -> None:
    """As its README says."""
    paths = app.openapi_schema.to_schema()["paths"]
    assert paths["/patients/triage"]["post"]["x-lanewise-sensitive"] == ["medical"]
    assert "503" in paths["/patients/triage"]["post"]["responses"]
    assert "x-lanewise-sensitive" not in paths["/leaflets/{topic}"]["post"]


@pytest.mark.parametrize("command", EXAMPLE.commands("See what is declared"))
def test_the_readmes_commands_work(command: str) -> None:
    """The endpoints, the checks and the routes of the app."""
    program, *words = shlex.split(command)
    if program == "lanewise":
        assert "flagship" in EXAMPLE.printed(command)
        return
    environ = {**os.environ, "NO_COLOR": "1"}
    whole = [sys.executable, "-m", program, *words]
    done = subprocess.run(whole, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert "flagship" in done.stdout
    assert without_lag(done.stderr) == []


def test_every_endpoint_of_the_example_is_declared(app: Litestar) -> None:
    """As an app's own test would have it."""
    assert_endpoints_declared(app)
