"""Where a request is on its way through an app's routers, and the marks that hold there.

The middleware sees a request before it is routed, and another layer may hand on a copy of its ASGI scope: so each
router reports when it gets a request, and with which scope. Before that, the routes are matched without being run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from lanewise._scope.entered import entered_states
from lanewise.scope import state_of
from lanewise.web.asgi_core import SCOPE_KEY, App, AsgiScope, Receive, Send
from lanewise.web.marks.endpoint_report import Endpoint, Source
from lanewise.web.marks.mark_search import STANDARD
from lanewise.web.marks.path_rules import PathRules
from lanewise.web.marks.router_tree import Branch, RouterNode, RouterTree

__all__ = ["RequestPosition", "RouterWatch"]

_POSITION: Final = "lanewise.routed"
"""Where the ASGI scope has the position of its request."""
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
    """An ASGI app around the one that a router serves requests by, which reports each request that the router gets."""

    def __init__(self, app: App, router: object) -> None:
        self.app = app
        self.router = router

    def __call__(self, asgi: Any, receive: Receive, send: Send) -> Any:
        """Serve, as the router would."""
        position = asgi.get(_POSITION)
        if asgi["type"] != "lifespan" and (position is None or not position.starts_at(self.router, asgi)):
            own = asgi.get(SCOPE_KEY)
            for state in {*entered_states(), *([] if own is None else [state_of(own)])}:
                if isinstance(state.marks_resolver, RequestPosition):
                    state.marks_resolver.enter(self.router, asgi)
        return self.app(asgi, receive, send)


class RequestPosition:
    """Where one request is: asked for the marks that hold there, at each call that is made in it.

    ``owner`` is where the app's routing begins. ``warned`` is shared by all requests of the app: the log says once that
    one of them could not be followed.
    """

    __slots__ = (
        "_asgi",
        "_is_foreign",
        "_node",
        "_owner",
        "_passed",
        "_prefix",
        "_rules",
        "_start",
        "_tree",
        "_warned",
    )

    def __init__(self, tree: RouterTree, rules: PathRules, owner: object, asgi: AsgiScope, warned: set[str]) -> None:
        self._tree = tree
        self._rules = rules
        self._warned = warned
        self._prefix = ""
        self._is_foreign = False
        self._passed: frozenset[str] = frozenset()
        """What holds for all that lies beyond the routers that the request has passed, ``standard`` included."""
        self._owner = owner
        self._node: RouterNode | None = None
        self._asgi = asgi
        self._start: object = asgi.get("endpoint")
        asgi[_POSITION] = self

    def __call__(self) -> frozenset[str] | None:
        """The categories that hold here; ``None`` where nothing says what the endpoint is."""
        marks = self._passed | self._here()
        if self._is_foreign:
            marks &= self._tree.categories | {STANDARD}
        return marks - {STANDARD} if marks else None

    def starts_at(self, router: object, asgi: AsgiScope) -> bool:
        """Whether this is known already: nothing lies between the middleware and the app's own router."""
        return asgi is self._asgi and self._node is None and router is getattr(self._owner, "router", self._owner)

    def enter(self, owner: object, asgi: AsgiScope) -> None:
        """Note that a router has got the request, with this ASGI scope."""
        before, node = self._node_here(), self._tree.node(owner)
        if node is before and asgi is self._asgi:
            return
        if before.router is not node.router:
            for branch in before.by_target.get(id(self._asgi.get("endpoint")), ()):
                self._passed |= _marks(branch.sources)
                self._prefix += branch.path
                self._is_foreign = self._is_foreign or branch.is_foreign
        if asgi["path"] != self._asgi["path"]:
            self._passed |= self._rules.match(asgi["path"], asgi.get("root_path", ""))
        self._passed |= _marks(before.sources)
        self._owner, self._node, self._asgi, self._start = owner, node, asgi, asgi.get("endpoint")

    # -- where the request is ----------------------------------------------------------------------------------------

    def _here(self) -> frozenset[str]:
        node = self._node_here()
        endpoint = self._asgi.get("endpoint")
        if endpoint is None or endpoint is self._start:
            return _marks(node.sources) | self._ahead(node, self._asgi, self._prefix, 0)
        key = (id(endpoint), self._asgi.get("method"), self._prefix)
        known = node.known.get(key)
        if known is None:
            known = _marks(node.sources) | self._taken(node, endpoint, key)
        return known

    def _node_here(self) -> RouterNode:
        node = self._tree.node(self._owner)
        if self._node is not None and node is not self._node:  # a mark or a route was added
            self._tree.watch_below(node.owner)
        self._node = node
        return node

    def _taken(self, node: RouterNode, endpoint: object, key: tuple[int, object, str]) -> frozenset[str]:
        """The marks of the branch that led to an endpoint, or to what is mounted."""
        branches = node.by_target.get(id(endpoint))
        if branches is None:
            return self._unseen([node.owner], self._prefix) | self._deeper(endpoint)
        if len(branches) > 1:
            return self._ahead(node, self._asgi, self._prefix, 0)
        (branch,) = branches
        if branch.inner is not None:
            return _marks(branch.sources) | self._at(branch, self._asgi, self._prefix, 1)
        found = self._of(node, branch, self._asgi, self._prefix)
        if not (branch.beyond or branch.provisional) and branch.answering(self._asgi):
            node.known[key] = _marks(node.sources) | found
        return found

    def _at(self, branch: Branch, asgi: AsgiScope, prefix: str, depth: int) -> frozenset[str]:
        node = self._tree.node(branch.inner)
        found = _marks(node.sources) | self._ahead(node, asgi, prefix + branch.path, depth)
        return found & (self._tree.categories | {STANDARD}) if branch.is_foreign else found

    def _ahead(self, node: RouterNode, asgi: AsgiScope, prefix: str, depth: int) -> frozenset[str]:
        """The marks of the branch by which a router would send the request on."""
        if depth < _DEEPEST and not node.routes_itself:
            dry = {name: value for name, value in asgi.items() if name not in _ROUTING}
            for branch in node.branches:
                child = branch.child_scope(dry)
                if child is None:
                    continue
                if branch.inner is not None:
                    return _marks(branch.sources) | self._at(branch, {**dry, **child}, prefix, depth + 1)
                return self._of(node, branch, dry, prefix)
        return self._unseen([node.owner], prefix)

    def _of(self, node: RouterNode, branch: Branch, asgi: AsgiScope, prefix: str) -> frozenset[str]:
        answering = branch.answering(asgi)
        found = _marks(branch.sources).union(*(self._marks_of(each, prefix) for each in answering))
        if branch.provisional and not self._is_handed_on():
            found |= branch.provisional & self._tree.categories
        if branch.beyond:
            return found | self._unseen(branch.beyond, prefix + branch.path)
        return found if answering else found | self._unseen([node.owner], prefix)  # a 405

    def _marks_of(self, endpoint: Endpoint, prefix: str) -> frozenset[str]:
        return _marks(endpoint.sources) | self._rules.match(prefix + endpoint.path)

    def _unseen(self, owners: Iterable[object], prefix: str) -> frozenset[str]:
        """The categories of all that may be reached from routers: nothing tells which of it a request goes to."""
        found: frozenset[str] = frozenset()
        for owner in owners:
            for node, path in self._tree.below(owner, prefix):
                found |= _marks(node.sources)
                for branch in node.all_branches:
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
        """The marks of an endpoint in a router that was mounted since, and so does not report its requests."""
        found: frozenset[str] = frozenset()
        for node, _ in self._tree.below(self._owner):
            for branch in node.by_target.get(id(endpoint), ()):
                found = found.union(_marks(branch.sources), *(_marks(each.sources) for each in branch.endpoints))
        return found


def _marks(sources: Iterable[Source]) -> frozenset[str]:
    return frozenset(source.category for source in sources)
