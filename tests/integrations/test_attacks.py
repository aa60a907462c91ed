"""Ways around a mark, each of them tried: the provider that is not approved never hears of the request."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from fastapi import Depends, FastAPI
from flask import Blueprint, Flask
from flask.views import MethodView
from litestar import Controller, Request, get
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.testclient import TestClient

import flask_lanewise
import litestar_lanewise
from integrations.asgi_stage import FIRST_TEXT, MESSAGES, SECOND_TEXT, Stage, ask, ask_sync
from integrations.litestar.serving import serve as serve_litestar
from integrations.starlette.serving import serve
from lanewise import FailClosed, LaneName, Router, Scope, current_scope
from lanewise._routing import retry as repeats
from lanewise.testing import Answer, FakeProvider, JsonBody, Status, StreamOf
from lanewise.web import mark_and_wrap
from litestar_lanewise import RequestScope
from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive
from starlette_lanewise.fastapi import RoutedClient

payment = sensitive("payment")
Attack = Callable[[Router, Scope], Any]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The approved route is down: whatever is answered, the other one answered."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)
    with FakeProvider() as first, FakeProvider() as second:
        first.script_all(Status(500))
        yield Stage(first, second)


class Copying:
    """A middleware that hands on a copy of the ASGI scope, as the specification of ASGI advises."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


def fastapi(router: Router, *middleware: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(router))
    for each in middleware:
        app.add_middleware(each)
    app.add_middleware(LanewiseMiddleware, router=router)
    return app


def answer_of(app: Any, path: str = "/x") -> str:
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get(path)
    return response.text if response.status_code == 200 else str(response.status_code)


# -- what a sensitive endpoint may do ----------------------------------------------------------------------------------


async def a_scope_of_its_own(router: Router, scope: Scope) -> str:
    with router.scope() as own:
        return await ask(own)


async def a_drill_of_its_own(router: Router, scope: Scope) -> str:
    return await ask(router.scope(start="equivalent"))


async def a_scope_and_a_library_s_client(router: Router, scope: Scope) -> str:
    with router.scope():
        return await ask(openai.AsyncOpenAI(http_client=router.http_client(), api_key="-"))


async def a_client_of_another_scope(router: Router, scope: Scope) -> str:
    with router.scope():
        return await ask(KEPT["client"])


async def a_client_of_another_scope_in_a_thread(router: Router, scope: Scope) -> str:
    return await asyncio.to_thread(ask_sync, KEPT["sync"])


async def a_second_router(router: Router, scope: Scope) -> str:
    async with Router(router.config) as second:
        with second.scope() as own:
            return await ask(own)


async def a_second_router_s_http_client(router: Router, scope: Scope) -> str:
    async with Router(router.config) as second:
        return await ask(openai.AsyncOpenAI(http_client=second.http_client(), api_key="-"))


async def a_copy(router: Router, scope: Scope) -> str:
    return await ask(copy.copy(scope.async_openai))


async def options(router: Router, scope: Scope) -> str:
    client = scope.async_openai.with_options(
        http_client=router.http_client(), base_url="https://elsewhere.invalid/v1", api_key="other", max_retries=5
    )
    return await ask(client.copy(timeout=3))


async def an_executor(router: Router, scope: Scope) -> str:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, ask_sync, copy.copy(scope.openai))


async def another_lane(router: Router, scope: Scope) -> str:
    scope._start = LaneName.EQUIVALENT  # nobody should; it would help nothing
    return await ask(scope)


ATTACKS: tuple[Attack, ...] = (
    a_scope_of_its_own,
    a_drill_of_its_own,
    a_scope_and_a_library_s_client,
    a_client_of_another_scope,
    a_client_of_another_scope_in_a_thread,
    a_second_router,
    a_second_router_s_http_client,
    a_copy,
    options,
    an_executor,
    another_lane,
)
KEPT: dict[str, Any] = {}
"""Where a careless module keeps the clients of a request that was not sensitive."""


