"""A caller that hangs up: the call is ended upstream, and what only looks like a hang-up is none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import openai
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from integrations.asgi_stage import FIRST_TEXT, MESSAGES, Caller, Stage, ask, ask_sync
from lanewise import CallerGone, FailClosed, Router, Scope
from lanewise.testing import Answer, Silence, StreamOf
from starlette_lanewise import LanewiseMiddleware, sensitive

pytestmark = pytest.mark.anyio


def app_of(router: Router, endpoint: Any) -> Starlette:
    route = WebSocketRoute("/x", endpoint) if endpoint.__name__ == "socket" else Route("/x", endpoint, methods=["POST"])
    return Starlette(routes=[route], middleware=[Middleware(LanewiseMiddleware, router=router)])


async def until(stage: Stage, count: int) -> None:
    await anyio.to_thread.run_sync(stage.first.wait_for, count)


async def ended(stage: Stage) -> None:
    """The provider has seen its peer go, soon."""

    def wait() -> None:
        stage.first.wait_until(lambda: bool(stage.first.journal) and bool(stage.first.journal[0].client_gone))

    await anyio.to_thread.run_sync(wait)


async def test_an_asynchronous_call_ends(stage: Stage) -> None:
    """While the app waits for it and sends nothing."""
    caught: list[Exception] = []

    async def endpoint(request: Request) -> Response:
        await request.body()
        try:
            return PlainTextResponse(await ask(request.state.ai))
        except CallerGone as error:
            caught.append(error)
            raise

    stage.first.script_all(Silence())
    async with stage.router() as router, anyio.create_task_group() as group:
        caller = Caller("/x", "POST", b"body")
        group.start_soon(caller.run, app_of(router, endpoint))
        await until(stage, 1)
        caller.hang_up()
        await ended(stage)
    assert len(caught) == 1
    assert caller.sent == [], "nobody is there to be told"
    assert stage.asked_of_second == []


async def test_a_synchronous_call_ends(stage: Stage) -> None:
    """In its thread, through the portal."""

    def endpoint(request: Request) -> Response:
        return PlainTextResponse(ask_sync(request.state.ai))

    stage.first.script_all(Silence())
    async with stage.router() as router, anyio.create_task_group() as group:
        caller = Caller("/x", "POST")
        group.start_soon(caller.run, app_of(router, endpoint))
        await until(stage, 1)
        caller.hang_up()
        await ended(stage)
    assert stage.asked_of_second == []


async def opened_here(router: Router, ai: Scope) -> str:
    with router.scope() as scope:
        return await ask(scope)


async def opened_in_opened(router: Router, ai: Scope) -> str:
    with router.scope(), router.scope():
        return await ask(router.scope())


async def never_entered(router: Router, ai: Scope) -> str:
    return await ask(router.scope())


async def in_a_thread_without_context(router: Router, ai: Scope) -> str:
    scope = router.scope()
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.wrap_future(pool.submit(ask_sync, scope))


async def in_a_task(router: Router, ai: Scope) -> str:
    with router.scope() as scope:
        return await asyncio.ensure_future(ask(scope))


async def entered_from_elsewhere(router: Router, ai: Scope) -> str:
    with ELSEWHERE[router] as scope:
        return await ask(scope)


async def client_from_elsewhere(router: Router, ai: Scope) -> str:
    return await ask(ELSEWHERE[router].async_openai)


async def by_an_http_client(router: Router, ai: Scope) -> str:
    with router.scope():
        return await ask(openai.AsyncOpenAI(api_key="none", http_client=router.http_client()))


ELSEWHERE: dict[Router, Scope] = {}
"""Scopes that were opened before any request."""
OWN_SCOPES = [
    opened_here,
    opened_in_opened,
    never_entered,
    in_a_thread_without_context,
    in_a_task,
    entered_from_elsewhere,
    client_from_elsewhere,
    by_an_http_client,
]


@pytest.mark.parametrize("way", OWN_SCOPES, ids=lambda way: way.__name__)
async def test_a_call_in_a_scope_of_the_apps_own_ends(way: Any, stage: Stage) -> None:
    """Whichever scope its client is bound to: it is made while the request is served, and ends with it."""

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(await way(request.app.state.router, request.state.ai))

    stage.first.script_all(Silence())
    async with stage.router() as router, anyio.create_task_group() as group:
        ELSEWHERE[router] = router.scope(detached=True)
        app = app_of(router, endpoint)
        app.state.router = router
        caller = Caller("/x", "POST")
        group.start_soon(caller.run, app)
        await until(stage, 1)
        caller.hang_up()
        await ended(stage)
    assert caller.sent == []
    assert stage.asked_of_second == []


@pytest.mark.parametrize("whose", ["the request's", "its own"])
async def test_a_scope_of_the_apps_own_may_survive(whose: str, stage: Stage) -> None:
    """If the whole request is to, or if it alone is."""
    done: list[str] = []

    async def endpoint(request: Request) -> Response:
        with request.app.state.router.scope() as scope:
            (scope if whose == "its own" else request.state.ai).survive_hang_up()
            done.append(await ask(scope))
        return PlainTextResponse("saved")

    stage.first.script_all(Answer(delay=0.3))
    async with stage.router() as router, anyio.create_task_group() as group:
        app = app_of(router, endpoint)
        app.state.router = router
        caller = Caller("/x", "POST")
        group.start_soon(caller.run, app)
        await until(stage, 1)
        caller.hang_up()
    assert done == [FIRST_TEXT]


async def test_a_sensitive_call_ends_as_well(stage: Stage) -> None:
    """And still fails closed."""
    caught: list[Exception] = []

    @sensitive("payment")
    async def endpoint(request: Request) -> Response:
        try:
            return PlainTextResponse(await ask(request.state.ai))
        except FailClosed as error:
            caught.append(error)
            raise

    stage.first.script_all(Silence())
    async with stage.router() as router, anyio.create_task_group() as group:
        caller = Caller("/x", "POST")
        group.start_soon(caller.run, app_of(router, endpoint))
        await until(stage, 1)
        caller.hang_up()
        await ended(stage)
    assert len(caught) == 1


async def test_a_stream_ends(stage: Stage) -> None:
    """Also while the provider is silent in the middle of it."""

    async def endpoint(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            reply = await request.state.ai.async_openai.chat.completions.create(
                model="summary", messages=MESSAGES, stream=True
            )
            async for chunk in reply:
                if chunk.choices:
                    yield chunk.choices[0].delta.content or ""

        return StreamingResponse(pieces())

    stage.first.script_all(StreamOf(stall_after=2))
    for spec_version in ("2.3", "2.4"):
        stage.first.reset()
        stage.first.script_all(StreamOf(stall_after=2))
        async with stage.router() as router, anyio.create_task_group() as group:
            caller = Caller("/x", "POST")
            caller.asgi["asgi"]["spec_version"] = spec_version

            async def run(caller: Caller = caller, router: Router = router) -> None:
                with contextlib.suppress(openai.OpenAIError):  # the server would abort what is gone anyway
                    await caller.run(app_of(router, endpoint))

            group.start_soon(run)
            while not any(message.get("body") for message in caller.sent):
                await anyio.sleep(0.01)
            caller.hang_up()
            await ended(stage)


async def test_an_endpoint_may_want_its_answer_anyway(stage: Stage) -> None:
    """``survive_hang_up`` lets the calls of this request run to their end."""
    done: list[str] = []

    async def endpoint(request: Request) -> Response:
        request.state.ai.survive_hang_up()
        done.append(await ask(request.state.ai))
        return PlainTextResponse("saved")

    stage.first.script_all(Answer(delay=0.3))
    async with stage.router() as router, anyio.create_task_group() as group:
        caller = Caller("/x", "POST")
        group.start_soon(caller.run, app_of(router, endpoint))
        await until(stage, 1)
        caller.hang_up()
    assert done == [FIRST_TEXT]


async def test_a_background_task_is_not_hung_up_on(stage: Stage) -> None:
    """The server says that the caller has gone once the answer is complete; also of a call that had begun before."""
    done: list[str] = []

    async def endpoint(request: Request) -> Response:
        begun = asyncio.ensure_future(ask(request.state.ai))
        await until(stage, 1)

        async def work() -> None:
            done.append(await ask(request.state.ai))
            done.append(await begun)

        return PlainTextResponse("accepted", background=BackgroundTask(work))

    stage.first.script_all(Answer(delay=0.2))
    async with stage.router() as router:
        caller = Caller("/x", "POST")
        await caller.run(app_of(router, endpoint))
    assert done == [FIRST_TEXT, FIRST_TEXT]
    assert stage.asked_of_second == []


async def test_a_websocket_that_closes_ends_its_call(stage: Stage) -> None:
    """Though the app does not read from it while it waits for the answer."""
    caught: list[Exception] = []

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await ask(websocket.state.ai)
        except CallerGone as error:
            caught.append(error)

    stage.first.script_all(Silence())
    async with stage.router() as router, anyio.create_task_group() as group:
        caller = Caller("/x", kind="websocket")
        group.start_soon(caller.run, app_of(router, socket))
        await until(stage, 1)
        caller.hang_up()
        await ended(stage)
    assert len(caught) == 1
