"""In which order a lane's routes are tried."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.selection.ordering import EXPLORING, Arrange, Picks, by_cost, by_speed, by_weight, subject_picks
from lanewise.config import Lane, Route, Task

LANE: Lane = Task.model_validate({"primary": ["a", "b", "c"]}).primary
SECRET = b"s" * 32


def routes(**weights: float) -> dict[str, Route]:
    return {
        name: Route.model_validate({"name": name, "provider": "p", "model": "m", "weight": weights.get(name, 1.0)})
        for name in "abc"
    }


def order(arrange: Arrange, lane: Lane = LANE) -> str:
    return "".join(entry.route for entry in arrange(lane))


def numbers(**picks: float) -> Picks:
    return lambda route: picks.get(route, 0.5)


def never(_: str) -> bool:
    return False


@pytest.mark.parametrize("edge", [0.0, 1 - 2**-53])
def test_every_number_of_the_half_open_interval_is_fine(edge: float) -> None:
    """Zero too: no logarithm of nothing."""
    assert sorted(order(by_weight(routes(), lambda _: edge))) == list("abc")


def test_routes_come_first_in_proportion_to_their_weights() -> None:
    """Of 4,000 seeded draws with weights 3, 1 and 1, about three fifths begin with the heavy one."""
    seeded = random.Random(7)
    firsts = Counter(order(by_weight(routes(a=3.0), lambda _: seeded.random()))[0] for _ in range(4000))
    assert 0.57 < firsts["a"] / 4000 < 0.63
    assert 0.17 < firsts["b"] / 4000 < 0.23


def test_subjects_are_shared_out_by_weight() -> None:
    """Of 4,000 subjects about three fifths stay with the heavy route, by the hash alone."""
    firsts = Counter(order(by_weight(routes(a=3.0), subject_picks(f"user-{n}", SECRET)))[0] for n in range(4000))
    assert 0.57 < firsts["a"] / 4000 < 0.63
    assert 0.17 < firsts["b"] / 4000 < 0.23


@given(st.text(), st.none() | st.binary(min_size=1))
def test_a_subject_keeps_its_order(subject: str, secret: bytes | None) -> None:
    """In all processes with the same secret."""
    one, two = (order(by_weight(routes(), subject_picks(subject, secret))) for _ in range(2))
    assert one == two


def test_a_route_that_goes_moves_no_subject_but_its_own() -> None:
    """Rendezvous hashing: the others keep their place."""
    without: Lane = Task.model_validate({"primary": ["a", "c"]}).primary
    for number in range(500):
        arrange = by_weight(routes(), subject_picks(f"user-{number}", None))
        assert order(arrange, without) == order(arrange).replace("b", "")


def test_the_secret_decides_which_subject_goes_where() -> None:
    """Who does not have it can't tell, nor choose a subject for a route."""
    keyed = [order(by_weight(routes(), subject_picks(f"user-{n}", SECRET))) for n in range(200)]
    bare = [order(by_weight(routes(), subject_picks(f"user-{n}", None))) for n in range(200)]
    assert 0.05 < sum(one == other for one, other in zip(keyed, bare, strict=True)) / 200 < 0.35


def test_the_cheapest_comes_first_and_the_unknown_last() -> None:
    """Of equal ones the first declared is first."""
    assert order(by_cost({"a": None, "b": 0.002, "c": 0.001}.get)) == "cba"
    assert order(by_cost({"a": 0.0, "b": 0.0, "c": None}.get)) == "abc"
    assert order(by_cost(lambda _: None)) == "abc"


def test_the_fastest_comes_first() -> None:
    """By what each took lately."""
    assert order(by_speed({"a": 3.0, "b": 1.0, "c": 2.0}.get, never, numbers())) == "bca"


def test_a_route_that_fails_is_not_the_fastest() -> None:
    """However quick its answers were."""
    assert order(by_speed({"a": 3.0, "b": 1.0, "c": 2.0}.get, "b".__eq__, numbers())) == "cab"
    assert order(by_speed({"a": 3.0, "b": 1.0}.get, "bc".__contains__, numbers())) == "abc"


def test_a_route_of_which_nothing_is_known_is_drawn_with_the_fastest() -> None:
    """So it is tried, and not by all calls at once."""
    speed = {"a": 1.0, "b": 2.0}.get
    assert order(by_speed(speed, never, numbers(a=0.9, c=0.1))) == "cab"
    assert order(by_speed(speed, never, numbers(a=0.1, c=0.9))) == "acb"
    seeded = random.Random(7)
    firsts = Counter(order(by_speed(lambda _: None, never, lambda _: seeded.random()))[0] for _ in range(3000))
    assert min(firsts.values()) > 800


def test_a_small_share_of_calls_explores() -> None:
    """The others keep their turn, so that what is known of them stays fresh; one that fails is not explored."""
    seeded = random.Random(7)
    speed = {"a": 1.0, "b": 2.0, "c": 3.0}.get
    firsts = Counter(order(by_speed(speed, never, lambda _: seeded.random()))[0] for _ in range(8000))
    assert 0.8 * EXPLORING < (firsts["b"] + firsts["c"]) / 8000 < 1.2 * EXPLORING
    assert min(firsts["b"], firsts["c"]) > 100
    failing = Counter(order(by_speed(speed, "c".__eq__, lambda _: seeded.random()))[0] for _ in range(2000))
    assert set(failing) == {"a", "b"}


@given(
    st.dictionaries(st.sampled_from("abc"), st.floats(0, 60)),
    st.sets(st.sampled_from("abc")),
    st.integers(0, 2**32),
)
def test_no_order_loses_or_doubles_a_route(known: dict[str, float], failing: set[str], seed: int) -> None:
    """Those that are not first stay behind it."""
    seeded = random.Random(seed)
    for arrange in (
        by_weight(routes(), lambda _: seeded.random()),
        by_cost(known.get),
        by_speed(known.get, failing.__contains__, lambda _: seeded.random()),
    ):
        assert sorted(order(arrange)) == list("abc")