@pytest.fixture
def kept_clients(stage: Stage) -> Iterator[Router]:
    router = stage.router()
    other = router.scope()
    KEPT.update(client=other.async_openai, sync=other.openai)
    yield router
    KEPT.clear()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("is_marked", [True, False], ids=["marked", "open"])
def test_nothing_within_a_sensitive_request_relaxes_it(
    attack: Attack, is_marked: bool, stage: Stage, kept_clients: Router
) -> None:
    """Own scopes, kept clients, copies, other routers and threads: all are under the mark, and only under it."""

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await attack(kept_clients, request.state.ai))

    with serve(stage, router=kept_clients, routes=[Route("/x", payment(x) if is_marked else x)]) as client:
        response = client.get("/x")
    assert (response.status_code, bool(stage.asked_of_second)) == ((503, False) if is_marked else (200, True))
    assert (response.text == SECOND_TEXT) is not is_marked


def test_a_lost_context_is_refused(stage: Stage) -> None:
    """A library's client in a thread without the request's context is no client without a mark."""
    router = stage.router()

    @payment
    async def x(request: StarletteRequest) -> Response:
        client = openai.OpenAI(http_client=router.sync_http_client(), api_key="-")
        with ThreadPoolExecutor(1) as pool:
            return PlainTextResponse(await asyncio.get_running_loop().run_in_executor(pool, ask_sync, client))

    with serve(stage, x, router=router) as client:
        assert client.get("/x").status_code == 500
    assert not stage.first.journal
    assert not stage.asked_of_second


def test_a_mark_that_comes_during_a_call_stops_it_from_going_on(stage: Stage) -> None:
    """What went out is out; but no other route hears of it any more."""

    async def x(request: StarletteRequest) -> Response:
        ai = request.state.ai
        task = asyncio.ensure_future(ask(ai))
        while not stage.first.journal:
            await asyncio.sleep(0)
        ai.raise_sensitivity("payment")
        return PlainTextResponse(await task)

    with serve(stage, x) as client:
        assert client.get("/x").status_code == 503
    assert not stage.asked_of_second


def test_the_answer_to_a_call_that_a_mark_overtook_is_not_given_out(stage: Stage) -> None:
    """The route that gives it was not approved for what the request has become."""
    router = stage.router()

    async def x(request: StarletteRequest) -> Response:
        ai = request.state.ai
        task = asyncio.ensure_future(ask(ai))
        while not stage.asked_of_second:
            await asyncio.sleep(0)
        ai.raise_sensitivity("payment")
        return PlainTextResponse(await task)

    with serve(stage, x, router=router) as client:
        response = client.get("/x")
    assert response.status_code == 503
    assert SECOND_TEXT not in response.text


def test_a_mark_of_the_request_holds_in_a_scope_that_was_opened_before_it(stage: Stage) -> None:
    """A middleware opens a scope of its own; the dependency then marks the request's."""
    router = stage.router()

    class Labelled(Copying):
        async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
            with router.scope(labels={"size": "short"}, detached=scope["type"] == "lifespan"):
                await self.app(scope, receive, send)

    app = fastapi(router, Labelled)

    @app.get("/x", dependencies=[Depends(sensitive("payment"))])
    async def x() -> str:
        return await ask(current_scope())

    assert answer_of(app) == "503"
    assert not stage.asked_of_second


def test_a_call_in_an_inner_scope_is_one_of_the_request(stage: Stage) -> None:
    """A mark that comes after it is too late, and closes the request."""
    stage.first.script_all(Answer())
    router = stage.router()
    with router, router.scope() as outer:
        with router.scope() as inner:
            assert ask_sync(inner) == FIRST_TEXT
        outer.raise_sensitivity("payment")
        for scope in (outer, inner):
            with pytest.raises(FailClosed, match="after a call"):
                ask_sync(scope)


def test_a_task_s_own_category_is_no_excuse_for_a_late_mark(stage: Stage) -> None:
    """The call went to routes approved for the task, which the request's category knows nothing of."""
    config = stage.config()
    config["tasks"]["summary"]["sensitive"] = "payment"
    router = Router.from_mapping(config)
    with router, router.scope() as scope:
        for raised in ((), ("other",)):
            scope.raise_sensitivity(*raised)
            with pytest.raises(FailClosed) as caught:
                ask_sync(scope)
    assert "after a call" in str(caught.value)
    assert not stage.asked_of_second


