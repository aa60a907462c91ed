"""What the rules say of each moment of a trace: from what was fed in and came out, and nothing of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from _routing.plan_scenarios import Scenario, Step
from lanewise.types import BreakerEffect, Failure, FailureKind, LaneName, LocalTrouble, Send, Wait


@dataclass(frozen=True)
class Sent:
    """An attempt as the oracle sees it.

    ``failure`` is what had failed before it (none at first), ``here`` where that was, ``frontier`` the farthest
    candidate that the call had come to, ``judged_at`` when the plan chose the route, ``led_by`` what had to be listed
    there, ``droppable`` whether a refused parameter could be left out, ``ways`` where the call could have gone then,
    and ``resorts`` where if not there: positions, with what leads into each.
    """

    at: float
    move: Send
    position: int
    number: int
    here: int
    frontier: int
    failure: Failure | None
    judged_at: float
    same_route: bool
    led_by: Failure | None
    droppable: bool
    ways: Mapping[int, Failure | None]
    resorts: Mapping[int, Failure | None]

    @property
    def alone(self) -> bool:
        """Whether no other route that is well could have been used."""
        return not self.ways

    @property
    def goes_back(self) -> bool:
        """Whether it is to a candidate, other than the latest, that the call had come to or passed."""
        return not self.same_route and self.position <= self.frontier


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
    if failure.kind is not FailureKind.CONTEXT_LENGTH or here < 0:
        return edge_of(failure) in scenario.candidates[there].on
    mine, other = scenario.candidates[here].context_window, scenario.candidates[there].context_window
    return mine is not None and other is not None and other > mine


def most_attempts(scenario: Scenario) -> int:
    """How many attempts the call may make."""
    return min(max(sum(candidate.incapable is None for candidate in scenario.candidates), 4), 8)


def is_last_resort(why: Failure) -> bool:
    """Whether a route that this opened may be used where no other is well."""
    return why.kind is FailureKind.RATE_LIMIT or why.breaker is BreakerEffect.FAILURE


def look_on(
    scenario: Scenario, here: int, start: int, failure: Failure | None, at: float
) -> tuple[dict[int, Failure | None], dict[int, Failure | None]]:
    """Where a call could go from ``start`` on, with what leads there: routes that are well, and last resorts."""
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
            if is_last_resort(why):
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
    here, frontier, number = -1, -1, 0
    entered: Failure | None = None
    accepted: set[LaneName] = set()
    chosen_at, deciding = 0.0, None
    for index, step in enumerate(steps):
        event = step.event
        before = steps[index - 1].move if index else None
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
        waited_for = before.route if isinstance(before, Wait) else None
        if waited_for is not None and waited_for != step.move.route:
            chosen_at, deciding = step.at, scenario.opened(waited_for, step.at)
        well, closed = look_on(scenario, frontier, frontier + 1, deciding, chosen_at)
        led_by = entered if same_route else {**closed, **well}.get(position, deciding)
        if position <= frontier and not same_route:
            led_by = event.failure if event is not None else None
        number += 1
        failure = event.failure if event is not None else None
        droppable = event is not None and event.droppable
        yield Sent(
            step.at,
            step.move,
            position,
            number,
            here,
            frontier,
            failure,
            chosen_at,
            same_route,
            led_by,
            droppable,
            well,
            closed,
        )
        here, frontier, entered = position, max(frontier, position), led_by
