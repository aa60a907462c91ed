"""The example app on FastAPI, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import runpy

from integrations.readmes import ROOT, Example
from starlette_lanewise.fastapi import assert_endpoints_declared

EXAMPLE = Example("fastapi_extract", "http://127.0.0.1:8012/openapi.json")


def test_the_readme_is_true() -> None:
    """Its commands in order: an invoice, a broken contract, a broken primary, a closed mandate, the mended primary."""
    with EXAMPLE.running():
        plain, with_id = EXAMPLE.curled("An invoice")
        assert plain.body in EXAMPLE.readme
        assert with_id.headers["X-Request-ID"] == "req-2026-000042"

        _, kept = EXAMPLE.curled("Break the contract")
        assert kept.body in EXAMPLE.readme
        assert (kept.json["route"], kept.json["attempts"]) == ("sonnet", 2)

        _, invoice, mandate = EXAMPLE.curled("Break the primary")
        assert invoice.json["route"] == "sonnet"
        assert (mandate.status, mandate.headers["content-type"]) == (503, "application/problem+json")
        assert mandate.headers["cache-control"] == "no-store"

        _, mended = EXAMPLE.curled("Mend it")
        assert (mended.json["route"], mended.json["mandate"]["holder"]) == ("flagship", "Ana Ruiz")


def test_the_document_marks_what_is_sensitive() -> None:
    """As its README says."""
    from lanewise import Router
    from starlette_lanewise.fastapi import describe

    made = runpy.run_path(str(ROOT / EXAMPLE.app))
    app = made["create_app"]()
    describe(app, Router.from_file(made["HERE"] / "lanewise.toml").config)
    operation = app.openapi()["paths"]["/mandates"]["post"]
    assert operation["x-lanewise-sensitive"] == ["payment"]
    assert "503" in operation["responses"]


def test_the_readmes_commands_work() -> None:
    """The endpoints and the routes of the app."""
    listed, routes = [EXAMPLE.printed(command) for command in EXAMPLE.commands("See what is declared")]
    assert "/mandates" in listed
    assert "flagship" in routes


def test_every_endpoint_of_the_example_is_declared() -> None:
    """As an app's own test would have it."""
    assert_endpoints_declared(runpy.run_path(str(ROOT / EXAMPLE.app))["create_app"]())
