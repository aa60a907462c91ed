"""Where a request is on its way through an app's routers, and the marks that hold there.

The middleware sees a request before it is routed, and another layer may hand on a copy of its ASGI scope: so each
router tells when it gets a request, and with which scope. Before that, they are asked which way they would take.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Send

from lanewise.web import SCOPE_KEY, STANDARD, Endpoint, PathRules, Source, entered_states, state_of
from starlette_lanewise.places import Asgi, Branch, RoutePlace, RoutePlaces

__all__ = ["ROUTED", "Routed", "RouterWatch", "watch"]

ROUTED: Final = "lanewise.routed"
"""Where the ASGI scope has the way of its request."""
_DEEPEST: Final = 32
"""How many mounts in each other are followed."""
_ROUTING: Final = ("endpoint", "route", "router", "path_params", "fastapi")
"""What routing writes into an ASGI scope."""
_UNSEEN: Final = (
    "a request could not be followed to its endpoint: none was found (a 404, a 405), or it leads to something that "
    "can't be seen through. An AI call that was made there counts as sensitive (%s), as some of what may be reached is"
)
_log: Final = logging.getLogger("lanewise")


class RouterWatch:
    """In the place of a router's own ``middleware_stack``, which it calls: tells when the router gets a request."""

    def __init__(self, app: ASGIApp, router: object) -> None:
        self.app = app
        self.router = router

    def __call__(self, asgi: Any, receive: Receive, send: Send) -> Any:
        """Serve, as the router would."""
        routed = asgi.get(ROUTED)
        if asgi["type"] != "lifespan" and (routed is None or not routed.starts_at(self.router, asgi)):
            own = asgi.get(SCOPE_KEY)
            for state in {*entered_states(), *([] if own is None else [state_of(own)])}:
                if isinstance(state.marks_resolver, Routed):
                    state.marks_resolver.enter(self.router, asgi)
        return self.app(asgi, receive, send)


def watch(places: Iterable[RoutePlace]) -> None:
    """Have the routers of all places tell of the requests that they get."""
    for place in places:
        stack = getattr(place.router, "middleware_stack", None)
        if stack is not None and not isinstance(stack, RouterWatch):
            place.router.middleware_stack = RouterWatch(stack, place.router)


