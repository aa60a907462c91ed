"""Which routes may answer a call, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.selection.candidates import Candidate, candidates, home_provider, marked, static_candidates
from lanewise.config import DEFAULT_ON, Route, Task
from lanewise.types import Api, FailureKind, LaneName


def route(name: str, **settings: object) -> Route:
    return Route.model_validate({"name": name, "provider": "p", "model": f"model-{name}", **settings})


def task(**settings: object) -> Task:
    return Task.model_validate({"name": "t", **settings})


ROUTES = {name: route(name) for name in "abcdef"}
LANES: dict[str, object] = {"primary": ["a", "b"], "equivalent": ["c", "d"], "degraded": ["e", "f"]}


def find(given_task: Task, routes: dict[str, Route] = ROUTES, **options: Any) -> tuple[Candidate, ...]:
    return candidates(given_task, routes, **{"api": Api.CHAT, **options})


def names(found: tuple[Candidate, ...]) -> str:
    return "".join(candidate.route for candidate in found)


def usable(found: tuple[Candidate, ...]) -> str:
    return "".join(candidate.route for candidate in found if candidate.incapable is None)


@pytest.mark.parametrize(
    ("start", "order"),
    [
        (None, "abcdef"),
        (LaneName.PRIMARY, "abcdef"),
        (LaneName.EQUIVALENT, "cdefab"),
        (LaneName.DEGRADED, "efabcd"),
    ],
)
def test_lanes_come_in_order_from_the_start_and_the_earlier_ones_last(start: LaneName | None, order: str) -> None:
    """A drill starts later, and may still end in the lanes before."""
    found = find(task(**LANES), start=start)
    assert names(found) == order
    assert [candidate.lane for candidate in found if candidate.route == "e"] == [LaneName.DEGRADED]


def test_a_start_that_the_task_lacks_begins_with_the_next_lane() -> None:
    """Later lanes first, then round."""
    assert names(find(task(primary="a", degraded="e"), start=LaneName.EQUIVALENT)) == "ea"
    assert names(find(task(primary="a", equivalent="c"), start=LaneName.DEGRADED)) == "ac"


def test_a_candidate_has_what_the_plan_needs() -> None:
    """Timeouts, window and the edges come from route and lane."""
    routes = {"a": route("a", timeout=12.0, first_token=3.0, context_window=8000), "b": route("b", reasoning=True)}
    found = find(task(primary="a", equivalent={"routes": ["b"], "on": ["timeout"]}), routes)
    assert found == (
        Candidate("a", LaneName.PRIMARY, DEFAULT_ON, 12.0, 3.0, 8000),
        Candidate("b", LaneName.EQUIVALENT, frozenset({FailureKind.TIMEOUT}), 30.0, 60.0, None, timeout_declared=False),
    )


def test_an_entrys_own_list_wins_over_the_lanes_and_the_lanes_over_the_default() -> None:
    """The nearest declaration decides which failures may move a call."""
    lane = {"routes": [{"route": "c", "on": ["rate_limit"]}, "d"], "on": ["outage"]}
    by_route = {found.route: found.on for found in find(task(primary="a", equivalent=lane, degraded="e"))}
    assert by_route["c"] == {FailureKind.RATE_LIMIT}
    assert by_route["d"] == {FailureKind.OUTAGE}
    assert by_route["e"] == DEFAULT_ON


@pytest.mark.parametrize(
    ("settings", "asked", "seconds"),
    [
        ({}, False, 20.0),
        ({}, True, 60.0),
        ({"reasoning": True}, False, 60.0),
        ({"first_token": 5.0, "reasoning": True}, True, 5.0),
    ],
)
def test_the_first_token_may_come_later_with_reasoning(
    settings: dict[str, object], asked: bool, seconds: float
) -> None:
    """Of the route or of the call; the route's own figure wins."""
    assert find(task(primary="a"), {"a": route("a", **settings)}, reasoning=asked)[0].first_token == seconds


def test_routes_that_are_not_approved_are_left_out_altogether() -> None:
    """A sensitive call can't get to them, whatever a plan does."""
    assert names(find(task(**LANES), approved=frozenset("db"))) == "bd"
    assert find(task(**LANES), approved=frozenset()) == ()


def test_routes_that_are_off_or_incapable_say_why() -> None:
    """They stay in the list for the trace, and are never sent to."""
    found = find(
        task(**LANES),
        off={"a": "KEY is unset"},
        incapable=lambda name: "can't take tools" if name in "ab" else None,
    )
    assert [candidate.incapable for candidate in found] == ["KEY is unset", "can't take tools", None, None, None, None]


