"""What an app's routers lead to, read from the routes of Starlette and FastAPI, and the marks of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from lanewise.web import (
    OPAQUE,
    STANDARD,
    Branch,
    Endpoint,
    RouterNode,
    Source,
    apps_within,
    categories_within,
    find_marks,
    lost_mark,
    marks_version,
    misplaced,
    own_marks,
    sources_of,
    sources_of_marks,
)
from starlette_lanewise.marks import (
    SensitiveMiddleware,
    asks_for_client,
    dependant_marks,
    dependencies_marks,
    marks_on,
    misuse_among,
    misuse_in_dependencies,
    misuse_in_entries,
)

__all__ = ["RouteReader", "name_of", "root_of", "seen_through"]

_ROUTING: Final = ("__call__", "app")
"""The methods of a router that find the route of a request."""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
_LAYERS: Final = 50
"""How many layers of middleware are looked through."""
_NOT_RUN: Final = (
    "the router that it is in is marked by a dependency ({}), and FastAPI runs no dependencies for plain Starlette "
    "routes and mounts"
)

RouteLists = list[tuple[list[Any], tuple[Any, ...]]]
"""The lists of routes that were read, each with what was in it."""


class RouteReader:
    """Reads the routers of one app: their marks, and what their routes lead to.

    ``router_in`` gives the lanewise router that a layer of an app serves with, or ``None`` where it is no such layer.
    ``router`` is the one that the app itself serves with.
    """

    def __init__(self, router_in: Callable[[object], object | None], router: object | None) -> None:
        self._router_in = router_in
        self._router = router

    def read(self, owner: object) -> RouterNode:
        """The node of a router, or of an app with one."""
        version = marks_version()
        router: Any = getattr(owner, "router", owner)
        lists: RouteLists = []
        return RouterNode(
            owner,
            _group_sources(owner, router),
            [*self._in_routes(router.routes, lists), *_of_files(router)],
            version=version,
            lists=lists,
            fallback=self._to_fallback(router),
            misuse=misuse_among(getattr(router, "dependencies", ())) or misuse_in_entries(owner),
            routes_itself=_routes_itself(router),
        )

    def routers_in(self, app: object) -> Iterator[object]:
        """The lanewise routers that the layers of an app serve with, from the outside in."""
        for layer in layers(app):
            for each in (layer, *getattr(layer, "user_middleware", ())):
                router = self._router_in(each)
                if router is not None:
                    yield router

    def _in_routes(self, routes: list[Any], lists: RouteLists) -> Iterator[Branch]:
        lists.append((routes, tuple(routes)))
        for route in routes:
            yield from self._of_route(route, frozenset(), lists)

    def _of_route(self, route: Any, not_run: frozenset[str], lists: RouteLists) -> Iterator[Branch]:
        """``not_run`` are marks of included routers, put on by dependencies that only FastAPI's own routes run."""
        match route:
            case Route() | WebSocketRoute():
                yield _to_endpoint(route, not_run)
            case Mount():
                yield self._to_mounted(route, route.path, not_run)
            case Host():
                yield self._to_mounted(route, f"//{route.host}", not_run)
            case _ if hasattr(route, "effective_candidates"):
                yield from self._included(route, lists)
            case _:
                reason = f"routes of the kind {type(route).__name__} are not known, so its marks can't be read"
                path = str(getattr(route, "path", ""))
                yield Branch(route, path, _child_scope(route), (Endpoint(name_of(route), path, unresolved=reason),))

    def _included(self, branch: Any, lists: RouteLists) -> Iterator[Branch]:
        """The routes of a router that a FastAPI app includes: kept apart, and resolved when they are asked for."""
        routes = branch.original_router.routes
        lists.append((routes, tuple(routes)))
        dependencies = [*branch.include_context.dependencies, *branch.original_router.dependencies]
        misuse = misuse_among(dependencies)
        if misuse is not None:
            refused = Endpoint(name_of(branch.original_router), "/*", unresolved=misuse)
            yield Branch(branch, "/*", _child_scope(branch), (refused,))
            return
        not_run = dependencies_marks(dependencies)
        for candidate in branch.effective_candidates():
            if hasattr(candidate, "effective_candidates"):
                yield from self._included(candidate, lists)
            elif candidate.starlette_route is not None:
                yield from self._of_route(candidate.starlette_route, not_run, lists)
            else:
                yield _to_endpoint(candidate, not_run)

    def _to_fallback(self, router: Any) -> Branch | None:
        default = getattr(router, "default", None)
        if default is None or getattr(default, "__func__", None) is Router.not_found:
            return None
        return self._to_mounted(Mount("", app=default), "", frozenset())

    def _to_mounted(self, route: Any, path: str, not_run: frozenset[str]) -> Branch:
        app = route.app
        inner, found = seen_through(app)
        own = own_marks(inner) if has_routes(inner) else (marks := find_marks(inner)).visible | marks.hidden
        sources = (
            *sources_of(found - own, f"SensitiveMiddleware on {path}" if path else "SensitiveMiddleware"),
            *sources_of(own),
        )
        whole = Endpoint(name_of(inner), path + "/*")
        misuse = misplaced(inner, "an app") if inner is not SensitiveMiddleware else "it is middleware, and no app"
        if misuse is not None:
            return Branch(app, path, _child_scope(route), (msgspec.structs.replace(whole, unresolved=misuse),))
        if any(found is not self._router for found in self.routers_in(app)):
            sources = (*sources, Source(STANDARD, "a router of its own"))
            follows = inner if has_routes(inner) else None
            return Branch(app, path, _child_scope(route), (whole,), sources, follows, is_foreign=True)
        missing = not_run - {source.category for source in sources}
        if missing:
            refused = Endpoint(whole.name, whole.path, unresolved=_NOT_RUN.format(", ".join(sorted(missing))))
            return Branch(app, path, _child_scope(route), (refused,), (*sources, *sources_of(missing, "router")))
        if has_routes(inner):
            return Branch(app, path, _child_scope(route), (), sources, inner)
        if type(inner) is StaticFiles:
            return Branch(app, path, _child_scope(route), (whole,), (*sources, Source(STANDARD, "static files")))
        return _to_opaque(app, inner, _child_scope(route), whole, sources)


