"""How many steps a pattern takes at the most."""

from __future__ import annotations

from math import inf

import pytest

from lanewise._contracts.pattern_cost import MOST_STEPS, search_steps


@pytest.mark.parametrize("pattern", ["^(yes|no)$", "^Summary:", "[A-Z]{3}-[0-9]{4}", "order [0-9]+"])
def test_what_tasks_ask_for_is_searched_here(pattern: str) -> None:
    """Of a short answer, whatever it says."""
    assert search_steps(pattern, 60) <= MOST_STEPS


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "(a*)*b",
        "(a|a)*b",
        "(?:a|aa)+$",
        "(.*)(.*)(.*)(.*)x",
        ".*.*.*.*=",
        r"(a)\1b",
        "(a?){30}a{30}",
        "(x+x+)+y",
    ],
)
def test_what_may_go_back_for_ever_is_not(pattern: str) -> None:
    """Repeats within repeats, and many in a row."""
    assert search_steps(pattern, 4000) > MOST_STEPS


def test_a_repeated_group_is_never_searched_here() -> None:
    """Nobody looks into it."""
    assert search_steps("^(a+)+$", 1) == inf


def test_a_long_answer_is_not_searched_for_a_repeat_here() -> None:
    """Each start is tried, and each runs to the end: the square of the length."""
    assert search_steps("order [0-9]+", 4000) > MOST_STEPS
