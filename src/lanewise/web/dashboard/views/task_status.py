"""The status of each task: which lane answers at present, since when and why, and its last hour. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from lanewise.config import Config, Task
from lanewise.config.tables.sensitive import approved_routes
from lanewise.types import HealthReport, HealthState, LaneName, Outcome, RouteStatus
from lanewise.types.past_calls import AttemptsOfMinute, CallsOfMinute, RecentFacts
from lanewise.types.time_buckets import percentile

__all__ = [
    "MINUTES",
    "LaneStanding",
    "Level",
    "RouteStanding",
    "TaskHour",
    "TaskStatus",
    "hour_before",
    "task_statuses",
]

MINUTES: Final = 60
"""Of the past that is shown."""
_EVIDENCE: Final = 5
"""The last minutes whose calls are evidence of what this process's breakers don't know."""
_ENOUGH: Final = 3
"""How many calls that all ended alike make up the status of a task."""


class Level(StrEnum):
    """The level of a task's service; from worst to best."""

    FAILING = "failing"
    SHAKY = "shaky"
    FALLBACK = "fallback"
    PRIMARY = "primary"


class RouteStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A route in a task's lane. ``answers``: it is the one that calls go to at present; ``approved``: it may answer
    the task's sensitive calls."""

    status: RouteStatus
    answers: bool = False
    approved: bool = True


class LaneStanding(msgspec.Struct, frozen=True):
    """A lane of a task, with its routes in order."""

    name: LaneName
    routes: tuple[RouteStanding, ...]


class TaskHour(msgspec.Struct, frozen=True, kw_only=True):
    """What the last hour was like. The rows have a number a minute, the oldest first; costs are in US dollars.

    ``answered``, ``fallback`` and ``failed`` are calls by how they ended, ``fallback`` those that another lane than the
    primary one answered. ``absorbed`` are attempts that failed while their call was answered.
    """

    calls: tuple[int, ...]
    answered: tuple[int, ...]
    fallback: tuple[int, ...]
    failed: tuple[int, ...]
    absorbed: tuple[int, ...]
    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]
    cost: tuple[float, ...]
    p50_ms: float | None
    p95_ms: float | None
    cost_today: float | None

    @property
    def answered_share(self) -> float | None:
        """Of the calls that ended in an answer or in a failure, how many were answered, from 0 to 1."""
        ended = sum(self.answered) + sum(self.failed)
        return sum(self.answered) / ended if ended else None


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A task. ``reason`` says in a line why it is not on its primary lane, ``since`` is UTC where it is known.

    ``by_its_calls``: nothing is known against its routes, but its last calls all ended so.
    """

    name: str
    level: Level
    lanes: tuple[LaneStanding, ...]
    hour: TaskHour
    answering: tuple[str, ...] = ()
    lane: LaneName | None = None
    since: datetime | None = None
    reason: str = ""
    probe: datetime | None = None
    sensitive: str | None = None
    by_its_calls: bool = False


def task_statuses(config: Config, health: HealthReport, facts: RecentFacts, now: datetime) -> list[TaskStatus]:
    """All tasks, those first that need a look; ``now`` is UTC.

    Example::

        worst = task_statuses(router.config, router.health, facts, datetime.now(UTC))[0]
        print(worst.name, worst.level, worst.since, worst.reason)
    """
    calls: defaultdict[str, list[CallsOfMinute]] = defaultdict(list)
    attempts: defaultdict[str, list[AttemptsOfMinute]] = defaultdict(list)
    for call in facts.calls:
        calls[call.task].append(call)
    for attempt in facts.attempts:
        attempts[attempt.task].append(attempt)
    found = [
        _task_status(config, task, health, calls[name], attempts[name], facts.cost_today.get(name), now)
        for name, task in config.tasks.items()
    ]
    order = list(Level)
    return sorted(found, key=lambda task_status: order.index(task_status.level))


def _task_status(
    config: Config,
    task: Task,
    health: HealthReport,
    calls: Sequence[CallsOfMinute],
    attempts: Sequence[AttemptsOfMinute],
    cost_today: float | None,
    now: datetime,
) -> TaskStatus:
    approved = None
    if task.sensitive is not None:
        approved = approved_routes([config.sensitive[task.sensitive]])
    usable = {
        name for name in task.routes if health.routes[name].state.takes_calls and (approved is None or name in approved)
    }
    lane = next((lane for lane in task.lanes if usable & set(lane.routes)), None)
    answering: tuple[str, ...] = ()
    if lane is not None:
        answering = tuple(name for name in lane.routes if name in usable)
        answering = answering[:1] if task.select == "order" else answering
    by_health = TaskStatus(
        name=task.name,
        level=Level.FAILING if lane is None else Level.PRIMARY if lane.name is LaneName.PRIMARY else Level.FALLBACK,
        lanes=_lanes(task, health, answering, approved),
        hour=_hour(calls, attempts, cost_today, now, _unanswered(task.sensitive)),
        answering=answering,
        lane=None if lane is None else lane.name,
        sensitive=task.sensitive,
    )
    minute = int(now.timestamp()) // 60
    if by_health.level is Level.PRIMARY:
        return _as_its_calls_say(by_health, calls, attempts, minute)
    ahead = [
        health.routes[name]
        for each in task.lanes
        if lane is None or list(LaneName).index(each.name) < list(LaneName).index(lane.name)
        for name in each.routes
        if approved is None or name in approved
    ]
    task_status = msgspec.structs.replace(
        by_health,
        since=max((status.since for status in ahead if status.since is not None), default=None),
        reason="; ".join(_reason_of(status) for status in ahead),
        probe=min((status.next_probe for status in ahead if status.next_probe is not None), default=None),
    )
    if task_status.level is Level.FAILING and _answered(calls, minute, 2):
        return msgspec.structs.replace(task_status, level=Level.SHAKY)
    return task_status


def _lanes(
    task: Task, health: HealthReport, answering: tuple[str, ...], approved: frozenset[str] | None
) -> tuple[LaneStanding, ...]:
    return tuple(
        LaneStanding(
            lane.name,
            tuple(
                RouteStanding(
                    status=health.routes[name],
                    answers=name in answering,
                    approved=approved is None or name in approved,
                )
                for name in lane.routes
            ),
        )
        for lane in task.lanes
    )


def _reason_of(status: RouteStatus) -> str:
    if status.by_hand:
        return f"{status.route} is open by hand"
    state = "is off" if status.state is HealthState.OFF else f"is {status.state}"
    return f"{status.route} {state}: {status.why}" if status.why else f"{status.route} {state}"


# -- what is known by calls, and not by breakers -----------------------------------------------------------------------


def _as_its_calls_say(
    task_status: TaskStatus, calls: Sequence[CallsOfMinute], attempts: Sequence[AttemptsOfMinute], minute: int
) -> TaskStatus:
    """The status by its latest calls, if those all went another way: other workers may know what this one does not."""
    recent = [call for call in calls if call.minute > minute - _EVIDENCE]
    answers = [call for call in recent if call.outcome == Outcome.ANSWERED]
    primary = sum(call.calls for call in answers if call.lane == LaneName.PRIMARY)
    elsewhere = Counter[str]()
    for call in answers:
        if call.lane is not None and call.lane != LaneName.PRIMARY:
            elsewhere[call.lane] += call.calls
    failed = sum(call.calls for call in recent if call.outcome in _unanswered(task_status.sensitive))
    if primary or not task_status.hour.calls or sum(elsewhere.values()) + failed < _ENOUGH:
        return task_status
    why = Counter[tuple[str, str]]()
    for attempt in attempts:
        tells = attempt.lane == LaneName.PRIMARY or not elsewhere
        if tells and attempt.minute > minute - _EVIDENCE and attempt.failure is not None:
            why[attempt.route, attempt.failure] += attempt.attempts
    reason = "; ".join(f"{route}: {failure}" for (route, failure), _ in why.most_common(2))
    lane = LaneName(elsewhere.most_common(1)[0][0]) if elsewhere else None
    return msgspec.structs.replace(
        task_status,
        level=Level.FALLBACK if elsewhere else Level.FAILING,
        lane=lane,
        answering=(),
        lanes=tuple(
            LaneStanding(each.name, tuple(msgspec.structs.replace(route, answers=False) for route in each.routes))
            for each in task_status.lanes
        ),
        since=_since(calls),
        reason=reason,
        by_its_calls=True,
    )


def _since(calls: Iterable[CallsOfMinute]) -> datetime | None:
    """The first minute after the last answer by the primary lane."""
    found = list(calls)
    last = max(
        (call.minute for call in found if call.outcome == Outcome.ANSWERED and call.lane == LaneName.PRIMARY),
        default=None,
    )
    later = [call.minute for call in found if last is None or call.minute > last]
    return datetime.fromtimestamp(min(later) * 60, UTC) if later else None


def _answered(calls: Iterable[CallsOfMinute], minute: int, minutes: int) -> bool:
    return any(call.outcome == Outcome.ANSWERED and call.minute > minute - minutes for call in calls)


# -- the hour ----------------------------------------------------------------------------------------------------------


def _unanswered(sensitive: str | None) -> tuple[Outcome, ...]:
    """How calls end that no route has answered. Of a task that isn't sensitive, a refusal is of the call itself."""
    return (Outcome.FAILED, Outcome.PENDING_REVIEW, *([Outcome.REFUSED] if sensitive is not None else []))