def _of_files(router: Any) -> Iterator[Branch]:
    """FastAPI's front ends: files, served where no route matches."""
    for group in getattr(router, "_iter_low_priority_routes", tuple)():
        dependant = getattr(group, "dependant", None)
        sources = (*sources_of(dependant_marks(dependant), "dependency"), Source(STANDARD, "static files"))
        yield Branch(group, "/*", _child_scope(group), (Endpoint("files", "/*", ("GET", "HEAD"), sources),))


def _routes_itself(router: object) -> bool:
    """Whether a router is of a class with a routing of its own, which can't be matched ahead."""
    return any(
        name in vars(cls)
        for cls in type(router).__mro__
        for name in _ROUTING
        if cls.__module__.partition(".")[0] not in ("starlette", "fastapi", "builtins")
    )


def _child_scope(route: Any) -> Callable[[Any], Any]:
    """A function that gives what a route would write into the ASGI scope of a request; ``None``: it does not match."""

    def matched(asgi: Any) -> Any:
        match, child = route.matches(asgi)
        return child if match is Match.FULL else None

    return matched


def _to_opaque(app: object, inner: object, child_scope: Any, whole: Endpoint, sources: tuple[Source, ...]) -> Branch:
    """To what is mounted, and is no app that this adapter knows: a closure around one, an app of another framework."""
    path = whole.path.removesuffix("/*")
    within = apps_within(inner, has_routes)
    found = categories_within(inner)
    if within is None or found is None:
        refused = msgspec.structs.replace(whole, unresolved=OPAQUE)
        return Branch(app, path, child_scope, (refused,), sources)
    if len(within) == 1 and not found.serves_itself:
        return Branch(app, path, child_scope, (), sources, within[0])
    sources, beyond = (*sources, *found.sources), () if found.serves_itself else tuple(within)
    return Branch(app, path, child_scope, (whole,), sources, beyond=beyond, provisional=found.provisional)


