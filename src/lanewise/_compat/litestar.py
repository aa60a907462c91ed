"""Litestar: the attributes of handlers and layers, and what it writes into a request's ASGI scope."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["LITESTAR"]

_LISTENERS: Final = "litestar.handlers.websocket_handlers._utils"
_HOLDERS: Final = ("guards", "middleware", "dependencies", "exception_handlers")
_HOOKS: Final = ("before_request", "after_request", "after_response")
_OF_LAYERS: Final = (*_HOLDERS, *_HOOKS)
"""Where each layer around a handler may carry a mark."""
LITESTAR: Final = Library(
    "litestar",
    ("2.25", "2.25"),
    (
        Part("litestar:Litestar.__call__", uses=("asgi_handler",)),
        Part("litestar._asgi.asgi_router:ASGIRouter.__call__", uses=("route_handler", "path_template")),
        Part("litestar.routes:ASGIRoute.__init__", uses=("route_handler",)),
        Part("litestar.routes:WebSocketRoute.__init__", uses=("route_handler",)),
        Part("litestar.router:Router.__init__", uses=_OF_LAYERS),
        Part("litestar.handlers:HTTPRouteHandler.__init__", uses=_HOOKS),
        Part("litestar.handlers:BaseRouteHandler.__init__", uses=_HOLDERS),
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
