"""FastAPI: the clients and the scope as dependencies, and the app's own ways of answering."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import openai
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient

from integrations.asgi_stage import FIRST_TEXT, MESSAGES, SECOND_TEXT, Stage, ask, ask_sync
from lanewise import RoutingError, Scope, current_scope
from lanewise.testing import Status
from starlette_lanewise.fastapi import (
    LanewiseMiddleware,
    RequestScope,
    RoutedClient,
    RoutedSyncClient,
    lifespan,
)


async def early(ai: RoutedClient) -> str:
    return await ask(ai, "alone")


async def summarizer(ai: RoutedClient, scope: RequestScope) -> tuple[str, Scope]:
    return await ask(ai), scope


@pytest.fixture
def app(stage: Stage) -> FastAPI:
    """An app with the middleware and the lifespan, and nothing else yet."""
    router = stage.router()
    app = FastAPI(lifespan=lifespan(router))
    app.add_middleware(LanewiseMiddleware, router=router)
    return app


def test_clients_and_scope_are_dependencies(app: FastAPI, stage: Stage) -> None:
    """Typed as the SDK's own, bound to the request; in coroutines and in threads."""

    @app.get("/async")
    async def asynchronous(ai: RoutedClient, scope: RequestScope) -> dict[str, Any]:
        assert isinstance(ai, openai.AsyncOpenAI)
        assert scope is current_scope()
        return {"text": await ask(ai), "route": scope.calls[-1].route}

    @app.get("/sync")
    def synchronous(ai: RoutedSyncClient, scope: RequestScope) -> dict[str, Any]:
        assert isinstance(ai, openai.OpenAI)
        assert scope is current_scope()
        return {"text": ask_sync(ai), "route": scope.calls[-1].route}

    with TestClient(app) as client:
        for path in ("/async", "/sync"):
            assert client.get(path).json() == {"text": FIRST_TEXT, "route": "first"}
        stage.first.script_all(Status(500))
        for path in ("/async", "/sync"):
            assert client.get(path).json() == {"text": SECOND_TEXT, "route": "second"}


def test_a_websocket_has_them_too(app: FastAPI) -> None:
    """The same dependencies, for as long as it is open."""

    @app.websocket("/chat")
    async def chat(websocket: WebSocket, ai: RoutedClient, scope: RequestScope) -> None:
        await websocket.accept()
        await websocket.send_json({"text": await ask(ai), "own": websocket.state.ai is scope})

    with TestClient(app) as client, client.websocket_connect("/chat") as socket:
        assert socket.receive_json() == {"text": FIRST_TEXT, "own": True}


def test_dependencies_of_dependencies_get_the_same_scope(app: FastAPI) -> None:
    """One request, one scope, however deep it is asked for."""

    @app.get("/x")
    async def endpoint(got: Annotated[tuple[str, Scope], Depends(summarizer)], scope: RequestScope) -> dict[str, Any]:
        return {"text": got[0], "same": got[1] is scope, "calls": len(scope.calls)}

    with TestClient(app) as client:
        assert client.get("/x").json() == {"text": FIRST_TEXT, "same": True, "calls": 1}


def test_a_client_without_the_middleware_says_what_to_install() -> None:
    """Never an unmarked client."""
    app = FastAPI()

    @app.get("/x")
    async def endpoint(ai: RoutedClient) -> None: ...

    with pytest.raises(RuntimeError, match=r"app\.add_middleware\(LanewiseMiddleware, router=router\)"):
        TestClient(app).get("/x")


def test_no_dependency_shows_as_a_parameter(app: FastAPI) -> None:
    """The document has the endpoint's own parameters only."""

    @app.get("/x")
    async def endpoint(ai: RoutedClient, sync: RoutedSyncClient, scope: RequestScope, size: int = 1) -> None: ...

    with TestClient(app) as client:
        operation = client.get("/openapi.json").json()["paths"]["/x"]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["size"]


@pytest.mark.parametrize("caught", [openai.RateLimitError, openai.APIError, openai.OpenAIError, RoutingError])
def test_the_apps_own_handler_wins(app: FastAPI, stage: Stage, caught: type[Exception]) -> None:
    """For the SDK's classes and for ours, also where the call was made in a dependency."""

    @app.exception_handler(caught)
    async def handle(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"own": type(error).__name__}, status_code=418)

    @app.get("/endpoint")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai, "alone")

    @app.get("/dependency")
    async def dependency(text: Annotated[str, Depends(early)]) -> str:
        return text

    stage.first.script_all(Status(429))
    with TestClient(app) as client:
        assert [client.get(path).status_code for path in ("/endpoint", "/dependency")] == [418, 418]


def test_without_one_it_is_a_problem(app: FastAPI, stage: Stage) -> None:
    """As everywhere; an HTTPException stays the app's."""

    @app.get("/x")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai, "alone")

    @app.get("/own")
    async def own(ai: RoutedClient) -> str:
        try:
            return await ask(ai, "alone")
        except openai.BadRequestError as error:
            raise HTTPException(409, "the app's own words") from error

    stage.first.script_all(Status(400))
    with TestClient(app) as client:
        answer = client.get("/x", headers={"x-request-id": "req-12345678"})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert answer.headers["x-request-id"] == "req-12345678"
        assert client.get("/own").json() == {"detail": "the app's own words"}


def test_streams_and_background_tasks_keep_the_client(app: FastAPI, stage: Stage) -> None:
    """FastAPI ends its dependencies at other times than the request; the client is good for all of it."""
    done: list[str] = []

    @app.get("/stream")
    async def stream(ai: RoutedClient) -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            async for chunk in await ai.chat.completions.create(model="alone", messages=MESSAGES, stream=True):
                if chunk.choices:
                    yield chunk.choices[0].delta.content or ""

        return StreamingResponse(pieces())

    @app.get("/later")
    async def later(ai: RoutedClient, sync: RoutedSyncClient, tasks: BackgroundTasks) -> str:
        async def work() -> None:
            done.append(await ask(ai))

        tasks.add_task(work)
        tasks.add_task(lambda: done.append(ask_sync(sync)))
        return "accepted"

    with TestClient(app) as client:
        assert client.get("/stream").text == FIRST_TEXT
        assert client.get("/later").json() == "accepted"
        assert done == [FIRST_TEXT, FIRST_TEXT]
        stage.first.script_all(Status(400))
        assert client.get("/stream").status_code == 422
