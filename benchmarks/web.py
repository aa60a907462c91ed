"""``python -m benchmarks.web``: what an adapter adds to a request, with and without a client asked for.

CPU time in this process, of apps that answer two bytes: bare, with the adapter installed, and with the endpoint asking
for its client. The three take turns, and of each the best turn counts. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from lanewise import Router

CONFIG: dict[str, object] = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}},
    "endpoints": {"/payments/*": "payment"},
}
HEADERS = [
    (b"host", b"test"),
    (b"user-agent", b"benchmark"),
    (b"accept", b"*/*"),
    (b"x-request-id", b"req-2026-000042"),
]
INJECTION_HOLD = 40.0
"""Microseconds that asking for the client may take, on top of the adapter's own."""

Run = Callable[[int], None]


@dataclass(frozen=True)
class Adapter:
    """How its three apps are made, and the microseconds that it may add to a request that uses no AI."""

    name: str
    make: Callable[[], tuple[Run, Run, Run]]
    hold: float


def main() -> int:
    """Print the table; 1 if a figure does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--only", choices=[adapter.name for adapter in ADAPTERS], action="append")
    parser.add_argument("--requests", type=int, default=3000, help="requests in a turn")
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    holds = True
    print(f"{'':<12}{'bare':>9}{'adapter adds':>15}{'hold':>7}{'client adds':>14}{'hold':>7}   (us of CPU a request)")
    for adapter in ADAPTERS:
        if arguments.only and adapter.name not in arguments.only:
            continue
        bare, installed, asking = best(adapter.make(), arguments.requests, arguments.turns)
        adds, injection = installed - bare, asking - installed
        kept = adds <= adapter.hold and injection <= INJECTION_HOLD
        holds = holds and kept
        print(
            f"{adapter.name:<12}{bare:>9.1f}{adds:>15.1f}{adapter.hold:>7.0f}{injection:>14.1f}{INJECTION_HOLD:>7.0f}"
            f"{'' if kept else '   does not hold'}"
        )
    return 0 if holds else 1


def best(sides: tuple[Run, Run, Run], requests: int, turns: int) -> tuple[float, float, float]:
    """Microseconds of CPU a request, of each side in its best turn."""
    found = [float("inf")] * len(sides)
    for run in sides:
        run(200)
    for _ in range(turns):
        for index, run in enumerate(sides):
            gc.collect()
            began = time.process_time()
            run(requests)
            found[index] = min(found[index], (time.process_time() - began) / requests * 1e6)
    return found[0], found[1], found[2]


def asgi(app: Callable[..., Awaitable[None]]) -> Run:
    """Requests to an ASGI app, as a server would make them."""
    loop = asyncio.new_event_loop()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None: ...

    async def serve(count: int) -> None:
        for _ in range(count):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": "/x",
                "raw_path": b"/x",
                "query_string": b"",
                "root_path": "",
                "headers": list(HEADERS),
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 80),
                "state": {},
            }
            await app(scope, receive, send)

    return lambda count: loop.run_until_complete(serve(count))


def wsgi(app: Callable[..., Any]) -> Run:
    """Requests to a WSGI app, as a server would make them."""

    def serve(count: int) -> None:
        for _ in range(count):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": "/x",
                "QUERY_STRING": "",
                "SERVER_NAME": "test",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_HOST": "test",
                "HTTP_X_REQUEST_ID": "req-2026-000042",
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(),
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": True,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
            }
            answer = app(environ, lambda status, headers, exc_info=None: None)
            for _piece in answer:
                pass
            if hasattr(answer, "close"):
                answer.close()

    return serve


def starlette() -> tuple[Run, Run, Run]:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from starlette_lanewise import LanewiseMiddleware

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def asking(request: Request) -> PlainTextResponse:
        assert request.state.ai.async_openai.chat.completions
        return PlainTextResponse("ok")

    installed = [Middleware(LanewiseMiddleware, router=Router.from_mapping(CONFIG))]
    return (
        asgi(Starlette(routes=[Route("/x", plain)])),
        asgi(Starlette(routes=[Route("/x", plain)], middleware=installed)),
        asgi(Starlette(routes=[Route("/x", asking)], middleware=installed)),
    )


async def _fastapi_asking(ai: Any) -> str:
    assert ai.chat.completions
    return "ok"


def fastapi() -> tuple[Run, Run, Run]:
    from fastapi import FastAPI

    from starlette_lanewise.fastapi import LanewiseMiddleware, RoutedClient

    async def plain() -> str:
        return "ok"

    _fastapi_asking.__annotations__["ai"] = RoutedClient
    apps = [FastAPI(), FastAPI(), FastAPI()]
    endpoints: tuple[Callable[..., Any], ...] = (plain, plain, _fastapi_asking)
    for app, endpoint in zip(apps, endpoints, strict=True):
        app.get("/x")(endpoint)
    for app in apps[1:]:
        app.add_middleware(LanewiseMiddleware, router=Router.from_mapping(CONFIG))
    return asgi(apps[0]), asgi(apps[1]), asgi(apps[2])


def litestar() -> tuple[Run, Run, Run]:
    from litestar import Litestar, Request, get

    from litestar_lanewise import LanewisePlugin

    @get("/x")
    async def plain() -> str:
        return "ok"

    @get("/x")
    async def asking(request: Request[Any, Any, Any]) -> str:
        assert request.scope["lanewise"].async_openai.chat.completions  # type: ignore[typeddict-item]
        return "ok"

    def app(handler: Any, *plugins: Any) -> Run:
        return asgi(Litestar([handler], plugins=plugins, openapi_config=None))

    return (
        app(plain),
        app(plain, LanewisePlugin(Router.from_mapping(CONFIG))),
        app(asking, LanewisePlugin(Router.from_mapping(CONFIG))),
    )


def flask() -> tuple[Run, Run, Run]:
    from flask import Flask

    from flask_lanewise import Lanewise

    apps = [Flask("bare"), Flask("installed"), Flask("asking")]
    extensions = [Lanewise(app, Router.from_mapping(CONFIG)) for app in apps[1:]]

    def plain() -> str:
        return "ok"

    def asking() -> str:
        assert extensions[1].openai.chat.completions is not None
        return "ok"

    for app, view in zip(apps, (plain, plain, asking), strict=True):
        app.get("/x")(view)
    return wsgi(apps[0]), wsgi(apps[1]), wsgi(apps[2])


ADAPTERS = (
    Adapter("starlette", starlette, 30.0),
    Adapter("fastapi", fastapi, 30.0),
    Adapter("litestar", litestar, 30.0),
    Adapter("flask", flask, 40.0),
)

if __name__ == "__main__":
    sys.exit(main())
