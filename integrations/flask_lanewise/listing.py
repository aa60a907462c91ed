"""The endpoints of a Flask app with the marks of each: for listings, for checks, and for requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Flask, Request
from flask.views import MethodView
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect, Rule

from lanewise import Config
from lanewise.web import (
    STANDARD,
    Endpoint,
    RequestMarks,
    Source,
    categories_within,
    find_marks,
    lost_mark,
    misplaced,
    own_marks,
    sources_of,
    sources_of_marks,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["EndpointMarks", "endpoints", "endpoints_on"]

_HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "teardown_appcontext_funcs",
    "url_value_preprocessors",
    "template_context_processors",
    "error_handler_spec",
)
"""Where an app keeps the functions that it calls around its views."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_AUTOMATIC = frozenset({"HEAD", "OPTIONS"})
"""Flask answers these for views that only name others."""


def endpoints(app: Flask) -> list[Endpoint]:
    """All endpoints of an app; the methods of a MethodView one by one, since each may have marks of its own.

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    found = [endpoint for rule in app.url_map.iter_rules() for endpoint in endpoints_on(app, rule)]
    return [*found, *_without_views(app), *_misused_functions(app)]


def endpoints_on(app: Flask, rule: Rule) -> Iterator[Endpoint]:
    """What a rule leads to."""
    view = app.view_functions.get(rule.endpoint)
    methods = rule.methods or frozenset(_METHODS)
    shown = tuple(sorted(methods - _AUTOMATIC or methods))
    view_class = getattr(view, "view_class", None)
    is_method_view = isinstance(view_class, type) and issubclass(view_class, MethodView)
    for some in [(method,) for method in shown] if is_method_view else [shown]:
        sources = _sources(app, rule, some)
        reason = lost_mark(view, sources, *some) or misplaced(view, "a view")
        if not sources and _is_static(rule):
            sources = (Source(STANDARD, "static files"),)
        yield Endpoint(rule.endpoint, rule.rule, some, sources, reason)


def _sources(app: Flask, rule: Rule, methods: Iterable[str]) -> tuple[Source, ...]:
    view = app.view_functions.get(rule.endpoint)
    return (*sources_of_marks(find_marks(view, *methods)), *_of_groups(app, rule.endpoint))


def _of_groups(app: Flask, endpoint: str) -> Iterator[Source]:
    """The marks of the groups around an endpoint."""
    yield from sources_of(own_marks(app) | _before(app, None), "the app")
    name, dot, _ = endpoint.rpartition(".")
    while dot:
        blueprint = app.blueprints.get(name)
        marks = frozenset() if blueprint is None else own_marks(blueprint)
        yield from sources_of(marks | _before(app, name), f"blueprint {name}")
        name, dot, _ = name.rpartition(".")


def _before(app: Flask, group: str | None) -> frozenset[str]:
    """The marks of the functions that Flask calls before each request of a group."""
    functions = app.before_request_funcs.get(group, ())
    return frozenset[str]().union(*(find_marks(function).visible for function in functions)) - {STANDARD}


def _is_static(rule: Rule) -> bool:
    return rule.endpoint.rpartition(".")[2] == "static" and rule.arguments == {"filename"}


def _without_views(app: Flask) -> Iterator[Endpoint]:
    """The marked blueprints that have no views, with which they would be listed."""
    named = [rule.endpoint for rule in app.url_map.iter_rules()]
    for name, blueprint in app.blueprints.items():
        marks = own_marks(blueprint)
        if marks and not any(endpoint.startswith(f"{name}.") for endpoint in named):
            yield Endpoint(name, f"{blueprint.url_prefix or ''}/*", (), sources_of(marks, f"blueprint {name}"))


def _misused_functions(app: Flask) -> Iterator[Endpoint]:
    """Marks among the functions that Flask calls around its views."""
    for kind in _HOOKS:
        for function in _functions(getattr(app, kind)):
            wrong = misplaced(function, "a function that Flask could call")
            if wrong is not None:
                yield Endpoint(kind, "/*", unresolved=wrong)


def _functions(registry: object) -> Iterator[object]:
    """All functions in one of Flask's registries: lists by blueprint, error handlers by code and class."""
    if isinstance(registry, dict):
        registry = list(registry.values())
    if isinstance(registry, list | tuple):
        for each in registry:
            yield from _functions(each)
    else:
        yield registry


class EndpointMarks:
    """The marks of an app's endpoints, as requests come. ``inner`` is called with each, and may lead to other apps."""

    def __init__(self, app: Flask, config: Config) -> None:
        self.inner: object | None = None
        self._app = app
        self._config = config
        self._known = RequestMarks(config)

    def of(self, request: Request) -> frozenset[str] | None:
        """The categories of the endpoint that a request goes to; ``None`` if it goes to one without marks.

        A page for what is not found falls under all categories of the app: nothing says what it is about.
        """
        rule = request.url_rule
        if rule is None:
            return self._of_all()
        return self._of_rule(rule, request.method)

    def ahead(self, environ: WSGIEnvironment) -> frozenset[str] | None:
        """The categories of a request that Flask has not routed yet, or ``None``: it may also go to another app."""
        try:
            rule, _ = self._app.url_map.bind_to_environ(environ).match(return_rule=True)
        except (HTTPException, RequestRedirect):
            found = self._of_all()
        else:
            found = self._of_rule(rule, environ["REQUEST_METHOD"])
        within = None if self.inner is None else categories_within(self.inner, but=self._app)
        if within is None:
            return found
        others = within.categories | (within.provisional & self._config.sensitive.keys())
        return others | (found or frozenset()) if others else found

    def _of_rule(self, rule: Rule, method: str) -> frozenset[str] | None:
        # another extension may have put its own in the view's place
        view = self._app.view_functions.get(rule.endpoint)
        return self._known.of((rule.endpoint, rule.rule, method), view, lambda: [self._asked(rule, (method,))])

    def _of_all(self) -> frozenset[str] | None:
        rules = [*self._app.url_map.iter_rules()]
        return self._known.of_all(
            (*self._app.view_functions.values(), *rules),
            lambda: [
                Endpoint("", "", (), tuple(_of_groups(self._app, ""))),
                *(self._asked(rule, rule.methods or _METHODS) for rule in rules),
            ],
        )

    def _asked(self, rule: Rule, methods: Iterable[str]) -> Endpoint:
        return Endpoint(rule.endpoint, rule.rule, (), _sources(self._app, rule, methods))
