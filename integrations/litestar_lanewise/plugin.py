"""The plugin: opens and closes the router with the app, injects clients, and puts the scope around each request."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import click
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException
from litestar.middleware import DefineMiddleware
from litestar.plugins import CLIPlugin, InitPlugin, ReceiveRoutePlugin
from litestar.routes import BaseRoute
from litestar.types import Scope

from lanewise import Router, RoutingError
from lanewise.web import check_endpoints, hang_up_in, router_of
from litestar_lanewise.audit import endpoints_of, endpoints_on
from litestar_lanewise.dependencies import providers
from litestar_lanewise.middleware import Installation, Middleware
from litestar_lanewise.openapi import describe
from litestar_lanewise.problems import answer_group, answer_with_problem, note_socket_error

__all__ = ["LanewisePlugin", "plugin_of"]

Connection = ASGIConnection[Any, Any, Any, Any]


class LanewisePlugin(InitPlugin, CLIPlugin, ReceiveRoutePlugin):
    """Gives each request of a Litestar app a routed client.

    ``dependency_key`` names the dependencies: ``ai`` (an ``openai.AsyncOpenAI``), ``ai_sync`` (an ``openai.OpenAI``)
    and ``ai_scope`` (the scope). ``subject`` tells the user or session of a connection, for the idempotency keys; it
    is asked at the request's first call, when the app's own middleware has found out.

    The app does not start (ConfigError) with an unknown category, a mark that a decorator hides, or missing keys.
    Where no lifespan is run, the endpoints are checked at the first request, and the router opens at its first call.

    Raises ConfigError: the config file is wrong. TypeError: neither a router nor a path.

    Example::

        app = Litestar([refund], plugins=[LanewisePlugin("lanewise.toml", subject=lambda c: c.user.id)])
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
        self._started = 0

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Install into an app (Litestar calls this). Raises ImproperlyConfiguredException."""
        if sum(isinstance(plugin, LanewisePlugin) for plugin in app_config.plugins) > 1:
            raise ImproperlyConfiguredException("LanewisePlugin is installed twice: take one of them out")
        for name, provider in providers(self.dependency_key).items():
            if name in app_config.dependencies:
                raise ImproperlyConfiguredException(
                    f"the app has a dependency {name!r} of its own: give LanewisePlugin another dependency_key"
                )
            app_config.dependencies[name] = provider
        installation = Installation(self.router, None if self._subject is None else self._subject_of)
        app_config.middleware.insert(0, DefineMiddleware(Middleware, installation=installation))
        app_config.before_send.append(installation.echo)
        app_config.after_exception.append(note_socket_error)
        app_config.exception_handlers.setdefault(RoutingError, cast("Any", answer_with_problem))
        app_config.exception_handlers.setdefault(ExceptionGroup, cast("Any", answer_group))
        _keep_hang_ups_quiet(app_config.logging_config)
        app_config.lifespan.insert(0, partial(self._lifespan, installation))  # open before the app's own, closed after
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Describe the marks of a route in the OpenAPI document (Litestar calls this).

        Raises ConfigError: the app has started already, and the route's marks can't hold.
        """
        if self._started:
            check_endpoints([endpoint for _, endpoint in endpoints_on(route)], self.router.config)
        describe(route, self.router.config, self.dependency_key)

    def on_cli_init(self, cli: click.Group) -> None:
        """Add ``litestar lanewise ...`` (Litestar calls this)."""
        from lanewise.cli.framework_commands import app_commands  # only needed on the command line

        cli.add_command(app_commands(self.router.config, _endpoints_command))

    @asynccontextmanager
    async def _lifespan(self, installation: Installation, app: Litestar) -> AsyncIterator[None]:
        installation.check.at_start(app)
        async with self.router:
            self._started += 1
            try:
                yield
            finally:
                self._started -= 1

    def _subject_of(self, scope: MutableMapping[str, Any]) -> str | None:
        assert self._subject is not None
        return self._subject(ASGIConnection(cast("Scope", scope)))


def _keep_hang_ups_quiet(logging_config: Any) -> None:
    """Have callers who left not logged as errors with a traceback, where Litestar logs the exceptions of handlers."""
    handler = getattr(logging_config, "exception_logging_handler", None)
    if handler is None:
        return

    def log_exception(logger: Any, scope: Scope, traceback: list[str]) -> None:
        error = sys.exc_info()[1]  # Litestar calls this while it handles the exception
        if error is None or hang_up_in(error) is None:
            handler(logger, scope, traceback)

    logging_config.exception_logging_handler = log_exception


@click.command("endpoints")
@click.pass_obj
def _endpoints_command(env: object) -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would not start.
    """
    from lanewise.cli.framework_commands import show_endpoints

    app = getattr(env, "app", None)
    if not isinstance(app, Litestar):
        raise click.ClickException("there is no Litestar app: name it, as in `litestar --app shop.web:app ...`")
    show_endpoints(*endpoints_of(app))


def plugin_of(app: Litestar) -> LanewisePlugin:
    """The plugin of an app. Raises LookupError: it has none."""
    for plugin in app.plugins:
        if isinstance(plugin, LanewisePlugin):
            return plugin
    raise LookupError("the app has no LanewisePlugin: Litestar(..., plugins=[LanewisePlugin(router)])")
