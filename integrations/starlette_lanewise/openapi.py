"""The marks in FastAPI's OpenAPI document: which operations are sensitive, and how they answer when nobody may."""

from __future__ import annotations

import copy
from typing import Any, Final

from starlette.routing import Mount

from lanewise.config import Config
from lanewise.web import MEDIA_TYPE
from starlette_lanewise.audit import endpoints, group_marks
from starlette_lanewise.places import seen_through

__all__ = ["describe"]

_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "request_id": {"type": "string"},
        "call_id": {"type": "string"},
    },
}
_REF: Final = {"$ref": "#/components/schemas/LanewiseProblem"}
_RETRY_AFTER: Final = {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}


def describe(app: Any, config: Config) -> None:
    """Let ``app.openapi()`` tell of the marks. It may be called again: the document is completed once.

    ``lifespan``, or else the first request, sees to it; call it where the document is made without either.

    Example::

        describe(app, router.config)
        Path("openapi.json").write_text(json.dumps(app.openapi()))
    """
    _describe(app, config, frozenset())


def _describe(app: Any, config: Config, outer: frozenset[str]) -> None:
    for mount in app.routes:
        if isinstance(mount, Mount):
            inner, found = seen_through(mount.app)
            if hasattr(inner, "openapi"):
                _describe(inner, config, outer | found | group_marks(app))
    made = app.openapi
    if getattr(made, "__lanewise__", False):
        return
    done: dict[str, Any] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal done
        document: dict[str, Any] = made()
        if document is not done:
            _complete(document, app, config, outer)
            done = document
        return document

    openapi.__lanewise__ = True  # type: ignore[attr-defined]
    app.openapi = openapi


def _complete(document: dict[str, Any], app: Any, config: Config, outer: frozenset[str]) -> None:
    found = [(endpoint, endpoint.with_rules(config).categories | outer) for endpoint in endpoints(app)]
    paths = document.get("paths", {})
    for endpoint, categories in found:
        for method in endpoint.methods:
            operation = paths.get(endpoint.path, {}).get(method.lower())
            if operation is not None and categories:
                _tell(operation, categories, config)
    if any(categories for _, categories in found):
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("LanewiseProblem", copy.deepcopy(_PROBLEM))


def _tell(operation: dict[str, Any], categories: frozenset[str], config: Config) -> None:
    operation["x-lanewise-sensitive"] = sorted(categories)
    responses = operation.setdefault("responses", {})
    content = {MEDIA_TYPE: {"schema": dict(_REF)}}
    closed = {
        "description": "No approved route could answer.",
        "headers": {"Retry-After": copy.deepcopy(_RETRY_AFTER)},
        "content": content,
    }
    responses.setdefault("503", closed)
    if _waits_for_a_person(categories, config):
        responses.setdefault("202", {"description": "The answer waits for a person.", "content": content})


def _waits_for_a_person(categories: frozenset[str], config: Config) -> bool:
    """``fail`` beats ``review``."""
    known = [config.sensitive[name] for name in categories if name in config.sensitive]
    return bool(known) and all(category.on_failure == "review" for category in known)
