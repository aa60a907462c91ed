"""How a plan shares a call's time out, and when it waits."""

from __future__ import annotations

import pytest

from _routing.planning import (
    AUTH,
    CONFLICT,
    CONTRACT,
    DEGRADED,
    EQUIVALENT,
    ONE,
    OUTAGE,
    PRIMARY,
    RATE_LIMIT,
    SAME_LANE,
    THREE,
    TWO,
    Staged,
    candidate,
    kinds,
    layout,
    limited,
    send,
    stop,
)
from lanewise._failures import failure_table as failures
from lanewise._routing.plan import DEADLINE
from lanewise._routing.selection.candidates import Candidate
from lanewise.types import Send, Stop, Switch, Wait


@pytest.mark.parametrize(
    ("lanes", "seconds"),
    [
        (ONE, 100.0),
        (SAME_LANE, 100.0),
        (TWO, 80.0),
        (layout(primary="a", equivalent="bc"), 80.0),
        (THREE, 60.0),
    ],
)
def test_a_share_of_the_deadline_is_kept_for_each_later_lane(lanes: tuple[Candidate, ...], seconds: float) -> None:
    """20 % for each, 40 % in all; other routes of the same lane keep nothing."""
    lanes = tuple(candidate(c.route, c.lane, timeout=1000) for c in lanes)
    assert send(Staged(lanes, budget=100).begin()).timeout == pytest.approx(seconds)


def test_a_lane_that_could_not_be_used_now_keeps_nothing() -> None:
    """Neither one that is open, nor one that can't do the call."""
    lanes = (candidate("a", timeout=1000), candidate("b", EQUIVALENT, incapable="no"), candidate("c", DEGRADED))
    assert send(Staged(lanes, budget=100, opened={"c": OUTAGE}).begin()).timeout == 100
    assert send(Staged(lanes, budget=100).begin()).timeout == 80


def test_nothing_is_kept_for_lanes_that_no_attempt_is_left_for() -> None:
    """The fourth attempt may use all that is left."""
    lanes = tuple(candidate(c.route, c.lane, timeout=1000) for c in layout(primary="abcd", equivalent="e"))
    staged = Staged((*lanes[:4], candidate("e", EQUIVALENT, on=kinds("auth"))), budget=100, max_attempts=4)
    staged.begin()
    for _ in "bcd":
        move = staged.fails(CONTRACT)
    assert (send(move).route, send(move).attempt_number, send(move).timeout) == ("d", 4, 100)


def test_an_attempt_has_the_routes_own_timeout_where_that_is_shorter() -> None:
    """The reserve binds only where it is tighter."""
    assert send(Staged((candidate("a", timeout=7), *TWO[1:]), budget=100).begin()).timeout == 7


def test_the_timeout_is_what_is_left_less_the_reserve() -> None:
    """A later attempt gets less; the deadline is one for all."""
    staged = Staged(tuple(candidate(c.route, c.lane, timeout=1000) for c in THREE), budget=100)
    staged.begin()
    assert send(staged.fails(CONTRACT, after=30)).timeout == pytest.approx(100 - 30 - 20)
    assert send(staged.fails(CONTRACT, after=30)).timeout == pytest.approx(100 - 30 - 30)


def test_a_further_attempt_has_the_least_time_even_where_the_reserve_has_eaten_it() -> None:
    """An attempt without any time would be a lie."""
    staged = Staged(tuple(candidate(c.route, c.lane, timeout=1000) for c in THREE), budget=100)
    staged.begin()
    assert send(staged.fails(CONTRACT, after=85)).timeout == pytest.approx(1)


@pytest.mark.parametrize("late", [0.0, 59.5, 59.999])
def test_the_first_attempt_is_always_made(late: float) -> None:
    """However little is left when the plan begins: it is given that."""
    staged = Staged(THREE, budget=60)
    staged.now += late
    assert send(staged.begin()).timeout == pytest.approx(min(30.0, 60 - late))


def test_nothing_is_sent_once_the_deadline_has_passed() -> None:
    """Neither a first attempt nor a further one."""
    staged = Staged(THREE, budget=60)
    staged.now += 60
    assert stop(staged.begin()).failure is DEADLINE
    staged = Staged(THREE, budget=60)
    staged.begin()
    assert stop(staged.fails(AUTH, after=60)).failure is DEADLINE


@pytest.mark.parametrize(
    ("budget", "left", "moves"),
    [(60, 1.0, True), (60, 0.99, False), (5, 0.5, True), (5, 0.49, False), (100, 1.0, True), (100, 0.99, False)],
)
def test_a_further_attempt_is_made_only_if_a_second_or_a_tenth_is_left(budget: float, left: float, moves: bool) -> None:
    """A tenth where the deadline is short; else the app is told the failure that it has."""
    staged = Staged(TWO, budget=budget)
    staged.begin()
    move = staged.fails(AUTH, after=budget - left)
    assert isinstance(move, Switch) if moves else stop(move).failure is AUTH


