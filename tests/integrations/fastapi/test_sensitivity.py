"""FastAPI: one ``sensitive("payment")`` for functions, routes, routers and apps, which holds and shows everywhere."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocketDisconnect

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage, ask
from integrations.fastapi.forms import (
    FORMS,
    PAYMENT,
    Build,
    app_of,
    in_middleware,
    on_a_mounted_app,
    on_the_inclusion,
    openly,
    plain_routes,
)
from lanewise import ConfigError
from lanewise.testing import Status
from starlette_lanewise import endpoints
from starlette_lanewise.fastapi import (
    RequestScope,
    RoutedClient,
    RoutedSyncClient,
    assert_endpoints_declared,
    describe,
    sensitive,
    standard,
)


@pytest.mark.parametrize("build", FORMS)
def test_a_marked_endpoint_fails_closed(stage: Stage, build: Build) -> None:
    """Its approved route answers, or nobody does."""
    with TestClient(app_of(stage, build)) as client:
        assert client.get("/x").json() == FIRST_TEXT
        stage.first.script_all(Status(500))
        answer = client.get("/x")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"
    assert stage.asked_of_second == []


@pytest.mark.parametrize("build", [build for build in FORMS if build not in (in_middleware, on_a_mounted_app)])
def test_a_mark_shows_in_the_openapi_document(stage: Stage, build: Build) -> None:
    """The operation says that it is sensitive, and how it answers when nobody may."""
    app = app_of(stage, build)
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
    operation = document["paths"]["/x"]["get"]
    assert operation["x-lanewise-sensitive"] == ["payment"]
    closed = operation["responses"]["503"]
    reference = closed["content"]["application/problem+json"]["schema"]["$ref"]
    assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    assert "202" not in operation["responses"], "nobody reviews payments here"


async def summarizer(ai: RoutedClient) -> str:
    raise NotImplementedError


async def outer(summary: Annotated[str, Depends(summarizer)]) -> str:
    raise NotImplementedError


def asking(app: FastAPI) -> None:
    @app.get("/client")
    async def client(ai: RoutedClient) -> str:
        raise NotImplementedError

    @app.get("/sync")
    def sync(ai: RoutedSyncClient) -> str:
        raise NotImplementedError

    @app.get("/scope/{number}")
    async def scope(number: int, ai: RequestScope) -> str:
        raise NotImplementedError

    @app.get("/path/{rest:path}")
    async def path(rest: str, ai: RequestScope) -> str:
        raise NotImplementedError

    @app.get("/nested")
    async def nested(summary: Annotated[str, Depends(outer)]) -> str:
        raise NotImplementedError

    router = APIRouter(prefix="/included")

    @router.get("/client")
    async def included(ai: RoutedClient) -> str:
        raise NotImplementedError

    app.include_router(router)


def quiet(app: FastAPI) -> None:
    @app.get("/quiet/{number}")
    async def quiet(number: int) -> str:
        raise NotImplementedError


def test_an_endpoint_that_asks_a_model_tells_how_it_fails(stage: Stage) -> None:
    """Also by what it depends on; a 422 of FastAPI's own is told beside ours, and what asks no model tells nothing."""
    with TestClient(app_of(stage, lambda app: (asking(app), quiet(app)))) as client:  # type: ignore[arg-type, func-returns-value]
        paths = client.get("/openapi.json").json()["paths"]
    assert list(paths.pop("/quiet/{number}")["get"]["responses"]) == ["200", "422"]
    assert len(paths) == 6
    for path, item in paths.items():
        answers = item["get"]["responses"]
        assert sorted(answers) == ["200", "422", "503", "504"], path
        own = ["application/json"] if "{" in path else []
        assert list(answers["422"]["content"]) == [*own, "application/problem+json"]
        for status in ("503", "504"):
            assert list(answers[status]["content"]) == ["application/problem+json"]


def test_answers_that_the_app_declares_stay(stage: Stage) -> None:
    """Of an operation's own words nothing is taken away."""

    def build(app: FastAPI) -> None:
        @app.get("/x", responses={503: {"description": "Ours"}, 422: {"description": "Ours, too"}})
        async def x(ai: RoutedClient) -> str:
            raise NotImplementedError

    with TestClient(app_of(stage, build)) as client:
        answers = client.get("/openapi.json").json()["paths"]["/x"]["get"]["responses"]
    assert (answers["503"], answers["422"]["description"]) == ({"description": "Ours"}, "Ours, too")
    assert "504" in answers


@pytest.mark.parametrize("build", FORMS)
def test_a_mark_is_listed(stage: Stage, build: Build) -> None:
    """For ``lanewise endpoints`` and for the check at the start."""
    found = {endpoint.path: endpoint for endpoint in endpoints(app_of(stage, build))}
    assert found["/x"].categories == {"payment"}


def test_the_same_without_a_mark_is_answered_by_the_fallback(stage: Stage) -> None:
    """It is the mark that closes."""
    stage.first.script_all(Status(500))
    with TestClient(app_of(stage, lambda app: app.include_router(plain_routes()))) as client:
        assert client.get("/x").json() == SECOND_TEXT
        assert "x-lanewise-sensitive" not in client.get("/openapi.json").json()["paths"]["/x"]["get"]


