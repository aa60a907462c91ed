"""What holds for every plan: random lanes, failures of the table, clocks and health, judged by an oracle of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings

from _routing.plan_oracle import (
    admits,
    attempts,
    edge_of,
    ends_a_call,
    is_last_resort,
    look_on,
    most_attempts,
    usable_later_lanes,
)
from _routing.plan_scenarios import SHAPES, Scenario, play, scenarios
from lanewise.types import Failure, FailureKind, Retry, Send, Stop, Wait

A_LITTLE = 1e-9
"""Seconds that rounding may cost."""

Property = Callable[[Scenario], None]
PROPERTIES: list[Property] = []


def every_plan(test: Property) -> Callable[[], None]:
    """The test, over random scenarios and one of each shape that is easily missed."""
    PROPERTIES.append(test)
    for scenario in SHAPES.values():
        test = example(scenario)(test)
    return settings(max_examples=50, deadline=None)(given(scenarios())(test))


@every_plan
def test_every_plan_ends(scenario: Scenario) -> None:
    """With a stop, after fewer waits than attempts."""
    steps = play(scenario)
    assert isinstance(steps[-1].move, Stop)
    assert sum(isinstance(step.move, Wait) for step in steps) < most_attempts(scenario)


@every_plan
def test_a_call_never_has_more_attempts_than_routes_or_four(scenario: Scenario) -> None:
    """Nor more than eight, whatever fails, and however often."""
    numbers = [sent.move.attempt_number for sent in attempts(scenario, play(scenario))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= most_attempts(scenario)


@every_plan
def test_a_route_never_has_more_than_two_attempts_while_another_is_left(scenario: Scenario) -> None:
    """The third is for a route that is alone, and so is the fourth, which is the last; drops are none of these."""
    here: list[str] = []
    for sent in attempts(scenario, play(scenario)):
        here.append(sent.move.route)
        assert here.count(sent.move.route) <= 2 or sent.alone
        assert here.count(sent.move.route) <= 4 or sent.move.cause == "drop"


@every_plan
def test_one_attempt_is_kept_for_each_further_route(scenario: Scenario) -> None:
    """By a retry while another route is left; and by another route of the same lane, for each later lane."""
    previous = -1
    for sent in attempts(scenario, play(scenario)):
        kept = usable_later_lanes(scenario, sent.position, sent.judged_at)
        left = most_attempts(scenario) - sent.number
        lane = scenario.candidates[sent.position].lane
        if sent.same_route and not sent.alone and sent.failure is not None:
            further = [
                there
                for there, other in enumerate(scenario.candidates)
                if there > sent.frontier
                and other.incapable is None
                and admits(scenario, sent.position, there, sent.failure)
                and scenario.opened(other.route, sent.judged_at) is None
            ]
            assert left >= len(further)
        elif sent.goes_back:
            assert sent.alone
        elif not sent.same_route and previous >= 0 and scenario.candidates[previous].lane is lane:
            onward = {scenario.candidates[there].lane for there in sent.ways if there > sent.position}
            assert left >= len(kept) or onward <= {lane}
        previous = sent.position


@every_plan
def test_nothing_is_sent_after_the_deadline(scenario: Scenario) -> None:
    """And a further attempt only with a second, or a tenth, to go."""
    for sent in attempts(scenario, play(scenario)):
        left = scenario.budget - sent.at
        assert left > 0
        assert sent.number == 1 or left >= min(1.0, scenario.budget / 10)


@every_plan
def test_no_attempt_may_last_beyond_the_deadline(scenario: Scenario) -> None:
    """Nor beyond its route's own timeout, nor no time at all; what is kept for later lanes stays theirs."""
    for sent in attempts(scenario, play(scenario)):
        left = scenario.budget - sent.at
        assert 0 < sent.move.timeout <= left + A_LITTLE
        assert sent.move.timeout <= scenario.candidates[sent.position].timeout
        farthest = max(sent.position, sent.frontier)
        lanes = len(usable_later_lanes(scenario, farthest, sent.at))
        lanes = min(lanes, most_attempts(scenario) - sent.number)
        kept = scenario.budget * min(0.2 * lanes, 0.4)
        assert sent.move.timeout <= max(left - kept, min(1.0, scenario.budget / 10)) + A_LITTLE


