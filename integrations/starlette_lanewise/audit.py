"""The endpoints of an app with their marks: found for the check at the start, for listings, and for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from lanewise import Config, Router
from lanewise.web import (
    STANDARD,
    Endpoint,
    Source,
    assert_declared,
    check_endpoints,
    own_marks,
    raised_marks,
    require_library,
    router_of,
)
from starlette_lanewise.marks import Checked, SensitiveMiddleware, dependant_marks, dependencies_marks, marks_on
from starlette_lanewise.middleware import LanewiseMiddleware

__all__ = ["assert_endpoints_declared", "check", "endpoints", "endpoints_of", "group_marks", "through"]

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
_LAYERS: Final = 50
"""How many layers of middleware are looked through."""
_NOT_RUN: Final = (
    "the router that it is in is marked by a dependency ({}), and FastAPI runs no dependencies for plain Starlette "
    "routes and mounts"
)


def endpoints(app: object) -> list[Endpoint]:
    """The endpoints of an app: of its routers and mounts too, as far as those are Starlette's or FastAPI's.

    Example::

        for endpoint in endpoints(app):
            print(endpoint.label(), sorted(endpoint.categories))
    """
    inner, found = through(app)
    return list(_in_app(inner, "", _sources(found, "SensitiveMiddleware")))


def endpoints_of(app: object) -> tuple[Config, list[Endpoint]]:
    """The config of an app's router, and its endpoints. Raises LookupError: LanewiseMiddleware is not installed."""
    return _router_in(app).config, endpoints(app)


def assert_endpoints_declared(app: object) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive, by a mark, a group or a path rule.

    Raises AssertionError, which lists those that don't. LookupError: LanewiseMiddleware is not installed.

    Example::

        def test_every_endpoint_says_whether_it_is_sensitive():
            assert_endpoints_declared(app)
    """
    config, found = endpoints_of(app)
    assert_declared(found, config)


def check(app: object, router: Router) -> Checked:
    """Check an app's endpoints, and give the marks that the middleware must know.

    Raises ConfigError, naming every endpoint whose marks can't hold. Where the app is FastAPI's, the marks get into
    its OpenAPI document.
    """
    require_library("starlette")
    if "fastapi" in sys.modules:
        require_library("fastapi")
    found = endpoints(app)
    check_endpoints(found, router.config)
    if hasattr(app, "openapi"):
        from starlette_lanewise.openapi import describe  # only of use with FastAPI

        describe(app, router.config)
    looked_up = frozenset(source.category for each in found for source in each.sources if source.looked_up)
    return Checked(_dependency_marks(app), looked_up)


def group_marks(app: object) -> frozenset[str]:
    """The marks that an app's own middleware and dependencies, and what wraps it, put on all of it."""
    inner, found = through(app)
    return found | _app_marks(inner) | _dependency_marks(inner)


def _router_in(app: object) -> Router:
    for layer in _layers(app):
        if isinstance(layer, LanewiseMiddleware):
            return layer.router
        for entry in getattr(layer, "user_middleware", ()):
            if _is_ours(entry.cls):
                return router_of(entry.kwargs.get("router", entry.args[0] if entry.args else None))
    raise LookupError("the app has no LanewiseMiddleware: app.add_middleware(LanewiseMiddleware, router=router)")


def _is_ours(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, LanewiseMiddleware)


# -- apps and what wraps them ------------------------------------------------------------------------------------------


def _layers(app: object) -> Iterator[object]:
    """An app and what it wraps, down to the first that has routes."""
    for _ in range(_LAYERS):
        yield app
        inner = getattr(app, "app", None)
        if inner is None or hasattr(app, "routes"):
            return
        app = inner


def through(app: object) -> tuple[object, frozenset[str]]:
    """The app under layers of middleware, and the marks that those put on it."""
    found: set[str] = set()
    layer = app
    for layer in _layers(app):
        if isinstance(layer, SensitiveMiddleware):
            found.add(layer.category)
    return layer, frozenset(found)


def _in_app(app: object, prefix: str, outer: tuple[Source, ...]) -> Iterator[Endpoint]:
    routes = getattr(app, "routes", None)
    if routes is None:
        sources = (*outer, Source(STANDARD, "static files")) if type(app) is StaticFiles else outer
        yield Endpoint(_name(app), prefix + "/*", sources=sources)
        return
    outer += _sources(_app_marks(app), "SensitiveMiddleware")
    outer += _sources(_dependency_marks(app), "dependency of the app")
    yield from _in_routes(routes, prefix, outer, frozenset())


def _app_marks(app: object) -> frozenset[str]:
    """The marks that an app's, or a router's, own middleware puts on all of it."""
    found = {
        str(entry.kwargs.get("category", entry.args[0] if entry.args else ""))
        for entry in getattr(app, "user_middleware", ())
        if isinstance(entry.cls, type) and issubclass(entry.cls, SensitiveMiddleware)
    }
    for holder in (app, getattr(app, "router", None)):
        _, marks = through(getattr(holder, "middleware_stack", None))
        found |= marks
    return frozenset(found)


def _dependency_marks(app: object) -> frozenset[str]:
    return dependencies_marks(getattr(getattr(app, "router", None), "dependencies", ()))


