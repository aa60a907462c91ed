"""The endpoints of an app with their marks: found for the check at the start, for listings, and for tests."""

from __future__ import annotations

from litestar import Litestar
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.utils.sync import AsyncCallable

from litestar_understudy.marks import sources_of
from understudy import Config
from understudy.web import Endpoint, assert_declared

__all__ = ["assert_endpoints_declared", "endpoints", "endpoints_of"]


def endpoints(app: Litestar) -> list[Endpoint]:
    """The endpoints of an app, Litestar's own pages of OpenAPI left out.

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    return [_endpoint(route, handler) for route in app.routes for handler in _handlers(route) if _is_apps(handler)]


def endpoints_of(app: Litestar) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: the plugin is not installed."""
    from litestar_understudy.plugin import plugin_of  # the plugin audits, too

    return plugin_of(app).router.config, endpoints(app)


def assert_endpoints_declared(app: Litestar) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive, by a mark, a group or a path rule.

    Raises AssertionError, which lists those that don't. LookupError: the plugin is not installed.

    Example::

        def test_every_endpoint_says_whether_it_is_sensitive():
            assert_endpoints_declared(app)
    """
    config, found = endpoints_of(app)
    assert_declared(found, config)


def _handlers(route: BaseRoute) -> list[BaseRouteHandler]:
    if isinstance(route, HTTPRoute):
        return list(route.route_handlers)
    handler = getattr(route, "route_handler", None)
    return [handler] if isinstance(handler, BaseRouteHandler) else []


def _is_apps(handler: BaseRouteHandler) -> bool:
    """Whether a handler is the app's, and not one that Litestar adds (OpenAPI pages, OPTIONS)."""
    function = getattr(handler, "fn", None)
    if isinstance(function, AsyncCallable):  # a sync handler that gets a thread
        function = function.func
    module = getattr(function, "__module__", "") or ""
    return not module.startswith("litestar.")


def _endpoint(route: BaseRoute, handler: BaseRouteHandler) -> Endpoint:
    methods = getattr(handler, "http_methods", None)
    return Endpoint(
        name=handler.handler_name,
        path=route.path,
        methods=tuple(sorted(str(method) for method in methods)) if methods else (),
        sources=tuple(sources_of(handler)),
    )