def test_a_marked_job_is_sensitive_whatever_scope_its_client_has(stage: Stage) -> None:
    """Outside of any request: a scope that was made before, and functions that don't say that they are async."""
    router = stage.router()
    before = router.scope()

    async def ask_in_its_own() -> str:
        return await ask(router.scope())

    def undeclared() -> Any:
        return ask_in_its_own()

    async def main() -> None:
        async with router:
            for job in (lambda: ask(before), ask_in_its_own, undeclared):
                with pytest.raises(FailClosed):
                    await mark_and_wrap(job, "payment")()

    asyncio.run(main())
    assert not stage.asked_of_second


# -- how the mark was put on -------------------------------------------------------------------------------------------


def test_a_mark_above_the_route_holds_behind_a_copied_scope(stage: Stage) -> None:
    """FastAPI got the function before it was marked, and the middleware never sees which endpoint it is."""
    app = fastapi(stage.router(), Copying)

    @payment
    @app.get("/x")
    async def x(ai: RoutedClient) -> str:
        return await ask(ai)

    @payment
    @app.get("/state")
    async def state(request: StarletteRequest) -> str:
        return await ask(request.state.ai)

    @app.get("/open")
    async def plain(ai: RoutedClient) -> str:
        return await ask(ai)

    assert [answer_of(app, path) for path in ("/x", "/state")] == ["503", "503"]
    assert not stage.asked_of_second
    assert answer_of(app, "/open") == f'"{SECOND_TEXT}"'


def test_a_mark_above_the_route_holds_behind_a_mount_that_copies_the_scope(stage: Stage) -> None:
    """The endpoint that is known is the mounted app, whose own routing nobody has seen."""

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    mount = Mount("/in", app=Copying(Starlette(routes=[Route("/x", x)])))
    payment(x)
    with serve(stage, routes=[mount]) as client:
        assert client.get("/in/x").status_code == 503
    assert not stage.asked_of_second


def test_a_check_that_breaks_lets_no_request_pass(stage: Stage) -> None:
    """Not only the first: what could not be read is not taken for unmarked."""

    class Odd(BaseRoute):
        @property
        def effective_candidates(self) -> Any:
            raise RuntimeError("not now")

        def matches(self, scope: Any) -> tuple[Match, Any]:
            return Match.NONE, {}

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    middleware = [Middleware(LanewiseMiddleware, router=stage.router())]
    app = Starlette(routes=[Route("/x", x), Odd()], middleware=middleware)
    client = TestClient(app, raise_server_exceptions=False)
    assert [client.get("/x").status_code for _ in range(3)] == [500] * 3
    assert not stage.first.journal


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_method_that_overrides_a_marked_one_is_marked(method: str, stage: Stage) -> None:
    """In Starlette and in Flask; nothing inner relaxes what is outer."""
    router = stage.router()

    class Desk(HTTPEndpoint):
        @payment
        async def get(self, request: StarletteRequest) -> Response:
            raise NotImplementedError

    class Refunds(Desk):
        async def get(self, request: StarletteRequest) -> Response:
            return PlainTextResponse(await ask(request.state.ai))

    with serve(stage, routes=[Route("/x", Refunds)], router=router) as client:
        assert client.request(method, "/x").status_code == 503

    app = Flask("desk")
    ai = flask_lanewise.Lanewise(app, router)

    class View(MethodView):
        @flask_lanewise.sensitive("payment")
        def get(self) -> str:
            raise NotImplementedError

    class RefundView(View):
        def get(self) -> str:
            return ask_sync(ai.scope)

    app.add_url_rule("/x", view_func=RefundView.as_view("x"))
    with router:
        assert app.test_client().open("/x", method=method).status_code == 503
    assert not stage.asked_of_second


