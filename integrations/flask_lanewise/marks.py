"""Marks on Flask's views, view classes and their methods, blueprints and whole apps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from flask import Blueprint, Flask, Request

from lanewise.web import STANDARD, find_marks, mark, mark_and_wrap, own_marks

__all__ = ["EndpointMarks", "group_marks", "sensitive"]

_T = TypeVar("_T")


def sensitive(category: str) -> Callable[[_T], _T]:
    """Mark what falls under a category of the config: only the routes approved for it may answer there.

    For views (above or below ``@app.post``), View and MethodView classes, their methods, blueprints and whole apps.
    Marks add up, and none relaxes another. The category must be in the config, or every request is refused.

    Raises TypeError: the target is none of these.

    Example::

        @app.post("/refunds")
        @sensitive("payment")
        def refund(): ...

        sensitive("payment")(payments)  # a blueprint, with those that are nested in it
    """

    def decorate(target: _T) -> _T:
        if isinstance(target, Blueprint | Flask):
            return mark(target, category)
        return mark_and_wrap(target, category)

    return decorate


def group_marks(app: Flask, endpoint: str) -> Iterator[tuple[str, frozenset[str]]]:
    """What the groups around an endpoint are marked with, each with how messages name it."""
    marks = own_marks(app)
    if marks:
        yield "the app", marks
    name, dot, _ = endpoint.rpartition(".")
    while dot:
        blueprint = app.blueprints.get(name)
        marks = frozenset() if blueprint is None else own_marks(blueprint)
        if marks:
            yield f"blueprint {name}", marks
        name, dot, _ = name.rpartition(".")


class EndpointMarks:
    """The marks of an app's endpoints, looked up as requests come: a view is searched once, not at each request."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._of_views: dict[tuple[str, str], tuple[object, frozenset[str]]] = {}

    def of(self, request: Request) -> frozenset[str] | None:
        """The categories of the endpoint that a request goes to; ``None`` if it goes to none, or to one without marks.

        Hidden marks count: a category that is in doubt holds.
        """
        endpoint = request.endpoint
        if endpoint is None:  # a page for what is not found, say
            return (own_marks(self._app) - {STANDARD}) or None
        marks = self._of_view(endpoint, request.method)
        for _, more in group_marks(self._app, endpoint):
            marks |= more
        return marks - {STANDARD} if marks else None

    def _of_view(self, endpoint: str, method: str) -> frozenset[str]:
        view = self._app.view_functions.get(endpoint)
        known = self._of_views.get((endpoint, method))
        if known is None or known[0] is not view:  # another extension may have put its own in the view's place
            found = find_marks(view, method)
            known = self._of_views[endpoint, method] = (view, found.visible | found.hidden)
        return known[1]
