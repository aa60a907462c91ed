"""A broken answer never looks whole, whatever middleware of others lies around or between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import MESSAGES, Caller, Stage
from integrations.contract.asgi import serving
from lanewise.errors import RoutingError
from lanewise.testing import Silence, Status, StreamOf
from lanewise.web import EndGuard
from starlette_lanewise import LanewiseMiddleware, lifespan


async def passes_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


async def pieces(request: Request) -> AsyncIterator[str]:
    reply = await request.state.ai.async_openai.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
    async for chunk in reply:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def streamed(request: Request) -> Response:
    return StreamingResponse(pieces(request), media_type="text/plain")


async def own_scope(request: Request) -> Response:
    async def said() -> AsyncIterator[str]:
        with request.app.state.router.scope() as scope:
            reply = await scope.async_openai.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
            async for chunk in reply:
                yield chunk.choices[0].delta.content or ""

    return StreamingResponse(said(), media_type="text/plain")


async def handled(request: Request) -> Response:
    async def said() -> AsyncIterator[str]:
        try:
            async for piece in pieces(request):
                yield piece
        except RoutingError:
            yield " [broken]"

    return StreamingResponse(
        said(), media_type="text/plain", background=BackgroundTask(request.app.state.done.append, 1)
    )


async def silent(request: Request) -> Response:
    async def said() -> AsyncIterator[str]:
        try:
            async for piece in pieces(request):
                yield piece
        except RoutingError:
            pass

    return StreamingResponse(said(), media_type="text/plain")


async def plain(request: Request) -> Response:
    return PlainTextResponse("hello")


OUTER: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "nothing": [],
    "BaseHTTPMiddleware": [(BaseHTTPMiddleware, {"dispatch": passes_on})],
    "twice": [(BaseHTTPMiddleware, {"dispatch": passes_on})] * 2,
    "gzip": [(GZipMiddleware, {"minimum_size": 1})],
    "cors": [(CORSMiddleware, {"allow_origins": ["*"]}), (BaseHTTPMiddleware, {"dispatch": passes_on})],
}
ORDERS = [(inside, outside) for inside in OUTER for outside in OUTER]


@contextmanager
def running(stage: Stage, kind: type[Starlette], inside: str, outside: str) -> Iterator[str]:
    router = stage.router()
    app = kind(lifespan=lifespan(router))
    app.state.done = []
    app.state.router = router
    for endpoint in (streamed, own_scope, handled, silent, plain):
        app.router.add_route(f"/{endpoint.__name__}", endpoint)
    for middleware, options in OUTER[inside]:
        app.add_middleware(middleware, **options)
    app.add_middleware(LanewiseMiddleware, router=router)
    for middleware, options in OUTER[outside]:
        app.add_middleware(middleware, **options)
    with serving(app) as url:
        yield url


@pytest.mark.parametrize(("inside", "outside"), ORDERS, ids=lambda name: name)
@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_a_stream_that_breaks_is_no_whole_answer(
    kind: type[Starlette], inside: str, outside: str, stage: Stage
) -> None:
    """Its connection is cut; one that failed before its first piece is a problem; one that the app ended is whole."""
    with running(stage, kind, inside, outside) as url, httpx2.Client(base_url=url, timeout=30) as client:
        stage.first.script("model-one", StreamOf(chunks=("one", " two", " three"), cut_after=2))
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/streamed")
        stage.first.script("model-one", StreamOf(chunks=("one", " two", " three"), cut_after=2))
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/own_scope")
        stage.first.script("model-one", Status(400))
        failed = client.get("/streamed")
        assert failed.status_code >= 400
        assert failed.headers["content-type"] == "application/problem+json"
        stage.first.script("model-one", StreamOf(chunks=("one", " two", " three"), cut_after=2))
        assert client.get("/handled").text == "one two [broken]"
        stage.first.script("model-one", StreamOf(chunks=("one", " two", " three"), cut_after=2))
        assert client.get("/silent").text == "one two"
        stage.first.script("model-one", StreamOf(chunks=("one", " two")))
        assert client.get("/streamed").text == "one two"
        assert client.get("/plain").text == "hello"


@pytest.mark.anyio
@pytest.mark.parametrize("times", [1, 2])
async def test_a_caller_who_left_is_no_error_of_the_middleware(times: int, stage: Stage) -> None:
    """It waits for an answer, and would complain of none; what it gets goes to nobody."""
    stage.first.script_all(Silence())
    router = stage.router()
    app = Starlette()
    app.router.add_route("/x", answered)
    app.add_middleware(LanewiseMiddleware, router=router)
    for _ in range(times):
        app.add_middleware(BaseHTTPMiddleware, dispatch=passes_on)
    caller = Caller("/x")
    app.middleware_stack = EndGuard(app.build_middleware_stack())  # as the lifespan does
    async with router:
        with anyio.fail_after(LONG_ENOUGH):
            async with anyio.create_task_group() as group:
                group.start_soon(caller.run, app)
                await anyio.to_thread.run_sync(stage.first.wait_for, 1)
                caller.hang_up()
    assert caller.sent == []


async def answered(request: Request) -> Response:
    reply = await request.state.ai.async_openai.chat.completions.create(model="alone", messages=MESSAGES)
    return PlainTextResponse(reply.choices[0].message.content)
