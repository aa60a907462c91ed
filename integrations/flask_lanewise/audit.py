"""An app's endpoints with what they are marked with: for the check before the first request, for listings and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakSet

from flask import Flask
from flask.views import MethodView
from werkzeug.routing import Rule

from flask_lanewise.installed import KEY, installed_in
from flask_lanewise.marks import group_marks, methods_of
from lanewise import Config
from lanewise.web import (
    STANDARD,
    Endpoint,
    Source,
    assert_declared,
    check_endpoints,
    find_marks,
    lost_marks,
    misplaced,
    own_marks,
    register_reader,
)

__all__ = ["assert_endpoints_declared", "check_marked", "endpoints", "endpoints_of", "watch_rules"]

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
_AUTOMATIC = frozenset({"HEAD", "OPTIONS"})
"""Flask answers these for views that only name others."""


_watched: Final[WeakSet[Flask]] = WeakSet()
"""The apps that lanewise is installed in."""


def watch_rules(app: Flask, config: Config) -> None:
    """Have each endpoint that is added from now on checked for categories that the config has not.

    An app is made in the order of its code, and Flask has no start after that. What a mark further above may still
    change is left to the check before the first request.
    """
    add = app.add_url_rule

    def add_url_rule(rule: str, endpoint: str | None = None, *args: Any, **options: Any) -> None:
        before = sum(1 for _ in app.url_map.iter_rules())
        add(rule, endpoint, *args, **options)
        added = [*app.url_map.iter_rules()][before:]
        _refuse_unknown((each for rule in added for each in _endpoints(app, rule)), config)

    app.add_url_rule = add_url_rule  # type: ignore[method-assign]
    _watched.add(app)


def check_marked(target: object, category: str) -> None:
    """After a mark was put on what an app may have already. Raises ConfigError: it has, and lacks the category."""
    for app in tuple(_watched):
        config = installed_in(app).config
        if category not in config.sensitive and _has(app, target):
            _refuse_unknown(endpoints(app), config)


def _has(app: Flask, target: object) -> bool:
    if target is app or any(target is blueprint for blueprint in app.blueprints.values()):
        return True
    return any(target in (view, getattr(view, "view_class", None)) for view in app.view_functions.values())


def _refuse_unknown(found: Iterable[Endpoint], config: Config) -> None:
    unknown = [endpoint for endpoint in found if endpoint.categories - config.sensitive.keys()]
    if unknown:
        check_endpoints(unknown, config)


def assert_endpoints_declared(app: Flask) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive. Flask's static files need not.

    Raises AssertionError that lists those that don't. LookupError: lanewise is not installed in the app.

    Example::

        def test_every_endpoint_says_whether_it_is_sensitive(app):
            assert_endpoints_declared(app)
    """
    config, found = endpoints_of(app)
    assert_declared(found, config)


def endpoints(app: Flask) -> list[Endpoint]:
    """All endpoints of an app; the methods of a MethodView one by one, since each may have marks of its own.

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    found = [endpoint for rule in app.url_map.iter_rules() for endpoint in _endpoints(app, rule)]
    return [*found, *_without_views(app), *_misused_functions(app)]


def endpoints_of(app: Flask) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: lanewise is not installed in the app."""
    try:
        config = installed_in(app).config
    except RuntimeError as error:
        raise LookupError(str(error)) from None
    return config, endpoints(app)


def _endpoints(app: Flask, rule: Rule) -> Iterator[Endpoint]:
    view = app.view_functions.get(rule.endpoint)
    methods = methods_of(rule)
    shown = tuple(sorted(methods - _AUTOMATIC or methods))
    each = [(method,) for method in shown] if _is_method_view(view) else [shown]
    for some in each:
        sources = (*_view_sources(view, some), *_group_sources(app, rule.endpoint))
        if not sources and _is_static(rule):
            sources = (Source(STANDARD, "static files"),)
        yield Endpoint(rule.endpoint, rule.rule, some, sources, _unresolved(view, some, sources))


def _unresolved(view: object, methods: Iterable[str], sources: Iterable[Source]) -> str | None:
    lost = lost_marks(view, *methods) - {source.category for source in sources}
    if lost:
        return f"sensitive({min(lost)!r}) stands above it, and what lies between hides the function from the mark"
    return misplaced(view, "a view")


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


def _without_views(app: Flask) -> Iterator[Endpoint]:
    """The marked blueprints that have no views, with which they would be listed."""
    named = [rule.endpoint for rule in app.url_map.iter_rules()]
    for name, blueprint in app.blueprints.items():
        marks = own_marks(blueprint)
        if marks and not any(endpoint.startswith(f"{name}.") for endpoint in named):
            sources = tuple(Source(category, f"blueprint {name}") for category in sorted(marks))
            yield Endpoint(name, f"{blueprint.url_prefix or ''}/*", sources=sources)


def _is_method_view(view: object) -> bool:
    view_class = getattr(view, "view_class", None)
    return isinstance(view_class, type) and issubclass(view_class, MethodView)


def _is_static(rule: Rule) -> bool:
    return rule.endpoint.rpartition(".")[2] == "static" and rule.arguments == {"filename"}


def _view_sources(view: object, methods: Iterable[str]) -> Iterator[Source]:
    found = [find_marks(view, method) for method in methods]
    visible = frozenset[str]().union(*(marks.visible for marks in found))
    hidden = frozenset[str]().union(*(marks.hidden for marks in found))
    yield from (Source(category, _origin(category)) for category in sorted(visible))
    yield from (Source(category, _origin(category), hidden=True) for category in sorted(hidden - visible))


def _group_sources(app: Flask, endpoint: str) -> Iterator[Source]:
    for group, marks in group_marks(app, endpoint):
        yield from (Source(category, group) for category in sorted(marks))


def _origin(category: str) -> str:
    return "@standard" if category == STANDARD else "@sensitive"


def _categories(app: object) -> frozenset[str]:
    """For the adapters of other frameworks, in whose apps one of Flask's is mounted."""
    assert isinstance(app, Flask)
    return frozenset[str]().union(*(endpoint.categories for endpoint in endpoints(app)))


register_reader(
    lambda app: isinstance(app, Flask), _categories, lambda app: isinstance(app, Flask) and KEY in app.extensions
)
