"""Where a plan goes next: what lanes list, and which routes may be used."""

from __future__ import annotations

import pytest

from _routing.planning import (
    AUTH,
    BAD_REQUEST,
    DEFAULT,
    DEGRADED,
    EQUIVALENT,
    ONE,
    OUTAGE,
    PRIMARY,
    QUOTA,
    RATE_LIMIT,
    SUBSTITUTED,
    THREE,
    TIMEOUT,
    TOO_LONG,
    TWO,
    UNREACHABLE,
    UNSUPPORTED,
    Staged,
    candidate,
    kinds,
    layout,
    limited,
    send,
    skipped,
    stop,
)
from lanewise._failures import failure_table as failures
from lanewise._routing.call_progress import NO_ROUTE
from lanewise.types import Failure, FailureKind, Retry, Stop, Switch

MISSING = failures.MODEL_MISSING.failure(http_status=404)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_the_default_edges_leave_out_what_no_other_route_cures(kind: FailureKind) -> None:
    """All but seven failures move a call on."""
    stays = kinds(*("bad_request", "content_policy", "local", "cancelled", "deadline", "context_length", "substituted"))
    failure = Failure(kind=kind, retry=Retry.NEXT, breaker=OUTAGE.breaker)
    staged = Staged(TWO)
    staged.begin()
    assert isinstance(staged.fails(failure), Stop if kind in stays else Switch)


def test_a_lane_is_entered_only_by_a_failure_that_it_lists() -> None:
    """Others pass it over, and go on to the lane after it."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", DEGRADED))
    staged = Staged(lanes)
    staged.begin()
    move = staged.fails(AUTH)
    assert send(move).route == "c"
    assert skipped(move) == {"b": "is not used after auth"}
    assert Staged(lanes).plays(limited(30)) == "ab"


def test_the_latest_failure_decides() -> None:
    """Not the one that the call began with."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("rate_limit")))
    assert Staged(lanes, opened={"a": AUTH}).plays(AUTH) == "b!"
    assert Staged(lanes).plays(limited(59.5), AUTH) == "ab!", "not even the first again: it asked for too long"
    assert Staged(lanes).plays(AUTH, limited(30)) == "abc"


def test_routes_of_a_lane_have_lists_of_their_own() -> None:
    """The entry's, where it has one."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", EQUIVALENT))
    assert Staged(lanes).plays(AUTH) == "ac"
    assert Staged(lanes).plays(limited(30), AUTH) == "abc"


def test_a_list_counts_within_a_lane_as_well() -> None:
    """From one of its routes to the next."""
    lanes = (candidate("a", on=kinds("timeout")), candidate("b", on=kinds("timeout")))
    assert Staged(lanes).plays(TIMEOUT) == "ab"
    assert Staged(lanes).plays(AUTH) == "a!"


def test_the_first_routes_own_list_keeps_no_call_out() -> None:
    """A call begins somewhere."""
    assert Staged((candidate("a", on=()),)).plays() == "a"


def test_a_route_that_is_open_passes_on_what_opened_it() -> None:
    """The lane after it lists that, or is passed over."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("quota")))
    assert Staged(lanes, opened={"b": QUOTA}).plays(AUTH) == "ac"
    assert Staged(lanes, opened={"b": MISSING}).plays(AUTH) == "a!"
    assert Staged(lanes, opened={"a": QUOTA, "b": QUOTA}).plays() == "c"
    assert Staged(lanes, opened={"a": MISSING, "b": MISSING}).plays() == "!"


