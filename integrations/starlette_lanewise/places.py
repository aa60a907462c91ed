"""An app's routers as places, each with the marks that hold for all in it, and with branches to endpoints and places.

What is listed for an endpoint, what the check at the start refuses, and what holds when a request comes are read from
these same places.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from lanewise.web import (
    STANDARD,
    Endpoint,
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
    misused,
    misused_dependencies,
    misused_entries,
)

__all__ = ["Asgi", "Branch", "RoutePlace", "RoutePlaces", "has_routes", "layers", "name_of", "root_of", "seen_through"]

_ROUTING: Final = ("__call__", "app")
"""What of a router finds the way of a request."""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
_LAYERS: Final = 50
"""How many layers of middleware are looked through."""
_NOT_RUN: Final = (
    "the router that it is in is marked by a dependency ({}), and FastAPI runs no dependencies for plain Starlette "
    "routes and mounts"
)
Asgi = MutableMapping[str, Any]


class Branch(NamedTuple):
    """A way on from a router: to an endpoint, or to what is mounted there.

    ``target`` is what the ASGI scope has as ``endpoint`` once this way was taken. ``endpoints`` tells what is there,
    with the methods that it answers, and without what holds for the place. Of what is mounted, ``inner`` is the router
    (or an app with one) whose routing can be followed; ``beyond`` are those that something may lead to which can't be
    seen through.
    """

    target: object
    path: str
    matches: Callable[[Asgi], tuple[Match, Any]]
    endpoints: tuple[Endpoint, ...] = ()
    sources: tuple[Source, ...] = ()
    inner: object | None = None
    beyond: tuple[object, ...] = ()
    provisional: frozenset[str] = frozenset()
    """Categories in apps with an adapter of their own: they hold until that has the request."""
    is_foreign: bool = False
    """What is mounted serves with another lanewise router."""

    @property
    def listed(self) -> tuple[object, ...]:
        """The routers whose endpoints are listed with those of the app."""
        if self.is_foreign:
            return ()
        return self.beyond if self.inner is None else (self.inner,)

    def answering(self, asgi: Asgi) -> tuple[Endpoint, ...]:
        """The endpoints here that answer a request of this kind and method."""
        method = asgi.get("method") if asgi["type"] == "http" else "WS"
        return tuple(each for each in self.endpoints if not each.methods or {method, "ANY"} & {*each.methods})


RouterIn = Callable[[object], object | None]
"""The lanewise router that a layer of an app serves with; ``None``: it is no such layer."""


class RoutePlaces:
    """The places of one app, each read once, and anew where a mark or a route was added since."""

    def __init__(self, router_in: RouterIn, router: object | None, known: Iterable[str] = ()) -> None:
        self.known = frozenset(known)
        """The categories of the config."""
        self._router_in = router_in
        self._router = router
        self._known: dict[int, RoutePlace] = {}
        self._below: tuple[list[RoutePlace], frozenset[str]] | None = None

    def of(self, owner: object) -> RoutePlace:
        """The place of a router, or of an app with one."""
        router = getattr(owner, "router", owner)
        known = self._known.get(id(router))
        if known is None or not known.is_current:
            known = self._known[id(router)] = RoutePlace(owner, router, self)
        return known

    def has_own_router(self, app: object) -> bool:
        """Whether an app that is mounted here serves with another lanewise router: its categories are that one's."""
        return any(found is not self._router for found in self.routers_in(app))

    def routers_in(self, app: object) -> Iterator[object]:
        """The lanewise routers that the layers of an app serve with, from the outside in."""
        for layer in layers(app):
            for each in (layer, *getattr(layer, "user_middleware", ())):
                router = self._router_in(each)
                if router is not None:
                    yield router

    def below(self, owner: object, prefix: str = "") -> Iterator[tuple[RoutePlace, str]]:
        """The place of an owner and all that are reached from there, each with the path that it is mounted at."""
        seen: set[int] = set()
        waiting = [(owner, prefix)]
        while waiting:
            inner, path = waiting.pop()
            place = self.of(inner)
            if id(place) not in seen:
                seen.add(id(place))
                yield place, path
                for branch in place.ways:
                    waiting += [
                        (each, path + branch.path) for each in (branch.inner, *branch.beyond) if each is not None
                    ]

    def categories_below(self, owner: object) -> frozenset[str]:
        """The categories of all that is reached from an owner."""
        places = [place for place, _ in self.below(owner)]
        known = self._below
        if known is None or len(places) != len(known[0]) or not all(map(operator.is_, places, known[0])):
            found = [source for place in places for source in place.sources]
            for branch in [branch for place in places for branch in place.ways]:
                found += (*branch.sources, *(source for each in branch.endpoints for source in each.sources))
            known = self._below = places, frozenset(source.category for source in found) - {STANDARD}
        return known[1]


