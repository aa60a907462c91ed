"""What happened lately, minute by minute, and what tasks have cost today: read from indexes alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Select,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from lanewise._ledger.queries.histogram import bucket
from lanewise._ledger.schema.tables import attempts, calls
from lanewise.types import DRAFT_OF, Outcome
from lanewise.types.past_calls import AttemptsOfMinute, CallsOfMinute, RecentFacts

__all__ = ["cost_by_task", "recent_facts"]


def recent_facts(connection: Connection, since: datetime, until: datetime) -> RecentFacts:
    """What happened in a span of time: an hour or so. ``cost_today`` is left empty.

    Example::

        facts = recent_facts(connection, now - timedelta(hours=1), now)
    """
    return RecentFacts(
        calls=tuple(
            CallsOfMinute(task=task, minute=_minute_of(minute), lane=lane, outcome=outcome, bucket=time, calls=count)
            for task, minute, lane, outcome, time, count in connection.execute(_calls(connection, since, until))
        ),
        attempts=tuple(
            AttemptsOfMinute(
                task=task,
                minute=_minute_of(minute),
                lane=lane,
                route=route,
                failure=failure,
                attempts=count,
                absorbed=int(absorbed),
                cost=cost,
            )
            for task, minute, lane, route, failure, count, absorbed, cost in connection.execute(
                _attempts(connection, since, until)
            )
        ),
        cost_today={},
    )


def cost_by_task(connection: Connection, since: datetime, until: datetime) -> Mapping[str, float]:
    """What attempts cost that began in a span of time, by task, in US dollars; tasks of which nothing is known aren't
    in it.

    Example::

        cost_by_task(connection, midnight, now)  # {"ticket-summary": 1.25}
    """
    its = attempts.c
    asked = select(its.task, func.sum(its.cost_usd)).where(its.started_at >= since, its.started_at < until)
    return {task: cost for task, cost in connection.execute(asked.group_by(its.task)) if cost is not None}


def _calls(connection: Connection, since: datetime, until: datetime) -> Select[Any]:
    its = calls.c
    by = (its.task, _minute(connection, its.started_at), its.lane, its.outcome, bucket(connection, its.total_ms))
    # A draft, which is for a person, is never an answer: so the index does for those, and labels are rarely read.
    answers_an_app = or_(its.outcome == Outcome.ANSWERED, its.labels.not_like(f'%"{DRAFT_OF}"%'))
    return _grouped(by, (func.count(),)).where(its.started_at >= since, its.started_at < until, answers_an_app)


def _attempts(connection: Connection, since: datetime, until: datetime) -> Select[Any]:
    its = attempts.c
    by = (its.task, _minute(connection, its.started_at), its.lane, its.route, its.failure)
    absorbed = func.sum(cast(case((its.absorbed, 1), else_=0), Integer))
    sums = (func.count(), absorbed, func.sum(its.cost_usd))
    return _grouped(by, sums).where(its.started_at >= since, its.started_at < until)


def _grouped(by: tuple[ColumnElement[Any], ...], sums: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    # By position: an expression with parameters would be another one to PostgreSQL when it is repeated.
    return select(*by, *sums).group_by(*(literal_column(str(number)) for number in range(1, len(by) + 1)))


def _minute(connection: Connection, moment: Column[datetime]) -> ColumnElement[Any]:
    """The minute of a moment: a text in SQLite, a number in PostgreSQL."""
    if connection.dialect.name == "sqlite":
        return func.substr(moment, 1, 16)
    return cast(func.floor(func.extract("epoch", moment) / 60), BigInteger)


def _minute_of(minute: str | int) -> int:
    if isinstance(minute, str):
        return int(datetime.fromisoformat(minute).replace(tzinfo=UTC).timestamp()) // 60
    return int(minute)