class Routed:
    """The way of one request: asked for the marks that hold where it is, at each call that is made in it."""

    __slots__ = (
        "_asgi",
        "_found",
        "_is_foreign",
        "_owner",
        "_place",
        "_places",
        "_prefix",
        "_rules",
        "_start",
        "_warned",
    )

    def __init__(self, places: RoutePlaces, rules: PathRules, owner: object, asgi: Asgi, warned: set[str]) -> None:
        self._places = places
        self._rules = rules
        self._warned = warned
        self._prefix = ""
        self._is_foreign = False
        self._found: frozenset[str] = frozenset()
        """What holds for all that lies beyond the routers that the request has passed, ``standard`` included."""
        self._owner = owner
        self._place: RoutePlace | None = None
        self._asgi = asgi
        self._start: object = asgi.get("endpoint")

    def __call__(self) -> frozenset[str] | None:
        """The categories that hold here; ``None`` where nothing says what the endpoint is."""
        marks = self._found | self._here()
        if self._is_foreign:
            marks &= self._places.known | {STANDARD}
        return marks - {STANDARD} if marks else None

    def starts_at(self, router: object, asgi: Asgi) -> bool:
        """Whether this is known already: nothing lies between the middleware and the app's own router."""
        return asgi is self._asgi and self._place is None and router is getattr(self._owner, "router", self._owner)

    def enter(self, owner: object, asgi: Asgi) -> None:
        """Note that a router has got the request, with this ASGI scope."""
        before, place = self._place_here(), self._places.of(owner)
        if place is before and asgi is self._asgi:
            return
        if before.router is not place.router:
            for branch in before.by_target.get(id(self._asgi.get("endpoint")), ()):
                self._found |= _marks(branch.sources)
                self._prefix += branch.path
                self._is_foreign = self._is_foreign or branch.is_foreign
        if asgi["path"] != self._asgi["path"]:
            self._found |= self._rules.match(asgi["path"], asgi.get("root_path", ""))
        self._found |= _marks(before.sources)
        self._owner, self._place, self._asgi, self._start = owner, place, asgi, asgi.get("endpoint")

    # -- where the request is ----------------------------------------------------------------------------------------

    def _here(self) -> frozenset[str]:
        place = self._place_here()
        endpoint = self._asgi.get("endpoint")
        if endpoint is None or endpoint is self._start:
            return _marks(place.sources) | self._ahead(place, self._asgi, self._prefix, 0)
        key = (id(endpoint), self._asgi.get("method"), self._prefix)
        known = place.known.get(key)
        if known is None:
            known = _marks(place.sources) | self._taken(place, endpoint, key)
        return known

    def _place_here(self) -> RoutePlace:
        place = self._places.of(self._owner)
        if self._place is not None and place is not self._place:  # a mark or a route was added
            watch(each for each, _ in self._places.below(place.owner))
        self._place = place
        return place

    def _taken(self, place: RoutePlace, endpoint: object, key: tuple[int, object, str]) -> frozenset[str]:
        """The marks of the way that was taken to an endpoint, or to what is mounted."""
        branches = place.by_target.get(id(endpoint))
        if branches is None:
            return self._unseen([place.owner], self._prefix) | self._deeper(endpoint)
        if len(branches) > 1:
            return self._ahead(place, self._asgi, self._prefix, 0)
        (branch,) = branches
        if branch.inner is not None:
            return _marks(branch.sources) | self._at(branch, self._asgi, self._prefix, 1)
        found = self._of(place, branch, self._asgi, self._prefix)
        if not (branch.beyond or branch.provisional) and branch.answering(self._asgi):
            place.known[key] = _marks(place.sources) | found
        return found

    def _at(self, branch: Branch, asgi: Asgi, prefix: str, depth: int) -> frozenset[str]:
        place = self._places.of(branch.inner)
        found = _marks(place.sources) | self._ahead(place, asgi, prefix + branch.path, depth)
        return found & (self._places.known | {STANDARD}) if branch.is_foreign else found

    def _ahead(self, place: RoutePlace, asgi: Asgi, prefix: str, depth: int) -> frozenset[str]:
        """The marks of the way that a router would take."""
        if depth < _DEEPEST and not place.routes_itself:
            dry = {name: value for name, value in asgi.items() if name not in _ROUTING}
            for branch in place.branches:
                match, child = branch.matches(dry)
                if match is Match.FULL and branch.inner is not None:
                    return _marks(branch.sources) | self._at(branch, {**dry, **child}, prefix, depth + 1)
                if match is Match.FULL:
                    return self._of(place, branch, dry, prefix)
        return self._unseen([place.owner], prefix)

    def _of(self, place: RoutePlace, branch: Branch, asgi: Asgi, prefix: str) -> frozenset[str]:
        answering = branch.answering(asgi)
        found = _marks(branch.sources).union(*(self._marks_of(each, prefix) for each in answering))
        if branch.provisional and not self._is_handed_on():
            found |= branch.provisional & self._places.known
        if branch.beyond:
            return found | self._unseen(branch.beyond, prefix + branch.path)
        return found if answering else found | self._unseen([place.owner], prefix)  # a 405

    def _marks_of(self, endpoint: Endpoint, prefix: str) -> frozenset[str]:
        return _marks(endpoint.sources) | self._rules.match(prefix + endpoint.path)

    def _unseen(self, owners: Iterable[object], prefix: str) -> frozenset[str]:
        """The categories of all that may be reached from routers: nothing tells which of it a request goes to."""
        found: frozenset[str] = frozenset()
        for owner in owners:
            for place, path in self._places.below(owner, prefix):
                found |= _marks(place.sources)
                for branch in place.ways:
                    found |= _marks(branch.sources)
                    found = found.union(*(self._marks_of(each, path) for each in branch.endpoints))
        found -= {STANDARD}
        if found and not self._warned:
            self._warned.add("")
            _log.warning(_UNSEEN, ", ".join(sorted(found)))
        return found

    def _is_handed_on(self) -> bool:
        """Whether another adapter, further inside, serves the request by now."""
        requests = [state for state in entered_states() if state.is_request]
        return bool(requests) and requests[-1].marks_resolver is not self

    def _deeper(self, endpoint: object) -> frozenset[str]:
        """Of an endpoint in a router that was mounted since, and so tells of nothing."""
        found: frozenset[str] = frozenset()
        for place, _ in self._places.below(self._owner):
            for branch in place.by_target.get(id(endpoint), ()):
                found = found.union(_marks(branch.sources), *(_marks(each.sources) for each in branch.endpoints))
        return found


def _marks(sources: Iterable[Source]) -> frozenset[str]:
    return frozenset(source.category for source in sources)