class RoutePlace:
    """A router, or an app with a router: the marks that hold for all in it, and its branches."""

    def __init__(self, owner: object, router: Any, places: RoutePlaces) -> None:
        self.owner = owner
        self.router = router
        self.sources = _group_sources(owner, router)
        self._places = places
        self._version = marks_version()
        self._lists: list[tuple[list[Any], tuple[Any, ...]]] = []
        self.branches = [*self._in_routes(router.routes), *self._of_files()]
        self.fallback = self._to_fallback()
        self.by_target: dict[int, list[Branch]] = {}
        self.known: dict[tuple[int, object, str], frozenset[str]] = {}
        """What holds for an endpoint and method, below a path."""
        for branch in self.branches:
            self.by_target.setdefault(id(branch.target), []).append(branch)

    @property
    def ways(self) -> list[Branch]:
        """The branches, and the way to what serves where no route matches."""
        return [*self.branches, *([] if self.fallback is None else [self.fallback])]

    @property
    def wrong(self) -> str | None:
        """What is wrong with the marks among the dependencies of all in it, if something is."""
        return misused(getattr(self.router, "dependencies", ())) or misused_entries(self.owner)

    @property
    def is_current(self) -> bool:
        """Whether no mark was put on since, and no route added, replaced or moved, here or in an included router."""
        return (
            self._version == marks_version()
            and self.router.routes is self._lists[0][0]
            and all(len(now) == len(then) and all(map(operator.is_, now, then)) for now, then in self._lists)
        )

    @property
    def routes_itself(self) -> bool:
        """Whether it is of a class that has its own way to route, which nobody can ask ahead."""
        return any(
            name in vars(cls)
            for cls in type(self.router).__mro__
            for name in _ROUTING
            if cls.__module__.partition(".")[0] not in ("starlette", "fastapi", "builtins")
        )

    # -- branches --------------------------------------------------------------------------------------------------

    def _in_routes(self, routes: Any) -> Iterator[Branch]:
        self._note(routes)
        for route in routes:
            yield from self._of_route(route, frozenset())

    def _note(self, routes: list[Any]) -> None:
        self._lists.append((routes, tuple(routes)))

    def _of_route(self, route: Any, unrun: frozenset[str]) -> Iterator[Branch]:
        """``unrun`` are marks of included routers, put on by dependencies that only FastAPI's own routes run."""
        match route:
            case Route() | WebSocketRoute():
                yield _to_endpoint(route, unrun)
            case Mount():
                yield self._to_mounted(route, route.path, unrun)
            case Host():
                yield self._to_mounted(route, f"//{route.host}", unrun)
            case _ if hasattr(route, "effective_candidates"):
                yield from self._included(route)
            case _:
                reason = f"routes of the kind {type(route).__name__} are not known, so its marks can't be read"
                path = str(getattr(route, "path", ""))
                yield Branch(route, path, route.matches, (Endpoint(name_of(route), path, unresolved=reason),))

    def _included(self, branch: Any) -> Iterator[Branch]:
        """The routes of a router that a FastAPI app includes: kept apart, and resolved when they are asked for."""
        self._note(branch.original_router.routes)
        dependencies = [*branch.include_context.dependencies, *branch.original_router.dependencies]
        wrong = misused(dependencies)
        if wrong is not None:
            refused = Endpoint(name_of(branch.original_router), "/*", unresolved=wrong)
            yield Branch(branch, "/*", branch.matches, (refused,))
            return
        unrun = dependencies_marks(dependencies)
        for candidate in branch.effective_candidates():
            if hasattr(candidate, "effective_candidates"):
                yield from self._included(candidate)
            elif candidate.starlette_route is not None:
                yield from self._of_route(candidate.starlette_route, unrun)
            else:
                yield _to_endpoint(candidate, unrun)

    def _of_files(self) -> Iterator[Branch]:
        """FastAPI's front ends: files, served where no route matches."""
        for group in getattr(self.router, "_iter_low_priority_routes", tuple)():
            dependant = getattr(group, "dependant", None)
            sources = (*sources_of(dependant_marks(dependant), "dependency"), Source(STANDARD, "static files"))
            yield Branch(group, "/*", group.matches, (Endpoint("files", "/*", ("GET", "HEAD"), sources),))

    def _to_fallback(self) -> Branch | None:
        default = getattr(self.router, "default", None)
        if default is None or getattr(default, "__func__", None) is Router.not_found:
            return None
        return self._to_mounted(Mount("", app=default), "", frozenset())

    def _to_mounted(self, route: Any, path: str, unrun: frozenset[str]) -> Branch:
        app = route.app
        inner, found = seen_through(app)
        own = own_marks(inner) if has_routes(inner) else (marks := find_marks(inner)).visible | marks.hidden
        sources = (
            *sources_of(found - own, f"SensitiveMiddleware on {path}" if path else "SensitiveMiddleware"),
            *sources_of(own),
        )
        whole = Endpoint(name_of(inner), path + "/*")
        wrong = misplaced(inner, "an app") if inner is not SensitiveMiddleware else "it is middleware, and no app"
        if wrong is not None:
            return Branch(app, path, route.matches, (msgspec.structs.replace(whole, unresolved=wrong),))
        if self._places.has_own_router(app):
            sources = (*sources, Source(STANDARD, "a router of its own"))
            follows = inner if has_routes(inner) else None
            return Branch(app, path, route.matches, (whole,), sources, follows, is_foreign=True)
        missing = unrun - {source.category for source in sources}
        if missing:
            refused = Endpoint(whole.name, whole.path, unresolved=_NOT_RUN.format(", ".join(sorted(missing))))
            return Branch(app, path, route.matches, (refused,), (*sources, *sources_of(missing, "router")))
        if has_routes(inner):
            return Branch(app, path, route.matches, (), sources, inner)
        if type(inner) is StaticFiles:
            return Branch(app, path, route.matches, (whole,), (*sources, Source(STANDARD, "static files")))
        return _to_opaque(app, inner, route.matches, whole, sources)


