"""What a plan does when a budget does not let an attempt out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from _routing.planning import DEGRADED, EQUIVALENT, OUTAGE, PRIMARY, candidate, kinds
from lanewise._failures import failure_table as failures
from lanewise._routing.plan import Plan
from lanewise._routing.selection.candidates import Candidate
from lanewise.types import LaneName, Send, Stop, Wait

OVER = failures.OVER_BUDGET.failure(cause="budget free is used up", retry_after=60.0)
RANKS = {name: rank for rank, name in enumerate(LaneName)}


def plan(*candidates: Candidate) -> Plan:
    return Plan(candidates, deadline=1060.0, budget=60.0, patience=2.0)


def test_it_goes_on_in_the_lane_of_the_budget_whatever_that_lists() -> None:
    """The lanes before it are passed over, and nothing counts as an attempt."""
    made = plan(candidate("a"), candidate("b", EQUIVALENT), candidate("c", DEGRADED, on=kinds("timeout")))
    assert isinstance(made.begin(1000.0), Send)
    move = made.over_budget(OVER, DEGRADED, 1000.0, 0.5)
    assert isinstance(move, Send)
    assert (move.route, move.attempt_number) == ("c", 1)
    assert [skip.route for skip in move.skipped] == ["a", "b"]


def test_without_a_lane_it_stops_and_says_why() -> None:
    """By the budget's failure, also where another had moved the call there."""
    made = plan(candidate("a"), candidate("b", EQUIVALENT))
    made.begin(1000.0)
    move = made.failed(OUTAGE, 1000.1, 0.5)
    while isinstance(move, Wait) or (isinstance(move, Send) and move.route == "a"):
        move = made.waited(1001.0) if isinstance(move, Wait) else made.failed(OUTAGE, 1001.1, 0.5)
    move = made.over_budget(OVER, None, 1002.0, 0.5)
    assert isinstance(move, Stop)
    assert move.failure is OVER
    assert [skip.reason for skip in move.skipped] == ["budget free is used up"]


LANES = st.lists(st.sampled_from(LaneName), min_size=1, max_size=6).map(
    lambda names: sorted(names, key=RANKS.__getitem__)
)


@given(LANES, st.sampled_from([EQUIVALENT, DEGRADED]), st.integers(0, 30), st.data())
def test_no_attempt_goes_to_a_lane_that_was_left(
    lanes: list[LaneName], lane: LaneName, turns: int, data: st.DataObject
) -> None:
    """Whatever fails afterwards, the lanes before the budget's are not gone back to."""
    made = plan(*(candidate(f"r{number}", name) for number, name in enumerate(lanes)))
    now = 1000.0
    move = made.begin(now)
    left = False
    for _ in range(turns):
        now += 0.05
        if isinstance(move, Stop):
            break
        if isinstance(move, Wait):
            now += move.seconds
            move = made.waited(now)
        elif RANKS[move.lane] < RANKS[lane] and data.draw(st.booleans()):
            left = True
            move = made.over_budget(OVER, lane, now, 0.5)
        else:
            assert not left or RANKS[move.lane] >= RANKS[lane]
            move = made.failed(OUTAGE, now, 0.5)
    if lanes == [PRIMARY] and left:
        assert isinstance(move, Stop)
        assert move.failure is OVER or move.failure is OUTAGE
