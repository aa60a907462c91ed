"""The endpoints of a Starlette app: listed with their sensitivity, for the command and for the app's own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from lanewise import ConfigError, Router
from lanewise.cli import main
from lanewise.web import check_endpoints
from starlette_lanewise import (
    LanewiseMiddleware,
    SensitiveMiddleware,
    assert_endpoints_declared,
    endpoints,
    endpoints_of,
    sensitive,
    standard,
)

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}},
    "endpoints": {"/clinic/*": "payment"},
}


async def health(request: Any) -> Any: ...


async def summary(request: Any) -> Any: ...


@sensitive("payment")
async def refund(request: Any) -> Any: ...


class Desk(HTTPEndpoint):
    async def get(self, request: Any) -> Any: ...

    @sensitive("payment")
    async def post(self, request: Any) -> Any: ...


def app_of(*routes: BaseRoute) -> Starlette:
    router = Router.from_mapping(CONFIG)
    return Starlette(routes=list(routes), middleware=[Middleware(LanewiseMiddleware, router=router)])


def listed(app: Any) -> dict[str, str]:
    return {
        f"{' '.join(endpoint.methods)} {endpoint.path}".strip(): ", ".join(
            f"{source.category} by {source.origin}" for source in endpoint.sources
        )
        for endpoint in endpoints(app)
    }


def test_every_endpoint_is_listed_with_its_marks(tmp_path: Path) -> None:
    """Through mounts, hosts, wrapped and foreign apps, by method where methods differ."""
    payment = [Middleware(SensitiveMiddleware, "payment")]
    app = app_of(
        Route("/health", standard(health)),
        Route("/refund", refund, methods=["POST"]),
        Route("/desk", Desk),
        Route("/wrapped", summary, middleware=payment),
        WebSocketRoute("/chat", refund),
        Mount("/pay", routes=[Route("/{id:int}", summary)], middleware=payment),
        Mount("/app", app=Starlette(routes=[Route("/x", summary)], middleware=payment)),
        Mount("/static", app=StaticFiles(directory=tmp_path)),
        Mount("/foreign", app=SensitiveMiddleware(PlainTextResponse("hello"), "payment")),
        Host("pay.example.org", app=Starlette(routes=[Route("/x", summary)])),
    )
    assert listed(app) == {
        "GET HEAD /health": "standard by @standard",
        "POST /refund": "payment by @sensitive",
        "GET HEAD /desk": "",
        "POST /desk": "payment by @sensitive",
        "GET HEAD /wrapped": "payment by SensitiveMiddleware on the route",
        "WS /chat": "payment by @sensitive",
        "GET HEAD /pay/{id:int}": "payment by SensitiveMiddleware on /pay",
        "GET HEAD /app/x": "payment by SensitiveMiddleware",
        "/static/*": "standard by static files",
        "/foreign/*": "payment by SensitiveMiddleware on /foreign",
        "GET HEAD //pay.example.org/x": "",
    }


def test_what_cant_be_read_is_refused() -> None:
    """A route of an unknown kind might hide anything."""

    class Odd(BaseRoute):
        path = "/odd"

    with pytest.raises(ConfigError, match=r"/odd"):
        check_endpoints(endpoints(app_of(Odd())), Router.from_mapping(CONFIG).config)


def test_an_app_with_a_router_of_its_own_is_not_looked_into() -> None:
    """Its categories are its own router's, which checks them itself."""
    inner = app_of(Route("/x", sensitive("elsewhere")(Desk)))
    assert listed(app_of(Mount("/inner", app=inner))) == {"/inner/*": "standard by a router of its own"}


def test_an_apps_tests_can_ask_that_all_say_what_they_are() -> None:
    """By a mark, a group or a path rule."""
    assert_endpoints_declared(app_of(Route("/refund", refund), Route("/clinic/7", summary)))
    with pytest.raises(AssertionError, match=r"GET HEAD /summary \(summary\)"):
        assert_endpoints_declared(app_of(Route("/refund", refund), Route("/summary", summary)))


def test_an_app_without_the_middleware_says_so() -> None:
    """There is no config to list by."""
    with pytest.raises(LookupError, match=r"add_middleware\(LanewiseMiddleware"):
        endpoints_of(Starlette())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of an app, in the working directory; its name is new for each test."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        f"""
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette_lanewise import LanewiseMiddleware, sensitive
from lanewise import Router

async def refund(request): ...
def make_app(category="payment"):
    router = Router.from_mapping({CONFIG!r})
    routes = [Route("/refund", sensitive(category)(refund))]
    return Starlette(routes=routes, middleware=[Middleware(LanewiseMiddleware, router=router)])
class Others:
    def __init__(self, app): self.app = app
    async def __call__(self, *args): await self.app(*args)
app = make_app()
wrapped = Others(GZipMiddleware(app))
bare = Starlette()
def wrong(): return make_app("paiment")
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize("target", ["app", "make_app()", "wrapped"])
def test_the_command_lists_an_app(shop: str, target: str) -> None:
    """By its import string, made by a function or wrapped in middleware."""
    done = CliRunner().invoke(main, ["endpoints", f"{shop}:{target}"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "/refund (refund)" in done.output
    assert "payment" in done.output
    assert "@sensitive" in done.output


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{}:make_app", 'write "make_app()"'),
        ("{}:nothing", "has no 'nothing'"),
        ("{}:CONFIG", "has no 'CONFIG'"),
        ("{}", "names no app"),
        ("no_such_module_at_all:app", "there is no module 'no_such_module_at_all' here"),
        ("{}:bare", "has no LanewiseMiddleware"),
        ("{}:refund", "is a function"),
        ("{}:Router", "is no app of Flask, Starlette, FastAPI or Litestar"),
    ],
)
def test_the_command_says_what_it_could_not_find(shop: str, target: str, said: str) -> None:
    """And what would be right; never a traceback."""
    done = CliRunner().invoke(main, ["endpoints", target.format(shop)])
    assert done.exit_code == 1
    assert said in done.output


def test_the_command_fails_where_the_app_would_not_start(shop: str) -> None:
    """The table is shown all the same."""
    done = CliRunner().invoke(main, ["endpoints", f"{shop}:wrong()"])
    assert done.exit_code == 1
    assert "/refund" in done.output
    assert "unknown sensitive category 'paiment'" in done.output