def _to_opaque(app: object, inner: object, matches: Any, whole: Endpoint, sources: tuple[Source, ...]) -> Branch:
    """To what is mounted, and is no app that this adapter knows: a closure around one, an app of another framework."""
    path = whole.path.removesuffix("/*")
    within = apps_within(inner, has_routes)
    others = categories_within(inner)
    if within is None or others is None:
        reason = "it leads to more than can be looked through, so that its marks can't be read"
        return Branch(app, path, matches, (Endpoint(whole.name, whole.path, unresolved=reason),), sources)
    if len(within) == 1 and not others.serves_itself:
        return Branch(app, path, matches, (), sources, within[0])
    if others.serves_itself:
        own = Source(STANDARD, "a router of its own")
        return Branch(app, path, matches, (whole,), (*sources, own), provisional=others.provisional)
    sources = (*sources, *sources_of(others.categories, "an app that it may lead to"))
    return Branch(app, path, matches, (whole,), sources, None, tuple(within), provisional=others.provisional)


def _to_endpoint(route: Any, unrun: frozenset[str]) -> Branch:
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
        missing = frozenset() if dependant is not None else unrun - {source.category for source in sources}
        reason = _reason(route, dependant, missing, sources)
        sources += sources_of(missing, "router")
        found.append(Endpoint(name_of(route.endpoint), route.path, tuple(methods), sources, reason, routed))
    return Branch(route.endpoint, route.path, route.matches, tuple(found))


def _reason(route: Any, dependant: object, missing: frozenset[str], sources: tuple[Source, ...]) -> str | None:
    wrong = misplaced(route.endpoint, "an endpoint") or misused_dependencies(dependant)
    if wrong is not None:
        return wrong
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
