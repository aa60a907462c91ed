"""The forms in which an endpoint of a Starlette app can be marked, each as a function that makes its route."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, Router

from integrations.asgi_stage import MESSAGES, ask, ask_sync
from starlette_lanewise import SensitiveMiddleware, sensitive

PAYMENT = [Middleware(SensitiveMiddleware, "payment")]


def openly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapped(request: Request) -> Any:
        return await function(request)

    return wrapped


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy: a mark goes on the function itself, wherever else that is served."""
    return FunctionType(function.__code__, function.__globals__, function.__name__)  # type: ignore[attr-defined]


async def plain(request: Request) -> Response:
    return PlainTextResponse(await ask(request.state.ai))


def plain_sync(request: Request) -> Response:
    return PlainTextResponse(ask_sync(request.state.ai))


def plain_stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        reply = await request.state.ai.async_openai.chat.completions.create(
            model="summary", messages=MESSAGES, stream=True
        )
        async for chunk in reply:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    return StreamingResponse(pieces(), media_type="text/plain")


def gathered(request: Request) -> Any:
    async def run() -> Response:
        texts = await asyncio.gather(*(ask(request.state.ai.async_openai.with_options(timeout=9)) for _ in range(2)))
        return PlainTextResponse(texts[0])

    return run()


async def in_a_pool(request: Request) -> Response:
    with ThreadPoolExecutor(1) as pool:
        return PlainTextResponse(
            await asyncio.get_running_loop().run_in_executor(pool, ask_sync, request.state.ai.openai)
        )


def class_of(function: Callable[..., Any]) -> type[HTTPEndpoint]:
    class Desk(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return await function(request)  # type: ignore[no-any-return]

    return Desk


def marked_method() -> type[HTTPEndpoint]:
    class Desk(HTTPEndpoint):
        @sensitive("payment")
        async def get(self, request: Request) -> Response:
            return await plain(request)

        async def post(self, request: Request) -> Response:
            return await plain(request)

    return Desk


async def foreign(asgi: Any, receive: Any, send: Any) -> None:
    """An ASGI app that knows no framework."""
    answer = PlainTextResponse(await ask(asgi["state"]["ai"]))
    await answer(asgi, receive, send)


payment = sensitive("payment")
FORMS: dict[str, Callable[[], Any]] = {
    "function": lambda: Route("/x", payment(fresh(plain))),
    "sync": lambda: Route("/x", payment(fresh(plain_sync))),
    "stream": lambda: Route("/x", payment(fresh(plain_stream))),
    "below another decorator": lambda: Route("/x", openly(payment(fresh(plain)))),
    "above another decorator": lambda: Route("/x", payment(openly(fresh(plain)))),
    "partial": lambda: Route("/x", functools.partial(payment(fresh(plain)))),
    "class": lambda: Route("/x", payment(class_of(plain))),
    "subclass": lambda: Route("/x", type("Inner", (payment(class_of(plain)),), {})),
    "method": lambda: Route("/x", marked_method()),
    "gathered": lambda: Route("/x", payment(openly(fresh(gathered)))),
    "executor": lambda: Route("/x", payment(fresh(in_a_pool))),
    "route middleware": lambda: Route("/x", plain, middleware=PAYMENT),
    "mount": lambda: Mount("/", routes=[Route("/x", plain)], middleware=PAYMENT),
    "mounted app": lambda: Mount("/", app=Starlette(routes=[Route("/x", plain)], middleware=PAYMENT)),
    "wrapped app": lambda: Mount("/", app=SensitiveMiddleware(Starlette(routes=[Route("/x", plain)]), "payment")),
    "foreign app": lambda: Mount("/", app=SensitiveMiddleware(foreign, "payment")),
    "router": lambda: Mount("/", app=Router(routes=[Route("/x", plain)], middleware=PAYMENT)),
    "host": lambda: Host("testserver", app=Router(routes=[Route("/x", plain)], middleware=PAYMENT)),
}
