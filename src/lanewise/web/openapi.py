"""What an OpenAPI document says of AI calls: which operations are sensitive, and how they answer a call that fails."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any, Final

from lanewise.config import Config
from lanewise.web.marks.endpoint_report import Endpoint
from lanewise.web.problems import MEDIA_TYPE, answers_of

__all__ = ["SENSITIVE_EXTENSION", "describe_operations"]

SENSITIVE_EXTENSION: Final = "x-lanewise-sensitive"
"""The field of an operation that lists its sensitive categories."""
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
"""Of a parameter in an endpoint's path: ``{id:int}`` is ``{id}`` in a document."""
_RETRY_AFTER: Final = {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}


def describe_operations(
    document: dict[str, Any],
    endpoints: Iterable[Endpoint],
    config: Config,
    outer: frozenset[str] = frozenset(),
    validation_schema: str | None = None,
) -> None:
    """Add to a document what holds for its operations: those that are sensitive, or ask for a routed client.

    ``outer`` are categories that hold for all of the app. What the document says already stays; only where a 422 has
    the framework's own ``validation_schema`` (a ``$ref``), the problem is added as another form of it.

    Example::

        describe_operations(app.openapi(), endpoints(app), router.config)
    """
    paths = document.get("paths", {})
    has_problems = False
    for endpoint in endpoints:
        categories = endpoint.with_rules(config).categories | outer
        for method in endpoint.methods:
            operation = paths.get(_CONVERTER.sub("}", endpoint.path), {}).get(method.lower())
            if operation is None or not (categories or endpoint.is_routed):
                continue
            has_problems = True
            if categories:
                operation[SENSITIVE_EXTENSION] = sorted(categories)
            for status, description in answers_of(categories, config):
                _add_answer(operation.setdefault("responses", {}), status, description, validation_schema)
    if has_problems:
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("LanewiseProblem", copy.deepcopy(_PROBLEM))


def _add_answer(responses: dict[str, Any], status: int, description: str, validation_schema: str | None) -> None:
    content = {MEDIA_TYPE: {"schema": dict(_REF)}}
    present = responses.get(str(status))
    if present is None:
        added = responses[str(status)] = {"description": description, "content": content}
        if status == 503:
            added["headers"] = {"Retry-After": copy.deepcopy(_RETRY_AFTER)}
    elif status == 422 and validation_schema is not None and _schema_of(present) == validation_schema:
        present["content"].update(content)


def _schema_of(response: dict[str, Any]) -> object:
    return response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
