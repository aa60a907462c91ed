"""What a plan does with the health of routes and the retry budgets of providers."""

from __future__ import annotations

from _routing.planning import (
    AUTH,
    BAD_REQUEST,
    CONTRACT,
    ONE,
    OUTAGE,
    QUOTA,
    RATE_LIMIT,
    THREE,
    TIMEOUT,
    TWO,
    UNREACHABLE,
    UNSUPPORTED,
    Staged,
    Told,
    layout,
    limited,
    send,
    skipped,
    stop,
)
from lanewise._failures import failure_table as failures
from lanewise._routing.availability import PENDING, Throttle
from lanewise._routing.plan import Plan
from lanewise.types import Failure, Send, Stop, Switch, Wait

CAPPED = failures.CAPPED.failure()
STALE = failures.STALE_CONNECTION.failure()


def denied(lanes: tuple[object, ...], *, budget: float = 60.0) -> Plan:
    """A plan whose providers' retry budgets are used up, at 0 s."""
    health = Told()
    health.permitted = False
    return Plan(lanes, deadline=budget, budget=budget, patience=2.0, health=health)  # type: ignore[arg-type]


def test_a_call_that_waited_for_a_429_is_not_a_new_one() -> None:
    """A route that a 429 closed to new calls, for no time of the provider's, is open to whoever has waited for it."""
    staged = Staged(TWO)
    staged.begin()
    wait = staged.fails(RATE_LIMIT)
    staged.opened["a"] = RATE_LIMIT
    assert send(staged.waits(wait)).route == "a"


def test_a_wait_that_another_call_was_told_holds_for_all() -> None:
    """What the provider has said since then is not gone against."""
    staged = Staged(TWO)
    staged.begin()
    wait = staged.fails(RATE_LIMIT)
    staged.opened["a"] = limited(3)
    assert send(staged.waits(wait)).route == "b"


def test_without_a_retry_budget_nothing_is_tried_again_while_another_route_is_left() -> None:
    """Switching is free, and so are retries on the last of all."""
    for failure in (OUTAGE, UNREACHABLE, RATE_LIMIT, limited(1)):
        plan = denied(TWO)
        plan.begin(0.0)
        assert isinstance(plan.failed(failure, 0.1, 0.5), Switch)
        assert not plan.charged
        again = plan.failed(failure, 0.2, 0.5)
        assert isinstance(again, Send | Wait)
        assert (again.route, plan.charged) == ("b", False)


def test_a_retry_is_charged_where_another_route_is_left() -> None:
    """At once or after a wait, also to mend an answer; a drop and a fresh connection are not."""
    for failure, said, charged in (
        (OUTAGE, {}, True),
        (UNREACHABLE, {}, True),
        (CONTRACT, {"repairable": True}, True),
        (STALE, {}, False),
        (UNSUPPORTED, {"droppable": True}, False),
    ):
        for lanes in (TWO, ONE):
            plan = Staged(lanes).plan
            plan.begin(1000.0)
            assert getattr(plan.failed(failure, 1000.1, 0.5, **said), "route", None) == "a"
            assert plan.charged == (charged and lanes is TWO)


def test_what_is_no_retry_needs_no_allowance() -> None:
    """A fresh connection for a stale one, and the same request without what the model can't take."""
    plan = denied(ONE)
    plan.begin(0.0)
    assert send(plan.failed(STALE, 0.1, 0.5)).cause == "retry"
    plan = denied(ONE)
    plan.begin(0.0)
    assert send(plan.failed(UNSUPPORTED, 0.1, 0.5, droppable=True)).cause == "drop"


def test_an_attempt_that_was_held_back_does_not_count() -> None:
    """It goes out with the time that is left, under the same number."""
    plan = Staged(ONE, budget=20.0).plan
    first = send(plan.begin(1000.0))
    again = send(plan.held_back(1005.0))
    assert (again.attempt_number, again.cause) == (first.attempt_number, first.cause) == (1, "first")
    assert again.timeout == 15.0


def test_an_attempt_that_can_not_be_had_in_time_leaves_its_turn_to_the_next_route() -> None:
    """By the edges of what kept it away, and not as a failure of the route."""
    staged = Staged(TWO)
    staged.begin()
    move = send(staged.plan.held_back(staged.now, CAPPED))
    assert (move.route, move.attempt_number, move.cause) == ("b", 1, "first")
    assert skipped(move) == {"a": "is open after rate_limit"}


def test_a_cap_of_our_own_is_kept_even_by_the_last_route() -> None:
    """A 429 may be tried in spite of; our own cap is there to be kept."""
    staged = Staged(ONE)
    staged.begin()
    assert stop(staged.plan.held_back(staged.now, CAPPED)).failure is CAPPED