def test_a_controller_that_inherits_is_marked_as_its_base(stage: Stage) -> None:
    """By its guards, and by its class."""

    @litestar_lanewise.sensitive("payment")
    class Desk(Controller):
        path = "/desk"

        @get("/x")
        async def x(self, ai_scope: RequestScope, request: Request[Any, Any, Any]) -> str:
            with request.app.plugins.get(litestar_lanewise.LanewisePlugin).router.scope() as own:
                return await ask(own)

    class Refunds(Desk):
        path = "/refunds"
        guards = ()

    with serve_litestar(stage, Refunds) as client:
        assert client.get("/refunds/x").status_code == 503
    assert not stage.asked_of_second


def test_a_handler_that_overrides_a_marked_one_is_marked(stage: Stage) -> None:
    """By a guard or by a decorator of the handler that a base class of its controller has."""

    class Desk(Controller):
        @get("/guarded", guards=[litestar_lanewise.sensitive("payment")])
        async def guarded(self) -> str:
            raise NotImplementedError

        @get("/decorated")
        @litestar_lanewise.sensitive("payment")
        async def decorated(self) -> str:
            raise NotImplementedError

    class Refunds(Desk):
        path = "/refunds"

        @get("/guarded")
        async def guarded(self, ai_scope: RequestScope) -> str:
            return await ask(ai_scope)

        @get("/decorated")
        async def decorated(self, ai_scope: RequestScope) -> str:
            return await ask(ai_scope)

        @get("/new")
        async def new(self, ai_scope: RequestScope) -> str:
            return await ask(ai_scope)

    with serve_litestar(stage, Refunds) as client:
        assert [client.get(f"/refunds/{path}").status_code for path in ("guarded", "decorated")] == [503, 503]
        assert not stage.asked_of_second
        assert client.get("/refunds/new").text == SECOND_TEXT


def test_a_dependency_that_is_overridden_marks_all_the_same(stage: Stage) -> None:
    """As tests override them: the mark is on the route, whether its dependency runs or not."""
    app = fastapi(stage.router())
    mark = sensitive("payment")

    @app.get("/x", dependencies=[Depends(mark)])
    async def x(ai: RoutedClient) -> str:
        return await ask(ai)

    app.dependency_overrides[mark] = lambda: None
    assert answer_of(app) == "503"
    assert not stage.asked_of_second


def test_a_class_that_dispatches_itself_is_marked_as_its_base_before_it_runs(stage: Stage) -> None:
    """Also for calls that are made on the way to it."""
    router = stage.router()
    app = Flask("desk")
    ai = flask_lanewise.Lanewise(app, router)

    @flask_lanewise.sensitive("payment")
    class Desk(MethodView):
        pass

    class Refunds(Desk):
        def dispatch_request(self, **values: Any) -> str:
            return ask_sync(ai.scope)

    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    early: list[BaseException] = []

    @app.url_value_preprocessor
    def before_all(endpoint: str | None, values: dict[str, Any] | None) -> None:
        with pytest.raises(FailClosed) as caught:
            ask_sync(ai.scope)
        early.append(caught.value)

    with router:
        assert app.test_client().get("/x").status_code == 503
    assert len(early) == 1
    assert not stage.asked_of_second


@pytest.mark.parametrize("undeclared", ["refuse", "sensitive:payment"])
def test_a_scope_of_its_own_does_not_declare_an_endpoint(undeclared: str, stage: Stage) -> None:
    """What the config says of endpoints without a mark holds in it, too."""
    router = stage.router(router={"undeclared": undeclared})

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await ask(router.scope()))

    with serve(stage, x, router=router) as client:
        assert client.get("/x").status_code == 503
    assert not stage.asked_of_second


def test_a_mark_in_a_mounted_app_with_the_same_router_holds_behind_a_copied_scope(stage: Stage) -> None:
    """The outer app's middleware made the scope; the inner one's knows the endpoints."""
    router = stage.router()

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    middleware = [Middleware(LanewiseMiddleware, router=router), Middleware(Copying)]
    inner = Starlette(routes=[Route("/x", x)], middleware=middleware)
    payment(x)
    with serve(stage, router=router, routes=[Mount("/in", inner)]) as client:
        assert client.get("/in/x").status_code == 503
    assert not stage.asked_of_second


