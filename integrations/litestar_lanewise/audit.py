"""The endpoints of an app with their marks: found for the check at the start, for listings, and for tests."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, WebsocketRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from lanewise import Config
from lanewise.web import Endpoint, all_categories, assert_declared, register_reader
from litestar_lanewise.sources import function_of, handler_sources, is_litestars, layer_sources, misuse_in, unresolved

__all__ = ["assert_endpoints_declared", "endpoints", "endpoints_of", "endpoints_on", "handlers_on"]


def endpoints(app: Litestar) -> list[Endpoint]:
    """The endpoints of an app, Litestar's own left out (the pages of OpenAPI, answers to OPTIONS, static files).

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    found = [endpoint for route in app.routes for _, endpoint in endpoints_on(route)]
    if found:
        return found
    whole = Endpoint("Litestar", "/*", (), tuple(layer_sources(app, "the app")), misuse_in(app))
    return [whole] if whole.sources or whole.unresolved else []


def endpoints_on(route: BaseRoute) -> Iterator[tuple[BaseRouteHandler, Endpoint]]:
    """The app's handlers on a route, each with the endpoint that it is."""
    for handler in handlers_on(route):
        if not is_litestars(handler):
            yield handler, _endpoint(route, handler)


def endpoints_of(app: Litestar) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: the plugin is not installed."""
    from litestar_lanewise.plugin import plugin_of  # the plugin audits, too

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


def handlers_on(route: BaseRoute) -> list[BaseRouteHandler]:
    """All handlers on a route, Litestar's own among them."""
    if isinstance(route, HTTPRoute):
        return list(route.route_handlers)
    handler = getattr(route, "route_handler", None)
    return [handler] if isinstance(handler, BaseRouteHandler) else []


def _endpoint(route: BaseRoute, handler: BaseRouteHandler) -> Endpoint:
    return Endpoint(
        name=getattr(function_of(handler), "__qualname__", None) or handler.handler_name,
        path=route.path,
        methods=_methods(handler),
        sources=tuple(handler_sources(handler)),
        unresolved=unresolved(handler),
    )


def _methods(handler: BaseRouteHandler) -> tuple[str, ...]:
    if isinstance(handler, WebsocketRouteHandler):
        return ("WEBSOCKET",)
    return tuple(sorted(str(method) for method in getattr(handler, "http_methods", ())))


def _serves_itself(app: Litestar) -> bool:
    from litestar_lanewise.plugin import LanewisePlugin  # the plugin audits, too

    return any(isinstance(plugin, LanewisePlugin) for plugin in app.plugins)


register_reader(Litestar, lambda app: all_categories(endpoints(app)), _serves_itself)