def test_a_route_whose_probe_another_call_became_is_passed_over() -> None:
    """Between the decision and the sending."""
    staged = Staged(TWO)
    staged.begin()
    staged.opened["a"] = OUTAGE
    assert send(staged.plan.held_back(staged.now)).route == "b"
    assert stop(_after_auth(Staged(TWO), QUOTA)).failure is AUTH


def _after_auth(staged: Staged, opened: Failure) -> object:
    staged.begin()
    staged.fails(AUTH)
    staged.opened["b"] = opened
    return staged.plan.held_back(staged.now)


def test_a_cap_may_hold_an_attempt_back_for_as_long_as_patience_allows() -> None:
    """While another route is left; else up to the deadline, less the time that an attempt needs."""
    assert send(Staged(TWO, patience=2.0).begin()).patience == 2.0
    assert send(Staged(ONE, budget=60.0).begin()).patience == 59.0
    assert send(Staged(THREE, opened={"b": AUTH, "c": AUTH}).begin()).patience == 59.0


def test_held_back_beyond_the_deadline_is_too_late() -> None:
    """Also for a first attempt."""
    plan = Staged(ONE, budget=5.0).plan
    plan.begin(1000.0)
    assert "has passed" in stop(plan.held_back(1005.0)).reason


# -- last resorts ------------------------------------------------------------------------------------------------------


def test_the_last_usable_route_is_used_although_it_is_open() -> None:
    """A breaker is for having somewhere better to go: what only fails in part is not refused."""
    staged = Staged(ONE, opened={"a": OUTAGE})
    move = send(staged.begin())
    assert (move.route, move.last_resort, move.slot) == ("a", True, False)
    assert Staged(ONE, opened={"a": OUTAGE}).plays(*[OUTAGE] * 4) == "a.a.a.a!"
    assert Staged(TWO, opened={"a": OUTAGE}).plays() == "b"


def test_where_several_routes_fail_in_part_attempts_alternate() -> None:
    """Each has its own pause, and to go to another waits for nothing."""
    opened = {"a": OUTAGE, "b": OUTAGE}
    assert Staged(TWO, opened=opened).plays(*[OUTAGE] * 4) == "ab.ab!"
    assert Staged(THREE, opened={**opened, "c": AUTH}).plays(*[OUTAGE] * 4) == "ab.ab!"
    assert Staged(TWO, opened={"a": AUTH, "b": OUTAGE}).plays(*[OUTAGE] * 4) == "b.b.b.b!"


def test_a_call_goes_back_where_the_routes_beyond_can_not_be_used() -> None:
    """One route under us is never worse than the plain SDK, also beside others that are no help."""
    assert Staged(TWO).plays(TIMEOUT, AUTH, TIMEOUT) == "ab.a.a"
    assert Staged(TWO).plays(AUTH, AUTH) == "ab!"
    assert Staged(TWO).plays(TIMEOUT, BAD_REQUEST) == "ab!"


def throttled(route: str = "a", *, seconds: float = 1.0, slot: float = 0.6, others: str = "") -> Staged:
    """A plan whose route is throttled since so many seconds, with the next attempt in ``slot``."""
    staged = Staged(layout(primary=route, equivalent=others) if others else layout(primary=route))
    staged.opened[route] = OUTAGE
    staged.health.throttles[route] = Throttle(40, seconds, slot)
    staged.health.slots[route] = slot
    return staged


def test_a_call_waits_up_to_patience_for_the_end_of_a_throttle() -> None:
    """In its first ten seconds, and a look every half second or second; then it is refused, and told when to come."""
    staged = throttled()
    move = staged.begin()
    assert isinstance(move, Wait)
    assert move.reason == "throttled: 40 failures in a row; the next probe in 0.6 s"
    waited = 0.0
    while isinstance(move, Wait):
        assert move.seconds <= 1.0
        waited += move.seconds
        move = staged.waits(move)
    assert waited == 2.0
    assert skipped(move) == {"a": "throttled: 40 failures in a row; the next probe in 0.6 s"}
    assert stop(move).failure.kind is OUTAGE.kind
    assert stop(throttled(seconds=10.0).begin()).skipped[0].reason.startswith("throttled: 40 failures")


def test_where_attempts_fail_slowly_the_end_of_a_throttle_is_waited_for_as_long_as_three_of_them_take() -> None:
    """The plain SDK would still be at its own by then; and never beyond the deadline."""
    for failed_in, budget, longest in ((1.5, 60.0, 4.5), (30.0, 8.0, 7.2), (0.1, 60.0, 2.0)):
        staged = Staged(ONE, budget=budget, opened={"a": OUTAGE})
        staged.health.throttles["a"] = Throttle(40, 1.0, 0.6, failed_in)
        staged.health.slots["a"] = 0.6
        move = staged.begin()
        waited = 0.0
        while isinstance(move, Wait):
            waited += move.seconds
            move = staged.waits(move)
        assert isinstance(move, Stop)
        assert abs(waited - longest) < 0.01


