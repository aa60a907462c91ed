"""Litestar for the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import litestar
from litestar import Controller, Litestar, Request, Router
from litestar.background_tasks import BackgroundTask
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from litestar.response import Stream as StreamResponse

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
from litestar_lanewise import (
    LanewisePlugin,
    RequestScope,
    RoutedClient,
    RoutedSyncClient,
    assert_endpoints_declared,
    endpoints_of,
    sensitive,
    standard,
)

__all__ = ["LitestarDriver"]


class LitestarDriver(AsgiDriver):
    """Builds Litestar apps."""

    name = "litestar"
    groups = ("router", "nested router", "controller")
    native = frozenset({Form.FUNCTION, Form.CLASS, Form.METHOD})

    def app(self, plan: AppPlan) -> Litestar:
        """The app by a plan."""
        handlers: list[Any] = []
        by_group = sorted(plan.specs, key=lambda spec: spec.prefix)
        for prefix, found in groupby(by_group, key=lambda spec: spec.prefix):
            specs = list(found)
            handlers += [_group(prefix, specs)] if prefix else [_handler(spec) for spec in specs]
        subject = (lambda connection: connection.headers.get(USER_HEADER)) if plan.with_subject else None
        return Litestar(
            handlers,
            plugins=[LanewisePlugin(plan.router, subject=subject) for _ in range(plan.installs)],
            guards=_guards(plan.category),
            exception_handlers=dict.fromkeys(plan.own_handlers, _own_answer),
            openapi_config=None,
            logging_config=None,
        )

    def endpoints(self, app: Any) -> list[Endpoint]:
        """The endpoints as the adapter lists them."""
        return endpoints_of(app)[1]

    def assert_declared(self, app: Any) -> None:
        """The adapter's assertion."""
        assert_endpoints_declared(app)


def _guards(category: str | None) -> list[Any]:
    return [] if category is None else [sensitive(category)]


def _own_answer(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    return Response(OWN_ANSWER[1], status_code=OWN_ANSWER[0], media_type="text/plain")


def _group(prefix: str, specs: list[EndpointSpec]) -> Any:
    guards = _guards(specs[0].group_mark)
    inner = [_handler(spec) for spec in specs]
    match specs[0].group:
        case "router":
            return Router(prefix, route_handlers=inner, guards=guards)
        case "nested router":
            return Router(prefix, route_handlers=[Router("/", route_handlers=inner)], guards=guards)
        case "controller":
            members = {spec.name: _handler(spec, _method(spec)) for spec in specs}
            return type("Desk", (Controller,), {"path": prefix, "guards": guards, **members})
        case unknown:
            raise ValueError(unknown)


def _handler(spec: EndpointSpec, function: Callable[..., Any] | None = None) -> Any:
    if spec.form is Form.FUNCTION:
        return _route(spec, _placed(function or _function(spec), spec), spec.path)
    if spec.form is Form.METHOD:
        return type(
            f"Desk_{spec.name}", (Controller,), {"path": spec.path, "answer": _route(spec, _placed_method(spec))}
        )
    guards = _guards(spec.category if spec.placement is Placement.NATIVE else None)
    members = {"path": spec.path, "guards": guards, "answer": litestar.get(sync_to_thread=_thread(spec))(_method(spec))}
    return above(_placed(type(f"Desk_{spec.name}", (Controller,), members), spec), spec, sensitive)


def _route(spec: EndpointSpec, function: Callable[..., Any], path: str = "/") -> HTTPRouteHandler:
    guards = _guards(spec.category if spec.placement is Placement.NATIVE else None)
    return above(litestar.get(path, guards=guards, sync_to_thread=_thread(spec))(function), spec, sensitive)


def _thread(spec: EndpointSpec) -> bool | None:
    return None if spec.is_async else True


def _placed(target: Any, spec: EndpointSpec) -> Any:
    return placed(target, spec, sensitive, standard)


def _placed_method(spec: EndpointSpec) -> Any:
    return _placed(_method(spec), spec)


def _function(spec: EndpointSpec) -> Callable[..., Any]:
    action: Any = spec.action
    if spec.is_async:

        async def answer_async(
            request: Request[Any, Any, Any], ai: RoutedClient, ai_sync: RoutedSyncClient, ai_scope: RequestScope
        ) -> Response[Any]:
            return _respond(await action(Ask(ai_scope, ai_sync, ai, request.query_params)))

        return answer_async

    def answer(
        request: Request[Any, Any, Any], ai: RoutedClient, ai_sync: RoutedSyncClient, ai_scope: RequestScope
    ) -> Response[Any]:
        return _respond(action(Ask(ai_scope, ai_sync, ai, request.query_params)))

    return answer


def _method(spec: EndpointSpec) -> Callable[..., Any]:
    action: Any = spec.action
    if spec.is_async:

        async def answer_async(
            self: Any, request: Request[Any, Any, Any], ai: RoutedClient, ai_sync: RoutedSyncClient,
            ai_scope: RequestScope,
        ) -> Response[Any]:  # fmt: skip
            return _respond(await action(Ask(ai_scope, ai_sync, ai, request.query_params)))

        return answer_async

    def answer(
        self: Any, request: Request[Any, Any, Any], ai: RoutedClient, ai_sync: RoutedSyncClient, ai_scope: RequestScope
    ) -> Response[Any]:
        return _respond(action(Ask(ai_scope, ai_sync, ai, request.query_params)))

    return answer


def _respond(answer: Any) -> Any:
    match answer:
        case Stream(pieces):
            return StreamResponse(pieces, media_type="text/plain")
        case Later(now, work):
            return Response(now, background=BackgroundTask(work))
        case _:
            return Response(answer)