def test_the_first_token_is_waited_for_only_while_a_timeout_could_move_the_call() -> None:
    """Else to give up early would help nobody."""
    assert send(Staged(TWO).begin()).first_token == 20
    assert send(Staged(SAME_LANE).begin()).first_token == 20
    assert send(Staged(ONE).begin()).first_token is None
    assert send(Staged(TWO, opened={"b": OUTAGE}).begin()).first_token is None
    assert send(Staged((*ONE, candidate("b", EQUIVALENT, incapable="no"))).begin()).first_token is None
    assert send(Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))).begin()).first_token is None


def test_the_fourth_attempt_waits_for_its_first_token_as_long_as_it_has() -> None:
    """There is nowhere left to move."""
    staged = Staged(layout(primary="abcde"), max_attempts=4)
    moves = [staged.begin(), *(staged.fails(CONTRACT) for _ in "bcd")]
    assert [send(move).first_token for move in moves] == [20, 20, 20, None]


@pytest.mark.parametrize(("asked", "route"), [(1.5, "a"), (2.0, "a"), (2.01, "b"), (300.0, "b")])
def test_a_preferred_route_is_waited_for_as_long_as_patience_allows(asked: float, route: str) -> None:
    """Longer waits are for those who have nowhere else to go."""
    staged = Staged(TWO, patience=2)
    staged.begin()
    move = staged.fails(limited(asked))
    assert isinstance(move, Wait) is (route == "a")
    assert send(staged.waits(move) if isinstance(move, Wait) else move).route == route


def test_the_wait_is_what_the_provider_asked_for() -> None:
    """Never sooner, and no jitter on top."""
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(limited(1.25), jitter=0.9)
    assert isinstance(move, Wait)
    assert move.seconds == 1.25


def test_a_retry_after_of_a_failure_that_is_tried_again_is_kept_too() -> None:
    """A 500 with Retry-After waits that long, or goes on."""
    asks = failures.SERVER_ERROR.failure(http_status=500, retry_after=1.0)
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(asks)
    assert isinstance(move, Wait)
    assert move.seconds == 1
    assert Staged(TWO, patience=0.5).plays(asks) == "ab"


def test_an_unreachable_route_that_asked_to_wait_is_not_tried_at_once() -> None:
    """Whatever the failure is called."""
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(failures.UNREACHABLE.failure(retry_after=1.0))
    assert isinstance(move, Wait)
    assert move.seconds == 1


def test_to_be_asked_for_no_wait_is_not_to_be_asked() -> None:
    """Four tries at once would help nobody."""
    staged = Staged(ONE)
    staged.begin()
    move = staged.fails(limited(0))
    assert isinstance(move, Wait)
    assert move.seconds == 0.5


def test_a_503_with_retry_after_waits_like_a_rate_limit() -> None:
    """Within patience, else the next; the failure stays an outage."""
    patient = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=1)
    long = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=30)
    assert Staged(TWO).plays(patient) == "a.a"
    assert Staged(TWO).plays(long) == "ab"
    assert Staged(ONE).plays(long) == "a.a"
    assert Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))).plays(long, long, long) == "a.a!"


def test_patience_is_about_what_a_provider_limits() -> None:
    """The short wait after an outage is no waiting for a route."""
    assert Staged(TWO, patience=0).plays(OUTAGE) == "a.a"
    assert Staged(TWO, patience=0).plays(RATE_LIMIT) == Staged(TWO, patience=0).plays(CONFLICT) == "ab"


def test_waits_for_the_last_route_double() -> None:
    """As the plain SDK waits: 0.375 s to 0.5 s, then twice that, and twice again."""
    staged = Staged(ONE)
    staged.begin()
    waits = []
    for _ in range(3):
        move = staged.fails(RATE_LIMIT, jitter=0.5)
        assert isinstance(move, Wait)
        waits.append(move.seconds)
        staged.waits(move)
    assert waits == [0.4375, 0.875, 1.75]


def test_the_last_route_is_waited_for_beyond_patience() -> None:
    """So that one route under us is never worse than the plain SDK."""
    assert Staged(ONE, patience=2).plays(limited(20)) == "a.a"
    assert Staged(TWO, patience=2).plays(limited(20), limited(20)) == "ab.b"


def test_nobody_waits_for_what_would_come_too_late() -> None:
    """A wait into the deadline is no wait: the app is told at once, or another route is asked."""
    assert Staged(ONE, budget=60).plays(limited(59)) == "a.a"
    assert Staged(ONE, budget=60).plays(limited(59.5)) == "a!"
    assert Staged(TWO, budget=1, patience=2).plays(limited(0.95)) == "ab"


