"""Adds to the app's OpenAPI document which operations are sensitive, and how AI calls in them fail."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.routes import BaseRoute

from lanewise import Config
from lanewise.web import MEDIA_TYPE, SENSITIVE_EXTENSION, answers_of
from litestar_lanewise.audit import endpoints_on
from litestar_lanewise.dependencies import providers

__all__ = ["describe"]


@dataclass
class ProblemDetails:
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    request_id: str
    call_id: str | None = None


def describe(route: BaseRoute, config: Config, dependency_key: str) -> None:
    """Describe the handlers of a route that are sensitive or ask for a client; what the app says itself stays."""
    for handler, endpoint in endpoints_on(route):
        if not isinstance(handler, HTTPRouteHandler):
            continue
        categories = endpoint.with_rules(config).categories
        if categories or asks_for_client(handler, dependency_key):
            added = {status: _problem(description) for status, description in answers_of(categories, config)}
            added.pop(handler.status_code, None)
            handler.responses = {**added, **(handler.responses or {})}
        if categories:
            handler.operation_class = _operation(handler.operation_class, categories)


def asks_for_client(handler: HTTPRouteHandler, dependency_key: str) -> bool:
    """Whether a handler, or what it depends on, asks for a routed client or the scope."""
    dependencies = handler.resolve_dependencies()
    waiting, seen = set(handler.parsed_fn_signature.parameters), set[str]()
    while waiting - seen:
        name = (waiting - seen).pop()
        if name in providers(dependency_key):
            return True
        seen.add(name)
        provider = dependencies.get(name)
        if provider is not None:
            waiting |= inspect.signature(provider.dependency).parameters.keys()
    return False


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(ProblemDetails, description=description, media_type=MEDIA_TYPE, generate_examples=False)


def _operation(base: type[Operation], categories: Iterable[str]) -> type[Operation]:
    names = sorted({*categories, *getattr(base, "lanewise_categories", ())})  # a handler may have several paths

    @dataclass
    class SensitiveOperation(base):  # type: ignore[valid-type, misc]
        lanewise_sensitive: list[str] = field(
            default_factory=lambda: list(names), metadata={"alias": SENSITIVE_EXTENSION}
        )

    SensitiveOperation.lanewise_categories = tuple(names)
    return SensitiveOperation
