"""Apps of Starlette with the middleware, and the endpoints that most of their tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from integrations.asgi_stage import MESSAGES, Stage, ask
from lanewise import Router
from starlette_lanewise import LanewiseMiddleware, lifespan

__all__ = ["alone", "serve", "streamed", "summary"]


def serve(stage: Stage, *endpoints: Callable[..., Any], router: Router | None = None, **options: Any) -> TestClient:
    """A client of an app that has an endpoint for each function, by its name."""
    router = router or stage.router()
    subject = options.pop("subject", None)
    middleware = [Middleware(LanewiseMiddleware, router=router, subject=subject), *options.pop("middleware", ())]
    routes = [Route(f"/{endpoint.__name__}", endpoint, methods=["GET", "POST"]) for endpoint in endpoints]
    routes += options.pop("routes", [])
    app = Starlette(routes=routes, middleware=middleware, lifespan=lifespan(router), **options)
    return TestClient(app, raise_server_exceptions=False)


async def summary(request: Request) -> Response:
    return PlainTextResponse(await ask(request.state.ai))


async def alone(request: Request) -> Response:
    return PlainTextResponse(await ask(request.state.ai, "alone"))


async def streamed(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        reply = await request.state.ai.async_openai.chat.completions.create(
            model="alone", messages=MESSAGES, stream=True
        )
        async for chunk in reply:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return StreamingResponse(pieces(), media_type="text/plain")
