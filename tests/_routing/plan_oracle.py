"""What the rules say of each moment of a trace: from what was fed in and came out, and nothing of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from _routing.plan_scenarios import Scenario, Step
from lanewise.types import Failure, FailureKind, LaneName, LocalTrouble, Send


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


def edge_of(failure: Failure) -> FailureKind:
    """The kind that a lane must list: what this process lacked moves a call as an unreachable provider does."""
    return failure.kind if failure.trouble is None else FailureKind.UNREACHABLE


def ends_a_call(failure: Failure) -> bool:
    """Whether nothing may be sent after it."""
    return failure.kind in ENDS_A_CALL and failure.trouble in (None, LocalTrouble.LOOP)


def admits(scenario: Scenario, here: int, there: int, failure: Failure | None) -> bool:
    """Whether the failure may move a call from the one candidate to the other."""
    if failure is None:
        return True
    if failure.kind is FailureKind.SUBSTITUTED:
        return scenario.sensitive
    listed = edge_of(failure) in scenario.candidates[there].on
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
