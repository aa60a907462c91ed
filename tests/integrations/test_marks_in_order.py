"""Marks in any order, before any routing, and after all of the answer: what the composed apps do not have."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from fastapi import APIRouter, Depends, FastAPI
from flask import Blueprint, Flask, Response, copy_current_request_context
from litestar import Litestar, Request, get
from litestar import Response as LitestarResponse
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import flask_lanewise
import litestar_lanewise
from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import MESSAGES, SECOND_TEXT, Stage, ask
from lanewise import ConfigError, NotInScope, Router
from lanewise.testing import FakeProvider, Status
from starlette_lanewise import LanewiseMiddleware, SensitiveMiddleware, lifespan, sensitive, standard

CLOSED = "FailClosed"
payment = flask_lanewise.sensitive("payment")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with FakeProvider() as first, FakeProvider() as second:
        first.script_all(Status(401))
        yield Stage(first, second)


def tried(ask_once: Callable[[], Any]) -> str:
    """The answer, or the name of the error."""
    try:
        reply = ask_once().chat.completions.create(model="summary", messages=MESSAGES)
    except openai.OpenAIError as error:
        return type(error).__name__
    return str(reply.choices[0].message.content)


async def tried_async(scope: Any) -> str:
    try:
        return await ask(scope)
    except openai.OpenAIError as error:
        return type(error).__name__


def secretly(function: Any) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    wrapped.__name__ = function.__name__
    return wrapped


def openly(function: Any) -> Any:
    return functools.wraps(function)(secretly(function))


class FlaskDesk:
    """A Flask app over a broken approved provider."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.router = stage.router()
        self.app = Flask("desk")
        self.ai = flask_lanewise.Lanewise(self.app, self.router)

    def library(self) -> openai.OpenAI:
        """A client that is bound to no scope."""
        return openai.OpenAI(http_client=self.router.sync_http_client(), api_key="-", max_retries=0)

    def get(self, path: str, method: str = "GET") -> str:
        """What the app answers, once it has closed its answer."""
        with self.app.test_client().open(path, method=method) as response:
            return response.get_data(as_text=True).strip()


@pytest.fixture
def desk(stage: Stage) -> Iterator[FlaskDesk]:
    desk = FlaskDesk(stage)
    with desk.router:
        yield desk


@pytest.mark.parametrize("between", [secretly, openly, functools.partial], ids=["secretly", "openly", "partial"])
def test_flask_a_mark_above_all_finds_the_view(between: Any, desk: FlaskDesk) -> None:
    """Flask was given the function that lies below another decorator."""

    @payment
    @between
    @desk.app.get("/x")
    def x() -> str:
        return tried(lambda: desk.ai.openai)

    assert desk.get("/x") == CLOSED
    assert not desk.stage.asked_of_second


def test_flask_a_mark_holds_to_the_end_of_the_answer(desk: FlaskDesk) -> None:
    """In a body whose length was told, and in what runs when it is closed, also in a scope of its own."""
    said: list[str] = []

    def later() -> None:
        said.append(tried(desk.library))
        with desk.router.scope() as own:
            said.append(tried(lambda: own.openai))

    @desk.app.get("/x")
    @payment
    def x() -> Response:
        def pieces() -> Iterator[str]:
            yield tried(desk.library).ljust(40)

        response = Response(pieces(), headers={"Content-Length": "40"})
        response.call_on_close(later)
        return response

    assert desk.get("/x") == CLOSED
    assert said == [CLOSED, CLOSED]
    assert not desk.stage.asked_of_second


def test_flask_a_thread_with_the_requests_context_is_the_requests(desk: FlaskDesk) -> None:
    """While it lasts and after its end; a bare one is refused a scope."""
    over = threading.Event()
    found: list[str] = []

    def in_its_own() -> str:
        with desk.router.scope() as own:
            return tried(lambda: own.openai)

    @desk.app.get("/x")
    @payment
    def x() -> str:
        @copy_current_request_context
        def late() -> None:
            over.wait(LONG_ENOUGH)
            found.append(in_its_own())
            with pytest.raises(NotInScope):
                desk.router.scope(detached=True)

        thread = threading.Thread(target=late)
        thread.start()
        threads.append(thread)
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(NotInScope):
                pool.submit(desk.router.scope).result()
            return pool.submit(copy_current_request_context(in_its_own)).result()

    threads: list[threading.Thread] = []
    assert desk.get("/x") == CLOSED
    over.set()
    threads[0].join(LONG_ENOUGH)
    assert found == [CLOSED]
    assert not desk.stage.asked_of_second