def _to_endpoint(route: Any, not_run: frozenset[str]) -> Branch:
    """To the endpoints of a route: one, or for a class whose methods are marked differently, one for each kind."""
    _, wrapped = seen_through(getattr(route, "app", None))
    dependant = getattr(route, "dependant", None)
    shared = (
        *sources_of(wrapped, "SensitiveMiddleware on the route"),
        *sources_of(dependant_marks(dependant), "dependency"),
        *_own_pages(route.endpoint),
    )
    routed = asks_for_client(dependant)
    kinds: dict[tuple[Source, ...], list[str]] = {}
    for method in _methods(route):
        own = sources_of_marks(marks_on(route.endpoint, method))
        kinds.setdefault(own, []).append(method or "WS")
    found = []
    for own, methods in kinds.items():
        sources = tuple(dict.fromkeys((*shared, *own)))
        missing = frozenset() if dependant is not None else not_run - {source.category for source in sources}
        reason = _reason(route, dependant, missing, sources)
        sources += sources_of(missing, "router")
        found.append(Endpoint(name_of(route.endpoint), route.path, tuple(methods), sources, reason, routed))
    return Branch(route.endpoint, route.path, _child_scope(route), tuple(found))


def _reason(route: Any, dependant: object, missing: frozenset[str], sources: tuple[Source, ...]) -> str | None:
    misuse = misplaced(route.endpoint, "an endpoint") or misuse_in_dependencies(dependant)
    if misuse is not None:
        return misuse
    lost = lost_mark(route.endpoint, sources, *_methods(route))
    return lost or (_NOT_RUN.format(", ".join(sorted(missing))) if missing else None)


# -- marks of groups ---------------------------------------------------------------------------------------------------


def _group_sources(owner: Any, router: Any) -> tuple[Source, ...]:
    """The marks that an app's, or a router's, own middleware and dependencies put on all of it."""
    found = {
        str(entry.kwargs.get("category", entry.args[0] if entry.args else ""))
        for entry in getattr(owner, "user_middleware", ())
        if isinstance(entry.cls, type) and issubclass(entry.cls, SensitiveMiddleware)
    }
    for holder in (owner, router):
        _, marks = seen_through(getattr(holder, "middleware_stack", None))
        found |= marks
    return (
        *sources_of(own_marks(owner) | own_marks(router)),
        *sources_of(found, "SensitiveMiddleware"),
        *sources_of(dependencies_marks(getattr(router, "dependencies", ())), "dependency of the app"),
    )


def has_routes(app: object) -> bool:
    """Whether an app, or a router, is one of Starlette's or FastAPI's."""
    return isinstance(app, Starlette | Router)


def root_of(app: object) -> object:
    """Where an app's routing begins: the app itself, or what stands for one that other layers lie around."""
    return app if has_routes(app) else Router([Mount("", app=app)])  # type: ignore[arg-type]


def layers(app: object) -> Iterator[object]:
    """An app and what it wraps, down to the first that has routes."""
    for _ in range(_LAYERS):
        yield app
        inner = getattr(app, "app", None)
        if inner is None or hasattr(app, "routes"):
            return
        app = inner


def seen_through(app: object) -> tuple[object, frozenset[str]]:
    """The app under layers of middleware, and the marks that those put on it."""
    found: set[str] = set()
    layer = app
    for layer in layers(app):
        if isinstance(layer, SensitiveMiddleware):
            found.add(layer.category)
        elif not has_routes(layer):
            found |= own_marks(layer)
    return layer, frozenset(found)


# -- routes ------------------------------------------------------------------------------------------------------------


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


def name_of(target: object) -> str:
    """How messages name an endpoint or an app."""
    if isinstance(target, Starlette):
        return f"{type(target).__name__} app"
    return str(getattr(target, "__qualname__", type(target).__name__))