def _hour(
    calls: Sequence[CallsOfMinute],
    attempts: Sequence[AttemptsOfMinute],
    cost_today: float | None,
    now: datetime,
    unanswered: tuple[Outcome, ...],
) -> TaskHour:
    first = int(now.timestamp()) // 60 - MINUTES + 1
    rows: dict[str, list[int]] = {name: [0] * MINUTES for name in ("calls", "answered", "fallback", "failed")}
    times: list[Counter[int]] = [Counter() for _ in range(MINUTES)]
    for call in calls:
        place = call.minute - first
        if not 0 <= place < MINUTES:
            continue
        rows["calls"][place] += call.calls
        if call.outcome == Outcome.ANSWERED:
            rows["answered"][place] += call.calls
            rows["fallback"][place] += call.calls if call.lane not in (None, LaneName.PRIMARY) else 0
            if call.bucket is not None:
                times[place][call.bucket] += call.calls
        elif call.outcome in unanswered:
            rows["failed"][place] += call.calls
    absorbed, cost = [0] * MINUTES, [0.0] * MINUTES
    for attempt in attempts:
        place = attempt.minute - first
        if 0 <= place < MINUTES:
            absorbed[place] += attempt.absorbed
            cost[place] += attempt.cost or 0.0
    everything = sum(times, Counter[int]())
    return TaskHour(
        **{name: tuple(row) for name, row in rows.items()},
        absorbed=tuple(absorbed),
        p50=tuple(percentile(counts, 0.5) for counts in times),
        p95=tuple(percentile(counts, 0.95) for counts in times),
        cost=tuple(cost),
        p50_ms=percentile(everything, 0.5),
        p95_ms=percentile(everything, 0.95),
        cost_today=cost_today,
    )


def hour_before(now: datetime) -> datetime:
    """The beginning of the first minute that is shown."""
    return now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
