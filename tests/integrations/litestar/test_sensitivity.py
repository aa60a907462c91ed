"""Marks in all the places where Litestar lets one be put: the unapproved provider is never asked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from litestar import Controller, Litestar, Router, asgi, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.static_files import create_static_files_router
from litestar.testing import TestClient

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage, ask, ask_sync
from integrations.litestar.serving import make, serve, start_refused, summary
from lanewise import ConfigError, current_scope
from lanewise.testing import Status
from litestar_lanewise import (
    LanewisePlugin,
    RoutedClient,
    RoutedSyncClient,
    assert_endpoints_declared,
    endpoints,
    sensitive,
    standard,
)


def refused(stage: Stage, client: TestClient[Litestar], path: str = "/") -> bool:
    """Whether a call is answered by the approved route while it is well, and by nobody while it isn't."""
    stage.first.reset()
    stage.second.reset()
    assert client.get(path).text == FIRST_TEXT
    stage.first.script_all(Status(400))
    answer = client.get(path)
    problem = (answer.status_code, answer.headers["content-type"], answer.headers.get("cache-control"))
    return problem == (503, "application/problem+json", "no-store") and stage.second.request_count == 0


# -- where a mark can stand --------------------------------------------------------------------------------------------


def function() -> Callable[..., Any]:
    """A new one each time: a mark is also written on the function that it stands above."""

    async def answer(ai: RoutedClient) -> str:
        return await ask(ai)

    return answer


def function_sync() -> Callable[..., Any]:
    def answer(ai_sync: RoutedSyncClient) -> str:
        return ask_sync(ai_sync)

    return answer


def method() -> Callable[..., Any]:
    async def answer(self: Any, ai: RoutedClient) -> str:
        return await ask(ai)

    return answer


PAYMENT = sensitive("payment")


def in_controller(**members: Any) -> type[Controller]:
    return type("Desk", (Controller,), {"answer": get()(method()), **members})


def _overriding() -> type[Controller]:
    """A controller that inherits the mark, and has guards of its own."""

    def polite(connection: Any, handler: Any) -> None:
        return None

    base = PAYMENT(in_controller())
    return type("Sub", (base,), {"guards": [polite]})


