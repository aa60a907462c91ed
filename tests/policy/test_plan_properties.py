"""What holds for every plan: random lanes, failures of the table, clocks and health, judged by an oracle of its own.

The oracle reads the trace of moves and what was fed in; it knows the rules, and nothing of the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy.planning import DEFAULT
from understudy.policy import failures
from understudy.policy.plan import Plan
from understudy.policy.selection import Candidate
from understudy.words import Failure, FailureKind, LaneName, Move, Retry, Send, Stop, Wait

A_LITTLE = 1e-9
"""Seconds that rounding may cost."""


# -- what is fed in ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """How an attempt goes: its failure, the share of its timeout that it takes, and how long a sleep oversleeps."""

    failure: Failure
    took: float = 0.5
    jitter: float = 0.0
    oversleep: float = 0.0
    droppable: bool = False
    transformed: bool = False


@dataclass(frozen=True)
class Scenario:
    """A call from outside: times in seconds from its start; ``health`` has by route when it is open, and why."""

    candidates: tuple[Candidate, ...]
    events: tuple[Event, ...]
    health: Mapping[str, tuple[tuple[float, float, Failure], ...]] = field(default_factory=dict)
    budget: float = 60.0
    patience: float = 2.0
    retries: Mapping[FailureKind, int] = field(default_factory=dict)
    sensitive: bool = False

    def opened(self, route: str, at: float) -> Failure | None:
        """What has the route open at that time."""
        return next((why for start, end, why in self.health.get(route, ()) if start <= at < end), None)

    def position(self, move: Send) -> int:
        """Where the route of the move is among the candidates."""
        return [c.route for c in self.candidates].index(move.route)


@dataclass(frozen=True)
class Step:
    """A move, when it was made, and the event that it answers (none at first)."""

    at: float
    move: Move
    event: Event | None = None
    after_wait: bool = False


def play(scenario: Scenario) -> list[Step]:
    """All moves of the plan, on a clock that only the events move."""
    clock = 0.0

    def ask(route: str) -> Failure | None:
        return scenario.opened(route, clock)

    plan = Plan(
        scenario.candidates,
        deadline=scenario.budget,
        budget=scenario.budget,
        patience=scenario.patience,
        retries=scenario.retries,
        sensitive=scenario.sensitive,
        open_routes=ask,
    )
    events = iter(scenario.events)
    event: Event | None = None
    steps = [Step(clock, plan.begin(clock))]
    while not isinstance(move := steps[-1].move, Stop):
        assert len(steps) < 20, "the plan does not end"
        if isinstance(move, Send):
            event = next(events)
            clock += move.timeout * event.took
            said = plan.failed(
                event.failure, clock, event.jitter, droppable=event.droppable, transformed=event.transformed
            )
        else:
            assert event is not None
            clock += move.seconds + event.oversleep
            said = plan.waited(clock)
        steps.append(Step(clock, said, event, after_wait=isinstance(move, Wait)))
    return steps


# -- strategies --------------------------------------------------------------------------------------------------------

ROWS = st.sampled_from(failures.TABLE)
LIKELY = st.sampled_from(
    [
        *(
            failures.SERVER_ERROR,
            failures.RATE_LIMIT,
            failures.UNREACHABLE,
            failures.TIMEOUT,
            failures.UNAVAILABLE_LATER,
        ),
        *(failures.AUTH, failures.CONTRACT, failures.OVERLOADED, failures.UNSUPPORTED_PARAMETER, failures.BAD_REQUEST),
        *(failures.CONTEXT_LENGTH, failures.SUBSTITUTED, failures.CONFLICT, failures.CUT),
    ]
)
OPENERS = st.sampled_from(
    [failures.SERVER_ERROR, failures.AUTH, failures.PAYMENT, failures.RATE_LIMIT, failures.RATE_LIMIT, failures.TIMEOUT]
).map(lambda row: row.failure())
KINDS = st.sampled_from(list(FailureKind))
SECONDS = st.sampled_from([0.0, 0.1, 0.3, 1.0, 1.5, 2.0, 5.0, 20.0, 58.9, 300.0])
SHARES = st.sampled_from([0.0, 0.0, 0.01, 0.01, 0.1, 0.1, 0.5, 1.0, 1.05])


def _failure(row: failures.Row, retry_after: float | None, advice: str) -> Failure:
    if advice == "false" and row.retry in (Retry.SAME, Retry.WAIT):
        return row.failure(retry_after=retry_after, retry=Retry.NEXT, retry_refused=True)
    if advice == "true" and row.retry in (Retry.WAIT, Retry.NEXT):
        return row.failure(retry_after=retry_after, retry=Retry.SAME)
    return row.failure(retry_after=retry_after)


FAILURES = st.builds(
    _failure, ROWS | LIKELY | LIKELY, st.none() | st.none() | SECONDS, st.sampled_from(["", "", "", "true", "false"])
)
EVENTS = st.builds(
    Event,
    failure=FAILURES,
    took=SHARES,
    jitter=st.sampled_from([0.0, 0.5, 0.999]),
    oversleep=st.sampled_from([0.0, 0.0, 0.0, 0.01, 1.0, 30.0]),
    droppable=st.booleans(),
    transformed=st.booleans(),
)
ON = st.one_of(
    st.just(DEFAULT),
    st.just(DEFAULT),
    st.just(frozenset(FailureKind)),
    st.frozensets(KINDS, max_size=8),
    st.builds(frozenset[FailureKind].union, st.just(DEFAULT), st.frozensets(KINDS, max_size=3)),
)
OPEN_TIMES = st.tuples(
    st.sampled_from([0.0, 0.0, 0.2, 1.0, 10.0]), st.sampled_from([0.1, 0.4, 5.0, 1000.0]), OPENERS
).map(lambda drawn: (drawn[0], drawn[0] + drawn[1], drawn[2]))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """One to three lanes of one to four routes, from any of them on, and how four attempts would go."""
    lanes = draw(st.lists(st.sampled_from(list(LaneName)), min_size=1, max_size=3, unique=True))
    candidates = [
        Candidate(
            route=f"{lane}-{number}",
            lane=lane,
            on=draw(ON),
            timeout=draw(st.sampled_from([2.0, 10.0, 30.0, 1000.0])),
            first_token=20.0,
            context_window=draw(st.sampled_from([None, 8000, 32000])),
            incapable=draw(st.sampled_from([None, None, None, None, "can't"])),
        )
        for lane in lanes
        for number in range(draw(st.integers(1, 4)))
    ]
    routes = st.sampled_from([candidate.route for candidate in candidates])
    return Scenario(
        candidates=tuple(candidates),
        events=tuple(draw(st.lists(EVENTS, min_size=4, max_size=4))),
        health=draw(st.dictionaries(routes, st.tuples(OPEN_TIMES) | st.tuples(OPEN_TIMES, OPEN_TIMES), max_size=4)),
        budget=draw(st.sampled_from([60.0, 60.0, 1.0, 3.0, 10.0, 100.0, 600.0])),
        patience=draw(st.sampled_from([0.0, 0.3, 2.0, 30.0])),
        retries=draw(st.just({}) | st.dictionaries(KINDS, st.integers(0, 3), max_size=3)),
        sensitive=draw(st.booleans()),
    )


Property = Callable[[Scenario], None]
PROPERTIES: list[Property] = []


def every_plan(test: Property) -> Callable[[], None]:
    """The test, over random scenarios and one of each shape that is easily missed."""
    PROPERTIES.append(test)
    for scenario in SHAPES.values():
        test = example(scenario)(test)
    return settings(max_examples=50, deadline=None)(given(scenarios())(test))


def _lanes(*routes: str, degraded_on: frozenset[FailureKind] = DEFAULT) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(route, lane, degraded_on if lane is LaneName.DEGRADED else DEFAULT, 30.0, 20.0, None)
        for lane, letters in zip(LaneName, routes, strict=False)
        for route in letters
    )


def _each(row: failures.Row, retry_after: float | None = None) -> tuple[Event, ...]:
    return (Event(row.failure(retry_after=retry_after), took=0.1),) * 4


def _from(start: float, row: failures.Row) -> tuple[tuple[float, float, Failure], ...]:
    return ((start, 1000.0, row.failure()),)


SHAPES = {
    "a.a.a.a": Scenario(_lanes("a"), _each(failures.RATE_LIMIT, 1.5)),
    "a.acd": Scenario(_lanes("ab", "c", "d"), _each(failures.SERVER_ERROR)),
    "ab": Scenario(_lanes("a", "b"), _each(failures.AUTH), {"b": _from(0, failures.RATE_LIMIT)}),
    "a.c.c.c": Scenario(_lanes("a", "c"), _each(failures.RATE_LIMIT, 1.5), {"a": _from(3.5, failures.AUTH)}),
    "a.b.b.b": Scenario(_lanes("a", "b"), _each(failures.RATE_LIMIT, 1.5), {"a": _from(3.5, failures.RATE_LIMIT)}),
    "abb.b": Scenario(_lanes("a", "b"), _each(failures.UNREACHABLE), {"a": _from(2.5, failures.SERVER_ERROR)}),
    "a": Scenario(
        _lanes("a", "b", "c", degraded_on=frozenset({FailureKind.AUTH})),
        _each(failures.AUTH),
        {"b": _from(0, failures.SERVER_ERROR)},
    ),
    "abcd": Scenario(
        _lanes("abcd", "e", "f", degraded_on=frozenset({FailureKind.OUTAGE})),
        _each(failures.OVERLOADED),
        {"e": _from(0, failures.AUTH)},
    ),
}
"""Shapes that are easily missed, by the routes of their attempts; a dot is a wait."""


# -- the oracle --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """An attempt as the oracle sees it.

    ``failure`` is what had failed before it (none at first), ``judged_at`` when the plan chose the route, ``led_by``
    what had to be listed there, ``droppable`` whether a refused parameter could be left out, ``ways`` where the call
    could have gone then: positions, with what leads into each.
    """

    at: float
    move: Send
    position: int
    number: int
    failure: Failure | None
    judged_at: float
    same_route: bool
    led_by: Failure | None
    droppable: bool
    ways: Mapping[int, Failure | None]
    closed_by_429: Mapping[int, Failure | None]

    @property
    def alone(self) -> bool:
        """Whether no other route could have been used."""
        return not self.ways


def admits(scenario: Scenario, here: int, there: int, failure: Failure | None) -> bool:
    """Whether the failure may move a call from the one candidate to the other."""
    if failure is None:
        return True
    if failure.kind is FailureKind.SUBSTITUTED:
        return scenario.sensitive
    listed = failure.kind in scenario.candidates[there].on
    if failure.kind is not FailureKind.CONTEXT_LENGTH or here < 0:
        return listed
    mine, other = scenario.candidates[here].context_window, scenario.candidates[there].context_window
    return listed and mine is not None and other is not None and other > mine


def look_on(
    scenario: Scenario, here: int, start: int, failure: Failure | None, at: float
) -> tuple[dict[int, Failure | None], dict[int, Failure | None]]:
    """Where a call could go from ``start`` on, with what leads there: routes that are well, routes closed by a 429."""
    well: dict[int, Failure | None] = {}
    closed: dict[int, Failure | None] = {}
    for there in range(start, len(scenario.candidates)):
        candidate = scenario.candidates[there]
        if candidate.incapable is not None or not admits(scenario, here, there, failure):
            continue
        why = scenario.opened(candidate.route, at)
        if why is None:
            well[there] = failure
        else:
            if why.kind is FailureKind.RATE_LIMIT:
                closed[there] = failure
            failure = why
    return well, closed


def usable_later_lanes(scenario: Scenario, position: int, at: float) -> set[LaneName]:
    """The lanes behind this candidate's that have a route which could be used at that time."""
    rest = scenario.candidates[position + 1 :]
    usable = {c.lane for c in rest if c.incapable is None and scenario.opened(c.route, at) is None}
    return usable - {scenario.candidates[position].lane}