@every_plan
def test_nothing_is_sent_sooner_than_retry_after(scenario: Scenario) -> None:
    """To the route that asked for it, whatever its failure was, and wherever the call has been since."""
    steps = play(scenario)
    due: dict[str, float] = {}
    sent_to = ""
    for step in steps:
        if step.event is not None and not step.after_wait:
            due[sent_to] = step.at + (step.event.failure.retry_after or 0.0)
        if isinstance(step.move, Send):
            sent_to = step.move.route
            assert step.at >= due.get(sent_to, 0.0) - A_LITTLE


@every_plan
def test_no_lane_is_entered_by_a_failure_that_it_does_not_list(scenario: Scenario) -> None:
    """The deciding failure: the latest, or what opened a route on the way; substitution has a rule of its own."""
    for sent in attempts(scenario, play(scenario)):
        if sent.same_route or sent.led_by is None:
            continue
        if sent.led_by.kind is FailureKind.SUBSTITUTED:
            assert scenario.sensitive
        else:
            listed = edge_of(sent.led_by) in scenario.candidates[sent.position].on
            assert listed or sent.led_by.kind is FailureKind.CONTEXT_LENGTH
        assert sent.goes_back or sent.position in {**sent.ways, **sent.resorts}


@every_plan
def test_a_request_too_long_goes_only_to_a_larger_window(scenario: Scenario) -> None:
    """One that is known to be larger than that of the route which said so."""
    for before, sent in pairwise(attempts(scenario, play(scenario))):
        if not sent.same_route and sent.led_by is not None and sent.led_by.kind is FailureKind.CONTEXT_LENGTH:
            mine = scenario.candidates[before.position].context_window
            other = scenario.candidates[sent.position].context_window
            assert mine is not None
            assert other is not None
            assert other > mine


@every_plan
def test_the_first_route_that_may_be_used_is_used(scenario: Scenario) -> None:
    """Only routes of the same lane are passed over, for the sake of later lanes; one that is open comes after those."""
    before = -1
    for sent in attempts(scenario, play(scenario)):
        if not sent.same_route and not sent.goes_back and sent.ways:
            passed = [there for there in sent.ways if there < sent.position]
            lanes = {scenario.candidates[there].lane for there in passed}
            assert lanes <= ({scenario.candidates[before].lane} if before >= 0 else set())
        before = sent.position


@every_plan
def test_a_route_is_never_sent_to_while_it_is_open(scenario: Scenario) -> None:
    """But one that fails in part, or that a 429 closed, where no other can be used."""
    for sent in attempts(scenario, play(scenario)):
        why = scenario.opened(sent.move.route, sent.at)
        if why is not None:
            assert is_last_resort(why)
            waited = sent.same_route and sent.at > sent.judged_at  # and asked again
            met = sent.failure is not None and sent.failure.kind is FailureKind.RATE_LIMIT
            if waited and met and why.retry_after is None:
                continue  # closed to new calls, and this one has waited its turn
            if waited:
                assert not look_on(scenario, sent.frontier, sent.frontier + 1, why, sent.at)[0]
            else:
                assert sent.alone


@every_plan
def test_a_candidate_that_can_not_do_the_call_is_never_sent_to(scenario: Scenario) -> None:
    """And a call goes back only where no route before it is well, after failures that may be tried again there."""
    failed: dict[int, Failure] = {}
    for sent in attempts(scenario, play(scenario)):
        assert scenario.candidates[sent.position].incapable is None
        if sent.failure is not None:
            failed[sent.here] = sent.failure
        if sent.goes_back:
            assert sent.alone
            assert admits(scenario, sent.here, sent.position, sent.failure)
            earlier = failed.get(sent.position)
            if earlier is not None:
                assert not earlier.retry_refused
                assert earlier.retry is not Retry.STOP or earlier.kind in scenario.retries


@every_plan
def test_the_first_attempt_is_made_whenever_a_route_may_be_used(scenario: Scenario) -> None:
    """And nothing else keeps a call from beginning."""
    well, closed = look_on(scenario, -1, 0, None, 0.0)
    first = play(scenario)[0].move
    assert isinstance(first, Send if well or closed else Stop)


