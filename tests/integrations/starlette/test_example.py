"""The example app on Starlette, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import json
import runpy

from integrations.readmes import ROOT, Example
from starlette_lanewise import assert_endpoints_declared

EXAMPLE = Example("starlette_chat", "http://127.0.0.1:8011/")


def test_the_readme_is_true() -> None:
    """Its commands in order: a stream, a broken primary, a closed account, broken streams, and the mended primary."""
    with EXAMPLE.running():
        (asked,) = EXAMPLE.curled("Ask")
        assert asked.body in EXAMPLE.readme

        _, other, account = EXAMPLE.curled("Break the primary")
        said = [json.loads(line) for line in other.body.splitlines()]
        assert "".join(line.get("text", "") for line in said) == "Written by its standby."
        assert said[-1] == {"route": "sonnet", "lane": "equivalent"}
        assert (account.status, account.headers["content-type"]) == (503, "application/problem+json")
        assert account.headers["cache-control"] == "no-store"

        _, again, cut = EXAMPLE.curled("Break a stream")
        assert again.body in EXAMPLE.readme
        assert '{"restart": true}' in again.body
        assert cut.broken
        assert cut.body == '{"text": "Hello"}\n{"text": " from"}\n'

        _, mended = EXAMPLE.curled("Mend it")
        assert json.loads(mended.body.splitlines()[-1])["route"] == "flagship"


def test_the_readmes_commands_work() -> None:
    """The endpoints and the routes of the app."""
    listed, routes = [EXAMPLE.printed(command) for command in EXAMPLE.commands("See what is declared")]
    assert "/account/chat" in listed
    assert "flagship" in routes


def test_every_endpoint_of_the_example_is_declared() -> None:
    """As an app's own test would have it."""
    assert_endpoints_declared(runpy.run_path(str(ROOT / EXAMPLE.app))["create_app"]())
