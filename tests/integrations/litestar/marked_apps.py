"""Apps of Litestar with marks wherever one can stand, each with a middleware that asks before the handler."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastapi import Depends, FastAPI
from litestar import Controller, Litestar, Request, Response, Router, WebSocket, asgi, get, post, websocket_listener
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler, WebsocketListener
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath, FromQuery
from litestar.testing import TestClient

import flask_lanewise
import starlette_lanewise
from integrations.asking import Asker
from litestar_lanewise import LanewisePlugin, RequestScope, sensitive, standard

payment = sensitive("payment")
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
    """Asks before the handler, its guards and its dependencies."""

    def __init__(self, app: Any, asker: Asker) -> None:
        self.app = app
        self.asker = asker

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.asker.asynchronous()
        await self.app(scope, receive, send)


def app_of(asker: Asker, *handlers: Any, early: bool = True, **options: Any) -> Litestar:
    middleware = [DefineMiddleware(Early, asker=asker)] if early else []
    return Litestar(
        handlers,
        plugins=[LanewisePlugin(asker.router)],
        openapi_config=None,
        logging_config=None,
        middleware=[*middleware, *options.pop("middleware", ())],
        **options,
    )


def handler_of(asker: Asker, path: str = "/x", decorator: Any = get, **options: Any) -> Any:
    @decorator(path, **options)
    async def handler(ai_scope: RequestScope) -> str:
        return await asker.asynchronous(ai_scope)

    return handler


def serve(app: Any, path: str = "/x", method: str = "GET", change: Callable[[Any], None] | None = None) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        if change is not None:
            change(client)
        if method == "WEBSOCKET":
            with client.websocket_connect(path) as socket:
                socket.send_text("hello")
                socket.receive_text()
        else:
            client.request(method, path)


def a_guard_of_the_app(asker: Asker) -> Any:
    return app_of(asker, handler_of(asker), guards=[payment])


def a_guard_of_an_outer_router(asker: Asker) -> Any:
    inner = Router("/inner", route_handlers=[handler_of(asker)])
    return app_of(asker, Router("/outer", route_handlers=[inner], guards=[payment])), "/outer/inner/x"


def a_controller_below_a_marked_one(asker: Asker) -> Any:
    @payment
    class Desk(Controller):
        @get("/x")
        async def read(self, ai_scope: RequestScope) -> str:
            return await asker.asynchronous(ai_scope)

    class Refunds(Desk):
        path = "/refunds"
        guards = ()

    return app_of(asker, Refunds), "/refunds/x"


def parameters_in_the_path(asker: Asker) -> Any:
    @get("/{number:int}/x", guards=[payment])
    async def handler(number: FromPath[int], ai_scope: RequestScope) -> str:
        return await asker.asynchronous(ai_scope)

    return app_of(asker, Router("/{desk:str}", route_handlers=[handler])), "/one/2/x"


def another_kind_of_handler(asker: Asker) -> Any:
    class Own(HTTPRouteHandler):
        pass

    return app_of(asker, handler_of(asker, decorator=functools.partial(Own, http_method="GET"), guards=[payment]))


def the_options_of_a_marked_handler(asker: Asker) -> Any:
    return app_of(asker, handler_of(asker, guards=[payment])), "/x", "OPTIONS"


def the_hooks_of_a_marked_handler(asker: Asker) -> Any:
    async def before(request: Request[Any, Any, Any]) -> None:
        await asker.asynchronous()

    async def after(response: Response[Any]) -> Response[Any]:
        await asker.asynchronous()
        return response

    handler = handler_of(asker, guards=[payment], after_response=before)
    return app_of(asker, handler, before_request=before, after_request=after)


def a_guard_that_asks_first(asker: Asker) -> Any:
    async def asks(connection: Any, handler: Any) -> None:
        await asker.asynchronous()

    return app_of(asker, handler_of(asker, guards=[asks, payment]))


def a_guard_that_calls_a_mark(asker: Asker) -> Any:
    return app_of(
        asker, handler_of(asker, guards=[lambda connection, handler: payment(connection, handler)]), early=False
    )


def a_hook_that_is_marked(asker: Asker) -> Any:
    @payment
    async def before(request: Request[Any, Any, Any]) -> None: ...

    return app_of(asker, handler_of(asker), before_request=before)


def a_dependency_of_a_dependency(asker: Asker) -> Any:
    @payment
    async def deep() -> int:
        return 1

    async def between(deep: NamedDependency[int]) -> int:
        return deep

    @get("/x", dependencies={"between": Provide(between), "deep": Provide(deep)})
    async def handler(between: NamedDependency[int], ai_scope: RequestScope) -> str:
        return await asker.asynchronous(ai_scope)

    return app_of(asker, handler)


def what_a_dependency_does_at_its_end(asker: Asker) -> Any:
    async def asks_at_its_end() -> AsyncIterator[int]:
        yield 1
        await asker.asynchronous()

    @get("/x", dependencies={"number": Provide(asks_at_its_end)}, guards=[payment])
    async def handler(number: NamedDependency[int]) -> str:
        return "done"

    return app_of(asker, handler)


def a_listener(asker: Asker) -> Any:
    async def accept(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await asker.asynchronous()

    @websocket_listener("/x", connection_accept_handler=accept, guards=[payment])
    async def handler(data: str) -> str:
        return await asker.asynchronous()

    return app_of(asker, handler), "/x", "WEBSOCKET"


def a_method_of_a_listener(asker: Asker) -> Any:
    class Socket(WebsocketListener):
        path = "/x"

        async def on_accept(self, socket: WebSocket[Any, Any, Any]) -> None:
            await asker.asynchronous()

        @payment
        async def on_receive(self, data: str) -> str:
            return await asker.asynchronous()

    return app_of(asker, Socket), "/x", "WEBSOCKET"


def a_task_in_the_background(asker: Asker) -> Any:
    @get("/x", guards=[payment])
    async def handler(ai_scope: RequestScope) -> Response[str]:
        return Response("done", background=BackgroundTask(asker.asynchronous, ai_scope))

    return app_of(asker, handler)


def a_page_for_a_404(asker: Asker) -> Any:
    marked = handler_of(asker, guards=[payment])
    return app_of(asker, marked, exception_handlers={404: page_of(asker)}), "/missing"


def a_page_for_a_405(asker: Asker) -> Any:
    marked = handler_of(asker, decorator=post, guards=[payment])
    return app_of(asker, marked, exception_handlers={405: page_of(asker)})


def an_error_handler_of_a_marked_router(asker: Asker) -> Any:
    @get("/x")
    async def handler() -> str:
        raise ZeroDivisionError

    handlers = {Exception: page_of(asker)}
    return app_of(
        asker, Router("/in", route_handlers=[handler], guards=[payment], exception_handlers=handlers)
    ), "/in/x"


def page_of(asker: Asker) -> Any:
    def page(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        return Response(asker.sync())

    return page


def fastapi_in_it(asker: Asker) -> Any:
    app = FastAPI(dependencies=[Depends(starlette_lanewise.sensitive("payment"))], openapi_url=None)
    app.get("/x")(asker.asynchronous_alone)
    return app_of(asker, asgi("/in", is_mount=True, copy_scope=True)(app)), "/in/x"  # type: ignore[arg-type]


def fastapi_behind_a_closure(asker: Asker) -> Any:
    app, _ = FastAPI(dependencies=[Depends(starlette_lanewise.sensitive("payment"))], openapi_url=None), None
    app.get("/x")(asker.asynchronous_alone)

    @asgi("/in", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope), receive, send)

    return app_of(asker, mounted), "/in/x"


COVERED: list[MakeApp] = [
    a_guard_of_the_app,
    a_guard_of_an_outer_router,
    a_controller_below_a_marked_one,
    parameters_in_the_path,
    another_kind_of_handler,
    the_options_of_a_marked_handler,
    the_hooks_of_a_marked_handler,
    a_guard_that_asks_first,
    a_guard_that_calls_a_mark,
    a_hook_that_is_marked,
    a_dependency_of_a_dependency,
    what_a_dependency_does_at_its_end,
    a_listener,
    a_method_of_a_listener,
    a_task_in_the_background,
    a_page_for_a_404,
    a_page_for_a_405,
    an_error_handler_of_a_marked_router,
    fastapi_in_it,
    fastapi_behind_a_closure,
]


def a_handler_is_registered(asker: Asker, app: Litestar, inner: FastAPI) -> None:
    app.register(handler_of(asker, "/new", guards=[payment]))


def a_router_is_registered(asker: Asker, app: Litestar, inner: FastAPI) -> None:
    app.register(Router("/new", route_handlers=[handler_of(asker, "/")], guards=[payment]))


def a_route_is_added_below_a_mount(asker: Asker, app: Litestar, inner: FastAPI) -> None:
    inner.get("/new", dependencies=[Depends(starlette_lanewise.sensitive("payment"))])(asker.asynchronous_alone)


def _changed(asker: Asker, change: Callable[[Asker, Litestar, FastAPI], None]) -> None:
    inner = FastAPI(openapi_url=None)
    mounted = asgi("/in", is_mount=True, copy_scope=True)(inner)  # type: ignore[arg-type]
    app = app_of(asker, handler_of(asker), mounted)

    def then(client: Any) -> None:
        client.get("/x")
        asker.check(covered=False)
        asker.forget()
        change(asker, app, inner)

    serve(app, "/in/new" if change is a_route_is_added_below_a_mount else "/new", change=then)


def _marked_after_the_app_was_made(asker: Asker) -> None:
    handler = handler_of(asker)
    app = app_of(asker, handler)
    payment(handler)
    serve(app)


CHANGES: dict[str, Callable[[Asker], None]] = {
    change.__name__: functools.partial(_changed, change=change)
    for change in (a_handler_is_registered, a_router_is_registered, a_route_is_added_below_a_mount)
}
CHANGES["a handler of which the app has a copy is marked"] = _marked_after_the_app_was_made


def beside_a_marked_one(asker: Asker) -> Any:
    return app_of(asker, handler_of(asker), handler_of(asker, "/marked", guards=[payment]))


def another_method(asker: Asker) -> Any:
    return app_of(asker, handler_of(asker), handler_of(asker, decorator=post, guards=[payment]))


def beside_a_dependency_that_it_does_not_ask_for(asker: Asker) -> Any:
    @payment
    async def unused() -> int:
        return 1

    return app_of(asker, handler_of(asker), dependencies={"unused": Provide(unused)})


def one_that_may_call_a_marked_one(asker: Asker) -> Any:
    @payment
    async def refund() -> str: ...

    @get("/x")
    async def handler(ai_scope: RequestScope, really: FromQuery[bool] = False) -> str:
        return await refund() if really else await asker.asynchronous(ai_scope)

    return app_of(asker, handler)


OPEN: list[MakeApp] = [
    beside_a_marked_one,
    another_method,
    beside_a_dependency_that_it_does_not_ask_for,
    one_that_may_call_a_marked_one,
]


@get("/x")
async def plain() -> str: ...


def _guarded(guard: Any) -> MakeApp:
    return lambda asker: app_of(asker, handler_of(asker, guards=[guard]))


MISUSES: dict[str, MakeApp] = {
    "a guard without a category": _guarded(sensitive),
    "a guard in part": _guarded(functools.partial(sensitive, "payment")),
    "a guard that is text": _guarded("payment"),
    "a guard that is standard": _guarded(standard),
    "a guard of Starlette's": _guarded(starlette_lanewise.sensitive("payment")),
    "a guard of Flask's": _guarded(flask_lanewise.sensitive("payment")),
    "a guard of an app without handlers": lambda asker: app_of(asker, guards=[sensitive]),
    "an unknown category": _guarded(sensitive("paiment")),
    "an unknown category of no handlers": lambda asker: app_of(asker, guards=[sensitive("paiment")]),
    "before requests": lambda asker: app_of(asker, plain, before_request=payment),
    "after responses": lambda asker: app_of(asker, handler_of(asker, after_response=payment)),
    "a dependency": lambda asker: app_of(asker, plain, dependencies={"mark": Provide(sensitive, sync_to_thread=False)}),
    "middleware": lambda asker: app_of(asker, plain, middleware=[payment]),
    "defined middleware": lambda asker: app_of(asker, plain, middleware=[DefineMiddleware(payment)]),
    "an error handler": lambda asker: app_of(asker, plain, exception_handlers={404: payment}),
    "on a router": lambda asker: payment(Router("/in", route_handlers=[])),
    "on text": lambda asker: payment("payment"),  # type: ignore[call-overload]
    "on a provider": lambda asker: payment(Provide(lambda: 1, sync_to_thread=False)),  # type: ignore[call-overload]
    "on a handler, without a category": lambda asker: sensitive(plain),  # type: ignore[arg-type]
}


def a_mark_as_a_statement(asker: Asker) -> Any:
    @get("/x")
    async def handler(ai_scope: RequestScope) -> str:
        sensitive("payment")
        return await asker.asynchronous(ai_scope)

    return app_of(asker, handler, early=False)


STATED: list[MakeApp] = [a_mark_as_a_statement]
