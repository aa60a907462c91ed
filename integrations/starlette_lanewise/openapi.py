"""Adds to FastAPI's OpenAPI document which operations are sensitive, and how AI calls in them fail."""

from __future__ import annotations

from typing import Any, Final

from starlette.routing import Mount

from lanewise.config import Config
from lanewise.web import describe_operations
from starlette_lanewise.audit import endpoints, group_marks
from starlette_lanewise.routes import seen_through

__all__ = ["describe"]

_VALIDATION_SCHEMA: Final = "#/components/schemas/HTTPValidationError"
"""What FastAPI answers a 422 with itself."""


def describe(app: Any, config: Config) -> None:
    """Have ``app.openapi()`` say which operations are sensitive, and how calls fail. It may be called again.

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
            describe_operations(document, endpoints(app), config, outer, _VALIDATION_SCHEMA)
            done = document
        return document

    openapi.__lanewise__ = True  # type: ignore[attr-defined]
    app.openapi = openapi
