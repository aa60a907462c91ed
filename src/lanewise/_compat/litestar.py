"""Litestar: what a handler is made of, and what a request is told of it."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["LITESTAR"]

_LISTENERS: Final = "litestar.handlers.websocket_handlers._utils"
LITESTAR: Final = Library(
    "litestar",
    ("2.25", "2.25"),
    (
        Part("litestar:Litestar.__call__", uses=("asgi_handler",)),
        Part("litestar.handlers:BaseRouteHandler.fn"),
        Part("litestar.handlers:BaseRouteHandler.guards"),
        Part("litestar.handlers:BaseRouteHandler.owner"),
        Part("litestar.handlers:BaseRouteHandler.handler_name"),
        Part("litestar.handlers:BaseRouteHandler.ownership_layers"),
        Part("litestar.handlers:BaseRouteHandler.resolve_exception_handlers"),
        Part("litestar.handlers:ASGIRouteHandler.is_mount"),
        Part("litestar.routes:HTTPRoute.route_handlers"),
        Part("litestar.utils.sync:AsyncCallable.__init__", uses=("func",)),
        Part(f"{_LISTENERS}:ListenerHandler.__init__", uses=("_fn",)),
        Part("litestar.exceptions.responses:create_debug_response"),
        Part("litestar.exceptions.responses:create_exception_response"),
    ),
)