def test_flask_a_client_that_is_kept_is_refused_and_nothing_else(desk: FlaskDesk) -> None:
    """One sensitive request does not spoil a client that others use; each gets its own."""
    kept: list[openai.OpenAI] = []

    @desk.app.get("/marked")
    @payment
    def marked() -> str:
        kept.append(desk.ai.openai)
        return tried(lambda: kept[0])

    @desk.app.get("/kept")
    def use_kept() -> str:
        return tried(lambda: kept[0])

    @desk.app.get("/plain")
    def plain() -> str:
        return tried(lambda: desk.ai.openai)

    assert [desk.get(path) for path in ("/marked", "/kept", "/plain")] == [CLOSED, "NotInScope", SECOND_TEXT]


def test_flask_what_is_not_found_counts_as_all_there_is(desk: FlaskDesk) -> None:
    """A page for a 404 or 405, and a WSGI middleware before the routing; an endpoint without a mark is known."""
    early: list[str] = []

    @desk.app.post("/marked")
    @payment
    def marked() -> str: ...

    @desk.app.get("/plain")
    def plain() -> str:
        return tried(lambda: desk.ai.openai)

    for code in (404, 405):
        desk.app.register_error_handler(code, lambda error: tried(lambda: desk.ai.openai))
    requests: Any = desk.app.wsgi_app
    inner = requests._inner
    requests._inner = lambda environ, start: (early.append(tried(desk.library)), inner(environ, start))[1]
    assert [desk.get(path) for path in ("/zzz", "/marked")] == [CLOSED, CLOSED]
    assert desk.get("/plain") == SECOND_TEXT
    assert early == [CLOSED, CLOSED, SECOND_TEXT]


def test_flask_a_mark_that_is_put_on_late_holds(desk: FlaskDesk) -> None:
    """After the view's first request."""

    def x() -> str:
        return tried(lambda: desk.ai.openai)

    desk.app.add_url_rule("/x", "x", x)
    assert desk.get("/x") == SECOND_TEXT
    payment(x)
    assert desk.get("/x") == CLOSED


def test_flask_misuse_is_an_error(stage: Stage) -> None:
    """At once, or when lanewise is installed."""
    for wrong in (lambda: flask_lanewise.sensitive(Blueprint("b", "b")), lambda: flask_lanewise.standard("payment")):
        with pytest.raises(TypeError):
            wrong()
    app = Flask("desk")
    app.before_request(payment)
    with pytest.raises(ConfigError, match="a mark is put on a function"):
        flask_lanewise.Lanewise(app, stage.router())


# -- FastAPI -----------------------------------------------------------------------------------------------------------


def fastapi(router: Router, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(router), openapi_url=None, **options)
    app.add_middleware(LanewiseMiddleware, router=router)
    return app