def test_a_mark_on_the_app_holds_for_all_of_it(stage: Stage) -> None:
    """For routes, for plain Starlette routes, and for what is mounted: FastAPI runs its dependencies for the first."""

    async def starlette_route(request: Request) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    async def foreign(asgi: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(await ask(asgi["state"]["ai"]))(asgi, receive, send)

    def build(app: FastAPI) -> None:
        app.include_router(plain_routes(), prefix="/api")
        app.add_route("/plain", starlette_route)
        app.mount("/foreign", foreign)
        inner = FastAPI()
        inner.include_router(plain_routes())
        app.mount("/inner", inner)

    app = app_of(stage, build, dependencies=PAYMENT)
    stage.first.script_all(Status(500))
    with TestClient(app) as client:
        for path in ("/api/x", "/plain", "/foreign", "/inner/x"):
            assert client.get(path).status_code == 503, path
        inner = client.get("/inner/openapi.json").json()["paths"]["/x"]["get"]
    assert inner["x-lanewise-sensitive"] == ["payment"]
    assert stage.asked_of_second == []


def test_a_routers_mark_that_a_plain_route_escapes_stops_the_app(stage: Stage) -> None:
    """FastAPI runs no dependencies for it, so it must carry the mark itself."""

    async def starlette_route(request: Request) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    def build(app: FastAPI, mark: bool = False) -> None:
        router = APIRouter(dependencies=PAYMENT)
        router.add_route("/plain", sensitive("payment")(openly(starlette_route)) if mark else starlette_route)
        app.include_router(router, prefix="/v1")

    with pytest.raises(ConfigError, match=r"/v1/plain .*runs no dependencies"), TestClient(app_of(stage, build)):
        pass
    stage.first.script_all(Status(500))
    with TestClient(app_of(stage, functools.partial(build, mark=True))) as client:
        assert client.get("/v1/plain").status_code == 503


def test_marks_add_up_over_the_levels(stage: Stage) -> None:
    """App, router, route and function: what all of them approve."""

    def build(app: FastAPI) -> None:
        router = APIRouter(dependencies=[Depends(sensitive("medical"))])

        @router.get("/x", dependencies=PAYMENT)
        async def endpoint(ai: RoutedClient, scope: RequestScope) -> list[str]:
            await ask(ai)
            return sorted(scope.sensitive)

        app.include_router(router)

    with TestClient(app_of(stage, build)) as client:
        assert client.get("/x").json() == ["medical", "payment"]
        document = client.get("/openapi.json").json()
    assert document["paths"]["/x"]["get"]["x-lanewise-sensitive"] == ["medical", "payment"]


def test_a_websockets_dependency_holds(stage: Stage) -> None:
    """On the route and on the router that it is in."""

    def build(app: FastAPI) -> None:
        router = APIRouter(dependencies=PAYMENT)

        @router.websocket("/chat")
        async def chat(websocket: WebSocket, ai: RoutedClient) -> None:
            await websocket.accept()
            await websocket.send_text(await ask(ai))

        app.include_router(router)

    app = app_of(stage, build)
    stage.first.script_all(Status(500))
    with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()
    assert closed.value.code == 1013
    assert stage.asked_of_second == []


def test_the_mark_as_a_dependency_needs_the_middleware() -> None:
    """A mark that could not hold is an error, not a request that is served without it."""
    app = FastAPI()

    @app.get("/x", dependencies=PAYMENT)
    async def endpoint() -> str:
        return "served"

    with pytest.raises(RuntimeError, match=r"sensitive\('payment'\) can't hold here.*add_middleware"):
        TestClient(app).get("/x")


@pytest.mark.parametrize("level", ["route", "router", "app"])
def test_an_unknown_category_stops_the_app(stage: Stage, level: str) -> None:
    """Whatever carries it; the endpoint is named."""
    wrong = [Depends(sensitive("paiment"))]

    def build(app: FastAPI) -> None:
        router = APIRouter(dependencies=wrong if level == "router" else [])

        @router.get("/x", dependencies=wrong if level == "route" else [])
        async def endpoint() -> None: ...

        app.include_router(router, prefix="/v1")

    options = {"dependencies": wrong} if level == "app" else {}
    with pytest.raises(ConfigError, match=r"GET /v1/x .*paiment"), TestClient(app_of(stage, build, **options)):
        pass


def test_what_waits_for_a_person_is_in_the_document(stage: Stage) -> None:
    """The 202, where the category says so; a category that fails beats it."""
    categories = {
        "payment": {"routes": ["first"], "on_failure": "review"},
        "medical": {"routes": ["first"], "on_failure": "fail"},
    }

    def build(app: FastAPI) -> None:
        @app.get("/review", dependencies=PAYMENT)
        async def review() -> None: ...

        @app.get("/fail", dependencies=[*PAYMENT, Depends(sensitive("medical"))])
        async def fail() -> None: ...

    queue = {"ledger": "sqlite:///never-opened.db", "storage_key_env": "STORAGE_KEY"}
    app = app_of(stage, build, {"sensitive": categories, "router": queue})
    describe(app, stage.router(sensitive=categories, router=queue).config)
    paths = app.openapi()["paths"]
    assert {"202", "503"} <= paths["/review"]["get"]["responses"].keys()
    assert "202" not in paths["/fail"]["get"]["responses"]
    assert app.openapi()["paths"] == paths, "made once, and completed once"


def test_every_endpoint_can_be_asked_to_say_what_it_is(stage: Stage) -> None:
    """FastAPI's own pages need no mark."""

    def build(app: FastAPI) -> None:
        @app.get("/health")
        @standard
        async def health() -> None: ...

        on_the_inclusion(app)

    assert_endpoints_declared(app_of(stage, build))
    with pytest.raises(AssertionError, match=r"/x"):
        assert_endpoints_declared(app_of(stage, lambda app: app.include_router(plain_routes())))
