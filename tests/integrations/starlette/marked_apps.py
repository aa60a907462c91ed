"""Apps of Starlette and FastAPI with marks wherever one can stand, each with middleware that asks before routing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import anyio.to_thread
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.routing import APIRoute
from flask import Flask
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from werkzeug.test import create_environ, run_wsgi_app

import flask_lanewise
from integrations.asking import Asker
from lanewise import NotInScope
from starlette_lanewise import LanewiseMiddleware, SensitiveMiddleware, lifespan, sensitive, standard

payment = sensitive("payment")
MARKED = Middleware(SensitiveMiddleware, "payment")
MakeApp = Callable[[Asker], Any]
"""Makes an app, or one with the path that is asked for and the method."""


def life(asker: Asker) -> AbstractContextManager[object]:
    """The app opens the router, and closes it."""
    return nullcontext()


def start(app: Any) -> None:
    """What is wrong with an app's marks is said when it starts."""
    with TestClient(app):
        pass


class Early:
    """Asks before anything is routed."""

    def __init__(self, app: Any, asker: Asker) -> None:
        self.app = app
        self.asker = asker

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.asker.asynchronous(scope["state"]["ai"])
        await self.app(scope, receive, send)


class InThread:
    """Serves with a WSGI app, in a thread."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        environ = create_environ(scope["path"].removeprefix(scope["root_path"]), method=scope["method"])
        body, _, _ = await anyio.to_thread.run_sync(run_wsgi_app, self.app, environ)
        await PlainTextResponse(b"".join(body))(scope, receive, send)


def installed(asker: Asker, *more: Middleware, early: bool = True) -> list[Middleware]:
    asks = [Middleware(Early, asker=asker)] if early else []
    return [Middleware(LanewiseMiddleware, router=asker.router), *more, *asks]


def app_of(asker: Asker, *routes: Any, early: bool = True, **options: Any) -> Starlette:
    middleware = installed(asker, *options.pop("middleware", ()), early=early)
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan(asker.router), **options)


def fastapi_of(asker: Asker, **options: Any) -> FastAPI:
    return FastAPI(middleware=installed(asker), lifespan=lifespan(asker.router), openapi_url=None, **options)


def endpoint_of(asker: Asker) -> Any:
    async def endpoint(request: Request) -> Any:
        await asker.asynchronous(request.state.ai)
        return PlainTextResponse("done")

    return endpoint


def marked_elsewhere() -> Route:
    @payment
    async def elsewhere(request: Request) -> Any: ...

    return Route("/elsewhere", elsewhere)


def serve(app: Any, path: str = "/x", method: str = "GET", change: Callable[[TestClient], None] | None = None) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        if change is not None:
            change(client)
        if method == "WEBSOCKET":
            with client.websocket_connect(path) as socket:
                socket.send_text("hello")
                socket.receive_text()
        else:
            client.request(method, path)


# -- what is marked ----------------------------------------------------------------------------------------------------


def an_object_that_is_called(asker: Asker) -> Any:
    class Endpoint:
        @payment
        async def __call__(self, request: Request) -> str:
            return "done"

    app = fastapi_of(asker)
    app.get("/x")(Endpoint())
    return app


def an_asgi_object(asker: Asker) -> Any:
    class Endpoint:
        @payment
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("done")(scope, receive, send)

    return app_of(asker, Route("/x", Endpoint()))


def an_asgi_object_that_is_mounted(asker: Asker) -> Any:
    class Endpoint:
        @payment
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("done")(scope, receive, send)

    return app_of(asker, Mount("/x", Endpoint()))


def an_asgi_function_that_is_mounted(asker: Asker) -> Any:
    @payment
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("done")(scope, receive, send)

    return app_of(asker, Mount("/x", app))


def a_class_method(asker: Asker) -> Any:
    class Endpoints:
        @classmethod
        @payment
        async def get(cls, request: Request) -> Any:
            return PlainTextResponse("done")

    return app_of(asker, Route("/x", Endpoints.get))


def a_static_method(asker: Asker) -> Any:
    class Endpoints:
        @payment
        @staticmethod
        async def get(request: Request) -> Any:
            return PlainTextResponse("done")

    return app_of(asker, Route("/x", Endpoints.get))


def a_partial_method(asker: Asker) -> Any:
    class Endpoints:
        @payment
        async def read(self, request: Request, *, size: int = 0) -> Any:
            return PlainTextResponse("done")

        get = functools.partialmethod(read, size=1)

    return app_of(asker, Route("/x", Endpoints().get))


def the_dispatch_of_a_class(asker: Asker) -> Any:
    class View(HTTPEndpoint):
        @payment
        async def dispatch(self) -> None:
            await super().dispatch()

        async def get(self, request: Request) -> Any:
            return PlainTextResponse("done")

    return app_of(asker, Route("/x", View))


def a_class_whose_base_is_marked(asker: Asker) -> Any:
    @payment
    class Desk(HTTPEndpoint):
        pass

    class Plain(HTTPEndpoint):
        async def get(self, request: Request) -> Any:
            return PlainTextResponse("done")

    class View(Plain, Desk):
        pass

    return app_of(asker, Route("/x", View))


def behind_an_authentication(asker: Asker) -> Any:
    class Everybody(AuthenticationBackend):
        async def authenticate(self, conn: Any) -> Any:
            return AuthCredentials(["yes"]), SimpleUser("user")

    @requires("yes")
    @payment
    async def endpoint(request: Request) -> Any:
        return PlainTextResponse("done")

    known = Middleware(AuthenticationMiddleware, backend=Everybody())
    return app_of(asker, Route("/x", endpoint), middleware=[known])


def a_cached_function(asker: Asker) -> Any:
    app = fastapi_of(asker)

    @functools.lru_cache
    @payment
    def endpoint() -> str:
        return "done"

    app.get("/x")(endpoint)
    return app


def a_method_of_a_websocket_class(asker: Asker) -> Any:
    class Socket(WebSocketEndpoint):
        encoding = "text"

        @payment
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.send_text("done")

    return app_of(asker, WebSocketRoute("/x", Socket)), "/x", "WEBSOCKET"


def a_mark_of_another_framework(asker: Asker) -> Any:
    return app_of(asker, Route("/x", flask_lanewise.sensitive("payment")(endpoint_of(asker))))


# -- where a mark stands -----------------------------------------------------------------------------------------------


def a_route_of_its_own_kind(asker: Asker) -> Any:
    class Asking(Route):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await asker.asynchronous(scope["state"]["ai"])
            await super().handle(scope, receive, send)

    return app_of(asker, Asking("/x", payment(endpoint_of(asker))))


def a_router_that_routes_itself(asker: Asker) -> Any:
    class Second(Router):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            await self.routes[1].handle({**scope, "path_params": {}}, receive, send)

    inner = Second(routes=[Route("/x", endpoint_of(asker)), Route("/y", endpoint_of(asker), middleware=[MARKED])])
    return app_of(asker, Mount("/in", inner)), "/in/x"


def what_is_served_where_nothing_is_found(asker: Asker) -> Any:
    app = app_of(asker)
    app.router.default = Starlette(routes=[Route("/x", payment(endpoint_of(asker)))])
    return app


def a_host(asker: Asker) -> Any:
    return app_of(asker, Host("{any}server", app=Router(routes=[Route("/x", payment(endpoint_of(asker)))])))


def a_route_class_of_fastapi(asker: Asker) -> Any:
    class Asking(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def asking(request: Request) -> Any:
                await asker.asynchronous(request.state.ai)
                return await handler(request)

            return asking

    router = APIRouter(route_class=Asking)
    router.get("/x", dependencies=[Depends(payment)])(endpoint_of(asker))
    app = fastapi_of(asker)
    app.include_router(router)
    return app


def a_dependency_of_a_dependency(asker: Asker) -> Any:
    async def first(request: Request) -> None:
        await asker.asynchronous(request.state.ai)

    async def deep(_: Annotated[None, Depends(payment)]) -> int:
        return 1

    async def between(found: int = Depends(deep)) -> int:
        return found

    app = fastapi_of(asker)

    @app.get("/x")
    async def endpoint(before: None = Depends(first), found: int = Depends(between)) -> None: ...

    return app


def a_dependency_that_is_a_class(asker: Asker) -> Any:
    class Desk:
        @payment
        def __init__(self) -> None: ...

    app = fastapi_of(asker)

    made = Depends(Desk)

    @app.get("/x")
    async def endpoint(desk: Any = made) -> None: ...

    return app


def a_dependency_that_is_called(asker: Asker) -> Any:
    class Desk:
        @payment
        def __call__(self) -> int:
            return 1

    app = fastapi_of(asker)

    made = Depends(Desk())

    @app.get("/x")
    async def endpoint(desk: Any = made) -> None: ...

    return app


def what_a_dependency_does_at_its_end(asker: Asker) -> Any:
    async def asks_at_its_end(request: Request) -> Any:
        ai = request.state.ai
        yield 1
        await asker.asynchronous(ai)

    app = fastapi_of(asker, dependencies=[Depends(asks_at_its_end), Depends(payment)])
    app.get("/x")(endpoint_of(asker))
    return app


def one_of_two_places_of_a_router(asker: Asker) -> Any:
    router = APIRouter()
    router.get("/x")(endpoint_of(asker))
    app = fastapi_of(asker)
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/closed", dependencies=[Depends(payment)])
    return app, "/closed/x"


def a_websocket_of_a_marked_router(asker: Asker) -> Any:
    router = APIRouter(dependencies=[Depends(payment)])

    @router.websocket("/x")
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await asker.asynchronous(socket.state.ai)
        await socket.send_text("done")

    app = fastapi_of(asker)
    app.include_router(router)
    return app, "/x", "WEBSOCKET"


def an_app_of_flask_in_it(asker: Asker) -> Any:
    flask = Flask("desk")
    flask.add_url_rule("/x", "x", flask_lanewise.sensitive("payment")(lambda: asker.sync()))
    return app_of(asker, Mount("/in", InThread(flask))), "/in/x"


def a_blueprint_of_flask_in_it(asker: Asker) -> Any:
    flask, desk = Flask("desk"), flask_lanewise.sensitive("payment")(_blueprint())
    desk.add_url_rule("/x", "x", lambda: asker.sync())
    flask.register_blueprint(desk)
    return app_of(asker, Mount("/in", InThread(flask)), early=False), "/in/x"


def _blueprint() -> Any:
    from flask import Blueprint

    return Blueprint("desk", "desk")


# -- where no endpoint is found ----------------------------------------------------------------------------------------


def a_page_for_a_404(asker: Asker) -> Any:
    return app_of(asker, marked_elsewhere(), exception_handlers={404: page_of(asker)}), "/missing"


def a_page_for_a_405(asker: Asker) -> Any:
    routes = [Route("/x", endpoint_of(asker), methods=["POST"]), marked_elsewhere()]
    return app_of(asker, *routes, exception_handlers={405: page_of(asker)})


def a_page_for_a_405_of_a_marked_endpoint(asker: Asker) -> Any:
    routes = [Route("/x", payment(endpoint_of(asker)), methods=["POST"])]
    return app_of(asker, *routes, exception_handlers={405: page_of(asker)})


def a_page_for_a_404_below_a_mount(asker: Asker) -> Any:
    inner = Starlette(routes=[marked_elsewhere()], exception_handlers={404: page_of(asker)})
    return app_of(asker, Mount("/in", inner)), "/in/missing"


def a_method_that_a_class_does_not_have(asker: Asker) -> Any:
    class View(HTTPEndpoint):
        @payment
        async def get(self, request: Request) -> Any: ...

        async def method_not_allowed(self, request: Any) -> Any:
            await asker.asynchronous(request.state.ai)
            return PlainTextResponse("done")

    return app_of(asker, Route("/x", View)), "/x", "PUT"


def an_error_handler_for_everything(asker: Asker) -> Any:
    """It lies further out than any middleware; a job of its own is none there."""

    async def page(request: Request, error: Exception) -> Any:
        with pytest.raises(NotInScope):
            asker.router.scope(detached=True)
        with asker.router.scope() as own:
            await asker.asynchronous(own)
        return PlainTextResponse("done")

    @payment
    async def endpoint(request: Request) -> Any:
        raise ZeroDivisionError

    return app_of(asker, Route("/x", endpoint), exception_handlers={Exception: page})


def page_of(asker: Asker) -> Any:
    async def page(request: Request, error: Exception) -> Any:
        await asker.asynchronous(request.state.ai)
        return PlainTextResponse("done")

    return page


COVERED: list[MakeApp] = [
    an_object_that_is_called,
    an_asgi_object,
    an_asgi_object_that_is_mounted,
    an_asgi_function_that_is_mounted,
    a_class_method,
    a_static_method,
    a_partial_method,
    the_dispatch_of_a_class,
    a_class_whose_base_is_marked,
    behind_an_authentication,
    a_cached_function,
    a_method_of_a_websocket_class,
    a_mark_of_another_framework,
    a_route_of_its_own_kind,
    a_router_that_routes_itself,
    what_is_served_where_nothing_is_found,
    a_host,
    a_route_class_of_fastapi,
    a_dependency_of_a_dependency,
    a_dependency_that_is_a_class,
    a_dependency_that_is_called,
    what_a_dependency_does_at_its_end,
    one_of_two_places_of_a_router,
    a_websocket_of_a_marked_router,
    an_app_of_flask_in_it,
    a_blueprint_of_flask_in_it,
    a_page_for_a_404,
    a_page_for_a_405,
    a_page_for_a_405_of_a_marked_endpoint,
    a_page_for_a_404_below_a_mount,
    a_method_that_a_class_does_not_have,
    an_error_handler_for_everything,
]


# -- what changes while the app serves ---------------------------------------------------------------------------------


def a_route_is_added(asker: Asker, app: Any) -> None:
    app.router.routes.append(Route("/new", payment(endpoint_of(asker))))


def a_route_is_replaced(asker: Asker, app: Any) -> None:
    app.router.routes[0] = Route("/new", endpoint_of(asker), middleware=[MARKED])


def routes_change_places(asker: Asker, app: Any) -> None:
    app.router.routes.insert(0, Route("/{any}", app.routes[0].endpoint, middleware=[MARKED]))
    app.router.routes.pop()


def all_routes_are_new(asker: Asker, app: Any) -> None:
    app.router.routes = [Route("/new", endpoint_of(asker), middleware=[MARKED])]


def an_app_is_mounted(asker: Asker, app: Any) -> None:
    app.mount("/new", Starlette(routes=[Route("/", endpoint_of(asker))], middleware=[MARKED]))


def a_mark_is_put_on(asker: Asker, app: Any) -> None:
    app.router.routes[0] = Route("/new", app.routes[0].endpoint)
    payment(app.routes[0].endpoint)


def _changed(asker: Asker, change: Callable[[Asker, Any], None]) -> None:
    app = app_of(asker, Route("/x", endpoint_of(asker)))

    def then(client: TestClient) -> None:
        client.get("/x")
        asker.check(covered=False)
        asker.forget()
        change(asker, app)

    serve(app, "/new", change=then)


def _included_later(asker: Asker) -> None:
    """A router that FastAPI includes, and a route that is added to one that it includes."""
    app, included = fastapi_of(asker), APIRouter()
    app.include_router(included)
    app.get("/x")(endpoint_of(asker))

    def then(client: TestClient) -> None:
        client.get("/x")
        asker.forget()
        included.get("/added", dependencies=[Depends(payment)])(endpoint_of(asker))
        late = APIRouter(dependencies=[Depends(payment)])
        late.get("/late")(endpoint_of(asker))
        app.include_router(late)
        client.get("/late")

    serve(app, "/added", change=then)


CHANGES: dict[str, Callable[[Asker], None]] = {
    change.__name__: functools.partial(_changed, change=change)
    for change in (
        a_route_is_added,
        a_route_is_replaced,
        routes_change_places,
        all_routes_are_new,
        an_app_is_mounted,
        a_mark_is_put_on,
    )
}
CHANGES["a router is included, and a route added to an included one"] = _included_later


# -- what is not covered -----------------------------------------------------------------------------------------------


def beside_a_marked_one(asker: Asker) -> Any:
    return app_of(asker, Route("/x", endpoint_of(asker)), marked_elsewhere())


def a_helper_that_marked_ones_use_too(asker: Asker) -> Any:
    async def helper(request: Request) -> Any:
        await asker.asynchronous(request.state.ai)
        return PlainTextResponse("done")

    @payment
    async def closed(request: Request) -> Any:
        return await helper(request)

    async def endpoint(request: Request) -> Any:
        return await helper(request)

    return app_of(asker, Route("/x", endpoint), Route("/closed", closed))


def one_that_may_call_a_marked_one(asker: Asker) -> Any:
    @payment
    async def refund(request: Request) -> Any: ...

    async def endpoint(request: Request) -> Any:
        await asker.asynchronous(request.state.ai)
        return await refund(request) if "refund" in request.query_params else PlainTextResponse("done")

    return app_of(asker, Route("/x", endpoint))


def one_of_two_places_of_an_endpoint(asker: Asker) -> Any:
    endpoint = endpoint_of(asker)
    return app_of(asker, Route("/x", endpoint), Route("/closed", endpoint, middleware=[MARKED]))


def a_page_for_a_404_of_an_endpoint(asker: Asker) -> Any:
    async def endpoint(request: Request) -> Any:
        raise HTTPException(404)

    return app_of(asker, Route("/x", endpoint), marked_elsewhere(), exception_handlers={404: page_of(asker)})


def a_page_for_a_404_where_nothing_is_marked(asker: Asker) -> Any:
    return app_of(asker, Route("/x", endpoint_of(asker)), exception_handlers={404: page_of(asker)}), "/missing"


def a_page_for_a_404_below_an_open_mount(asker: Asker) -> Any:
    inner = Starlette(routes=[Route("/x", endpoint_of(asker))], exception_handlers={404: page_of(asker)})
    return app_of(asker, Mount("/in", inner), marked_elsewhere()), "/in/missing"


def the_other_place_of_a_router(asker: Asker) -> Any:
    app, path = one_of_two_places_of_a_router(asker)
    return app, path.replace("closed", "open")


def a_mark_that_an_endpoint_puts_on_another(asker: Asker) -> Any:
    async def decorating(request: Request) -> Any:
        sensitive("payment")(plain)
        await asker.asynchronous(request.state.ai)
        return PlainTextResponse("done")

    return app_of(asker, Route("/x", decorating), early=False)


def an_unknown_app(asker: Asker) -> Any:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("done")(scope, receive, send)

    return app_of(asker, Mount("/in", inner), marked_elsewhere()), "/in/x"


OPEN: list[MakeApp] = [
    beside_a_marked_one,
    a_helper_that_marked_ones_use_too,
    one_that_may_call_a_marked_one,
    one_of_two_places_of_an_endpoint,
    a_page_for_a_404_of_an_endpoint,
    a_page_for_a_404_where_nothing_is_marked,
    a_page_for_a_404_below_an_open_mount,
    the_other_place_of_a_router,
    an_unknown_app,
    a_mark_that_an_endpoint_puts_on_another,
]


# -- misuse ------------------------------------------------------------------------------------------------------------


async def plain(request: Request) -> Any: ...


def _routed(*routes: Any, **options: Any) -> MakeApp:
    return lambda asker: app_of(asker, *routes, **options)


def _depending(*dependencies: Any) -> MakeApp:
    def make(asker: Asker) -> Any:
        app = fastapi_of(asker)
        app.get("/x", dependencies=dependencies)(plain)
        return app

    return make


def _http_middleware(function: Any) -> MakeApp:
    def make(asker: Asker) -> Any:
        app = fastapi_of(asker)
        app.middleware("http")(function)
        return app

    return make


def _including(router: APIRouter) -> MakeApp:
    def make(asker: Asker) -> Any:
        app = fastapi_of(asker)
        app.include_router(router)
        return app

    return make


MISUSES: dict[str, MakeApp] = {
    "without a category": lambda asker: sensitive(plain),  # type: ignore[arg-type]
    "two categories": lambda asker: sensitive(["payment", "other"]),  # type: ignore[arg-type]
    "on a router": lambda asker: payment(Router(routes=[])),
    "on a route": lambda asker: payment(Route("/x", plain)),
    "on a mount": lambda asker: payment(Mount("/x", routes=[])),
    "on an app": lambda asker: payment(Starlette()),
    "on an ASGI object": lambda asker: payment(InThread(Flask("desk"))),  # type: ignore[arg-type]
    "on text": lambda asker: payment("payment"),  # type: ignore[call-overload]
    "on a mark": lambda asker: payment(payment),
    "on what makes marks": lambda asker: payment(sensitive),
    "standard on a mark": lambda asker: standard(payment),
    "a dependency without a category": _depending(Depends(sensitive)),
    "a dependency without Depends": _depending(payment),
    "a partial dependency": _depending(Depends(functools.partial(sensitive, "payment"))),
    "a dependency that is middleware": _depending(Depends(SensitiveMiddleware)),
    "a dependency that gives a mark back": _depending(Depends(lambda: payment)),
    "a dependency that is standard": _depending(Depends(standard)),
    "a dependency of Flask's": _depending(Depends(flask_lanewise.sensitive("payment"))),
    "a dependency of a router without routes": _including(APIRouter(prefix="/in", dependencies=[Depends(sensitive)])),
    "middleware without a category": _routed(middleware=[Middleware(SensitiveMiddleware)]),
    "middleware of a mark": _routed(middleware=[Middleware(SensitiveMiddleware, payment)]),  # type: ignore[arg-type]
    "middleware that is a mark": _routed(middleware=[Middleware(payment)]),  # type: ignore[arg-type]
    "a function of middleware": _http_middleware(payment),
    "a function of middleware that is standard": _http_middleware(standard),
    "an error handler": _routed(exception_handlers={404: payment}),
    "an endpoint": _routed(Route("/x", payment)),
    "a partial endpoint": _routed(Route("/x", functools.partial(payment))),
    "a WebSocket": _routed(WebSocketRoute("/x", payment)),
    "mounted": _routed(Mount("/x", payment)),  # type: ignore[arg-type]
    "mounted middleware": _routed(Mount("/x", SensitiveMiddleware)),  # type: ignore[arg-type]
    "an unknown category": _routed(Route("/x", sensitive("paiment")(plain))),
    "an unknown category of nothing": _routed(
        Mount("/x", routes=[], middleware=[Middleware(SensitiveMiddleware, "y")])
    ),
}


def a_mark_as_a_statement(asker: Asker) -> Any:
    async def stated(request: Request) -> Any:
        sensitive("payment")
        await asker.asynchronous(request.state.ai)
        return PlainTextResponse("done")

    return app_of(asker, Route("/x", stated), early=False)


def a_mark_that_a_dependency_gives_back(asker: Asker) -> Any:
    app = FastAPI(middleware=installed(asker, early=False), lifespan=lifespan(asker.router), openapi_url=None)
    app.get("/x", dependencies=[Depends(lambda: sensitive("payment"))])(endpoint_of(asker))
    return app


STATED: list[MakeApp] = [a_mark_as_a_statement, a_mark_that_a_dependency_gives_back]
