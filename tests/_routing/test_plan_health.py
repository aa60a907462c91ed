"""What a plan does with the health of routes and the allowance of providers: rules that the older tests don't touch."""

from __future__ import annotations

from _routing.planning import (
    AUTH,
    ONE,
    OUTAGE,
    RATE_LIMIT,
    THREE,
    TWO,
    UNREACHABLE,
    UNSUPPORTED,
    Staged,
    limited,
    send,
    skipped,
    stop,
)
from lanewise._failures import failure_table as failures
from lanewise._routing.plan import Plan
from lanewise.types import Failure, Switch

CAPPED = failures.CAPPED.failure()
STALE = failures.STALE_CONNECTION.failure()


def denied(lanes: tuple[object, ...], *, budget: float = 60.0) -> Plan:
    """A plan whose providers' allowances are used up, at 0 s."""
    return Plan(lanes, deadline=budget, budget=budget, patience=2.0, permits=lambda route: False)  # type: ignore[arg-type]


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


def test_without_allowance_nothing_is_tried_again_on_its_route() -> None:
    """The next one is: switching is free. The last of all is not tried again either, and that is said."""
    for failure in (OUTAGE, UNREACHABLE, RATE_LIMIT, limited(1)):
        plan = denied(TWO)
        plan.begin(0.0)
        assert isinstance(plan.failed(failure, 0.1, 0.5), Switch)
        assert "retry allowance" in stop(plan.failed(failure, 0.2, 0.5)).reason


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
    assert stop(_after_auth(Staged(TWO), OUTAGE)).failure is AUTH


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
