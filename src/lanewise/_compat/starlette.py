"""Starlette: where an app keeps its routes and middleware, and what it writes into a request's ASGI scope."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["STARLETTE"]

STARLETTE: Final = Library(
    "starlette",
    ("1.0", "1.10"),
    (
        Part(
            "starlette.applications:Starlette.__init__",
            uses=("user_middleware", "middleware_stack", "router", "exception_handlers"),
        ),
        Part("starlette.applications:Starlette.routes"),
        Part("starlette.middleware:Middleware.__init__", uses=("cls", "args", "kwargs")),
        Part("starlette.routing:Router.__init__", uses=("routes", "middleware_stack", "default")),
        Part("starlette.routing:Router.not_found"),
        Part("starlette.routing:Router.__call__", uses=("middleware_stack",)),
        Part("starlette.routing:Route.__init__", uses=("path", "endpoint", "app", "methods")),
        Part("starlette.routing:Route.matches", uses=("endpoint",)),
        Part("starlette.routing:WebSocketRoute.__init__", uses=("path", "endpoint", "app")),
        Part("starlette.routing:WebSocketRoute.matches", uses=("endpoint",)),
        Part("starlette.routing:Mount.__init__", uses=("path", "app")),
        Part("starlette.routing:Mount.matches", uses=("endpoint",)),
        Part("starlette.routing:Host.__init__", uses=("host", "app")),
    ),
)