def test_nothing_is_slept_after_the_last_try() -> None:
    """The fourth failure stops at once."""
    staged = Staged(ONE)
    move = staged.begin()
    for _ in range(3):
        move = staged.waits(staged.fails(RATE_LIMIT))
    assert send(move).attempt_number == 4
    assert stop(staged.fails(limited(1.5))).failure == limited(1.5)


def test_a_sleep_that_took_too_long_is_followed_by_nothing() -> None:
    """A further attempt needs its least time, also after a wait."""
    for longer, failure in ((58.5, OUTAGE), (59.0, OUTAGE), (59.75, DEADLINE), (100.0, DEADLINE)):
        staged = Staged(ONE, budget=60)
        staged.begin()
        move = staged.waits(staged.fails(OUTAGE), longer=longer)
        assert isinstance(move, Send) if longer == 58.5 else stop(move).failure is failure


# -- what nobody declared --------------------------------------------------------------------------------------------


def undeclared(*routes: str, on: str = "timeout outage") -> tuple[Candidate, ...]:
    """Candidates whose timeout is the default, in one lane each."""
    lanes = (PRIMARY, EQUIVALENT, DEGRADED)
    return tuple(
        candidate(route, lane, on=kinds(*on.split()), timeout_declared=False)
        for route, lane in zip(routes, lanes, strict=False)
    )


def test_a_timeout_that_nobody_declared_gives_way_where_no_other_route_could_be_used() -> None:
    """There is nothing to save the time for: the plain SDK would wait too."""
    alone = undeclared("a")
    assert send(Staged(alone, budget=45).begin()).timeout == 45
    assert send(Staged((candidate("a"),), budget=45).begin()).timeout == 30, "a declared one holds"
    two = undeclared("a", "b")
    assert send(Staged(two, budget=45).begin()).timeout == 30
    assert send(Staged(two, budget=45, opened={"b": OUTAGE}).begin()).timeout == 45
    assert send(Staged(undeclared("a", "b", on="outage"), budget=45).begin()).timeout == 45, "not after a timeout"


def test_the_last_route_has_all_that_is_left() -> None:
    """The routes before it have had their turn."""
    staged = Staged(undeclared("a", "b"), budget=100)
    assert send(staged.begin()).timeout == 30
    move = send(staged.fails(failures.TIMEOUT.failure(), after=30))
    assert (move.route, move.timeout) == ("b", 70)


def test_a_deadline_that_nobody_declared_is_longer_where_no_other_route_could_be_used() -> None:
    """From the first attempt on, or from that on the last route that could be used."""
    assert send(Staged(undeclared("a"), budget=60, alone=600).begin()).timeout == 600
    two = undeclared("a", "b")
    assert send(Staged(two, budget=60, alone=600, opened={"b": OUTAGE}).begin()).timeout == 600
    staged = Staged(two, budget=60, alone=600)
    assert send(staged.begin()).timeout == 30
    assert send(staged.waits(staged.fails(OUTAGE, after=19.75))).timeout == 28, "the other could still be used"
    move = send(staged.fails(OUTAGE, after=20))
    assert (move.route, move.timeout) == ("b", 560)


def test_the_last_route_is_asked_although_the_one_before_it_used_the_time_up() -> None:
    """Where the deadline is nobody's word, a good route is not left unasked for it."""
    lanes = (candidate("a", timeout=90), candidate("b"))
    staged = Staged(lanes, budget=60, alone=600)
    assert send(staged.begin()).timeout == 60
    move = send(staged.fails(failures.TIMEOUT.failure(), after=60))
    assert (move.route, move.timeout) == ("b", 30)
    staged = Staged(lanes, budget=60)
    staged.begin()
    assert stop(staged.fails(failures.TIMEOUT.failure(), after=60)).failure is DEADLINE


def test_a_route_with_time_alone_may_be_tried_again_within_it() -> None:
    """Attempts and waits all come out of the longer deadline."""
    staged = Staged(undeclared("a"), budget=60, alone=600)
    staged.begin()
    staged.waits(staged.fails(OUTAGE, after=100))
    staged.waits(staged.fails(OUTAGE, after=100))
    assert isinstance(staged.fails(OUTAGE, after=400), Stop)


def test_first_content_is_waited_for_only_while_another_route_could_be_used() -> None:
    """After it there is nobody to switch to."""
    assert send(Staged(undeclared("a", "b"), budget=60).begin()).first_token == 20
    assert send(Staged(undeclared("a", "b"), budget=60, opened={"b": OUTAGE}).begin()).first_token is None
    staged = Staged(undeclared("a", "b"), budget=60)
    staged.begin()
    assert staged.plan.may_move
    staged.fails(failures.TIMEOUT.failure(), after=5)
    assert not staged.plan.may_move
