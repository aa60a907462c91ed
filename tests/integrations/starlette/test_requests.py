"""A request of a Starlette app: its scope and clients, its id, and what its caller is told when a call fails."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage, ask, ask_sync
from integrations.starlette.serving import alone, serve, summary
from lanewise import current_scope
from lanewise.testing import Silence, Status
from starlette_lanewise import LanewiseMiddleware

# -- scope and clients -------------------------------------------------------------------------------------------------


def test_a_request_has_a_client_that_switches_routes(stage: Stage) -> None:
    """``request.state.ai`` is the scope; its calls are answered by the fallback when the primary fails."""
    with serve(stage, summary) as client:
        assert client.get("/summary").text == FIRST_TEXT
        stage.first.script_all(Status(500))
        assert client.get("/summary").text == SECOND_TEXT


def test_a_synchronous_endpoint_has_one_too(stage: Stage) -> None:
    """It runs in a thread, where the scope is the current one as well."""

    def summary(request: Request) -> Response:
        assert current_scope() is request.state.ai
        return PlainTextResponse(ask_sync(request.state.ai))

    with serve(stage, summary) as client:
        assert client.get("/summary").text == FIRST_TEXT


def test_each_request_has_a_scope_of_its_own(stage: Stage) -> None:
    """Its calls are readable, and nobody else's."""

    async def calls(request: Request) -> Response:
        await ask(request.state.ai)
        await asyncio.gather(*(ask(request.state.ai) for _ in range(3)))
        return JSONResponse({"calls": len(request.state.ai.calls), "own": current_scope() is request.state.ai})

    with serve(stage, calls) as client:
        assert client.get("/calls").json() == client.get("/calls").json() == {"calls": 4, "own": True}


def test_an_executor_takes_the_scope_along(stage: Stage) -> None:
    """A client is bound to its request in any thread; ``scope.wrap`` makes the scope the current one there."""

    async def wrapped(request: Request) -> Response:
        scope = request.state.ai
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            bound = await loop.run_in_executor(pool, functools.partial(ask_sync, scope.openai))
            current = await loop.run_in_executor(pool, scope.wrap(lambda: current_scope() is scope))
        return JSONResponse({"bound": bound, "current": current, "calls": len(scope.calls)})

    with serve(stage, wrapped) as client:
        assert client.get("/wrapped").json() == {"bound": FIRST_TEXT, "current": True, "calls": 1}


def test_two_apps_in_one_process_keep_apart(stage: Stage) -> None:
    """Each has its router, and its config."""
    other = Stage(stage.second, stage.first)
    with serve(stage, summary) as one, serve(other, summary) as two:
        one.get("/summary")
        two.get("/summary")
        assert stage.first.request_count == stage.second.request_count == 1


def test_an_app_inside_another_may_share_its_router(stage: Stage) -> None:
    """The request keeps the scope that it has."""
    router = stage.router()
    seen = []

    async def inner(request: Request) -> Response:
        seen.append((request.state.ai is current_scope(), request.state.ai.request_id))
        return PlainTextResponse(await ask(request.state.ai))

    mounted = Starlette(routes=[Route("/inner", inner)], middleware=[Middleware(LanewiseMiddleware, router=router)])
    with serve(stage, router=router, routes=[Mount("/sub", mounted)]) as client:
        answer = client.get("/sub/inner", headers={"x-request-id": "req-12345678"})
    assert (answer.text, seen) == (FIRST_TEXT, [(True, "req-12345678")])


def test_an_app_inside_another_may_have_a_router_of_its_own(stage: Stage) -> None:
    """The inner one serves, with the outer sensitivity; the outer app has its own scope back afterwards."""
    other = Stage(stage.second, stage.first).router()
    seen = []

    async def inner(request: Request) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    class Around:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, asgi: Any, receive: Any, send: Any) -> None:
            if asgi["type"] == "http":
                before = asgi["state"]["ai"]
                await self.app(asgi, receive, send)
                seen.append(asgi["state"]["ai"] is before)
            else:
                await self.app(asgi, receive, send)

    mounted = Starlette(routes=[Route("/inner", inner)], middleware=[Middleware(LanewiseMiddleware, router=other)])
    with serve(stage, middleware=[Middleware(Around)], routes=[Mount("/sub", mounted)]) as client, other:
        assert client.get("/sub/inner").status_code == 200
    assert (stage.first.request_count, stage.second.request_count, seen) == (0, 1, [True])


