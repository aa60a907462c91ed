"""How long each route of a task effectively gets, worked out from the declared times alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lanewise.config.models import Route, Task
from lanewise.types import LaneName

__all__ = ["LANE_RESERVE", "MOST_RESERVE", "RouteTime", "reserve", "route_times"]

LANE_RESERVE = 0.2
"""The share of the deadline that is kept back for each later lane."""
MOST_RESERVE = 0.4
"""The share of the deadline that is kept back for later lanes in all."""


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


def route_times(task: Task, routes: Mapping[str, Route]) -> tuple[RouteTime, ...]:
    """What each route of a task gets, in the order of its lanes."""
    times: list[RouteTime] = []
    left = task.deadline
    for position, lane in enumerate(task.lanes):
        kept = reserve(task.deadline, len(task.lanes) - position - 1)
        for name in lane.routes:
            at_worst = max(0.0, min(routes[name].timeout, left - kept))
            times.append(RouteTime(lane.name, name, min(routes[name].timeout, task.deadline - kept), at_worst))
            left -= at_worst
    return tuple(times)