def test_an_app_that_is_marked_is_marked_where_nothing_is_found(stage: Stage) -> None:
    """Its page for a 404 asks a model, too; and a nested blueprint's views are under the outer one's mark."""
    router = stage.router()
    app = Flask("desk")
    ai = flask_lanewise.Lanewise(app, router)
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    flask_lanewise.sensitive("payment")(outer)
    inner.add_url_rule("/x", "x", lambda: ask_sync(ai.scope))
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")
    app.register_error_handler(404, lambda error: ask_sync(ai.scope))
    with router:
        assert app.test_client().get("/outer/inner/x").status_code == 503
        assert not stage.asked_of_second
        flask_lanewise.sensitive("payment")(app)
        assert app.test_client().get("/missing").status_code == 500  # an error handler's error is one of the app
    assert not stage.asked_of_second


# -- what a provider may do --------------------------------------------------------------------------------------------


def chunk(model: str, text: str) -> bytes:
    return (
        f'data: {{"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "{model}", "choices": '
        f'[{{"index": 0, "delta": {{"content": "{text}"}}, "finish_reason": null}}]}}\n\n'
    ).encode()


@pytest.mark.parametrize("hold", ["none", "all"])
@pytest.mark.parametrize(
    "chunks", [(chunk("else", "canary"), "end"), ("Well", chunk("else", "canary"), "end")], ids=["first", "later"]
)
def test_a_model_that_is_swapped_within_a_stream_is_cut_off(chunks: Any, hold: str, stage: Stage) -> None:
    """The preamble named the right one; not a word of the other's is passed on, nor does the stream end as whole."""
    stage.first.script_all(StreamOf(chunks=chunks))
    config = stage.config()
    config["tasks"]["summary"]["stream"] = {"hold": hold}
    router = Router.from_mapping(config)
    pieces: list[str] = []

    def read(scope: Scope) -> None:
        for piece in scope.openai.chat.completions.create(model="summary", messages=MESSAGES, stream=True):
            pieces.extend(choice.delta.content or "" for choice in piece.choices)

    with router, router.scope(sensitive="payment") as scope, pytest.raises(FailClosed) as caught:
        read(scope)
    assert "".join(pieces) in ("", "Well")
    assert scope.calls[0].attempts[0].model_answered == "else"
    assert b"canary" not in pickle.dumps(caught.value)
    assert not stage.asked_of_second


def test_a_conversation_begun_on_another_route_is_not_gone_on_with(stage: Stage) -> None:
    """A sensitive call that is bound to what an unapproved provider keeps is sent to nobody."""
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "model-two", "status": "completed",
        "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    stage.second.script_all(JsonBody(answer))
    router = stage.router()
    with router:
        first = router.scope().openai.responses.create(model="summary", input="x")
        before = len(stage.first.journal), len(stage.asked_of_second)
        with pytest.raises(FailClosed):
            router.scope(sensitive="payment").openai.responses.create(
                model="summary", input="x", previous_response_id=first.id
            )
    assert (len(stage.first.journal), len(stage.asked_of_second)) == before


# -- how the path is written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/payments/*", "/payments%2f1"),
        ("/payments/*", "/payments;v=1/2"),
        ("/payments/*", "/x/..;/payments/2"),
        ("/payments/*", "/./payments"),
        ("/payments/*", "/Payments//1/"),
        ("/payments/*", "/\uff50ayments/1"),
        ("/me\u0301decin/*", "/m\u00e9decin/1"),
        ("/m\u00e9decin/*", "/me\u0301decin/1"),
        ("/stra\u00dfe/*", "/STRASSE/1"),
    ],
)
def test_a_path_rule_holds_however_the_path_is_written(rule: str, path: str, stage: Stage) -> None:
    """By the caller, and by who wrote the rule."""

    async def x(request: StarletteRequest) -> Response:
        return PlainTextResponse(await ask(request.state.ai))

    router = stage.router(endpoints={rule: "payment"})
    with serve(stage, router=router, routes=[Route("/{rest:path}", x)]) as client:
        assert client.get(path).status_code == 503
    assert not stage.asked_of_second
