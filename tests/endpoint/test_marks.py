"""Sensitive marks at the endpoint: the client's, the task's, the app's around it and the path rules add up."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from litestar import Router as LitestarRouter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from endpoint.stage import KEY, MARKED_KEY, MOUNTS, OTHER_KEY, Caller, Stage, mounted, served, served_by_werkzeug
from flask_lanewise import Lanewise, openai_blueprint
from flask_lanewise import sensitive as flask_sensitive
from lanewise.testing import Answer, Status
from lanewise.web import OpenAIEndpoint
from litestar_lanewise import LanewisePlugin
from litestar_lanewise import sensitive as litestar_sensitive
from starlette_lanewise import LanewiseMiddleware, SensitiveMiddleware, lifespan, sensitive, standard


def fails_closed(answer: Any) -> None:
    """It is a 503 that nobody keeps, and tells of no route."""
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "fail_closed"
    assert answer.headers["cache-control"] == "no-store"
    assert "retry-after" not in answer.headers or int(answer.headers["retry-after"]) >= 1
    assert "x-lanewise-route" not in answer.headers


def test_a_sensitive_task_is_answered_by_its_routes_alone(endpoint: Caller, asked: Stage) -> None:
    """Or not at all."""
    other = endpoint.as_client(OTHER_KEY)
    assert other.post(model="pay").headers["x-lanewise-route"] == "first"
    asked.first.script_all(Status(500))
    fails_closed(other.post(model="pay"))
    fails_closed(other.post(model="pay", stream=True))
    assert asked.second.request_count == 0


def test_a_client_s_mark_holds_for_all_its_calls(endpoint: Caller, asked: Stage) -> None:
    """Also of tasks that are not sensitive; nothing that it sends relaxes that."""
    marked = endpoint.as_client(MARKED_KEY)
    assert marked.post(model="chat").headers["x-lanewise-route"] == "first"
    asked.first.script_all(Status(500))
    relaxing = {"x-lanewise-sensitive": "", "x-lanewise-client": "node", "x-lanewise-lane": "equivalent"}
    fails_closed(marked.post(model="chat", headers=relaxing, metadata={"sensitive": "none"}, sensitive=None))
    fails_closed(marked.post(model="backup"))
    assert asked.second.request_count == 0
    assert endpoint.post(model="chat").headers["x-lanewise-route"] == "second"


def test_another_model_s_answer_fails_closed(endpoint: Caller, asked: Stage) -> None:
    """The provider must say that it used what was asked for."""
    asked.first.script_all(Answer("canary-answer", model="another"))
    answer = endpoint.as_client(MARKED_KEY).post()
    fails_closed(answer)
    assert "canary" not in answer.text


@pytest.mark.parametrize("mount", MOUNTS)
def test_marks_of_client_and_task_add_up(stage: Stage, mount: str) -> None:
    """Only what both approve answers."""
    config = stage.config()
    config["clients"]["marked"] |= {"sensitive": "medical", "tasks": ["chat", "pay"]}
    with mounted(mount, stage.router(**config)) as endpoint:
        stage.first.script_all(Status(500))
        marked = endpoint.as_client(MARKED_KEY)
        assert marked.post(model="chat").headers["x-lanewise-route"] == "second"
        fails_closed(marked.post(model="pay"))


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("pattern", ["/ai/*", "/ai/v1/chat/completions"])
def test_path_rules_hold_for_the_endpoint(stage: Stage, mount: str, pattern: str) -> None:
    """As for any other of the app."""
    with mounted(mount, stage.router(endpoints={pattern: "payment"})) as endpoint:
        stage.first.script_all(Status(500))
        fails_closed(endpoint.post())


STRICT = {"undeclared": "refuse", "health": {"breakers": False}}


@pytest.mark.parametrize("mount", MOUNTS)
def test_where_nothing_may_be_undeclared_the_endpoint_is_refused(stage: Stage, mount: str) -> None:
    """As any other of the app without a mark."""
    with mounted(mount, stage.router(router=STRICT)) as endpoint:
        fails_closed(endpoint.post())
        fails_closed(endpoint.as_client(MARKED_KEY).post())
    assert stage.sent == 0


def test_an_endpoint_is_declared_as_any_other(stage: Stage) -> None:
    """By the mark of its framework."""
    router = stage.router(router=STRICT)
    routes = [Mount("/ai/v1", standard(OpenAIEndpoint(router)))]
    middleware = [Middleware(LanewiseMiddleware, router=router)]
    with served(Starlette(routes=routes, middleware=middleware, lifespan=lifespan(router))) as url:
        assert call(url).status_code == 200
    app = flask.Flask("served")
    app.register_blueprint(standard(openai_blueprint(Lanewise(app, stage.router(router=STRICT)))), url_prefix="/ai/v1")
    with served_by_werkzeug(app) as url:
        assert call(url).status_code == 200


def test_alone_a_client_s_mark_declares_its_calls(stage: Stage) -> None:
    """Without any adapter around it."""
    router = stage.router(router=STRICT)
    with router, served(Starlette(routes=[Mount("/ai/v1", OpenAIEndpoint(router))])) as url:
        fails_closed(call(url))
        assert call(url, key=MARKED_KEY).status_code == 200


def call(url: str, path: str = "/ai/v1", key: str = KEY) -> Any:
    """One call to an endpoint at a path."""
    caller = Caller(f"{url}{path}", key)
    try:
        return caller.post()
    finally:
        caller.close()


def test_what_lies_around_the_mount_holds(stage: Stage) -> None:
    """A mark that Starlette's middleware puts on a mount, and on what is mounted in that."""
    router = stage.router()
    marked = [Middleware(SensitiveMiddleware, "payment")]
    inner = Starlette(routes=[Mount("/ai/v1", OpenAIEndpoint(router))])
    app = Starlette(
        routes=[
            Mount("/free", OpenAIEndpoint(router)),
            Mount("/marked", OpenAIEndpoint(router), middleware=marked),
            Mount("/deep", inner, middleware=marked),
        ],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )
    with served(app) as url:
        stage.first.script_all(Status(500))
        assert call(url, "/free").headers["x-lanewise-route"] == "second"
        fails_closed(call(url, "/marked"))
        fails_closed(call(url, "/deep/ai/v1"))


