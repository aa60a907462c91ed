"""The app's start: the router opens with it, its endpoints are checked, and what is not installed rightly says so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from integrations.asgi_stage import FIRST_TEXT, Stage, ask
from integrations.starlette.serving import summary
from lanewise import ConfigError, Router
from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive

ROUTES = [Route("/summary", summary)]


@sensitive("paiment")
async def refund(request: Request) -> Response:
    raise NotImplementedError


WRONG = [*ROUTES, Route("/refund", refund)]


def app_of(router: Router, routes: list[Route] = ROUTES, **options: Any) -> Starlette:
    middleware = [Middleware(LanewiseMiddleware, router=router)]
    return Starlette(routes=list(routes), middleware=middleware, **options)


def test_the_router_lives_as_long_as_the_app(stage: Stage) -> None:
    """And again, when the app is started again; closed, it leaves no connection open."""
    router = stage.router()
    app = app_of(router, lifespan=lifespan(router))
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/summary").text == FIRST_TEXT
        stage.first.wait_until(lambda: stage.first.open_connections == 0)


def test_the_apps_own_lifespan_runs_inside(stage: Stage) -> None:
    """The router is open in it, and its state reaches the requests."""
    router = stage.router()
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        with router.scope(detached=True) as scope:
            seen.append(await ask(scope))
        yield {"greeting": "hello"}
        with router.scope(detached=True) as scope:
            seen.append(await ask(scope))

    async def greet(request: Request) -> Response:
        return PlainTextResponse(f"{request.state.greeting} {await ask(request.state.ai)}")

    app = app_of(router, [Route("/greet", greet)], lifespan=lifespan(router, own))
    with TestClient(app) as client:
        assert client.get("/greet").text == f"hello {FIRST_TEXT}"
    assert seen == [FIRST_TEXT, FIRST_TEXT]


def test_without_a_lifespan_the_router_opens_at_its_first_call(stage: Stage) -> None:
    """Nothing is needed but the middleware."""
    with stage.router() as router:
        assert TestClient(app_of(router)).get("/summary").text == FIRST_TEXT


def test_the_router_may_be_given_as_a_path(tmp_path: Path, stage: Stage) -> None:
    """A config that can't be read is refused when the app is made."""
    app = Starlette(middleware=[Middleware(LanewiseMiddleware, router=tmp_path / "nowhere.toml")])
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        TestClient(app).get("/")


def test_a_mistake_stops_the_start(stage: Stage) -> None:
    """The error names the endpoint, and the app is not served at all."""
    router = stage.router()
    with (
        pytest.raises(ConfigError, match=r"/refund .*paiment"),
        TestClient(app_of(router, WRONG, lifespan=lifespan(router))),
    ):
        pass


def test_missing_keys_stop_the_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked up when the router opens."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = stage.config()
    config["providers"]["one"]["api_key_env"] = "NO_SUCH_KEY"
    router = Router.from_mapping(config)
    with pytest.raises(ConfigError, match=r"NO_SUCH_KEY"), TestClient(app_of(router, lifespan=lifespan(router))):
        pass
    with pytest.raises(ConfigError, match=r"NO_SUCH_KEY"):
        TestClient(app_of(Router.from_mapping(config))).get("/summary")


def test_without_a_lifespan_a_mistake_refuses_every_request(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The first and every later one, with the same words, which are logged."""
    with stage.router() as router:
        client = TestClient(app_of(router, WRONG))
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"/refund .*paiment"):
                client.get("/summary")
        assert TestClient(app_of(router, WRONG), raise_server_exceptions=False).get("/summary").status_code == 500
    assert stage.first.journal == []
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "every request is refused" in logged[0]
    assert "/refund" in logged[0]


def test_around_the_app_the_middleware_serves_as_well(stage: Stage) -> None:
    """Any ASGI app can be wrapped; the lifespan finds the middleware there too."""
    router = stage.router()
    inner = Starlette(routes=ROUTES, lifespan=lifespan(router))
    with TestClient(LanewiseMiddleware(inner, router)) as client:
        assert client.get("/summary").text == FIRST_TEXT
    wrong = LanewiseMiddleware(Starlette(routes=WRONG), router)
    with pytest.raises(ConfigError, match=r"/refund"):
        TestClient(wrong).get("/summary")


def test_a_missing_middleware_says_so_at_the_start(stage: Stage) -> None:
    """With what to add."""
    router = stage.router()
    with (
        pytest.raises(ConfigError, match=r"Middleware\(LanewiseMiddleware, router=router\)"),
        TestClient(Starlette(routes=ROUTES, lifespan=lifespan(router))),
    ):
        pass


def test_a_middleware_that_is_there_twice_says_so(stage: Stage) -> None:
    """At the start, and at each request where there was no start."""
    router = stage.router()
    twice = [Middleware(LanewiseMiddleware, router=router)] * 2
    with (
        pytest.raises(ConfigError, match=r"installed twice"),
        TestClient(Starlette(routes=ROUTES, middleware=twice, lifespan=lifespan(router))),
    ):
        pass
    with pytest.raises(RuntimeError, match=r"installed twice"):
        TestClient(Starlette(routes=ROUTES, middleware=twice)).get("/summary")


def test_two_routers_for_one_app_are_refused(stage: Stage) -> None:
    """The one that the lifespan opened would never be asked."""
    app = app_of(stage.router(), lifespan=lifespan(stage.router()))
    with pytest.raises(ConfigError, match=r"not the one that LanewiseMiddleware has"), TestClient(app):
        pass
    with pytest.raises(TypeError, match=r"takes the Router"):
        lifespan("lanewise.toml")  # type: ignore[arg-type]


def test_a_closed_router_says_what_to_do(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A 500 for the caller, and the way out in the log."""
    router = stage.router()
    app = app_of(router, lifespan=lifespan(router))
    with TestClient(app, raise_server_exceptions=False):
        pass
    assert TestClient(app, raise_server_exceptions=False).get("/summary").status_code == 500
    assert "keep it open as long as the app serves" in caplog.text
