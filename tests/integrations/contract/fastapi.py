"""FastAPI for the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response

from integrations.contract.asgi import AsgiDriver
from integrations.contract.harness import AppPlan, Ask, EndpointSpec, Form, Later, Placement, above, placed
from integrations.contract.starlette import http_endpoint, installed, own_handlers, respond
from lanewise.web import Endpoint
from starlette_lanewise import assert_endpoints_declared, endpoints_of, lifespan
from starlette_lanewise.fastapi import RequestScope, RoutedClient, RoutedSyncClient, sensitive, standard

__all__ = ["FastApiDriver"]


class FastApiDriver(AsgiDriver):
    """Builds FastAPI apps."""

    name = "fastapi"
    groups = ("router", "included router", "nested router", "mounted app")
    native = frozenset({Form.FUNCTION, Form.METHOD})

    def app(self, plan: AppPlan) -> FastAPI:
        """The app by a plan."""
        app = FastAPI(
            dependencies=_depends(plan.category),
            middleware=installed(plan),
            exception_handlers=own_handlers(plan),
            lifespan=lifespan(plan.router),
            openapi_url=None,
        )
        by_group = sorted(plan.specs, key=lambda spec: spec.prefix)
        for prefix, found in groupby(by_group, key=lambda spec: spec.prefix):
            specs = list(found)
            if prefix:
                _add_group(app, prefix, specs)
            else:
                _add(app, specs)
        return app

    def endpoints(self, app: Any) -> list[Endpoint]:
        """The endpoints as the adapter lists them."""
        return endpoints_of(app)[1]

    def assert_declared(self, app: Any) -> None:
        """The adapter's assertion."""
        assert_endpoints_declared(app)


def _depends(category: str | None) -> list[Any]:
    return [] if category is None else [Depends(sensitive(category))]


def _add_group(app: FastAPI, prefix: str, specs: list[EndpointSpec]) -> None:
    mark = _depends(specs[0].group_mark)
    match specs[0].group:
        case "router":
            router = APIRouter(prefix=prefix, dependencies=mark)
            _add(router, specs)
            app.include_router(router)
        case "included router":
            router = APIRouter()
            _add(router, specs)
            app.include_router(router, prefix=prefix, dependencies=mark)
        case "nested router":
            inner, outer = APIRouter(), APIRouter(dependencies=mark)
            _add(inner, specs)
            outer.include_router(inner, prefix=prefix)
            app.include_router(outer)
        case "mounted app":
            mounted = FastAPI(dependencies=mark, openapi_url=None)
            _add(mounted, specs)
            app.mount(prefix, mounted)
        case unknown:
            raise ValueError(unknown)


def _add(to: FastAPI | APIRouter, specs: list[EndpointSpec]) -> None:
    for spec in specs:
        if spec.form is Form.CLASS:  # FastAPI knows Starlette's class-based views only as plain routes
            view = http_endpoint(spec)
            to.add_route(spec.path, view)
            above(view, spec, sensitive)
            continue
        if spec.form is Form.METHOD:
            endpoint = type(f"Desk_{spec.name}", (), {"answer": _method(spec)})().answer
        else:
            endpoint = placed(_function(spec), spec, sensitive, standard)
        dependencies = _depends(spec.category if spec.placement is Placement.NATIVE else None)
        above(to.get(spec.path, dependencies=dependencies, response_model=None)(endpoint), spec, sensitive)


def _function(spec: EndpointSpec) -> Callable[..., Any]:
    action: Any = spec.action
    if spec.is_async:

        async def endpoint_async(
            request: Request, ai: RoutedClient, sync_ai: RoutedSyncClient, scope: RequestScope, tasks: BackgroundTasks
        ) -> Response:
            return _respond(await action(Ask(scope, sync_ai, ai, request.query_params)), tasks)

        return endpoint_async

    def endpoint(
        request: Request, ai: RoutedClient, sync_ai: RoutedSyncClient, scope: RequestScope, tasks: BackgroundTasks
    ) -> Response:
        return _respond(action(Ask(scope, sync_ai, ai, request.query_params)), tasks)

    return endpoint


def _method(spec: EndpointSpec) -> Any:
    """A method of an object, which FastAPI gets bound."""
    action: Any = spec.action
    if spec.is_async:

        async def answer_async(
            self: object, request: Request, ai: RoutedClient, sync_ai: RoutedSyncClient, scope: RequestScope,
            tasks: BackgroundTasks,
        ) -> Response:  # fmt: skip
            return _respond(await action(Ask(scope, sync_ai, ai, request.query_params)), tasks)

        return placed(answer_async, spec, sensitive, standard)

    def answer(
        self: object, request: Request, ai: RoutedClient, sync_ai: RoutedSyncClient, scope: RequestScope,
        tasks: BackgroundTasks,
    ) -> Response:  # fmt: skip
        return _respond(action(Ask(scope, sync_ai, ai, request.query_params)), tasks)

    return placed(answer, spec, sensitive, standard)


def _respond(answer: Any, tasks: BackgroundTasks) -> Response:
    if isinstance(answer, Later):
        tasks.add_task(answer.work)
        return JSONResponse(answer.answer)
    return respond(answer)