def test_a_route_that_is_open_and_not_listed_passes_on_nothing_new() -> None:
    """It was not asked."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", DEGRADED, on=kinds("auth")))
    assert Staged(lanes, opened={"b": OUTAGE}).plays(AUTH) == "ac"


def test_a_route_that_can_not_do_the_call_passes_it_on_freely() -> None:
    """Whatever the next lane lists; the failure before it still decides."""
    lanes = (candidate("a", incapable="takes no tools"), candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    move = Staged(lanes).begin()
    assert (send(move).route, send(move).cause, skipped(move)) == ("b", "first", {"a": "takes no tools"})
    lanes = (*ONE, candidate("b", EQUIVALENT, incapable="no"), candidate("c", DEGRADED, on=kinds("auth")))
    assert Staged(lanes).plays(AUTH) == "ac"
    assert Staged(lanes).plays(TIMEOUT) == "a.a"


def test_a_call_that_no_route_can_take_is_told_so() -> None:
    """Nothing is sent."""
    move = Staged((candidate("a", incapable="x"), candidate("b", EQUIVALENT, incapable="y"))).begin()
    assert stop(move).failure is NO_ROUTE
    assert skipped(move) == {"a": "x", "b": "y"}


def test_a_call_whose_routes_are_all_open_is_told_what_opened_them() -> None:
    """Nothing is sent."""
    move = Staged(TWO, opened={"a": MISSING, "b": AUTH}).begin()
    assert stop(move).failure is AUTH
    assert skipped(move) == {"a": "is open after model_missing", "b": "is open after auth"}


@pytest.mark.parametrize(
    ("here", "there", "moves"),
    [(8000, 32000, True), (8000, 8000, False), (8000, 4000, False), (8000, None, False), (None, 32000, False)],
)
def test_a_request_too_long_moves_only_to_a_window_known_to_be_larger(
    here: int | None, there: int | None, moves: bool
) -> None:
    """Whether or not its lane lists it."""
    for listed in (DEFAULT, [*DEFAULT, FailureKind.CONTEXT_LENGTH], [FailureKind.OUTAGE]):
        lanes = (candidate("a", window=here), candidate("b", EQUIVALENT, on=listed, window=there))
        assert Staged(lanes).plays(TOO_LONG) == ("ab" if moves else "a!")


def test_a_window_that_is_missing_is_told() -> None:
    """So that whoever reads the trace knows what to declare."""
    lanes = (candidate("a", window=8000), candidate("b", EQUIVALENT), candidate("c", DEGRADED, window=8000))
    staged = Staged(lanes)
    staged.begin()
    assert skipped(staged.fails(TOO_LONG)) == {
        "b": "is not known to take more: its context_window is missing",
        "c": "takes no more: its window is 8000 tokens",
    }
    staged = Staged((candidate("a"), candidate("b", EQUIVALENT, window=8000)))
    staged.begin()
    assert skipped(staged.fails(TOO_LONG)) == {"b": "is not known to take more than a, whose context_window is missing"}


def test_a_request_refused_in_the_form_of_one_lane_moves_on() -> None:
    """If only that lane transformed it, and an earlier one had accepted it: what led there goes on deciding."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("timeout")))
    staged = Staged(lanes)
    staged.begin()
    staged.fails(TIMEOUT)
    assert send(staged.fails(BAD_REQUEST, transformed=True)).route == "c"


@pytest.mark.parametrize(
    ("first", "first_transformed", "second_transformed"),
    [(TIMEOUT, False, False), (TIMEOUT, True, True), (AUTH, False, True), (limited(30), False, True)],
)
def test_a_request_that_may_be_wrong_itself_stops(
    first: Failure, first_transformed: bool, second_transformed: bool
) -> None:
    """Not transformed, or transformed before as well, or never accepted: the app must be told."""
    staged = Staged(THREE)
    staged.begin()
    staged.fails(first, transformed=first_transformed)
    assert stop(staged.fails(BAD_REQUEST, transformed=second_transformed)).failure is BAD_REQUEST


def test_a_request_refused_in_a_transformed_form_by_the_first_lane_stops() -> None:
    """Nobody had accepted it; another route of the same lane is no earlier lane."""
    staged = Staged(layout(primary="ab", equivalent="c"))
    staged.begin()
    staged.fails(TIMEOUT)
    assert isinstance(staged.fails(BAD_REQUEST, transformed=True), Stop)


