"""The example app, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys

import pytest

from flask_lanewise import assert_endpoints_declared
from integrations.readmes import ROOT, Example, curl

EXAMPLE = Example("flask_support_desk", "http://127.0.0.1:5005/")
ENVIRON = {**os.environ, "NO_COLOR": "1"}


def test_the_readme_is_true() -> None:
    """Its commands in order: summaries, a broken primary, a refund that fails closed, and the mended primary."""
    with EXAMPLE.running():
        plain, with_id = EXAMPLE.curled("A summary")
        assert plain.json["route"] == "flagship"
        assert "answered by flagship" in plain.json["why"]
        assert with_id.headers["X-Request-ID"] == "req-2026-000042"

        (routine,) = EXAMPLE.curled("Routine work")
        assert (routine.json["route"], routine.json["summary"]) == ("mini", "Written by the small one.")
        assert "starts in degraded: tokens < 45 and not stream" in routine.json["why"]

        broken, summary, reply, refund = EXAMPLE.curled("Break the primary")
        assert broken.status == 200
        assert (summary.json["route"], summary.json["summary"]) == ("sonnet", "Written by its standby.")
        assert reply.body == "Written by its standby."
        assert (refund.status, refund.headers["content-type"]) == (503, "application/problem+json")
        assert refund.headers["cache-control"] == "no-store"

        _, mended = EXAMPLE.curled("Mend it")
        assert mended.json == {"decision": "Back again.", "route": "flagship"}
        assert curl("curl -X POST http://127.0.0.1:5005/tickets/3/summary").status == 404


@pytest.mark.parametrize("command", EXAMPLE.commands("See what is declared"))
def test_the_readmes_flask_commands_work(command: str) -> None:
    """The endpoints and the routes of the app."""
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, check=True)
    assert "flagship" in done.stdout


def test_every_endpoint_of_the_example_is_declared() -> None:
    """As an app's own test would have it."""
    assert_endpoints_declared(runpy.run_path(str(ROOT / EXAMPLE.app))["create_app"]())