def test_the_marks_of_other_endpoints_are_not_the_endpoint_s(stage: Stage) -> None:
    """What is mounted is opaque, and yet nothing of the app is within it."""

    @sensitive("payment")
    async def refund(request: Any) -> PlainTextResponse:
        return PlainTextResponse("x")

    router = stage.router()
    app = Starlette(
        routes=[Route("/refund", refund), Mount("/ai/v1", OpenAIEndpoint(router))],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )
    with served(app) as url:
        stage.first.script_all(Status(500))
        assert call(url).headers["x-lanewise-route"] == "second"


def test_a_marked_blueprint_holds(stage: Stage) -> None:
    """And so does a marked app."""
    for is_app in (False, True):
        app = flask.Flask("served")
        blueprint = openai_blueprint(Lanewise(app, stage.router()))
        flask_sensitive("payment")(app if is_app else blueprint)
        app.register_blueprint(blueprint, url_prefix="/ai/v1")
        stage.first.script_all(Status(500))
        with served_by_werkzeug(app) as url:
            fails_closed(call(url))


@pytest.mark.parametrize("has_plugin", [True, False])
def test_litestar_mounts_it(stage: Stage, has_plugin: bool) -> None:
    """With its plugin and without; the rules for paths hold in both."""
    for endpoints, status in (({}, 200), ({"/ai/*": "payment"}, 503)):
        router = stage.router(endpoints=endpoints)
        mount = asgi("/ai/v1", is_mount=True, copy_scope=True)(OpenAIEndpoint(router))
        app = Litestar([mount], plugins=[LanewisePlugin(router)] if has_plugin else [])
        stage.first.script_all(Status(500))
        with served(app) as url:
            assert call(url).status_code == status


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("is_marked", [False, True])
def test_litestar_mounts_it_in_its_routers(stage: Stage, depth: int, is_marked: bool) -> None:
    """Litestar copies what is in them, deeply; a guard of the outermost holds."""
    router = stage.router()
    part: Any = asgi("/v1", is_mount=True, copy_scope=True)(OpenAIEndpoint(router))
    for number in range(depth):
        is_outermost = number == depth - 1
        guards = [litestar_sensitive("payment")] if is_marked and is_outermost else []
        part = LitestarRouter("/ai" if is_outermost else "/", route_handlers=[part], guards=guards)
    stage.first.script_all(Status(500))
    with served(Litestar([part], plugins=[LanewisePlugin(router)])) as url:
        assert call(url).status_code == (503 if is_marked else 200)


def test_fastapi_mounts_it(stage: Stage) -> None:
    """Also at the root, beside endpoints of its own."""
    router = stage.router()
    app = FastAPI(lifespan=lifespan(router))
    app.add_middleware(LanewiseMiddleware, router=router)

    @app.get("/health")
    def health() -> str:
        return "x"

    app.mount("/ai/v1", OpenAIEndpoint(router))
    app.mount("/", OpenAIEndpoint(router))
    with served(app) as url:
        assert call(url).headers["x-lanewise-route"] == "first"
        assert call(url, "").headers["x-lanewise-route"] == "first"


def test_it_works_without_any_middleware(stage: Stage) -> None:
    """An app that only has the endpoint; the router opens at the first call."""
    router = stage.router(endpoints={"/secret/*": "payment"})
    app = Starlette(routes=[Mount("/free", OpenAIEndpoint(router)), Mount("/secret", OpenAIEndpoint(router))])
    with router, served(app) as url:
        stage.first.script_all(Status(500))
        assert call(url, "/free").headers["x-lanewise-route"] == "second"
        fails_closed(call(url, "/secret"))