def test_an_answer_of_another_model_moves_a_sensitive_call_only() -> None:
    """To the next approved route, whatever its lane lists; there are no others among its candidates."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes, sensitive=True).plays(SUBSTITUTED) == "ab"
    assert Staged(lanes, sensitive=True).plays(SUBSTITUTED, SUBSTITUTED) == "ab!"
    listed = (*ONE, candidate("b", EQUIVALENT, on=FailureKind))
    assert Staged(listed).plays(SUBSTITUTED) == "a!"


def test_a_drill_goes_on_to_the_lanes_before_its_start() -> None:
    """The candidates come turned: the lanes before the start are the last, and count as later ones."""
    turned = tuple(
        candidate(route, lane, timeout=1000) for route, lane in (("c", DEGRADED), ("a", PRIMARY), ("b", EQUIVALENT))
    )
    staged = Staged(turned, budget=100)
    assert send(staged.begin()).timeout == 60
    moves = [staged.fails(AUTH), staged.fails(AUTH)]
    assert [(send(move).route, send(move).lane) for move in moves] == [("a", PRIMARY), ("b", EQUIVALENT)]
    assert isinstance(staged.fails(AUTH), Stop)


def test_a_retry_that_waited_asks_for_health_again() -> None:
    """A route that was opened meanwhile gets nothing; what opened it leads on."""
    staged = Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("outage")), candidate("c", DEGRADED, on=kinds("auth"))))
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = AUTH
    move = staged.waits(wait)
    assert (send(move).route, send(move).cause) == ("c", "switch")
    assert skipped(move) == {"a": "is open after auth", "b": "is not used after auth"}


def test_a_retry_whose_route_was_opened_and_that_has_nowhere_to_go_tells_what_it_met_itself() -> None:
    """The last attempt's failure, not what other calls met."""
    staged = Staged(ONE)
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = AUTH
    assert stop(staged.waits(wait)).failure is OUTAGE


@pytest.mark.parametrize(
    ("failure", "said"), [(UNREACHABLE, {}), (UNSUPPORTED, {"droppable": True}), (OUTAGE, {}), (limited(1), {})]
)
def test_a_route_that_its_last_failure_opened_is_not_tried_again(failure: Failure, said: dict[str, bool]) -> None:
    """Neither at once nor after a wait, which would be for nothing."""
    for lanes, moves in ((TWO, Switch), (ONE, Stop)):
        staged = Staged(lanes)
        staged.begin()
        staged.opened["a"] = AUTH
        assert isinstance(staged.fails(failure, **said), moves)


def test_a_route_closed_by_a_429_is_left_alone_while_another_may_be_used() -> None:
    """It is passed over at the start, after a wait, and before a retry at once."""
    assert Staged(TWO, opened={"a": RATE_LIMIT}).plays() == "b"
    staged = Staged(TWO)
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = RATE_LIMIT
    assert send(staged.waits(wait)).route == "b"
    staged = Staged(TWO)
    staged.begin()
    staged.opened["a"] = RATE_LIMIT
    assert send(staged.fails(UNREACHABLE)).route == "b"


def test_the_last_route_is_used_although_a_429_closed_it() -> None:
    """One route under us is never worse than the plain SDK: at the start, after a wait, and at once."""
    assert Staged(ONE, opened={"a": RATE_LIMIT}).plays(RATE_LIMIT, RATE_LIMIT) == "a.a.a"
    assert Staged(ONE, opened={"a": RATE_LIMIT}).plays(UNREACHABLE) == "aa"
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(AUTH) == "ab"


def test_of_routes_that_429s_closed_the_preferred_is_used() -> None:
    """Only those whose lane lists the failure, and only where none is better."""
    assert Staged(THREE, opened=dict.fromkeys("abc", RATE_LIMIT)).plays() == "a"
    assert Staged(THREE, opened={"a": AUTH, "b": RATE_LIMIT, "c": RATE_LIMIT}).plays() == "b"
    assert Staged(THREE, opened={"a": RATE_LIMIT, "b": RATE_LIMIT}).plays() == "c"
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes, opened={"a": AUTH, "b": RATE_LIMIT}).plays() == "!"


def test_a_route_in_use_is_preferred_to_one_that_a_429_closed() -> None:
    """It is alone then: it may wait, and has what is left of the attempts."""
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(*[OUTAGE] * 3) == "a.a.a.a"
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(limited(20)) == "a.a"


def test_what_is_used_last_of_all_is_not_among_the_skipped() -> None:
    """The trace says of each route one thing."""
    move = Staged(TWO, opened={"a": AUTH, "b": RATE_LIMIT}).begin()
    assert skipped(move) == {"a": "is open after auth"}
