"""An app's routers as a tree: each with the marks that hold for all in it, and its branches to endpoints and routers.

What is listed for an endpoint, what the check at the start refuses, and what holds when a request comes are read from
this same tree. For frameworks whose apps and routers may be mounted in each other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from lanewise.web.marks.endpoint_report import Endpoint, Source
from lanewise.web.marks.mark_search import STANDARD, marks_version

__all__ = ["Branch", "RouterNode", "RouterTree"]

_ANY_METHOD: Final = "ANY"


class Branch(NamedTuple):
    """A route of a router: to an endpoint, or to what is mounted there.

    ``target`` is what the ASGI scope has as ``endpoint`` once this route was taken. ``child_scope`` is what the router
    would write into the ASGI scope of a request that it sends here; ``None``: it would not send it here. ``endpoints``
    are those that are there, with the methods that they answer, and without what holds for the router. Of what is
    mounted, ``inner`` is the router (or an app with one) whose routing can be followed; ``beyond`` are the routers that
    a callable may lead to which can't be seen through.
    """

    target: object
    path: str
    child_scope: Callable[[MutableMapping[str, Any]], Mapping[str, Any] | None]
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

    @property
    def leads_to(self) -> tuple[object, ...]:
        """All routers that a request may come to from here."""
        return self.beyond if self.inner is None else (self.inner, *self.beyond)

    @property
    def all_sources(self) -> Iterator[Source]:
        """The marks of the branch and of its endpoints."""
        yield from self.sources
        for endpoint in self.endpoints:
            yield from endpoint.sources

    def answering(self, asgi: Mapping[str, Any]) -> tuple[Endpoint, ...]:
        """The endpoints here that answer a request of this kind and method."""
        method = asgi.get("method") if asgi["type"] == "http" else "WS"
        return tuple(each for each in self.endpoints if not each.methods or {method, _ANY_METHOD} & {*each.methods})


class RouterNode:
    """A router, or an app with a router, as an adapter read it.

    ``sources`` are the marks that hold for all in it, ``branches`` lead on from it in the order in which it tries them,
    and ``fallback`` to what serves where none of them matches. ``misuse`` says what is wrong with the marks of all in
    it. One that ``routes_itself`` is of a class whose routing can't be matched ahead.

    It is read anew once a mark was put on anything since ``version``, which is :func:`marks_version` from before it was
    read, or once one of ``lists`` has changed: the lists of routes that it was read from, its router's own first, each
    with what was in it.
    """

    def __init__(
        self,
        owner: object,
        sources: tuple[Source, ...],
        branches: Sequence[Branch],
        *,
        version: int,
        lists: Sequence[tuple[list[Any], tuple[Any, ...]]],
        fallback: Branch | None = None,
        misuse: str | None = None,
        routes_itself: bool = False,
    ) -> None:
        self.owner = owner
        self.router: Any = _router_of(owner)
        self.sources = sources
        self.branches = branches
        self.all_branches = [*branches, *([] if fallback is None else [fallback])]
        self.misuse = misuse
        self.routes_itself = routes_itself
        self.by_target: dict[int, list[Branch]] = {}
        self.known: dict[tuple[int, object, str], frozenset[str]] = {}
        """What holds for an endpoint and method, below a path."""
        for branch in branches:
            self.by_target.setdefault(id(branch.target), []).append(branch)
        self._version = version
        self._lists = lists

    @property
    def is_current(self) -> bool:
        """Whether no mark was put on since, and no route added, replaced or moved, here or in an included router."""
        return (
            self._version == marks_version()
            and self.router.routes is self._lists[0][0]
            and all(len(now) == len(then) and all(map(operator.is_, now, then)) for now, then in self._lists)
        )


class RouterTree:
    """The routers of one app, each read once, and anew where a mark or a route was added since.

    ``read`` makes the node of a router, or of an app that has one as its ``router``. ``watch`` is called with nodes
    whose routers are to report the requests that they get. ``categories`` are those of the config.
    """

    def __init__(
        self,
        read: Callable[[object], RouterNode],
        watch: Callable[[Iterable[RouterNode]], None] | None = None,
        categories: Iterable[str] = (),
    ) -> None:
        self.categories = frozenset(categories)
        self._read = read
        self._watch = watch
        self._known: dict[int, RouterNode] = {}
        self._below: tuple[list[RouterNode], frozenset[str]] | None = None

    def node(self, owner: object) -> RouterNode:
        """The node of a router, or of an app with one."""
        key = id(_router_of(owner))
        known = self._known.get(key)
        if known is None or not known.is_current:
            known = self._known[key] = self._read(owner)
        return known

    def below(self, owner: object, prefix: str = "") -> Iterator[tuple[RouterNode, str]]:
        """The node of an owner and all that are reached from there, each with the path that it is mounted at."""
        seen: set[int] = set()
        waiting = [(owner, prefix)]
        while waiting:
            inner, path = waiting.pop()
            node = self.node(inner)
            if id(node) not in seen:
                seen.add(id(node))
                yield node, path
                for branch in node.all_branches:
                    waiting += [(each, path + branch.path) for each in branch.leads_to]

    def watch_below(self, owner: object) -> None:
        """Have all routers that are reached from an owner report the requests that they get."""
        if self._watch is not None:
            self._watch(node for node, _ in self.below(owner))

    def categories_below(self, owner: object) -> frozenset[str]:
        """The categories of all that is reached from an owner."""
        nodes = [node for node, _ in self.below(owner)]
        known = self._below
        if known is None or len(nodes) != len(known[0]) or not all(map(operator.is_, nodes, known[0])):
            found = {source.category for node in nodes for source in node.sources}
            for branch in (branch for node in nodes for branch in node.all_branches):
                found |= {source.category for source in branch.all_sources}
            known = self._below = nodes, frozenset(found - {STANDARD})
        return known[1]

    def endpoints(self, owner: object, name_of: Callable[[object], str]) -> list[Endpoint]:
        """The endpoints of an app, those of what is mounted in it too, with all marks that hold for each.

        ``name_of`` names an app or router of which nothing but its own marks is known.
        """
        return list(self._endpoints(owner, name_of, "", (), ()))

    def _endpoints(
        self,
        owner: object,
        name_of: Callable[[object], str],
        prefix: str,
        outer: tuple[Source, ...],
        path: tuple[object, ...],
    ) -> Iterator[Endpoint]:
        if owner in path:  # mounted in itself
            return
        node = self.node(owner)
        outer += node.sources
        if node.misuse is not None or (outer and not node.all_branches):
            yield Endpoint(name_of(owner), prefix + "/*", (), outer, node.misuse)
        for branch in node.all_branches:
            sources = (*outer, *branch.sources)
            for each in branch.endpoints:
                found = tuple(dict.fromkeys((*sources, *each.sources)))
                yield msgspec.structs.replace(each, path=prefix + each.path, sources=found)
            for inner in branch.listed:
                yield from self._endpoints(inner, name_of, prefix + branch.path, sources, (*path, owner))


def _router_of(owner: object) -> object:
    return getattr(owner, "router", owner)
