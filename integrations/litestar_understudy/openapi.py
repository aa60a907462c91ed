"""The marks in the app's OpenAPI document: ``x-understudy-sensitive``, and the answers of a call that fails closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.routes import BaseRoute, HTTPRoute

from litestar_understudy.marks import marks_of
from understudy import Config
from understudy.web import MEDIA_TYPE

__all__ = ["describe"]


@dataclass
class ProblemDetails:
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    request_id: str
    call_id: str | None = None


def describe(route: BaseRoute, config: Config) -> None:
    """Describe the sensitive handlers of a route; what the app says itself stays."""
    if not isinstance(route, HTTPRoute):
        return
    for handler in route.route_handlers:
        categories = marks_of(handler)
        if categories:
            _describe(handler, tuple(sorted(categories)), config)


def _describe(handler: HTTPRouteHandler, categories: tuple[str, ...], config: Config) -> None:
    own = handler.responses or {}
    added = {503: ResponseSpec(ProblemDetails, description="No approved route could answer", media_type=MEDIA_TYPE)}
    if any(name in config.sensitive and config.sensitive[name].on_failure == "review" for name in categories):
        added[202] = ResponseSpec(ProblemDetails, description="The answer waits for a person", media_type=MEDIA_TYPE)
    handler.responses = {**added, **own}
    if handler.operation_class is Operation:
        handler.operation_class = _operation(categories)


@cache
def _operation(categories: tuple[str, ...]) -> type[Operation]:
    @dataclass
    class SensitiveOperation(Operation):
        understudy_sensitive: list[str] = field(
            default_factory=lambda: list(categories), metadata={"alias": "x-understudy-sensitive"}
        )

    return SensitiveOperation
