"""Whether a question fits a route's window, told before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.selection.candidates import Candidate
from lanewise._routing.selection.context_window import TokenDemand, TokenLimits, fitting
from lanewise.config import DEFAULT_ON
from lanewise.types import LaneName


def lanes(**incapable: str | None) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(name, LaneName.PRIMARY, DEFAULT_ON, 30.0, None, None, reason) for name, reason in incapable.items()
    )


def taking(found: tuple[Candidate, ...]) -> str:
    return "".join(candidate.route for candidate in found if candidate.incapable is None)


def declared(window: int | None, max_output: int | None = None) -> TokenLimits:
    return TokenLimits(window, window is not None, max_output)


AB = lanes(a=None, b=None)


def test_what_fits_everywhere_changes_nothing() -> None:
    """The very same candidates come back."""
    assert fitting(AB, TokenDemand.estimated(1000, 100), {"a": declared(8000), "b": TokenLimits()}) is AB


@pytest.mark.parametrize(
    "other", [declared(100_000), TokenLimits(100_000), TokenLimits()], ids=["declared", "known", "unknown"]
)
def test_a_route_that_is_likely_too_small_is_passed_over_for_one_that_may_take_it(other: TokenLimits) -> None:
    """47,000 bytes of English are about 10,000 tokens."""
    found = fitting(AB, TokenDemand.estimated(47_000, None), {"a": declared(8000), "b": other})
    assert taking(found) == "b"
    assert found[0].incapable == "has a window of 8000 tokens, and the question has about 10000 by its size"
    assert found[0].too_small


def test_an_estimate_alone_makes_no_call_fail() -> None:
    """Where no route is likely to have room, the provider has the word."""
    assert fitting(AB, TokenDemand.estimated(47_000, None), {"a": declared(8000), "b": TokenLimits(9000)}) is AB


def test_what_cannot_fit_by_any_count_goes_nowhere_by_the_configs_word() -> None:
    """But a window that only a list of models knows forbids nothing."""
    need = TokenDemand.estimated(2_000_000, None)
    assert taking(fitting(AB, need, {"a": declared(8000), "b": declared(8000)})) == ""
    assert taking(fitting(AB, need, {"a": declared(8000), "b": TokenLimits(8000)})) == "b"


def test_the_answer_needs_room_too() -> None:
    """A window is for question and answer."""
    rooms = {"a": declared(8000), "b": declared(16_000)}
    assert taking(fitting(AB, TokenDemand.estimated(4700, 4000), rooms)) == "ab"
    found = fitting(AB, TokenDemand.estimated(4700, 7500), rooms)
    assert taking(found) == "b"
    assert found[0].incapable is not None
    assert "7500 more are asked for" in found[0].incapable


def test_a_route_that_answers_with_less_than_is_asked_for_is_left_out() -> None:
    """The limit is never changed, since the answer's meaning rests on it."""
    found = fitting(AB, TokenDemand.estimated(10, 5000), {"a": declared(None, 4096), "b": declared(None, 5000)})
    assert taking(found) == "b"
    assert found[0].incapable == "answers with 4096 tokens at the most, and 5000 are asked for"


def test_an_earlier_reason_stays() -> None:
    """A route that is off is not called too small."""
    found = fitting(
        lanes(a="KEY is unset", b=None), TokenDemand.estimated(2_000_000, None), dict.fromkeys("ab", declared(1))
    )
    assert found[0].incapable == "KEY is unset"
    assert not found[0].too_small
    assert found[1].too_small


rooms = st.builds(
    TokenLimits,
    window=st.none() | st.integers(1, 10**6),
    declared=st.booleans(),
    max_output=st.none() | st.integers(1, 10**5),
)


@given(st.integers(0, 10**7), st.none() | st.integers(1, 10**5), st.fixed_dictionaries({"a": rooms, "b": rooms}))
def test_a_route_is_given_up_only_for_another_or_for_certain(
    size: int, output: int | None, given_rooms: Mapping[str, TokenLimits]
) -> None:
    """If none is left, each is ruled out by the config's word, or asks for more than it gives."""
    need = TokenDemand.estimated(size, output)
    if taking(fitting(AB, need, given_rooms)):
        return
    for room in given_rooms.values():
        too_long = room.declared and room.window is not None and need.least > room.window
        assert too_long or (room.max_output is not None and need.output > room.max_output)