ENDS_A_CALL = (FailureKind.LOCAL, FailureKind.CANCELLED, FailureKind.DEADLINE)
WORKED_ON_IT = {"timeout", "outage", "bad_response", "stream_broken", "contract", "substituted"}


def attempts(scenario: Scenario, steps: list[Step]) -> Iterator[Sent]:
    """The attempts of a trace, each with what the rules say of the moment when it was chosen."""
    here, number = -1, 0
    entered: Failure | None = None
    accepted: set[LaneName] = set()
    chosen_at, deciding = 0.0, None
    for step in steps:
        event = step.event
        if event is not None and not step.after_wait:
            lane = scenario.candidates[here].lane
            if event.failure.kind in WORKED_ON_IT and not event.transformed:
                accepted.add(lane)
            chosen_at, deciding = step.at, event.failure
            if event.failure.kind is FailureKind.BAD_REQUEST and event.transformed and accepted - {lane}:
                deciding = entered or deciding
        if not isinstance(step.move, Send):
            continue
        position = scenario.position(step.move)
        same_route = position == here
        if step.after_wait and not same_route:
            chosen_at, deciding = step.at, scenario.opened(scenario.candidates[here].route, step.at)
        well, closed = look_on(scenario, here, here + 1, deciding, chosen_at)
        led_by = entered if same_route else {**closed, **well}.get(position, deciding)
        number += 1
        failure = event.failure if event is not None else None
        droppable = event is not None and event.droppable
        yield Sent(
            step.at, step.move, position, number, failure, chosen_at, same_route, led_by, droppable, well, closed
        )
        here, entered = position, led_by


