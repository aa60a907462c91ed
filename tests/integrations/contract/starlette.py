"""Starlette for the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from integrations.contract.asgi import AsgiDriver
from integrations.contract.harness import (
    OWN_ANSWER,
    USER_HEADER,
    AppPlan,
    Ask,
    Form,
    Later,
    Placing,
    Spot,
    Stream,
    above,
    placed,
)
from lanewise.web import Endpoint
from starlette_lanewise import (
    LanewiseMiddleware,
    SensitiveMiddleware,
    assert_endpoints_declared,
    endpoints_of,
    lifespan,
    sensitive,
    standard,
)

__all__ = ["StarletteDriver", "http_endpoint", "installed", "own_handlers", "respond"]


class StarletteDriver(AsgiDriver):
    """Builds Starlette apps."""

    name = "starlette"
    groups = ("mount", "mounted app", "wrapped app", "nested mount")
    native = frozenset({Form.FUNCTION, Form.CLASS})

    def app(self, plan: AppPlan) -> Starlette:
        """The app by a plan."""
        routes: list[BaseRoute] = []
        by_group = sorted(plan.spots, key=lambda spot: spot.prefix)
        for prefix, found in groupby(by_group, key=lambda spot: spot.prefix):
            spots = list(found)
            inner: list[BaseRoute] = [_route(spot) for spot in spots]
            routes += [_group(prefix, spots[0], inner)] if prefix else inner
        group = [] if plan.category is None else [Middleware(SensitiveMiddleware, plan.category)]
        return Starlette(
            routes=routes,
            middleware=[*installed(plan), *group],
            exception_handlers=own_handlers(plan),
            lifespan=lifespan(plan.router),
        )

    def endpoints(self, app: Any) -> list[Endpoint]:
        """The endpoints as the adapter lists them."""
        return endpoints_of(app)[1]

    def assert_declared(self, app: Any) -> None:
        """The adapter's assertion."""
        assert_endpoints_declared(app)


def installed(plan: AppPlan) -> list[Middleware]:
    """The adapter's middleware, as often as the plan has it."""
    subject = (lambda connection: _user(connection)) if plan.with_subject else None
    return [Middleware(LanewiseMiddleware, router=plan.router, subject=subject)] * plan.installs


def own_handlers(plan: AppPlan) -> dict[Any, Any]:
    """The app's own handlers."""

    async def answer(request: Request, error: Exception) -> Response:
        return PlainTextResponse(OWN_ANSWER[1], OWN_ANSWER[0])

    return dict.fromkeys(plan.own_handlers, answer)


def respond(answer: Any) -> Response:
    """An answer as Starlette gives it."""
    match answer:
        case Stream(pieces):
            return StreamingResponse(pieces, media_type="text/plain")
        case Later(now, work):
            return JSONResponse(now, background=BackgroundTask(work))
        case _:
            return JSONResponse(answer)


def http_endpoint(spot: Spot) -> type[HTTPEndpoint]:
    """A class-based view."""
    is_class = spot.form is Form.CLASS
    handler = _method(spot)
    made = type(f"View_{spot.name}", (HTTPEndpoint,), {"get": handler if is_class else _placed(handler, spot)})
    return _placed(made, spot) if is_class else made


def _placed(target: Any, spot: Spot) -> Any:
    return placed(target, spot, sensitive, standard)


def _route(spot: Spot) -> Route:
    endpoint: Any = _placed(_function(spot), spot) if spot.form is Form.FUNCTION else http_endpoint(spot)
    native = spot.placing is Placing.NATIVE and spot.category is not None
    middleware = [Middleware(SensitiveMiddleware, spot.category)] if native else []
    route = Route(spot.path, endpoint, middleware=middleware)
    above(endpoint, spot, sensitive)
    return route


def _group(prefix: str, spot: Spot, inner: list[BaseRoute]) -> Mount:
    mark = [] if spot.group_mark is None else [Middleware(SensitiveMiddleware, spot.group_mark)]
    match spot.group:
        case "mount":
            return Mount(prefix, routes=inner, middleware=mark)
        case "nested mount":
            return Mount(prefix, routes=[Mount("/", routes=inner)], middleware=mark)
        case "mounted app":
            return Mount(prefix, app=Starlette(routes=inner, middleware=mark))
        case "wrapped app":
            app = Starlette(routes=inner)
            return Mount(prefix, app=app if spot.group_mark is None else SensitiveMiddleware(app, spot.group_mark))
        case unknown:
            raise ValueError(unknown)


def _function(spot: Spot) -> Callable[..., Any]:
    deed: Any = spot.deed
    if spot.is_async:

        async def endpoint_async(request: Request) -> Response:
            return respond(await deed(_ask(request)))

        return endpoint_async

    def endpoint(request: Request) -> Response:
        return respond(deed(_ask(request)))

    return endpoint


def _method(spot: Spot) -> Callable[..., Any]:
    function = _function(spot)
    if spot.is_async:

        async def get_async(self: HTTPEndpoint, request: Request) -> Any:
            return await function(request)

        return get_async

    def get(self: HTTPEndpoint, request: Request) -> Any:
        return function(request)

    return get


def _ask(request: Request) -> Ask:
    scope = request.state.ai
    return Ask(scope, scope.openai, scope.async_openai, request.query_params)


def _user(connection: HTTPConnection) -> str | None:
    return connection.headers.get(USER_HEADER)
