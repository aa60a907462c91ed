"""The endpoints of an app with their marks: found for the check at the start, for listings, and for tests."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Router as StarletteRouter

from lanewise import Config, Router
from lanewise.web import Endpoint, RouterTree, assert_declared, register_reader, router_of
from starlette_lanewise.middleware import router_in
from starlette_lanewise.routes import RouteReader, name_of, root_of

__all__ = ["assert_endpoints_declared", "endpoints", "endpoints_of", "group_marks"]


def endpoints(app: object) -> list[Endpoint]:
    """The endpoints of an app: of its routers and mounts too, as far as those are Starlette's or FastAPI's.

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    return _tree_of(app).endpoints(root_of(app), name_of)


def endpoints_of(app: object) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: LanewiseMiddleware is not installed."""
    return _router_of(app).config, endpoints(app)


def assert_endpoints_declared(app: object) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive, by a mark, a group or a path rule.

    Raises AssertionError, which lists those that don't. LookupError: LanewiseMiddleware is not installed.

    Example::

        def test_every_endpoint_says_whether_it_is_sensitive():
            assert_endpoints_declared(app)
    """
    config, found = endpoints_of(app)
    assert_declared(found, config)


def group_marks(app: object) -> frozenset[str]:
    """The marks that an app's own middleware and dependencies, and what wraps it, put on all of it."""
    return frozenset(source.category for source in _tree_of(app).node(root_of(app)).sources)


def _router_of(app: object) -> Router:
    for found in _routers_in(app):
        return router_of(found)  # type: ignore[arg-type]
    raise LookupError("the app has no LanewiseMiddleware: app.add_middleware(LanewiseMiddleware, router=router)")


def _routers_in(app: object) -> Iterator[object]:
    return RouteReader(router_in, None).routers_in(app)


def _tree_of(app: object) -> RouterTree:
    return RouterTree(RouteReader(router_in, next(_routers_in(app), None)).read)


_trees: Final[dict[int, tuple[weakref.ref[object], RouterTree]]] = {}
"""Of apps that are mounted in those of other frameworks. Routers can't be keys: they compare by their routes."""


def _categories(app: object) -> frozenset[str]:
    """For the adapters of other frameworks, in whose apps one of Starlette's is mounted."""
    key = id(app)
    if key not in _trees:
        _trees[key] = weakref.ref(app, lambda _: _trees.pop(key, None)), _tree_of(app)
    return _trees[key][1].categories_below(app)


register_reader((Starlette, StarletteRouter), _categories, lambda app: next(_routers_in(app), None) is not None)
