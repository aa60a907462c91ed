"""What an adapter costs a request that asks no model, counted in functions of ours: the same on every machine."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from flask_lanewise import Lanewise
from integrations.asgi_stage import Caller
from lanewise import Router
from litestar_lanewise import LanewisePlugin
from starlette_lanewise import LanewiseMiddleware

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}},
    "endpoints": {"/x/payments/*": "payment"},
}
OURS = ("lanewise", "starlette_lanewise", "litestar_lanewise", "flask_lanewise")
Request = Callable[[], None]


def served(app: Any) -> Request:
    return lambda: asyncio.run(Caller("/x").run(app))


def starlette() -> Request:
    async def endpoint(request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")

    middleware = [Middleware(LanewiseMiddleware, router=Router.from_mapping(CONFIG))]
    return served(Starlette(routes=[Route("/x", endpoint)], middleware=middleware))


def litestar() -> Request:
    @get("/x")
    async def endpoint() -> str:
        return "done"

    plugin = LanewisePlugin(Router.from_mapping(CONFIG))
    return served(Litestar([endpoint], plugins=[plugin], openapi_config=None, logging_config=None))


def flask() -> Request:
    app = Flask("desk")
    Lanewise(app, Router.from_mapping(CONFIG))
    app.get("/x")(lambda: "done")

    def request() -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/x",
            "SERVER_NAME": "test",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
        }
        answer: Any = app(environ, lambda status, headers, exc_info=None: lambda piece: None)
        assert b"".join(answer) == b"done"
        answer.close()

    return request


@pytest.mark.parametrize(
    ("make", "most"),
    [(starlette, 38), (litestar, 38), (flask, 39)],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_request_runs_few_functions(make: Callable[[], Request], most: int) -> None:
    """Of lanewise and its adapter, the routing of the request included."""
    request = make()
    for _ in range(5):
        request()
    called: list[str] = []

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
            called.append(frame.f_code.co_qualname)

    sys.setprofile(count)
    try:
        request()
    finally:
        sys.setprofile(None)
    assert len(called) <= most, (len(called), called)