PLACES: dict[str, Callable[[], Any]] = {
    "guard of a handler": lambda: get("/", guards=[PAYMENT])(function()),
    "guard of a sync handler": lambda: get("/", guards=[PAYMENT], sync_to_thread=True)(function_sync()),
    "guard of a router": lambda: Router("/", route_handlers=[get("/")(function())], guards=[PAYMENT]),
    "guard of an outer router": lambda: Router(
        "/", route_handlers=[Router("/", route_handlers=[get("/")(function())])], guards=[PAYMENT]
    ),
    "guard of a controller": lambda: in_controller(guards=[PAYMENT]),
    "guard of a method": lambda: in_controller(answer=get(guards=[PAYMENT])(method())),
    "above a handler": lambda: PAYMENT(get("/")(function())),
    "below the route decorator": lambda: get("/")(PAYMENT(function())),
    "below, sync in a thread": lambda: get("/", sync_to_thread=True)(PAYMENT(function_sync())),
    "below, sync in the loop": lambda: get("/", sync_to_thread=False)(PAYMENT(function_sync())),
    "above a controller": lambda: PAYMENT(in_controller()),
    "above a controller with guards": lambda: PAYMENT(in_controller(guards=())),
    "above a method": lambda: in_controller(answer=PAYMENT(get()(method()))),
    "below, on a method": lambda: in_controller(answer=get()(PAYMENT(method()))),
    "above a controller whose subclass has other guards": _overriding,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_mark_holds_wherever_it_stands(stage: Stage, place: str) -> None:
    """And is found by the audit, which says where it is from."""
    with serve(stage, PLACES[place]()) as client:
        assert refused(stage, client)
        [found] = endpoints(client.app)
    assert found.categories == {"payment"}
    assert not any(source.hidden for source in found.sources)


def test_the_apps_guard_holds_for_all(stage: Stage) -> None:
    """For every handler of the app."""
    with serve(stage, summary, guards=[PAYMENT]) as client:
        assert refused(stage, client, "/summary")


def test_without_a_mark_the_fallback_answers(stage: Stage) -> None:
    """The same shapes, unmarked."""
    unmarked = {"/function": get("/function")(function()), "/class": in_controller(path="/class")}
    with serve(stage, *unmarked.values()) as client:
        stage.first.script_all(Status(500))
        assert [client.get(path).text for path in unmarked] == [SECOND_TEXT, SECOND_TEXT]


def test_marks_add_up(stage: Stage) -> None:
    """An inner mark does not relax an outer one: what both approve may answer."""
    handler = get("/", guards=[sensitive("medical")])(function())
    with serve(stage, Router("/", route_handlers=[handler], guards=[PAYMENT])) as client:
        assert refused(stage, client)
        [found] = endpoints(client.app)
    assert [(source.category, source.origin) for source in found.sources] == [
        ("payment", "guard of router /"),
        ("medical", "guard of the handler"),
    ]


def test_a_guard_runs_without_a_thread(stage: Stage) -> None:
    """It waits for nothing, and Litestar knows."""
    app = make(stage, get("/", guards=[PAYMENT])(function()))
    [handler] = [handler for handler in app.routes[0].route_handlers if "GET" in handler.http_methods]  # type: ignore[union-attr]
    assert handler.resolve_guards() == [PAYMENT]


def test_a_router_is_marked_by_a_guard() -> None:
    """As a decorator it would come too late, and says so."""
    with pytest.raises(TypeError, match=r"guards=\[sensitive\('payment'\)\]"):
        PAYMENT(Router("/", route_handlers=[]))


def test_a_mark_is_known_to_the_apps_middleware(stage: Stage) -> None:
    """It runs before the guards, and what it asks is sensitive all the same."""
    seen = []

    def middleware(app: Any) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            seen.append(current_scope().sensitive)  # type: ignore[union-attr]
            await app(scope, receive, send)

        return run

    with serve(stage, get("/", guards=[PAYMENT])(function()), middleware=[middleware]) as client:
        assert client.get("/").text == FIRST_TEXT
    assert seen == [{"payment"}]


# -- path rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/pay/7", "/pay//7", "/pay/7/", "/PAY/7"])
def test_a_path_rule_holds(stage: Stage, path: str) -> None:
    """However the path is spelled, as long as Litestar serves it."""
    handlers = [get("/pay/{number:int}")(_numbered), get("/PAY/{number:int}")(_numbered)]
    with serve(stage, *handlers, router=stage.router(endpoints={"/pay/*": "payment"})) as client:
        assert refused(stage, client, path)


async def _numbered(number: FromPath[int], ai: RoutedClient) -> str:
    return await ask(ai)


async def _inner(scope: Any, receive: Any, send: Any) -> None:
    text = await ask(current_scope())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


@pytest.mark.parametrize("copy_scope", [True, False])
@pytest.mark.parametrize(
    ("mounted", "path"), [("/pay", "/pay/7"), ("/", "/pay/7"), ("/pay", "/pay"), ("/pay", "/pay//7")]
)
def test_a_path_rule_holds_in_a_mounted_app(stage: Stage, mounted: str, path: str, copy_scope: bool) -> None:
    """Though Litestar takes the mount's path from what it hands on."""

    @asgi(mounted, is_mount=True, copy_scope=copy_scope)
    async def mount(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = "/elsewhere"
        await _inner(scope, receive, send)

    router = stage.router(endpoints={"/pay/*": "payment"}, router={"undeclared": "refuse"})
    with serve(stage, mount, router=router) as client:
        assert refused(stage, client, path)


def test_marks_hold_for_mounted_apps(stage: Stage) -> None:
    """By a guard, or as a decorator."""
    guarded = asgi("/guarded", is_mount=True, copy_scope=True, guards=[PAYMENT])(_mountable())
    decorated = asgi("/decorated", copy_scope=True)(PAYMENT(_mountable()))
    with serve(stage, guarded, decorated) as client:
        assert refused(stage, client, "/guarded/x")
        assert refused(stage, client, "/decorated")


def _mountable() -> Callable[..., Any]:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await _inner(scope, receive, send)

    return mounted


def test_an_inner_app_keeps_the_outer_sensitivity(stage: Stage) -> None:
    """It has a plugin of its own, over the same router."""
    router = stage.router(endpoints={"/pay/*": "payment"})
    inner: Any = make(stage, summary, router=router)

    @asgi("/pay", is_mount=True, copy_scope=True)
    async def mount(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    with serve(stage, mount, router=router) as client:
        assert refused(stage, client, "/pay/summary")


# -- undeclared --------------------------------------------------------------------------------------------------------


def test_undeclared_endpoints_can_be_refused(stage: Stage) -> None:
    """Unless they are marked, sensitive or standard, in any way that there is."""

    @standard
    class Plain(Controller):
        path = "/class"
        answer = get()(method())

    declared = [
        get("/marked", guards=[PAYMENT])(function()),
        get("/below")(standard(function())),
        standard(get("/above")(function())),
        Plain,
    ]
    router = stage.router(router={"undeclared": "refuse"}, endpoints={"/ruled": "medical"})
    with serve(stage, get("/")(function()), get("/ruled")(function()), *declared, router=router) as client:
        assert client.get("/").status_code == 503
        for path in ("/marked", "/below", "/above", "/class", "/ruled"):
            assert client.get(path).text == FIRST_TEXT, path
        with pytest.raises(AssertionError, match=r"1 endpoints don't say.*\n  GET / \(function"):
            assert_endpoints_declared(client.app)


def test_undeclared_endpoints_can_count_as_sensitive(stage: Stage) -> None:
    """As the config says; marks and ``standard`` take their place."""
    router = stage.router(router={"undeclared": "sensitive:payment"})
    with serve(stage, get("/")(function()), get("/plain")(standard(function())), router=router) as client:
        assert refused(stage, client)
        stage.first.script_all(Status(500))
        assert client.get("/plain").text == SECOND_TEXT


def test_litestars_own_endpoints_need_no_mark(stage: Stage, tmp_path: Any) -> None:
    """OpenAPI, static files, OPTIONS."""
    files = create_static_files_router("/files", directories=[tmp_path])
    app = make(stage, standard(get("/")(function())), files, openapi_config=Litestar([]).openapi_config)
    assert [endpoint.label() for endpoint in endpoints(app)] == ["GET / (function.<locals>.answer)"]
    assert_endpoints_declared(app)


# -- what can't hold stops the start -----------------------------------------------------------------------------------


def hiding(function: Callable[..., Any]) -> Any:
    async def wrapper(ai: RoutedClient) -> Any:
        return await function(ai)

    return wrapper


def hiding_method(function: Callable[..., Any]) -> Any:
    async def wrapper(self: Any, ai: RoutedClient) -> Any:
        return await function(self, ai)

    return wrapper


@pytest.mark.parametrize(
    "handler",
    [
        lambda: get("/refund")(hiding(PAYMENT(function()))),
        lambda: in_controller(path="/refund", answer=get()(hiding_method(PAYMENT(method())))),
    ],
    ids=["function", "method"],
)
def test_a_mark_that_a_decorator_hides_stops_the_start(stage: Stage, handler: Callable[[], Any]) -> None:
    """The message names the endpoint. The wrapper below would hold all the same."""
    with start_refused(r"GET /refund .*hides its mark 'payment'"), serve(stage, handler()):
        pass


def test_a_decorator_that_keeps_the_name_keeps_the_mark(stage: Stage) -> None:
    """With ``functools.wraps`` nothing is hidden."""

    def open_(function: Callable[..., Any]) -> Any:
        return functools.wraps(function)(hiding(function))

    with serve(stage, get("/")(open_(PAYMENT(function())))) as client:
        assert refused(stage, client)


def test_an_unknown_category_stops_the_start(stage: Stage) -> None:
    """And says which ones there are."""
    handler = get("/", guards=[sensitive("paiment")])(function())
    with start_refused("unknown sensitive category 'paiment'"), serve(stage, handler):
        pass


def test_categories_that_leave_no_route_stop_the_start(stage: Stage) -> None:
    """Nobody could ever answer."""
    guards = [PAYMENT, sensitive("other")]
    with start_refused("no route is approved"), serve(stage, get("/", guards=guards)(function())):
        pass


def test_a_route_that_is_registered_later_is_checked_too(stage: Stage) -> None:
    """When it is registered, since the app has started."""
    late: HTTPRouteHandler = get("/late", guards=[sensitive("paiment")])(function())
    with serve(stage, summary) as client:
        with pytest.raises(ConfigError, match="GET /late"):
            client.app.register(late)
        client.app.register(get("/late-and-well", guards=[PAYMENT])(function()))
        assert refused(stage, client, "/late-and-well")


def test_two_apps_may_share_a_plugin_and_a_router(stage: Stage) -> None:
    """Each app has its own endpoints and marks."""
    plugin = LanewisePlugin(stage.router())
    options: Any = {"plugins": [plugin], "openapi_config": None, "logging_config": None}
    sensitive_app = Litestar([post("/", guards=[PAYMENT])(function())], **options)
    plain_app = Litestar([post("/")(function())], **options)
    stage.first.script_all(Status(500))
    with TestClient(sensitive_app) as one, TestClient(plain_app) as two:
        assert (one.post("/").status_code, two.post("/").text) == (503, SECOND_TEXT)
