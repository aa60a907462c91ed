"""Path rules over a real server: whatever a caller writes in a path, if the endpoint ran, its rule held."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from litestar import Litestar, get
from litestar import asgi as asgi_handler
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from busy_machine import LONG_ENOUGH
from lanewise import Router, current_scope
from litestar_lanewise import LanewisePlugin
from starlette_lanewise import LanewiseMiddleware

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}},
    "endpoints": {"/refunds": "payment", "/shop/refunds": "payment", "/users/7": "payment"},
}
PATHS = ("/refunds", "/shop/refunds", "/users/7")
WRITTEN = [
    *(f"%{byte:02X}" for byte in range(256)),
    *map(chr, range(0x21, 0x7F)),
    "%2e%2e/",
    "%2F%2F",
    "//",
    "/./",
    "%0D%0A",
]


def marks() -> list[str]:
    scope = current_scope()
    assert scope is not None
    return sorted(scope.sensitive)


async def endpoint(request: Any) -> JSONResponse:
    return JSONResponse({"ran": marks(), "id": request.path_params.get("id", 7)})


def starlette_app() -> Any:
    inner = [Route("/refunds", endpoint)]
    routes = [Route("/refunds", endpoint), Mount("/shop", routes=inner), Route("/users/{id:int}", endpoint)]
    return Starlette(routes=routes, middleware=[Middleware(LanewiseMiddleware, router=Router.from_mapping(CONFIG))])


def fastapi_app() -> Any:
    app = FastAPI(openapi_url=None)
    app.add_middleware(LanewiseMiddleware, router=Router.from_mapping(CONFIG))
    shop = FastAPI(openapi_url=None)
    for holder in (app, shop):
        holder.get("/refunds")(lambda: {"ran": marks(), "id": 7})

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        return {"ran": marks(), "id": number}

    app.mount("/shop", shop)
    return app


def litestar_app() -> Any:
    @get("/refunds", sync_to_thread=False)
    def refunds() -> dict[str, Any]:
        return {"ran": marks(), "id": 7}

    @get("/users/{number:int}", sync_to_thread=False)
    def user(number: FromPath[int]) -> dict[str, Any]:
        return {"ran": marks(), "id": number}

    @asgi_handler("/shop", is_mount=True, copy_scope=True)
    async def shop(scope: Scope, receive: Receive, send: Send) -> None:
        answer = {"ran": marks() if scope["path"].strip("/") == "refunds" else ["payment"], "id": 7}
        await JSONResponse(answer)(scope, receive, send)  # type: ignore[arg-type]

    plugin = LanewisePlugin(Router.from_mapping(CONFIG))
    return Litestar([refunds, user, shop], plugins=[plugin], openapi_config=None, logging_config=None)


@contextmanager
def served(app: Any) -> Iterator[int]:
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        started = threading.Event()
        while not server.started and thread.is_alive():
            started.wait(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(LONG_ENOUGH)


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app], ids=lambda make: make.__name__)
def test_if_the_endpoint_ran_its_rule_held(make: Any) -> None:
    """With every byte, written as such or escaped, at the start of the path, in its midst and at its end."""
    ran = 0
    with served(make()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_ENOUGH)
        for path in PATHS:
            for written in WRITTEN:
                for asked in (
                    path,
                    written + path,
                    f"/{written}{path[1:]}",
                    f"{path[:4]}{written}{path[4:]}",
                    path + written,
                ):
                    connection.putrequest("GET", asked if asked.startswith("/") else f"/{asked}")
                    connection.endheaders()
                    response = connection.getresponse()
                    body = response.read()
                    if response.status == 200 and json.loads(body)["id"] == 7:
                        ran += 1
                        assert json.loads(body)["ran"] == ["payment"], asked
        connection.close()
    assert ran > len(PATHS) * len(WRITTEN)