def test_a_call_that_waited_goes_on_when_the_throttle_ends() -> None:
    """As if it had just come."""
    staged = throttled()
    wait = staged.begin()
    del staged.opened["a"]
    move = send(staged.waits(wait))
    assert (move.route, move.cause, move.last_resort) == ("a", "first", False)


def test_the_next_probe_of_a_throttle_is_a_call_s_first_attempt() -> None:
    """Who comes when it is due sends it; nothing is tried again while a route is throttled."""
    staged = throttled(slot=0.0)
    move = send(staged.begin())
    assert (move.route, move.slot) == ("a", True)
    staged.health.throttles["a"] = Throttle(41, 11.0, 0.0)
    assert isinstance(staged.fails(OUTAGE), Stop)


def test_while_the_store_has_not_said_whose_the_probe_is_a_call_waits_for_its_word() -> None:
    """Once, and for no longer than a round takes."""
    staged = throttled(seconds=60.0, slot=PENDING)
    move = staged.begin()
    assert isinstance(move, Wait)
    assert move.seconds == PENDING
    assert isinstance(staged.waits(move), Stop)


def test_a_throttled_route_is_passed_over_for_any_other() -> None:
    """One that is well, and one that fails in part."""
    assert send(throttled(others="b").begin()).route == "b"
    staged = throttled(others="b")
    staged.opened["b"] = OUTAGE
    move = send(staged.begin())
    assert (move.route, move.last_resort) == ("b", True)


def test_everybody_limited_for_longer_than_the_deadline_sends_one_attempt_in_a_while() -> None:
    """Whose turn it is; the others are told the soonest time at once."""
    staged = Staged(TWO, opened={"a": limited(200), "b": limited(100)})
    staged.health.slots = {"a": 7.0, "b": 7.0}
    move = stop(staged.begin())
    assert {skip.route: skip.failure.retry_after for skip in move.skipped if skip.failure} == {"a": 200, "b": 100}
    staged = Staged(TWO, opened={"a": limited(200), "b": limited(100)})
    move = staged.begin()
    assert (send(move).route, send(move).slot) == ("b", True), "that which is free again first"
    assert isinstance(staged.fails(limited(90)), Stop)
    staged = Staged(TWO, opened={"a": limited(200), "b": limited(100)})
    staged.health.slots = {"a": 7.0}
    assert isinstance(staged.begin(), Stop), "another has had the attempt of these seconds"


def test_a_last_route_that_limits_some_and_answers_others_is_sent_to() -> None:
    """A Retry-After holds for whom it was told; the others go, and so does who has waited for their own."""
    staged = Staged(ONE, budget=8.0, opened={"a": limited(100)})
    staged.health.slots = {"a": 7.0}
    assert isinstance(staged.begin(), Stop)
    staged = Staged(ONE, budget=8.0, opened={"a": limited(100)})
    staged.health.in_part = {"a"}
    assert send(staged.begin()).last_resort
    del staged.opened["a"]
    wait = staged.fails(limited(3))
    assert isinstance(wait, Wait)
    assert wait.seconds == 3.0
    staged.opened["a"] = limited(100)
    assert send(staged.waits(wait)).route == "a"


def test_where_none_is_well_the_route_that_answers_clearly_more_is_tried_twice_as_often() -> None:
    """A fallback that fails most of its calls is no reason to leave one that answers most of them."""
    for shares, routes in (({"a": 0.7, "b": 0.3}, "ab.a.a"), ({"a": 0.5, "b": 0.4}, "ab.b.b"), ({}, "ab.b.b")):
        staged = Staged(TWO, budget=60.0)
        staged.health.shares = shares
        assert staged.plays(TIMEOUT, OUTAGE, TIMEOUT, TIMEOUT).startswith(routes), shares


def test_a_limit_that_was_only_foreseen_keeps_no_last_route_closed() -> None:
    """No provider has asked for silence."""
    foreseen = failures.NO_ROOM.failure(retry_after=200)
    assert send(Staged(ONE, opened={"a": foreseen}).begin()).slot is False


def test_the_probe_of_a_route_that_hung_waits_less_long_for_its_first_byte() -> None:
    """Only where another route could be used after it."""
    staged = Staged(TWO)
    staged.health.first_bytes = {"a": 5.0, "b": 5.0}
    assert send(staged.begin()).first_byte == 5.0
    assert send(staged.fails(TIMEOUT)).first_byte is None
