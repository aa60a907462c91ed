"""The marks in the app's OpenAPI document: ``x-lanewise-sensitive``, and the answers of a call that fails closed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.routes import BaseRoute

from lanewise import Config
from lanewise.web import MEDIA_TYPE
from litestar_lanewise.audit import endpoints_on

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
    for handler, endpoint in endpoints_on(route):
        categories = endpoint.with_rules(config).categories
        if categories and isinstance(handler, HTTPRouteHandler):
            _add_answers(handler, categories, config)
            handler.operation_class = _operation(handler.operation_class, categories)


def _add_answers(handler: HTTPRouteHandler, categories: Iterable[str], config: Config) -> None:
    added = {503: _problem("No approved route could answer")}
    if _waits_for_a_person(categories, config):
        added[202] = _problem("The answer waits for a person")
    added.pop(handler.status_code, None)
    handler.responses = {**added, **(handler.responses or {})}


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(ProblemDetails, description=description, media_type=MEDIA_TYPE, generate_examples=False)


def _waits_for_a_person(categories: Iterable[str], config: Config) -> bool:
    """``fail`` beats ``review``."""
    known = [config.sensitive[name] for name in categories if name in config.sensitive]
    return bool(known) and all(category.on_failure == "review" for category in known)


def _operation(base: type[Operation], categories: Iterable[str]) -> type[Operation]:
    told = sorted({*categories, *getattr(base, "lanewise_categories", ())})  # a handler may have several paths

    @dataclass
    class SensitiveOperation(base):  # type: ignore[valid-type, misc]
        lanewise_sensitive: list[str] = field(
            default_factory=lambda: list(told), metadata={"alias": "x-lanewise-sensitive"}
        )

    SensitiveOperation.lanewise_categories = tuple(told)
    return SensitiveOperation