def _has_own_router(app: object) -> bool:
    """Whether an app that is mounted here has a middleware of its own: its categories are its own router's."""
    wrapped = any(isinstance(layer, LanewiseMiddleware) for layer in _layers(app))
    return wrapped or any(_is_ours(entry.cls) for entry in getattr(app, "user_middleware", ()))


# -- routes ------------------------------------------------------------------------------------------------------------


def _in_routes(
    routes: Iterable[BaseRoute], prefix: str, outer: tuple[Source, ...], unrun: frozenset[str]
) -> Iterator[Endpoint]:
    """``unrun`` are marks of routers, put on by dependencies that only FastAPI's own routes run."""
    for route in routes:
        match route:
            case Route() | WebSocketRoute():
                yield from _of_route(route, prefix + route.path, outer, unrun)
            case Mount():
                yield from _of_mount(route.app, prefix + route.path, outer, unrun)
            case Host():
                yield from _of_mount(route.app, f"{prefix}//{route.host}", outer, unrun)
            case _ if hasattr(route, "effective_candidates"):
                yield from _of_included(route, prefix, outer)
            case _:
                reason = f"routes of the kind {type(route).__name__} are not known, so its marks can't be read"
                yield Endpoint(_name(route), prefix + str(getattr(route, "path", "")), (), outer, reason)


def _of_included(branch: Any, prefix: str, outer: tuple[Source, ...]) -> Iterator[Endpoint]:
    """The routes of a router that a FastAPI app includes: kept apart there, and resolved when they are asked for."""
    unrun = dependencies_marks([*branch.include_context.dependencies, *branch.original_router.dependencies])
    for candidate in branch.effective_candidates():
        if hasattr(candidate, "effective_candidates"):
            yield from _of_included(candidate, prefix, outer)
        elif candidate.starlette_route is not None:
            yield from _in_routes([candidate.starlette_route], prefix, outer, unrun)
        else:
            yield from _of_route(candidate, prefix + candidate.path, outer, unrun)


def _of_mount(app: object, prefix: str, outer: tuple[Source, ...], unrun: frozenset[str]) -> Iterator[Endpoint]:
    inner, found = through(app)
    outer += (*_sources(found, f"SensitiveMiddleware on {prefix}"), *_sources(own_marks(inner), ""))
    if _has_own_router(app) or _has_own_router(inner):
        yield Endpoint(_name(inner), prefix + "/*", (), (*outer, Source(STANDARD, "a router of its own")))
        return
    missing = unrun - {source.category for source in outer}
    if missing:
        yield Endpoint(_name(inner), prefix + "/*", (), outer, _NOT_RUN.format(", ".join(sorted(missing))))
        return
    yield from _in_app(inner, prefix, outer)


def _of_route(route: Any, path: str, outer: tuple[Source, ...], unrun: frozenset[str]) -> Iterator[Endpoint]:
    """The endpoints of a route: one, or for a class whose methods are marked differently, one for each kind."""
    _, wrapped = through(getattr(route, "app", None))
    dependant = getattr(route, "dependant", None)
    shared = (
        *outer,
        *_sources(wrapped, "SensitiveMiddleware on the route"),
        *_sources(dependant_marks(dependant), "dependency"),
        *_own_pages(route.endpoint),
    )
    kinds: dict[tuple[Source, ...], list[str]] = {}
    for method in _methods(route):
        marks = marks_on(route.endpoint, method)
        raised = raised_marks(route.endpoint, method) | {STANDARD}
        own = (
            *_sources(marks.visible & raised, ""),
            *_sources(marks.visible - raised, "", looked_up=True),
            *_sources(marks.hidden, "", hidden=True),
        )
        kinds.setdefault(own, []).append(method or "WS")
    for own, methods in kinds.items():
        sources = tuple(dict.fromkeys((*shared, *own)))
        missing = frozenset() if dependant is not None else unrun - {source.category for source in sources}
        reason = _NOT_RUN.format(", ".join(sorted(missing))) if missing else None
        yield Endpoint(_name(route.endpoint), path, tuple(methods), sources, reason)


def _methods(route: Any) -> Sequence[str | None]:
    if isinstance(route, WebSocketRoute):
        return [None]
    if route.methods:
        return sorted(route.methods)
    if isinstance(route.endpoint, type) and issubclass(route.endpoint, HTTPEndpoint):
        own = [method for method in _METHODS if hasattr(route.endpoint, method.lower())]
        return sorted({*own, "HEAD"} if "GET" in own else own)
    return ["ANY"]


def _own_pages(endpoint: object) -> tuple[Source, ...]:
    """FastAPI's pages of documentation ask no model, and nobody can mark them."""
    own = getattr(endpoint, "__module__", "") == "fastapi.applications"
    return (Source(STANDARD, "FastAPI's own"),) if own else ()


def _sources(
    categories: Iterable[str], origin: str, *, hidden: bool = False, looked_up: bool = False
) -> tuple[Source, ...]:
    return tuple(
        Source(category, origin or ("@standard" if category == STANDARD else "@sensitive"), hidden, looked_up)
        for category in sorted(categories)
    )


def _name(target: object) -> str:
    if isinstance(target, Starlette):
        return f"{type(target).__name__} app"
    return str(getattr(target, "__qualname__", type(target).__name__))