def test_the_subject_may_be_found_out_by_inner_middleware(stage: Stage) -> None:
    """It is asked when the first client is, and the same id of two users makes two keys."""

    class Login(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            request.scope["user"] = request.headers["x-user"]
            return await call_next(request)  # type: ignore[no-any-return]

    def subject(connection: HTTPConnection) -> str:
        return str(connection.scope["user"])

    with serve(stage, summary, subject=subject, middleware=[Middleware(Login)]) as client:
        for user in ("ann", "bob", "ann"):
            client.get("/summary", headers={"x-user": user, "x-request-id": "req-12345678"})
    keys = [received.headers["idempotency-key"] for received in stage.first.journal]
    assert keys[0] == keys[2] != keys[1]
    assert all(key.startswith("req-12345678-") for key in keys)


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_the_requests_id_goes_everywhere(stage: Stage) -> None:
    """Back to the caller, into the key and the log of the provider; the trace goes on as it came."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with serve(stage, summary) as client:
        answer = client.get("/summary", headers={"X-Request-ID": "req-2026-000042", "traceparent": trace})
    assert answer.headers["x-request-id"] == "req-2026-000042"
    received = stage.first.journal[0].headers
    assert received["idempotency-key"].startswith("req-2026-000042-")
    assert received["x-client-request-id"].endswith("-1")
    assert received["traceparent"] == trace


@pytest.mark.parametrize("given", ["short", "x" * 5000, "req-1234 5678", "req-12345678;", "r\xe9quest-12345678"])
def test_a_malformed_id_is_replaced_everywhere(stage: Stage, given: str, caplog: pytest.LogCaptureFixture) -> None:
    """The caller's text is in no header and no log line."""
    stage.first.script_all(Status(500))
    with caplog.at_level(logging.DEBUG), serve(stage, alone) as client:
        answer = client.get("/alone", headers=[(b"x-request-id", given.encode("latin-1"))])
    fresh = answer.headers["x-request-id"]
    assert uuid.UUID(fresh).version == 7
    assert stage.first.journal[0].headers["idempotency-key"].startswith(fresh)
    assert "short" not in given or given not in caplog.text.replace("shorter", "")


def test_two_ids_are_none(stage: Stage) -> None:
    """A header that came twice is not believed."""
    with serve(stage, summary) as client:
        answer = client.get("/summary", headers=[("x-request-id", "req-12345678"), ("x-request-id", "req-87654321")])
    assert uuid.UUID(answer.headers["x-request-id"]).version == 7


def test_the_ids_header_can_have_another_name(stage: Stage) -> None:
    """As the config says, inbound and on the answer; an id that the app itself sets stays."""

    async def own(request: Request) -> Response:
        return PlainTextResponse("own", headers={"X-Correlation-ID": "the-apps-own"})

    router = stage.router(router={"request_id_header": "X-Correlation-ID"})
    with serve(stage, summary, own, router=router) as client:
        answer = client.get("/summary", headers={"x-correlation-id": "req-12345678", "x-request-id": "req-other-1"})
        assert answer.headers["x-correlation-id"] == "req-12345678"
        assert "x-request-id" not in answer.headers
        assert client.get("/own").headers.get_list("x-correlation-id") == ["the-apps-own"]


def test_problems_and_errors_of_the_app_have_the_id_too(stage: Stage) -> None:
    """Whatever the app answers."""

    async def missing(request: Request) -> Response:
        raise HTTPException(404)

    stage.first.script_all(Status(400))
    with serve(stage, alone, missing) as client:
        for path in ("/alone", "/missing", "/nowhere"):
            answer = client.get(path, headers={"x-request-id": "req-12345678"})
            assert answer.headers["x-request-id"] == "req-12345678"


# -- background tasks --------------------------------------------------------------------------------------------------


def test_a_background_task_keeps_the_scope(stage: Stage) -> None:
    """Its calls run to their end, though the server says by then that the caller has gone."""
    done: list[Any] = []

    async def later(request: Request) -> Response:
        async def work() -> None:
            done.append((await ask(request.state.ai), current_scope() is request.state.ai))

        return PlainTextResponse("accepted", background=BackgroundTask(work))

    def sync(request: Request) -> Response:
        def work() -> None:
            done.append((ask_sync(request.state.ai), current_scope() is request.state.ai))

        return PlainTextResponse("accepted", background=BackgroundTask(work))

    with serve(stage, later, sync) as client:
        assert client.get("/later").text == "accepted"
        assert client.get("/sync").text == "accepted"
    assert done == [(FIRST_TEXT, True)] * 2


def test_the_body_is_the_apps_to_read(stage: Stage) -> None:
    """Before, between and after calls: the watch takes none of it."""

    async def late(request: Request) -> Response:
        text = await ask(request.state.ai)
        body = await request.json()
        await ask(request.state.ai)
        return JSONResponse({"text": text, "body": body, "gone": await request.is_disconnected()})

    with serve(stage, late) as client:
        answer = client.post("/late", content=json.dumps({"note": "x" * 10_000}))
    assert answer.json() == {"text": FIRST_TEXT, "body": {"note": "x" * 10_000}, "gone": False}


def test_requests_without_ai_are_passed_through(stage: Stage) -> None:
    """Nothing is opened, asked or changed but for the id."""

    async def echo(request: Request) -> Response:
        return Response(await request.body(), status_code=201, headers={"x-own": "1"})

    stage.first.script_all(Silence())
    with serve(stage, echo) as client:
        answer = client.post("/echo", content=b"body")
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (201, b"body", "1")
    assert stage.first.connections == 0
