"""Requests followed through routers of a framework that is none: a tree of dicts, mounted in each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.web import (
    Branch,
    Endpoint,
    PathRules,
    RequestPosition,
    RouterNode,
    RouterTree,
    mark,
    marks_version,
    sources_of,
)

CATEGORIES = ("health", "legal", "payment")
RULES = PathRules({})


@dataclass
class Stop:
    """An endpoint, and what it is marked with."""

    marks: frozenset[str]


@dataclass
class Hub:
    """A router: its marks, and under each segment of a path an endpoint or another router."""

    marks: frozenset[str]
    routes: list[tuple[str, Any]] = field(default_factory=list)


def branch_to(segment: str, target: Any) -> Branch:
    def child_scope(asgi: Any) -> dict[str, Any] | None:
        first, _, rest = asgi["path"].partition("/")
        return {"path": rest, "endpoint": target} if first == segment else None

    if isinstance(target, Hub):
        return Branch(target, f"/{segment}", child_scope, inner=target)
    endpoint = Endpoint(segment, f"/{segment}", ("GET",), sources_of(target.marks))
    return Branch(target, f"/{segment}", child_scope, (endpoint,))


def read(hub: Any) -> RouterNode:
    version, lists = marks_version(), [(hub.routes, tuple(hub.routes))]
    branches = [branch_to(segment, target) for segment, target in hub.routes]
    return RouterNode(hub, sources_of(hub.marks), branches, version=version, lists=lists)


def request_to(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path.removeprefix("/")}


def position(hub: Hub, asgi: dict[str, Any]) -> RequestPosition:
    return RequestPosition(RouterTree(read, categories=CATEGORIES), RULES, hub, asgi, set())


def stops(hub: Hub, prefix: str = "", outer: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """Each endpoint's path, with the marks of it and of all routers around it."""
    for segment, target in hub.routes:
        here = outer | hub.marks
        if isinstance(target, Hub):
            yield from stops(target, f"{prefix}/{segment}", here)
        else:
            yield f"{prefix}/{segment}", here | target.marks


def routed(hub: Hub, asgi: dict[str, Any], at: RequestPosition) -> None:
    """Route a request as the framework would: each router changes the scope, and tells that it got the request."""
    at.enter(hub, asgi)
    first, _, rest = asgi["path"].partition("/")
    target = dict(reversed(hub.routes))[first]
    asgi.update(path=rest, endpoint=target)
    if isinstance(target, Hub):
        routed(target, asgi, at)


MARKS = st.frozensets(st.sampled_from(CATEGORIES), max_size=2)
SEGMENTS = st.sampled_from(("a", "b", "c"))


def hubs(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Hub]:
    routes = st.lists(st.tuples(SEGMENTS, inside), min_size=1, max_size=3, unique_by=lambda route: route[0])
    return st.builds(Hub, MARKS, routes)


TREES = hubs(st.recursive(st.builds(Stop, MARKS), hubs, max_leaves=6))


@given(TREES)
def test_what_is_listed_holds_before_and_after_the_routing(hub: Hub) -> None:
    """Of each endpoint of any tree: as it is listed, before a request is routed to it, and afterwards."""
    listed = {each.path: each.categories for each in RouterTree(read).endpoints(hub, str)}
    expected = dict(stops(hub))
    assert {path: listed[path] for path in expected} == expected
    for path, marks in expected.items():
        asgi = request_to(path)
        at = position(hub, asgi)
        assert (at() or frozenset()) == marks
        routed(hub, asgi, at)
        assert (at() or frozenset()) == marks


@given(TREES)
def test_a_request_that_leads_nowhere_falls_under_all_that_it_may_reach(hub: Hub) -> None:
    """Nothing tells where it would have gone: no mark is relaxed by that."""
    every = frozenset[str]().union(hub.marks, *(marks for _, marks in stops(hub)))
    assert (position(hub, request_to("/nowhere"))() or frozenset()) == every


def test_a_route_that_is_added_or_a_mark_that_is_put_on_is_seen_by_the_next_question() -> None:
    """A router is read again once what it was read from has changed."""
    stop, hub = Stop(frozenset()), Hub(frozenset())
    hub.routes.append(("a", stop))
    tree = RouterTree(read)
    before = tree.node(hub)
    assert tree.node(hub) is before
    hub.routes.append(("b", Stop(frozenset({"payment"}))))
    after = tree.node(hub)
    assert after is not before
    assert [each.path for each in tree.endpoints(hub, str)] == ["/a", "/b"]
    mark(lambda: None, "payment")
    assert tree.node(hub) is not after


def test_categories_of_an_app_with_another_router_do_not_hold_here(caplog: pytest.LogCaptureFixture) -> None:
    """What is mounted with a router of its own has categories that this config need not know."""
    inner = Hub(frozenset({"theirs", "legal"}), [("x", Stop(frozenset()))])
    outer = Hub(frozenset(), [("in", inner)])

    def read_foreign(hub: Any) -> RouterNode:
        node = read(hub)
        branches = [each._replace(is_foreign=True) if each.inner is inner else each for each in node.branches]
        lists = [(hub.routes, tuple(hub.routes))]
        return RouterNode(hub, node.sources, branches, version=marks_version(), lists=lists)

    tree = RouterTree(read_foreign, categories=CATEGORIES)
    assert RequestPosition(tree, RULES, outer, request_to("/in/x"), set())() == {"legal"}
    assert not caplog.records
