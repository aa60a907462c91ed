"""The page in other places: in Litestar and FastAPI, and in ``lanewise serve``, behind its password."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from dashboard.stage import Stage, ask, is_staff, visiting
from endpoint.stage import served
from lanewise import Router
from lanewise.cli import main
from lanewise.web import Dashboard
from lanewise.web.dashboard.password import PasswordProtected
from lanewise.web.openai_endpoint import standalone

PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize("in_router", [False, True])
def test_litestar_mounts_it(stage: Stage, in_router: bool) -> None:
    """Its pages, its links and its forms are where it is mounted, also in a router, for which Litestar copies it."""
    from litestar import Litestar, asgi
    from litestar import Router as LitestarRouter

    router = Router.from_mapping(stage.config())
    page = Dashboard(router, allow=is_staff, may_operate=lambda request: "ann")
    mount = asgi("/_lanewise", is_mount=True, copy_scope=True)(page)
    app = Litestar([LitestarRouter("/", route_handlers=[mount]) if in_router else mount])
    with router, served(app) as url, visiting(f"{url}/_lanewise") as staff:
        assert "All tasks" in staff.text() or "is on its primary lane" in staff.text()
        assert staff.get("static/dashboard.css").status_code == 200
        assert staff.get("calls").status_code == 200
        assert (
            staff.post("by-hand", csrf=staff.token("by-hand"), route="spare", action="open", reason="x").status_code
            == 303
        )
        assert router.health.routes["spare"].by_hand
        with httpx2.Client(headers={"x-user": "staff"}, trust_env=False, follow_redirects=True) as client:
            assert client.get(f"{url}/_lanewise").status_code == 200


def test_fastapi_mounts_it(stage: Stage) -> None:
    """As any other app."""
    from fastapi import FastAPI

    router = Router.from_mapping(stage.config())
    app = FastAPI()
    app.mount("/inner/_lanewise", Dashboard(router, allow=is_staff))
    with router, served(app) as url, visiting(f"{url}/inner/_lanewise") as staff:
        call_id = ask(router)
        assert staff.get().status_code == 200
        assert staff.get(f"calls/{call_id}").status_code in (200, 404)  # it is told of some moments later


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("Bearer x", 401),
        ("Basic", 401),
        ("Basic !!!", 401),
        (b"Basic " + b64encode(b"anybody:" + PASSWORD[:-1].encode()), 401),
        (b"Basic " + b64encode(PASSWORD.encode()), 401),
        (b"Basic " + b64encode(b"anybody:" + PASSWORD.encode()), 200),
        (b"basic " + b64encode(b":" + PASSWORD.encode()), 200),
    ],
)
def test_a_password_keeps_it(stage: Stage, given: str | bytes | None, status: int) -> None:
    """For every path: a browser asks for it."""
    router = Router.from_mapping(stage.config())
    app = PasswordProtected(Dashboard(router, allow=lambda request: True, hosts=["*"]), PASSWORD)
    headers = {} if given is None else {"authorization": given if isinstance(given, str) else given.decode()}
    with router, served(app) as url, httpx2.Client(headers=headers, trust_env=False) as client:
        for path in ("/", "/calls", "/static/dashboard.js"):
            answer = client.get(url + path)
            assert answer.status_code == status
            assert ("www-authenticate" in answer.headers) == (status == 401)


def test_serve_shows_it_to_those_who_know_the_password(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the API, and without the option not at all."""
    path = tmp_path / "lanewise.toml"
    path.write_text(
        f'[providers.one]\nbase_url = "{stage.first.base_url}"\n[routes.a]\nprovider = "one"\nmodel = "m"\n'
        '[tasks.chat]\nprimary = "a"\n'
    )
    monkeypatch.setenv(standalone.CONFIG, str(path))
    monkeypatch.setenv(standalone.OPEN, "1")
    monkeypatch.setenv(standalone.PASSWORD, PASSWORD)
    for shown in (True, False):
        monkeypatch.setenv(standalone.DASHBOARD, "1" if shown else "")
        basic = ("anybody", PASSWORD)
        with served(standalone.make_app()) as url, httpx2.Client(trust_env=False, follow_redirects=True) as client:
            assert client.get(f"{url}/_lanewise/").status_code == (401 if shown else 404)
            assert client.get(f"{url}/_lanewise", auth=basic).status_code == (200 if shown else 404)
            assert client.get(f"{url}/_lanewisest/", auth=basic).status_code == 404
            assert client.get(f"{url}/healthz").status_code == 200
            by_hand = client.get(f"{url}/_lanewise/by-hand", auth=basic)
            assert by_hand.status_code == (403 if shown else 404)


@pytest.mark.parametrize("password", [None, "", "short"])
def test_serve_asks_for_a_password_first(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    """One that is missing or short is a mistake, before anything is served."""
    path = tmp_path / "lanewise.toml"
    path.write_text(
        f'[providers.one]\nbase_url = "{stage.first.base_url}"\n[routes.a]\nprovider = "one"\nmodel = "m"\n'
        '[tasks.chat]\nprimary = "a"\n'
    )
    if password is None:
        monkeypatch.delenv(standalone.PASSWORD, raising=False)
    else:
        monkeypatch.setenv(standalone.PASSWORD, password)
    told = CliRunner().invoke(main, ["serve", str(path), "--open", "--dashboard"])
    assert told.exit_code == 2
    assert standalone.PASSWORD in told.output