async def plain(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(await tried_async(request.state.ai))


def test_fastapi_dependencies_hold_for_what_is_mounted_below(stage: Stage) -> None:
    """FastAPI runs them for its own routes only: what is listed for the others holds, too."""
    marked = [Depends(sensitive("payment"))]
    app = fastapi(stage.router())
    inner, api = FastAPI(dependencies=marked, openapi_url=None), APIRouter(dependencies=marked)
    for holder in (inner, api):
        holder.add_route("/plain", plain)
        holder.mount("/mounted", Starlette(routes=[Route("/x", plain)]))
    app.mount("/in", inner)
    app.mount("/api", api)
    app.add_route("/plain", plain)
    with TestClient(app) as client:
        for path in ("/in/plain", "/in/mounted/x", "/api/plain", "/api/mounted/x"):
            assert client.get(path).text == CLOSED, path
        assert not stage.asked_of_second
        assert client.get("/plain").text == SECOND_TEXT


def test_fastapi_before_the_routing_the_routers_are_asked(stage: Stage) -> None:
    """A moderation in front of all endpoints knows where each request leads."""
    app = FastAPI(lifespan=lifespan(router := stage.router()), openapi_url=None)
    early: list[str] = []

    @app.middleware("http")
    async def moderate(request: StarletteRequest, call_next: Any) -> Any:
        early.append(await tried_async(request.state.ai))
        return await call_next(request)

    app.add_middleware(LanewiseMiddleware, router=router)
    app.get("/depends", dependencies=[Depends(sensitive("payment"))])(lambda: "")
    app.get("/decorated")(sensitive("payment")(lambda: ""))
    app.get("/open")(lambda: "")
    app.mount("/marked", SensitiveMiddleware(Starlette(routes=[Route("/x", plain)]), "payment"))
    app.mount("/plain", Starlette(routes=[Route("/x", plain)]))
    paths = {"/depends": CLOSED, "/decorated": CLOSED, "/marked/zzz": CLOSED, "/zzz": CLOSED,
             "/open": SECOND_TEXT, "/plain/x": SECOND_TEXT, "/plain/zzz": SECOND_TEXT}  # fmt: skip
    with TestClient(app) as client:
        for path, expected in paths.items():
            client.get(path)
            assert early.pop(0) == expected, path
            early.clear()


@pytest.mark.parametrize(
    "wrong", [Depends(sensitive), Depends(standard), sensitive("payment")], ids=["sensitive", "standard", "bare"]
)
@pytest.mark.parametrize("level", ["route", "router", "app"])
def test_fastapi_misuse_stops_the_start(wrong: Any, level: str, stage: Stage) -> None:
    """The category forgotten, or the mark not put into Depends."""

    def start() -> None:
        app = fastapi(stage.router(), dependencies=[wrong] if level == "app" else [])
        router = APIRouter(dependencies=[wrong] if level == "router" else [])
        router.get("/x", dependencies=[wrong] if level == "route" else [])(lambda: "")
        app.include_router(router)
        with TestClient(app):
            pass

    with pytest.raises((ConfigError, AttributeError, TypeError)):
        start()


def test_starlette_apps_and_routers_are_marked_otherwise() -> None:
    """A mark on them as on a function would hold for nothing."""
    for target in (Starlette(), APIRouter(), Route("/x", plain), Mount("/x", routes=[])):
        with pytest.raises(TypeError, match="SensitiveMiddleware"):
            sensitive("payment")(target)  # type: ignore[arg-type, type-var]


# -- Litestar ----------------------------------------------------------------------------------------------------------


def test_litestar_what_is_not_found_counts_as_all_there_is(stage: Stage) -> None:
    """A page for a 404 is a part of a request: it may open a scope, but no detached one."""
    router = stage.router()

    def not_found(request: Request[Any, Any, Any], error: Exception) -> LitestarResponse[str]:
        with pytest.raises(NotInScope):
            router.scope(detached=True)
        with router.scope() as own:
            return LitestarResponse(tried(lambda: own.openai))

    @get("/x", guards=[litestar_lanewise.sensitive("payment")])
    async def x() -> None: ...

    app = Litestar(
        [x],
        plugins=[litestar_lanewise.LanewisePlugin(router)],
        openapi_config=None,
        logging_config=None,
        exception_handlers={404: not_found, 405: not_found},
    )
    with LitestarClient(app) as client:
        assert [client.get("/zzz").text, client.post("/x").text] == [CLOSED, CLOSED]
    assert not stage.asked_of_second


def test_litestar_a_guard_without_a_category_stops_the_start(stage: Stage) -> None:
    """The category forgotten."""

    @get("/x", guards=[litestar_lanewise.sensitive])  # type: ignore[list-item]
    async def x() -> None: ...

    plugin = litestar_lanewise.LanewisePlugin(stage.router())
    app = Litestar([x], plugins=[plugin], openapi_config=None, logging_config=None)
    with pytest.raises(ExceptionGroup) as raised, LitestarClient(app):
        pass
    assert raised.group_contains(ConfigError, match="no category")
