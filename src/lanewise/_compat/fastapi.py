"""FastAPI: how it keeps the routers that an app includes, and what a route's dependencies are."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["FASTAPI"]

FASTAPI: Final = Library(
    "fastapi",
    ("0.137", "0.165"),
    (
        Part("fastapi.routing:APIRouter.__init__", uses=("dependencies",)),
        Part("fastapi.routing:APIRouter.include_router", uses=("_IncludedRouter",)),
        Part("fastapi.routing:APIRouter._iter_low_priority_routes", since="0.138"),
        Part("fastapi.routing:_IncludedRouter.effective_candidates"),
        Part("fastapi.routing:_IncludedRouter.__init__", uses=("include_context", "original_router")),
        Part("fastapi.routing:_RouterIncludeContext", takes=("dependencies",)),
        Part("fastapi.routing:_EffectiveRouteContext", takes=("original_route", "starlette_route")),
        Part("fastapi.routing:APIRoute.get_route_handler", uses=("dependant",)),
        Part("fastapi.routing:APIWebSocketRoute.__init__", uses=("dependant",)),
        Part("fastapi.dependencies.models:Dependant", takes=("call", "dependencies")),
        Part("fastapi.params:Depends", takes=("dependency",)),
        Part("fastapi.applications:FastAPI.openapi"),
    ),
)
