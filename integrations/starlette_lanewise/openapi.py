"""What FastAPI's OpenAPI document tells of AI calls: which operations are sensitive, and how they fail."""

from __future__ import annotations

import copy
import re
from typing import Any, Final

from starlette.routing import Mount

from lanewise.config import Config
from lanewise.web import MEDIA_TYPE, answers_of
from starlette_lanewise.audit import endpoints, group_marks
from starlette_lanewise.routes import seen_through

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
_CONVERTER: Final = re.compile(r":[^{}]*}")
"""Of a parameter in a path, which the document leaves out."""
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
    paths = document.get("paths", {})
    told = False
    for endpoint in endpoints(app):
        categories = endpoint.with_rules(config).categories | outer
        for method in endpoint.methods:
            operation = paths.get(_CONVERTER.sub("}", endpoint.path), {}).get(method.lower())
            if operation is None or not (categories or endpoint.is_routed):
                continue
            told = True
            if categories:
                operation["x-lanewise-sensitive"] = sorted(categories)
            for status, description in answers_of(categories, config):
                _tell(operation.setdefault("responses", {}), status, description)
    if told:
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("LanewiseProblem", copy.deepcopy(_PROBLEM))


def _tell(responses: dict[str, Any], status: int, description: str) -> None:
    """Add an answer; where the operation has one of its status (FastAPI's 422), the problem is another form of it."""
    content = {MEDIA_TYPE: {"schema": dict(_REF)}}
    told = responses.get(str(status))
    if told is None:
        told = responses[str(status)] = {"description": description, "content": content}
        if status == 503:
            told["headers"] = {"Retry-After": copy.deepcopy(_RETRY_AFTER)}
    elif status == 422 and _is_of_fastapi(told):
        told["content"].update(content)


def _is_of_fastapi(told: dict[str, Any]) -> bool:
    schema = told.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref") == "#/components/schemas/HTTPValidationError")