@every_plan
def test_no_attempt_is_given_up_that_a_later_lane_could_make(scenario: Scenario) -> None:
    """A plan stops with attempts and time left only if no route may be used after that failure."""
    steps = play(scenario)
    made = list(attempts(scenario, steps))
    last = steps[-1]
    if not made or last.event is None or len(made) == most_attempts(scenario) or last.after_wait:
        return
    if scenario.budget - last.at < min(1.0, scenario.budget / 10):
        return
    failure = last.event.failure
    if ends_a_call(failure) or failure.kind is FailureKind.BAD_REQUEST:
        return
    farthest = max(made[-1].position, made[-1].frontier)
    well, closed = look_on(scenario, farthest, farthest + 1, last.event.failure, last.at)
    assert not well
    assert not closed


@every_plan
def test_a_wait_within_the_rules_is_followed_by_an_attempt(scenario: Scenario) -> None:
    """Nothing is slept in vain: only a sleep that overslept, or a route opened meanwhile, changes that."""
    for before, after in pairwise(play(scenario)):
        if not isinstance(before.move, Wait):
            continue
        assert before.move.seconds > 0
        assert after.event is not None
        if after.event.oversleep == 0 and scenario.opened(before.move.route, after.at) is None:
            assert isinstance(after.move, Send)
            assert after.move.route == before.move.route


@every_plan
def test_a_wait_longer_than_patience_is_for_a_route_that_is_alone(scenario: Scenario) -> None:
    """Patience is for what a provider asks; the short wait after an outage is none."""
    steps = play(scenario)
    waited = [index for index, step in enumerate(steps) if isinstance(step.move, Wait)]
    for index in waited:
        step, event = steps[index], steps[index].event
        assert isinstance(step.move, Wait)
        assert event is not None
        asked = event.failure.retry is Retry.WAIT or event.failure.retry_after is not None
        if asked and step.move.seconds > scenario.patience:
            latest = list(attempts(scenario, steps[:index]))[-1]
            farthest = max(latest.position, latest.frontier)
            assert not look_on(scenario, farthest, farthest + 1, event.failure, step.at)[0]


@every_plan
def test_the_same_route_is_never_tried_again_against_the_table(scenario: Scenario) -> None:
    """Only after S and W, a declared retry, a drop, or what the last route may repeat; never where it was refused."""
    may_pass = {"timeout", "outage", "bad_response", "stream_broken", "unreachable", "local"}
    for sent in attempts(scenario, play(scenario)):
        failure = sent.failure
        if not sent.same_route or failure is None or sent.move.cause == "drop" or sent.droppable:
            continue
        assert not failure.retry_refused
        if failure.kind in scenario.retries:
            assert scenario.retries[failure.kind] > 0
        elif failure.retry is Retry.NEXT:
            assert sent.alone
            assert failure.kind in may_pass
        else:
            assert failure.retry in (Retry.SAME, Retry.WAIT)


@every_plan
def test_a_stop_tells_the_last_failure_or_the_deadline(scenario: Scenario) -> None:
    """What the app is told comes from this call, if anything was sent."""
    last = play(scenario)[-1]
    assert isinstance(last.move, Stop)
    if last.event is not None:
        failure, told = last.event.failure, last.move.failure
        late = last.at >= scenario.budget and not ends_a_call(failure)
        assert told.kind is FailureKind.DEADLINE if late else told == failure


@every_plan
def test_no_route_is_left_without_a_word(scenario: Scenario) -> None:
    """A plan that stops has sent to each route or says why not."""
    moves = [step.move for step in play(scenario)]
    told = {move.route for move in moves if isinstance(move, Send)}
    told |= {skip.route for move in moves if isinstance(move, Send | Stop) for skip in move.skipped}
    if isinstance(moves[-1], Stop):
        assert told == {candidate.route for candidate in scenario.candidates}


@every_plan
def test_the_same_events_give_the_same_moves(scenario: Scenario) -> None:
    """Nothing but the arguments decides."""
    assert play(scenario) == play(scenario)


# -- the oracle itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("routes", SHAPES)
def test_the_oracle_is_shown_what_it_is_there_for(routes: str) -> None:
    """The examples play as they were meant."""
    moves = [step.move for step in play(SHAPES[routes])]
    assert (
        "".join("." if isinstance(move, Wait) else move.route for move in moves if not isinstance(move, Stop)) == routes
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=5_000, deadline=None)
@given(scenarios())
def test_every_property_holds_over_very_many_plans(scenario: Scenario) -> None:
    """All of the above, by the thousand."""
    for holds in PROPERTIES:
        holds(scenario)
