"""Marks on Flask's views, view classes and their methods, blueprints and whole apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from flask import Blueprint, Flask, Request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect, Rule

from lanewise.web import (
    STANDARD,
    PathRules,
    category_of,
    find_marks,
    mark,
    mark_and_wrap,
    marks_version,
    own_marks,
    standard,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["EndpointMarks", "Sensitive", "group_marks", "misuse", "sensitive"]

_T = TypeVar("_T")


class Sensitive:
    """Marks with a category what it is called with. Made by :func:`sensitive`."""

    def __init__(self, category: str) -> None:
        self.category = category_of(category)

    def __repr__(self) -> str:
        return f"sensitive({self.category!r})"

    def __call__(self, target: _T) -> _T:
        """Mark a view, a view class or its method, a blueprint or an app. Raises TypeError: it is none of these."""
        if isinstance(target, Blueprint | Flask):
            return mark(target, self.category)
        return mark_and_wrap(target, self.category)


def sensitive(category: str) -> Sensitive:
    """Mark what falls under a category of the config: only the routes approved for it may answer there.

    For views (above or below ``@app.post``), View and MethodView classes, their methods, blueprints and whole apps.
    Marks add up, and none relaxes another. The category must be in the config, or every request is refused.

    Raises TypeError: no category is given, or the target is none of these.

    Example::

        @app.post("/refunds")
        @sensitive("payment")
        def refund(): ...

        sensitive("payment")(payments)  # a blueprint, with those that are nested in it
    """
    return Sensitive(category)


def misuse(view: object) -> str | None:
    """What is wrong with a view, or a function of the app's, that is itself a mark; ``None``: it is none."""
    if isinstance(view, Sensitive) or view in (sensitive, standard, Sensitive):
        return "a mark is put on a function, as in @sensitive(...), and is none that Flask could call"
    return None


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


class _Known(NamedTuple):
    view: object
    version: int
    marks: frozenset[str]


class EndpointMarks:
    """The marks of an app's endpoints, looked up as requests come: a view is searched once, not at each request."""

    def __init__(self, app: Flask, rules: PathRules) -> None:
        self._app = app
        self._rules = rules
        self._of_views: dict[tuple[str, str, str], _Known] = {}
        self._all: tuple[tuple[int, ...], frozenset[str]] | None = None

    def of(self, request: Request) -> frozenset[str] | None:
        """The categories of the endpoint that a request goes to; ``None`` if it goes to one without marks.

        Hidden marks count: a category that is in doubt holds. Of a page for what is not found, nothing tells what it
        is about: it counts as sensitive where anything in the app is.
        """
        rule = request.url_rule
        if rule is None:
            return self._of_all()
        return self._of_rule(rule, request.method)

    def ahead(self, environ: WSGIEnvironment) -> frozenset[str] | None:
        """As :meth:`of`, for a request that Flask has not routed yet."""
        try:
            adapter = self._app.url_map.bind_to_environ(environ)
            rule, _ = adapter.match(return_rule=True)
        except (HTTPException, RequestRedirect):
            return self._of_all()
        return self._of_rule(rule, environ["REQUEST_METHOD"])

    def _of_rule(self, rule: Rule, method: str) -> frozenset[str] | None:
        view = self._app.view_functions.get(rule.endpoint)
        key = (rule.endpoint, rule.rule, method)
        known = self._of_views.get(key)
        # another extension may have put its own in the view's place, or a mark may have been put on since
        if known is None or known.view is not view or known.version != marks_version():
            marks = self._read(view, rule, [method])
            known = self._of_views[key] = _Known(view, marks_version(), marks)
        return known.marks - {STANDARD} if known.marks else None

    def _of_all(self) -> frozenset[str] | None:
        version = (marks_version(), len(self._app.view_functions), len(self._app.blueprints))
        if self._all is None or self._all[0] != version:
            found = own_marks(self._app)
            for rule in self._app.url_map.iter_rules():
                view = self._app.view_functions.get(rule.endpoint)
                found |= self._read(view, rule, rule.methods or ())
            self._all = version, found - {STANDARD}
        return self._all[1] or None

    def _read(self, view: object, rule: Rule, methods: Iterable[str]) -> frozenset[str]:
        found = self._rules.match(rule.rule)
        for method in methods:
            marks = find_marks(view, method)
            found |= marks.visible | marks.hidden
        return found.union(*(marks for _, marks in group_marks(self._app, rule.endpoint)))