def test_a_route_without_the_kind_of_api_is_incapable() -> None:
    """Its reason names the API."""
    routes = {"a": route("a", api=["chat"]), "b": route("b")}
    found = find(task(primary=["a", "b"]), routes, api=Api.RESPONSES)
    assert [candidate.incapable for candidate in found] == ["does not offer responses", None]


def test_a_bound_call_stays_on_its_route_or_provider() -> None:
    """Only what made the memory can read it."""
    routes = {**ROUTES, "c": route("c", provider="q")}
    given_task = task(**LANES)
    assert usable(find(given_task, routes, bound_to="d")) == "d"
    assert usable(find(given_task, routes, bound_to="unknown")) == ""
    assert usable(find(given_task, routes, provider="q")) == "c"
    assert usable(find(given_task, routes, provider=home_provider(given_task, routes))) == "abdef"


def test_embeddings_stay_with_the_first_routes_model() -> None:
    """Vectors of different models can't be compared: no lane, weight or drill mixes them."""
    routes = {
        "a": route("a", model="m"),
        "b": route("b", same_as=["a"]),
        "c": route("c", model="m"),
        "d": route("d"),
    }
    given_task = task(primary=["a", "b"], equivalent="c", degraded="d")
    found = find(given_task, routes, api=Api.EMBEDDINGS)
    assert usable(found) == "abc"
    assert found[-1].incapable == "gives other embeddings than a"
    assert usable(find(given_task, routes, api=Api.EMBEDDINGS, start=LaneName.DEGRADED)) == "abc"
    assert usable(find(given_task, routes)) == "abcd"


def test_embeddings_take_the_first_route_that_can_answer_at_all_as_their_model() -> None:
    """One that is off, not approved or without the API gives no vectors to keep to."""
    routes = {"a": route("a"), "b": route("b", api=["chat"]), "c": route("c"), "d": route("d", same_as=["c"])}
    given_task = task(primary=["a", "b"], equivalent=["c", "d"])
    assert usable(find(given_task, routes, api=Api.EMBEDDINGS, off={"a": "KEY is unset"})) == "cd"
    assert usable(find(given_task, routes, api=Api.EMBEDDINGS, approved=frozenset("bcd"))) == "cd"
    assert usable(find(given_task, routes, api=Api.EMBEDDINGS, approved=frozenset("b"))) == ""


@given(st.sampled_from([None, *LaneName]), st.permutations("ab"))
def test_an_order_within_the_lanes_changes_no_lane(start: LaneName | None, first: list[str]) -> None:
    """Lanes keep their rank, and no route is lost or doubled."""
    ranks = {name: position for position, name in enumerate(first)}
    found = find(
        task(**LANES),
        start=start,
        arrange=lambda lane: sorted(lane.entries, key=lambda entry: ranks.get(entry.route, 0)),
    )
    assert sorted(names(found)) == list("abcdef")
    assert [candidate.lane for candidate in found] == [candidate.lane for candidate in find(task(**LANES), start=start)]
    assert "".join(first) in names(found)


def test_a_window_that_is_known_otherwise_counts_where_the_route_declares_none() -> None:
    """The route's own word wins."""
    routes = {"a": route("a", context_window=100), "b": route("b"), "c": route("c")}
    found = find(task(primary=["a", "b", "c"]), routes, windows={"a": 7, "b": 8})
    assert [candidate.context_window for candidate in found] == [100, 8, None]


def test_the_table_of_plain_calls_has_what_selection_would_give() -> None:
    """For each kind of API, start and wish to reason."""
    given_task, off = task(**LANES), {"c": "KEY is unset"}
    table = static_candidates(given_task, ROUTES, off=off)
    assert len(table) == 24
    for (api, start, reasoning), found in table.items():
        assert found == find(given_task, api=api, start=start, reasoning=reasoning, off=off)


@pytest.mark.parametrize("select", ["weight", "cheapest", "fastest"])
def test_a_task_whose_calls_have_an_order_each_has_no_table(select: str) -> None:
    """They draw, or are reckoned, anew."""
    assert static_candidates(task(**LANES, select=select), ROUTES) == {}


def test_marking_what_a_body_rules_out_keeps_the_rest() -> None:
    """The table's own tuple comes back if nothing is ruled out; an earlier reason stays."""
    found = find(task(primary=["a", "b"]), off={"a": "KEY is unset"})
    assert marked(found, lambda _: None) is found
    assert [candidate.incapable for candidate in marked(found, lambda _: "can't take n")] == [
        "KEY is unset",
        "can't take n",
    ]
    assert found[1].incapable is None
