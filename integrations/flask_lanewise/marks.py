"""Marks on Flask's views, view classes and their methods, blueprints and whole apps."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from flask import Blueprint, Flask, Request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect, Rule

from lanewise import current_scope
from lanewise.web import (
    STANDARD,
    PathRules,
    SensitiveMark,
    categories_within,
    find_marks,
    makes_marks,
    mark,
    mark_and_wrap,
    marks_version,
    own_marks,
    raise_sensitivity,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["EndpointMarks", "Sensitive", "group_marks", "methods_of", "sensitive"]

_T = TypeVar("_T")


class Sensitive(SensitiveMark):
    """Marks with a category what it is called with. Made by :func:`sensitive`."""

    def __call__(self, target: _T) -> _T:
        """Mark a view, a view class or its method, a blueprint or an app.

        Raises TypeError: it is none of these. ConfigError: it is in an app already whose config lacks the category.
        """
        from flask_lanewise.audit import check_marked  # it knows the marks

        self.is_used = True
        if isinstance(target, Blueprint | Flask):
            functions = target.before_request_funcs.setdefault(None, [])
            functions.insert(0, partial(_raise_in_group, self.category))  # also where no lanewise is installed
            mark(target, self.category)
            check_marked(target, self.category)
            return target
        marked = mark_and_wrap(target, self.category)
        check_marked(target, self.category)
        return marked


def _raise_in_group(category: str) -> None:
    """Before a request of a marked group: raise the sensitivity of the scope that is served in, if there is one."""
    if current_scope() is not None:
        raise_sensitivity(category)


@makes_marks
def sensitive(category: str) -> Sensitive:
    """Mark what falls under a category of the config: only the routes approved for it may answer there.

    For views (above or below ``@app.post``), View and MethodView classes, their methods, blueprints and whole apps.
    Marks add up, and none relaxes another. The category must be in the config, or the app does not start.

    Raises TypeError: no category is given, or the target is none of these. ConfigError: the target is in an app already
    whose config lacks the category.

    Example::

        @app.post("/refunds")
        @sensitive("payment")
        def refund(): ...

        sensitive("payment")(payments)  # a blueprint, with those that are nested in it
    """
    return Sensitive(category)


def group_marks(app: Flask, endpoint: str) -> Iterator[tuple[str, frozenset[str]]]:
    """What the groups around an endpoint are marked with, each with how messages name it."""
    yield "the app", own_marks(app) | _before(app, None)
    name, dot, _ = endpoint.rpartition(".")
    while dot:
        blueprint = app.blueprints.get(name)
        marks = frozenset() if blueprint is None else own_marks(blueprint)
        yield f"blueprint {name}", marks | _before(app, name)
        name, dot, _ = name.rpartition(".")


def methods_of(rule: Rule) -> frozenset[str]:
    """The methods that a rule matches: all, if it names none."""
    return frozenset(rule.methods or ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def _before(app: Flask, group: str | None) -> frozenset[str]:
    """The marks of the functions that Flask calls before each request of a group."""
    functions = app.before_request_funcs.get(group, ())
    return frozenset[str]().union(*(find_marks(function).visible for function in functions)) - {STANDARD}


class _Known(NamedTuple):
    view: object
    version: int
    marks: frozenset[str] | None


class _All(NamedTuple):
    views: tuple[object, ...]
    rules: tuple[object, ...]
    version: int
    marks: frozenset[str]


class EndpointMarks:
    """The marks of an app's endpoints, looked up as requests come: a view is searched once, not at each request."""

    def __init__(self, app: Flask, rules: PathRules, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self.inner: object | None = None
        """What is called with each request, where that may lead to other apps than this one."""
        self._app = app
        self._rules = rules
        self._of_views: dict[tuple[str, str, str], _Known] = {}
        self._all: _All | None = None

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
        """As :meth:`of`, for a request that Flask has not routed yet: it may also go to another app."""
        return _union(self._in_this_app(environ), self._in_others())

    def _in_this_app(self, environ: WSGIEnvironment) -> frozenset[str] | None:
        try:
            adapter = self._app.url_map.bind_to_environ(environ)
            rule, _ = adapter.match(return_rule=True)
        except (HTTPException, RequestRedirect):
            return self._of_all()
        return self._of_rule(rule, environ["REQUEST_METHOD"])

    def _in_others(self) -> frozenset[str] | None:
        if self.inner is None:
            return None
        within = categories_within(self.inner, but=self._app)
        if within is None:
            return None
        return within.categories | (within.provisional & self._known) or None

    def _of_rule(self, rule: Rule, method: str) -> frozenset[str] | None:
        view = self._app.view_functions.get(rule.endpoint)
        key = (rule.endpoint, rule.rule, method)
        known = self._of_views.get(key)
        # another extension may have put its own in the view's place, or a mark may have been put on since
        version = marks_version()
        if known is None or known.view is not view or known.version != version:
            found = self._read(view, rule, [method])
            known = self._of_views[key] = _Known(view, version, found - {STANDARD} if found else None)
        return known.marks

    def _of_all(self) -> frozenset[str] | None:
        views, rules = tuple(self._app.view_functions.values()), tuple(self._app.url_map.iter_rules())
        known = self._all
        if known is None or known.version != marks_version() or not (_same(known.views, views, known.rules, rules)):
            found = own_marks(self._app) | _before(self._app, None)
            for rule in rules:
                found |= self._read(self._app.view_functions.get(rule.endpoint), rule, methods_of(rule))
            known = self._all = _All(views, rules, marks_version(), found - {STANDARD})
        return known.marks or None

    def _read(self, view: object, rule: Rule, methods: Iterable[str]) -> frozenset[str]:
        found = self._rules.match(rule.rule)
        for method in methods:
            marks = find_marks(view, method)
            found |= marks.visible | marks.hidden
        return found.union(*(marks for _, marks in group_marks(self._app, rule.endpoint)))


def _same(*pairs: tuple[object, ...]) -> bool:
    return all(
        len(one) == len(other) and all(map(operator.is_, one, other))
        for one, other in zip(pairs[::2], pairs[1::2], strict=True)
    )


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one | other if one is not None and other is not None else one if other is None else other
