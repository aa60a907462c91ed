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
    EndpointSpec,
    Form,
    Later,
    Placement,
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
        by_group = sorted(plan.specs, key=lambda spec: spec.prefix)
        for prefix, found in groupby(by_group, key=lambda spec: spec.prefix):
            specs = list(found)
            inner: list[BaseRoute] = [_route(spec) for spec in specs]
            routes += [_group(prefix, specs[0], inner)] if prefix else inner
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


def http_endpoint(spec: EndpointSpec) -> type[HTTPEndpoint]:
    """A class-based view."""
    is_class = spec.form is Form.CLASS
    handler = _method(spec)
    made = type(f"View_{spec.name}", (HTTPEndpoint,), {"get": handler if is_class else _placed(handler, spec)})
    return _placed(made, spec) if is_class else made


def _placed(target: Any, spec: EndpointSpec) -> Any:
    return placed(target, spec, sensitive, standard)


def _route(spec: EndpointSpec) -> Route:
    endpoint: Any = _placed(_function(spec), spec) if spec.form is Form.FUNCTION else http_endpoint(spec)
    native = spec.placement is Placement.NATIVE and spec.category is not None
    middleware = [Middleware(SensitiveMiddleware, spec.category)] if native else []
    route = Route(spec.path, endpoint, middleware=middleware)
    above(endpoint, spec, sensitive)
    return route


def _group(prefix: str, spec: EndpointSpec, inner: list[BaseRoute]) -> Mount:
    mark = [] if spec.group_mark is None else [Middleware(SensitiveMiddleware, spec.group_mark)]
    match spec.group:
        case "mount":
            return Mount(prefix, routes=inner, middleware=mark)
        case "nested mount":
            return Mount(prefix, routes=[Mount("/", routes=inner)], middleware=mark)
        case "mounted app":
            return Mount(prefix, app=Starlette(routes=inner, middleware=mark))
        case "wrapped app":
            app = Starlette(routes=inner)
            return Mount(prefix, app=app if spec.group_mark is None else SensitiveMiddleware(app, spec.group_mark))
        case unknown:
            raise ValueError(unknown)


def _function(spec: EndpointSpec) -> Callable[..., Any]:
    action: Any = spec.action
    if spec.is_async:

        async def endpoint_async(request: Request) -> Response:
            return respond(await action(_ask(request)))

        return endpoint_async

    def endpoint(request: Request) -> Response:
        return respond(action(_ask(request)))

    return endpoint


def _method(spec: EndpointSpec) -> Callable[..., Any]:
    function = _function(spec)
    if spec.is_async:

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
