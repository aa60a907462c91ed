"""The deadline budget: how long an attempt on each route of a task may take, from the declared times alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from lanewise.config.tables.routes import Route
from lanewise.config.tables.tasks import Task
from lanewise.types import FailureKind, LaneName

__all__ = ["LANE_RESERVE", "MOST_RESERVE", "RouteTime", "deadline_alone", "reserve", "route_times"]

LANE_RESERVE = 0.2
"""The share of the deadline that is kept back for each later lane."""
MOST_RESERVE = 0.4
"""The share of the deadline that is kept back for later lanes in all."""


DEADLINE_ALONE = 600.0
"""Seconds of an undeclared deadline where no other route could be used: as long as the SDK waits."""


@dataclass(frozen=True, slots=True)
class RouteTime:
    """The seconds that an attempt on a route may take: with the whole deadline before it, and after all routes before
    it have used up theirs."""

    lane: LaneName
    route: str
    at_best: float
    at_worst: float


def reserve(deadline: float, later_lanes: int) -> float:
    """The seconds of a deadline that are kept back for later lanes.

    Example::

        assert reserve(45.0, 2) == 18.0
    """
    return deadline * min(LANE_RESERVE * later_lanes, MOST_RESERVE)


def deadline_alone(task: Task) -> float:
    """The seconds that a call may take once no other route could be used.

    Example::

        assert deadline_alone(Task(primary="flagship")) == 600.0
    """
    return task.deadline if "deadline" in task.model_fields_set else DEADLINE_ALONE


def route_times(task: Task, routes: Mapping[str, Route]) -> tuple[RouteTime, ...]:
    """What each route of a task gets, in the order of its lanes, while all of them could be used.

    Once none could be used after it, a timeout that nobody declared gives way to all that is left, and a deadline that
    nobody declared is longer.
    """
    times: list[RouteTime] = []
    left = deadline = task.deadline
    last = _last_before_the_end(task)
    for position, lane in enumerate(task.lanes):
        for entry in lane.entries:
            route = routes[entry.route]
            timeout = route.timeout
            if len(times) >= last:
                left, deadline = left + deadline_alone(task) - deadline, deadline_alone(task)
                timeout = timeout if "timeout" in route.model_fields_set else inf
            reserved = reserve(deadline, len(task.lanes) - position - 1)
            at_worst = max(0.0, min(timeout, left - reserved))
            times.append(RouteTime(lane.name, route.name, min(timeout, deadline - reserved), at_worst))
            left -= at_worst
    return tuple(times)


def _last_before_the_end(task: Task) -> int:
    """The place of the first route after which no other could be used when it times out."""
    moving = [FailureKind.TIMEOUT in lane.moves_on(entry) for lane in task.lanes for entry in lane.entries]
    return max((place for place, moves in enumerate(moving) if moves and place), default=0)
