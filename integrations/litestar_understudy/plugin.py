"""The plugin: opens and closes the router with the app, makes a scope for each request, turns errors into problems."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import openai
from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException
from litestar.middleware import DefineMiddleware
from litestar.plugins import CLIPlugin, InitPlugin, ReceiveRoutePlugin
from litestar.routes import BaseRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from litestar_understudy.audit import endpoints
from litestar_understudy.dependencies import providers
from litestar_understudy.marks import marks_of
from litestar_understudy.openapi import describe
from understudy import Router, RoutingError, current_scope
from understudy.web import MEDIA_TYPE, AsgiCore, Inbound, check_endpoints, log_problem, problem_for, router_of

__all__ = ["UnderstudyPlugin", "plugin_of"]

Connection = ASGIConnection[Any, Any, Any, Any]


class UnderstudyPlugin(InitPlugin, CLIPlugin, ReceiveRoutePlugin):
    """Gives each request of a Litestar app a routed client.

    ``dependency_key`` names the dependencies: ``ai`` (an ``openai.AsyncOpenAI``), ``ai_sync`` (an ``openai.OpenAI``)
    and ``ai_scope`` (the scope). ``subject`` gives the user or session of a connection, for the idempotency keys.

    The app does not start (ConfigError) with an unknown category, a mark that a decorator hides, or missing keys.

    Example::

        app = Litestar([refund], plugins=[UnderstudyPlugin("understudy.toml", subject=lambda c: c.user.id)])
    """

    def __init__(
        self,
        router: Router | str | Path,
        dependency_key: str = "ai",
        *,
        subject: Callable[[Connection], str | None] | None = None,
    ) -> None:
        self.router = router_of(router)
        self.dependency_key = dependency_key
        self._subject = subject
        self._core = AsgiCore(Inbound(self.router), _marks_of, None if subject is None else self._subject_of)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Install into an app (Litestar calls this)."""
        if sum(isinstance(plugin, UnderstudyPlugin) for plugin in app_config.plugins) > 1:
            raise ImproperlyConfiguredException("UnderstudyPlugin is installed twice; take one of them out")
        for name, provider in providers(self.dependency_key).items():
            if name in app_config.dependencies:
                raise ImproperlyConfiguredException(
                    f"the app has a dependency {name!r} of its own; give UnderstudyPlugin another dependency_key"
                )
            app_config.dependencies[name] = provider
        app_config.middleware.insert(0, DefineMiddleware(_Middleware, core=self._core))
        app_config.exception_handlers.setdefault(RoutingError, cast("Any", _answer_with_problem))
        app_config.lifespan.append(self._lifespan)
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Put the marks of a route into its OpenAPI document (Litestar calls this)."""
        describe(route, self.router.config)

    def on_cli_init(self, cli: click.Group) -> None:
        """Add ``litestar understudy ...`` (Litestar calls this)."""
        from litestar_understudy.cli import understudy_group  # only needed on the command line

        cli.add_command(understudy_group())

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        check_endpoints(endpoints(app), self.router.config)
        async with self.router:
            yield

    def _subject_of(self, scope: MutableMapping[str, Any]) -> str | None:
        assert self._subject is not None
        return self._subject(ASGIConnection(cast("Scope", scope)))


def plugin_of(app: Litestar) -> UnderstudyPlugin:
    """The plugin of an app. Raises LookupError: it has none."""
    for plugin in app.plugins:
        if isinstance(plugin, UnderstudyPlugin):
            return plugin
    raise LookupError("the app has no UnderstudyPlugin: Litestar(..., plugins=[UnderstudyPlugin(router)])")


@dataclass
class _Middleware:
    """Runs after Litestar has routed, so the handler is known and its guards lie inside."""

    app: ASGIApp
    core: AsgiCore

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.core.serve(cast("Any", self.app), cast("Any", scope), cast("Any", receive), cast("Any", send))


def _marks_of(scope: MutableMapping[str, Any]) -> frozenset[str] | None:
    return marks_of(scope.get("route_handler"))


def _answer_with_problem(request: Request[Any, Any, Any], error: RoutingError) -> Response[Any]:
    """Answer with problem details, unless the app has a handler of its own for the error's ``openai`` class."""
    handlers = request.route_handler.resolve_exception_handlers()
    for cls in type(error).__mro__:
        own = handlers.get(cast("Any", cls))
        if own is not None and own is not _answer_with_problem and issubclass(cls, openai.OpenAIError):
            return own(request, cast("Any", error))
    scope = current_scope()
    problem = problem_for(error, request_id=None if scope is None else scope.request_id)
    if scope is not None:
        log_problem(problem, error, scope)
    return Response(problem.body, status_code=problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)