# -- the properties ----------------------------------------------------------------------------------------------------


@every_plan
def test_every_plan_ends(scenario: Scenario) -> None:
    """With a stop, after at most four attempts and three waits."""
    steps = play(scenario)
    assert isinstance(steps[-1].move, Stop)
    assert sum(isinstance(step.move, Wait) for step in steps) <= 3


@every_plan
def test_a_call_never_has_more_than_four_attempts(scenario: Scenario) -> None:
    """Whatever fails, and however often."""
    numbers = [sent.move.attempt_number for sent in attempts(scenario, play(scenario))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 4


@every_plan
def test_a_route_never_has_more_than_two_attempts_while_another_is_left(scenario: Scenario) -> None:
    """The third is for a route that is alone."""
    here: list[str] = []
    for sent in attempts(scenario, play(scenario)):
        here.append(sent.move.route)
        assert here.count(sent.move.route) <= 2 or sent.alone


@every_plan
def test_one_attempt_is_kept_for_each_later_lane(scenario: Scenario) -> None:
    """By a retry while another route is left, and by another route of the same lane if the call could move on."""
    previous = -1
    for sent in attempts(scenario, play(scenario)):
        kept = usable_later_lanes(scenario, sent.position, sent.judged_at)
        left = 4 - sent.number
        lane = scenario.candidates[sent.position].lane
        if sent.same_route and not sent.alone:
            assert left >= len(kept)
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
        lanes = min(len(usable_later_lanes(scenario, sent.position, sent.at)), 4 - sent.number)
        kept = scenario.budget * min(0.2 * lanes, 0.4)
        assert sent.move.timeout <= max(left - kept, min(1.0, scenario.budget / 10)) + A_LITTLE


@every_plan
def test_nothing_is_sent_sooner_than_retry_after(scenario: Scenario) -> None:
    """To the route that asked for it, whatever its failure was."""
    for sent in attempts(scenario, play(scenario)):
        if sent.same_route and sent.failure is not None and sent.failure.retry_after is not None:
            assert sent.at - sent.judged_at >= sent.failure.retry_after - A_LITTLE


@every_plan
def test_no_lane_is_entered_by_a_failure_that_it_does_not_list(scenario: Scenario) -> None:
    """The deciding failure: the latest, or what opened a route on the way; substitution has a rule of its own."""
    for sent in attempts(scenario, play(scenario)):
        if sent.same_route or sent.led_by is None:
            continue
        if sent.led_by.kind is FailureKind.SUBSTITUTED:
            assert scenario.sensitive
        else:
            assert sent.led_by.kind in scenario.candidates[sent.position].on
        assert sent.position in {**sent.ways, **sent.closed_by_429}


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
    """Only routes of the same lane are passed over, for the sake of later lanes; a route closed by a 429 comes last."""
    before = -1
    for sent in attempts(scenario, play(scenario)):
        if not sent.same_route:
            passed = [there for there in (sent.ways or sent.closed_by_429) if there < sent.position]
            lanes = {scenario.candidates[there].lane for there in passed}
            assert lanes <= ({scenario.candidates[before].lane} if before >= 0 else set())
        before = sent.position


@every_plan
def test_a_route_is_never_sent_to_while_it_is_open(scenario: Scenario) -> None:
    """But one that a 429 closed, where no other can be used."""
    here = -1
    for sent in attempts(scenario, play(scenario)):
        why = scenario.opened(sent.move.route, sent.at)
        if why is not None:
            assert why.kind is FailureKind.RATE_LIMIT
            if sent.same_route and sent.at > sent.judged_at:  # it waited, and asked again
                assert not look_on(scenario, here, here + 1, why, sent.at)[0]
            else:
                assert sent.alone
        here = sent.position


@every_plan
def test_a_candidate_that_can_not_do_the_call_is_never_sent_to(scenario: Scenario) -> None:
    """Nor one twice that the plan has left."""
    positions = [sent.position for sent in attempts(scenario, play(scenario))]
    assert all(scenario.candidates[position].incapable is None for position in positions)
    assert positions == sorted(positions)


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
    if not made or last.event is None or len(made) == 4 or last.after_wait:
        return
    if scenario.budget - last.at < min(1.0, scenario.budget / 10):
        return
    kind = last.event.failure.kind
    if kind in ENDS_A_CALL or kind is FailureKind.BAD_REQUEST:
        return
    well, closed = look_on(scenario, made[-1].position, made[-1].position + 1, last.event.failure, last.at)
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
            here = list(attempts(scenario, steps[:index]))[-1].position
            assert not look_on(scenario, here, here + 1, event.failure, step.at)[0]


@every_plan
def test_the_same_route_is_never_tried_again_against_the_table(scenario: Scenario) -> None:
    """Only after S and W, a declared retry, a drop, or what the last route may repeat; never where it was refused."""
    may_pass = (FailureKind.TIMEOUT, FailureKind.OUTAGE, FailureKind.BAD_RESPONSE)
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
        late = last.at >= scenario.budget and failure.kind not in ENDS_A_CALL
        assert told.kind is FailureKind.DEADLINE if late else told == failure


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
