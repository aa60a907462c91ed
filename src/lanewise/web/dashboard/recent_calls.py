"""What this process itself knows of past calls, for want of a ledger: the latest, and counts of the last hour."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from lanewise.types import Call, Outcome, Score
from lanewise.types.past_calls import (
    ANY,
    AttemptsOfMinute,
    CallFilter,
    CallPage,
    CallsOfMinute,
    CallSummary,
    PageKey,
    RecentFacts,
)
from lanewise.types.sinks import Record
from lanewise.types.time_buckets import bucket_of

__all__ = ["RecentCalls"]

MOST: Final = 1000
"""Calls that are kept with all that is known of them."""
_MINUTES: Final = 61
_CallKey = tuple[str, int, str | None, str, int | None]
_AttemptKey = tuple[str, int, str, str, str | None]


class RecentCalls:
    """A sink that keeps the latest calls in memory. Written to in one thread, read from any.

    Example::

        recent = RecentCalls()
        router.add_sink("the page", lambda: recent)
    """

    keeps = f"the latest {MOST:,} calls of this process"

    def __init__(self) -> None:
        self._latest: deque[Call] = deque(maxlen=MOST)
        self._scores: deque[Score] = deque(maxlen=MOST)
        self._calls: Counter[_CallKey] = Counter()
        self._attempts: Counter[_AttemptKey] = Counter()
        self._absorbed: Counter[_AttemptKey] = Counter()
        self._costs: dict[_AttemptKey, float] = {}
        self._cost_of_day: dict[tuple[str, str], float] = {}
        self._pruned_at = 0

    # -- the sink ----------------------------------------------------------------------------------------------------

    def write(self, batch: Sequence[Record]) -> None:
        """Keep calls that have ended, and scores."""
        for record in batch:
            if isinstance(record, Call):
                self._count(record)
                self._latest.append(record)
            else:
                self._scores.append(record)

    def close(self) -> None:
        """What is kept stays, for as long as the process lives."""

    def _count(self, call: Call) -> None:
        minute = _minute(call.started_at)
        if minute > self._pruned_at:
            self._prune(minute)
        if call.draft_of is None:
            time = None if call.total_ms is None else bucket_of(call.total_ms)
            self._calls[call.task, minute, call.lane, call.outcome or Outcome.CANCELLED, time] += 1
        answering = call.attempts[-1] if call.outcome is Outcome.ANSWERED and call.attempts else None
        for attempt in call.attempts:
            key = call.task, _minute(attempt.started_at), attempt.lane, attempt.route, attempt.failure
            self._attempts[key] += 1
            if answering is not None and attempt is not answering and attempt.failure is not None:
                self._absorbed[key] += 1
            if attempt.cost_usd is not None:
                day = call.task, _day(attempt.started_at)
                self._costs[key] = self._costs.get(key, 0.0) + attempt.cost_usd
                self._cost_of_day[day] = self._cost_of_day.get(day, 0.0) + attempt.cost_usd

    def _prune(self, minute: int) -> None:
        self._pruned_at = minute
        oldest = minute - _MINUTES
        self._calls = Counter({key: count for key, count in self._calls.items() if key[1] > oldest})
        self._attempts = Counter({key: count for key, count in self._attempts.items() if key[1] > oldest})
        self._absorbed = Counter({key: count for key, count in self._absorbed.items() if key[1] > oldest})
        self._costs = {key: cost for key, cost in self._costs.items() if key[1] > oldest}
        newest = sorted({day for _, day in self._cost_of_day})[-2:]
        self._cost_of_day = {key: cost for key, cost in self._cost_of_day.items() if key[1] in newest}

    # -- what is asked of it -----------------------------------------------------------------------------------------

    def facts(self, since: datetime, now: datetime) -> RecentFacts:
        """What happened since a moment of the last hour."""
        first, absorbed, costs = _minute(since), self._absorbed.copy(), self._costs.copy()
        return RecentFacts(
            calls=tuple(
                CallsOfMinute(task=task, minute=minute, lane=lane, outcome=outcome, bucket=time, calls=count)
                for (task, minute, lane, outcome, time), count in self._calls.copy().items()
                if minute >= first
            ),
            attempts=tuple(
                AttemptsOfMinute(
                    task=key[0],
                    minute=key[1],
                    lane=key[2],
                    route=key[3],
                    failure=key[4],
                    attempts=count,
                    absorbed=absorbed[key],
                    cost=costs.get(key),
                )
                for key, count in self._attempts.copy().items()
                if key[1] >= first
            ),
            cost_today=self._cost_on(_day(now)),
        )

    def _cost_on(self, day: str) -> Mapping[str, float]:
        return {task: cost for (task, on), cost in self._cost_of_day.copy().items() if on == day}

    def page(self, wanted: CallFilter, after: PageKey | None, size: int) -> CallPage:
        """A page of the calls that are kept, newest first: ``size`` of them after the one at ``after``."""
        found: list[tuple[datetime, Call]] = []
        for call in self._latest.copy():
            at = _met_at(call, wanted)
            if at is not None and (after is None or (at, call.id) < (after.at, after.call_id)):
                found.append((at, call))
        found.sort(key=lambda each: (each[0], each[1].id), reverse=True)
        rows = found[:size]
        older = PageKey(rows[-1][0], rows[-1][1].id) if len(found) > size else None
        return CallPage(calls=tuple(_summary(call) for _, call in rows), older=older)

    def calls(self, wanted: str) -> list[Call]:
        """The calls of a request, or the one with this id; oldest first."""
        found = [call for call in self._latest.copy() if wanted in (call.id, call.request_id)]
        return sorted(found, key=lambda call: (call.started_at, call.id))

    def scores(self, call_id: str) -> list[Score]:
        """The scores of a call, oldest first."""
        return [score for score in self._scores.copy() if score.call_id == call_id]


def _met_at(call: Call, wanted: CallFilter) -> datetime | None:
    """When a call began that is asked for, or met the failure that is; ``None``: it is not asked for."""
    labels = dict(call.labels)
    asked = (
        wanted.task in (None, call.task)
        and wanted.outcome in (None, call.outcome)
        and wanted.request_id in (None, call.request_id, call.id)
        and (wanted.label is None or (wanted.label[0] in labels and wanted.label[1] in (None, labels[wanted.label[0]])))
    )
    at: datetime | None = call.started_at
    if wanted.failure is not None:
        at = next(
            (
                attempt.started_at
                for attempt in call.attempts
                if attempt.failure is not None
                and wanted.failure in (ANY, attempt.failure)
                and wanted.route in (None, attempt.route)
                and wanted.lane in (None, attempt.lane)
            ),
            None,
        )
    elif wanted.lane not in (None, call.lane) or wanted.route not in (None, call.route):
        at = None
    in_time = at is not None and not (
        (wanted.since is not None and at < wanted.since) or (wanted.until is not None and at >= wanted.until)
    )
    return at if asked and in_time else None


def _summary(call: Call) -> CallSummary:
    return CallSummary(
        id=call.id,
        request_id=call.request_id,
        task=call.task,
        lane=call.lane,
        route=call.route,
        outcome=call.outcome or Outcome.CANCELLED,
        failure=call.failure,
        attempts=len(call.attempts),
        started_at=call.started_at,
        total_ms=call.total_ms,
        cost_usd=call.cost_usd,
        failures=tuple((attempt.route, str(attempt.failure)) for attempt in call.attempts if attempt.failure),
    )


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
