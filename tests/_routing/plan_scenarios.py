"""Random calls for the properties of the plan: lanes, failures of the table, clocks and health; and their trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle

from hypothesis import strategies as st

from _routing.planning import DEFAULT, Told
from lanewise._failures import failure_table as failures
from lanewise._routing.plan import Plan
from lanewise._routing.selection.candidates import Candidate
from lanewise.types import Failure, FailureKind, LaneName, LocalTrouble, Move, Retry, Send, Stop, Wait


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
        health=Told(ask),
    )
    events = cycle(scenario.events)
    event: Event | None = None
    steps = [Step(clock, plan.begin(clock))]
    while not isinstance(move := steps[-1].move, Stop):
        assert len(steps) < 30, "the plan does not end"
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


TROUBLE = {
    failures.LOCAL_TROUBLE: LocalTrouble.PORTS,
    failures.LOCAL_TROUBLE_AFTER_WRITE: LocalTrouble.NETWORK,
    failures.LOOP_LATE: LocalTrouble.LOOP,
}


def _failure(row: failures.Row, retry_after: float | None, advice: str) -> Failure:
    if row in TROUBLE:
        return row.failure(trouble=TROUBLE[row])  # nobody else has a say in it
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


def _lanes(*routes: str, degraded_on: frozenset[FailureKind] = DEFAULT) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(route, lane, degraded_on if lane is LaneName.DEGRADED else DEFAULT, 30.0, 20.0, None)
        for lane, letters in zip(LaneName, routes, strict=False)
        for route in letters
    )


def _each(row: failures.Row, retry_after: float | None = None) -> tuple[Event, ...]:
    return (Event(row.failure(retry_after=retry_after), took=0.1),) * 4


def _from(
    start: float, row: failures.Row, retry_after: float | None = None
) -> tuple[tuple[float, float, Failure], ...]:
    return ((start, 1000.0, row.failure(retry_after=retry_after)),)


SHAPES = {
    "a.a.a.a": Scenario(_lanes("a"), _each(failures.RATE_LIMIT, 1.5)),
    "abcd": Scenario(_lanes("ab", "c", "d"), _each(failures.SERVER_ERROR)),
    "ab": Scenario(_lanes("a", "b"), _each(failures.AUTH), {"b": _from(0, failures.RATE_LIMIT)}),
    "a.c.c.c": Scenario(_lanes("a", "c"), _each(failures.RATE_LIMIT, 1.5), {"a": _from(3.5, failures.AUTH)}),
    "a.b.b.b": Scenario(_lanes("a", "b"), _each(failures.RATE_LIMIT, 1.5), {"a": _from(3.5, failures.RATE_LIMIT, 9.0)}),
    "abb.b": Scenario(_lanes("a", "b"), _each(failures.UNREACHABLE), {"a": _from(2.5, failures.SERVER_ERROR)}),
    "a": Scenario(
        _lanes("a", "b", "c", degraded_on=frozenset({FailureKind.AUTH})),
        _each(failures.AUTH),
        {"b": _from(0, failures.MODEL_MISSING)},
    ),
    "abcd.d.d": Scenario(
        _lanes("abcd", "e", "f", degraded_on=frozenset({FailureKind.OUTAGE})),
        _each(failures.OVERLOADED),
        {"e": _from(0, failures.AUTH)},
    ),
}
"""Shapes that are easily missed, by the routes of their attempts; a dot is a wait."""
