"""The endpoints of an app with lanewise: asserted in its tests, and checked for unknown categories as it is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakSet

from flask import Flask

from flask_lanewise.installed import KEY, installed_in
from flask_lanewise.listing import endpoints, endpoints_on
from lanewise import Config
from lanewise.web import Endpoint, all_categories, assert_declared, check_endpoints, register_reader

__all__ = ["assert_endpoints_declared", "check_marked", "endpoints_of", "watch_rules"]


def endpoints_of(app: Flask) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: lanewise is not installed in the app."""
    try:
        config = installed_in(app).config
    except RuntimeError as error:
        raise LookupError(str(error)) from None
    return config, endpoints(app)


def assert_endpoints_declared(app: Flask) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive. Flask's static files need not.

    Raises AssertionError that lists those that don't. LookupError: lanewise is not installed in the app.

    Example::

        def test_every_endpoint_says_whether_it_is_sensitive(app):
            assert_endpoints_declared(app)
    """
    config, found = endpoints_of(app)
    assert_declared(found, config)


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
        _refuse_unknown((each for rule in added for each in endpoints_on(app, rule)), config)

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


register_reader(Flask, lambda app: all_categories(endpoints(app)), lambda app: KEY in app.extensions)
