"""In which order a lane's routes are tried: as declared, by weight, cost or speed, or always the same for a subject.

An order loses no route: those that are not first stay behind it, for the call to move on to.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lanewise.config import Lane, LaneEntry, Route, Task

__all__ = [
    "EXPLORING",
    "SAME_IN_ALL_WORKERS",
    "Arrange",
    "Picks",
    "as_declared",
    "by_cost",
    "by_speed",
    "by_weight",
    "order_of",
    "subject_picks",
    "wants_costs",
    "wants_latencies",
]

EXPLORING: Final = 0.05
"""The share of calls that ask another route than the fastest first, so that what is known of it stays fresh."""

SAME_IN_ALL_WORKERS: Final = frozenset({"order", "weight"})
"""The values of a task's ``select`` by which all workers ask the same route first for a subject or conversation."""

_STICKY_DOMAIN: Final = b"lanewise sticky 1"
_UNIT: Final = float(1 << 53)

Arrange = Callable[["Lane"], Sequence["LaneEntry"]]
"""The order of a lane's routes for one call."""
Picks = Callable[[str], float]
"""A number in [0, 1) for a route."""


def order_of(
    task: Task,
    routes: Mapping[str, Route],
    *,
    picks: Picks,
    costs: Callable[[], Callable[[str], float | None]],
    speed: Callable[[str], float | None],
    fails: Callable[[str], bool],
) -> Arrange:
    """The order of one call, as its task's ``select`` has it.

    ``picks`` draws among equals, ``costs`` makes the estimate of what each route takes for the call (made only where
    the order goes by it), ``speed`` gives the seconds that each took lately, ``fails`` whether it failed lately.

    Example::

        arrange = order_of(task, config.routes, picks=pick, costs=lambda: cost, speed=seconds, fails=fails)
    """
    match task.select:
        case "weight":
            return by_weight(routes, picks)
        case "cheapest":
            return by_cost(costs())
        case "fastest":
            return by_speed(speed, fails, picks)
        case "order":
            return as_declared


def wants_latencies(task: Task) -> bool:
    """Whether a task's order goes by how long its routes took: somebody has to measure it."""
    return task.select == "fastest"


def wants_costs(task: Task) -> bool:
    """Whether a task's order goes by what its routes cost."""
    return task.select == "cheapest"


def as_declared(lane: Lane) -> Sequence[LaneEntry]:
    """The order of the config."""
    return lane.entries


def by_weight(routes: Mapping[str, Route], picks: Picks) -> Arrange:
    """Drawn by weight without putting back (Efraimidis and Spirakis, 2006).

    With numbers that depend on the subject alone this is weighted rendezvous hashing: a subject's order is the same in
    all processes, and a route that comes or goes moves no subject but its own.

    Example::

        by_weight(config.routes, lambda route: random.random())(task.primary)
    """

    def arrange(lane: Lane) -> Sequence[LaneEntry]:
        if len(lane.entries) < 2:
            return lane.entries
        return sorted(lane.entries, key=lambda entry: -math.log1p(-picks(entry.route)) / routes[entry.route].weight)

    return arrange


def by_cost(cost: Callable[[str], float | None]) -> Arrange:
    """The cheapest first; a route of unknown cost goes last, and of equal ones the first declared is first."""

    def arrange(lane: Lane) -> Sequence[LaneEntry]:
        if len(lane.entries) < 2:
            return lane.entries
        costs = {entry.route: cost(entry.route) for entry in lane.entries}
        return sorted(lane.entries, key=lambda entry: _or_last(costs[entry.route]))

    return arrange


def by_speed(speed: Callable[[str], float | None], fails: Callable[[str], bool], picks: Picks) -> Arrange:
    """The fastest first, by the time that each took lately; ``None`` where too little is known.

    A route that ``fails`` goes behind all that don't. One of which too little is known is taken to be as fast as the
    fastest, and among equals it is drawn: so it is tried until it is known. And of all calls :data:`EXPLORING` go to
    another route first, drawn evenly.
    """

    def arrange(lane: Lane) -> Sequence[LaneEntry]:
        if len(lane.entries) < 2:
            return lane.entries
        taken = {entry.route: speed(entry.route) for entry in lane.entries}
        best = min((seconds for seconds in taken.values() if seconds is not None), default=0.0)

        def rank(entry: LaneEntry) -> tuple[bool, float, float]:
            seconds = taken[entry.route]
            return fails(entry.route), best if seconds is None else seconds, picks(entry.route)

        ranked = sorted(lane.entries, key=rank)
        others = [entry for entry in ranked[1:] if not fails(entry.route)]
        if others and (pick := picks("")) < EXPLORING:
            first = others[int(pick / EXPLORING * len(others))]
            ranked.remove(first)
            ranked.insert(0, first)
        return ranked

    return arrange


def subject_picks(subject: str, secret: bytes | None) -> Picks:
    """The same number each time for a subject and a route, in every process that has the same secret.

    Example::

        assert subject_picks("user-7", None)("flagship") == subject_picks("user-7", None)("flagship")
    """
    key = secret or _STICKY_DOMAIN

    def pick(route: str) -> float:
        message = _STICKY_DOMAIN + len(route).to_bytes(8, "big") + f"{route}{subject}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(key, message, hashlib.sha256)
        return (int.from_bytes(digest[:8], "big") >> 11) / _UNIT

    return pick


def _or_last(cost: float | None) -> float:
    return math.inf if cost is None else cost
