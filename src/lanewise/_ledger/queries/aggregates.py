"""What the report is made of: the rows of a span of time, counted and added up by the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    Integer,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal_column,
    select,
    text,
    true,
)

from lanewise._ledger.queries.histogram import bucket
from lanewise._ledger.schema.tables import attempts, calls, scores
from lanewise.types import DRAFT_OF

__all__ = ["Aggregates", "AttemptFact", "CallFact", "GroupBy", "ScoreFact", "TimeFact", "read_aggregates"]


WORK_MEMORY: Final = "64MB"
"""What PostgreSQL may take for a part of the report, in place of its 4 MB."""


class GroupBy(StrEnum):
    """What the report's lines are grouped by."""

    DAY = "day"
    TASK = "task"
    LANE = "lane"
    ROUTE = "route"


@dataclass(frozen=True, slots=True)
class CallFact:
    """Calls that began on one day, of one task, with the same end and about as long: ``bucket`` is of the histogram.

    ``unsent`` counts those that came to no route at all.
    """

    day: str
    task: str
    lane: str | None
    outcome: str
    bucket: int | None
    calls: int
    unsent: int


@dataclass(frozen=True, slots=True)
class AttemptFact:
    """Attempts of one day, task and route that went the same way.

    ``came_to_route`` and ``came_to_lane`` count calls. Costs are in US dollars, ``cost`` is ``None`` if it is not known
    of any, ``estimated`` is the part of it that is an estimate; ``unpriced`` counts those of which it isn't known.
    """

    day: str
    task: str
    lane: str
    route: str
    failure: str | None
    dropped: str
    attempts: int
    answered: int
    absorbed: int
    came_to_route: int
    came_to_lane: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    estimated: float | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class TimeFact:
    """Answers of one route that took about as long; of one day and task, where it is grouped by those, else of all."""

    day: str
    task: str
    lane: str
    route: str
    bucket: int
    answers: int


@dataclass(frozen=True, slots=True)
class ScoreFact:
    """Scores of one name that were given to the calls of one day and task that one route answered. Of one call and name
    only the latest counts."""

    day: str
    task: str
    lane: str | None
    route: str | None
    name: str
    scores: int
    sum: float


@dataclass(frozen=True, slots=True)
class Aggregates:
    """All of a span of time. Every number is a sum, so that facts can be put together in any way."""

    calls: tuple[CallFact, ...]
    attempts: tuple[AttemptFact, ...]
    times: tuple[TimeFact, ...]
    scores: tuple[ScoreFact, ...]


def read_aggregates(
    connection: Connection, since: datetime, until: datetime, views: Iterable[Collection[GroupBy]]
) -> Aggregates:
    """The facts of the calls that began in a span of time, for tables by these keys: ``until`` is after the last.

    Example::

        facts = read_aggregates(connection, until - timedelta(days=30), until, [[By.DAY], [By.LANE, By.ROUTE]])
    """
    if connection.dialect.name == "postgresql":  # it would sort on disk what fits into memory
        connection.execute(text(f"SET LOCAL work_mem = '{WORK_MEMORY}'"))
    ways = [view for view in views if GroupBy.LANE in view or GroupBy.ROUTE in view]
    grouped_by = {key for view in ways for key in view}
    times = connection.execute(_times(connection, since, until, grouped_by)) if ways else ()
    return Aggregates(
        tuple(CallFact(str(day), *rest) for day, *rest in connection.execute(_calls(connection, since, until))),
        tuple(AttemptFact(str(day), *rest) for day, *rest in connection.execute(_attempts(connection, since, until))),
        tuple(TimeFact(str(day), *rest) for day, *rest in times),
        tuple(ScoreFact(str(day), *rest) for day, *rest in connection.execute(_scores(connection, since, until))),
    )


def _calls(connection: Connection, since: datetime, until: datetime) -> Select[Any]:
    columns = calls.c
    by = (
        _day(connection, columns.started_at),
        columns.task,
        columns.lane,
        columns.outcome,
        bucket(connection, columns.total_ms),
    )
    answers_an_app = columns.labels.not_like(f'%"{DRAFT_OF}"%')  # a draft is for a person: it only costs
    sums = (func.count(), _how_many(columns.attempts == 0))
    return _grouped(by, sums).where(columns.started_at >= since, columns.started_at < until, answers_an_app)


def _attempts(connection: Connection, since: datetime, until: datetime) -> Select[Any]:
    columns = attempts.c
    by = (
        _day(connection, columns.started_at),
        columns.task,
        columns.lane,
        columns.route,
        columns.failure,
        columns.dropped,
    )
    sums = (
        func.count(),
        _how_many(columns.answered),
        _how_many(columns.absorbed),
        _how_many(columns.first_on_route),
        _how_many(columns.first_in_lane),
        _sum(columns.input_tokens),
        _sum(columns.output_tokens),
        func.sum(columns.cost_usd),
        func.sum(case((columns.cost_status == "estimated", columns.cost_usd))),
        _how_many(and_(columns.cost_usd.is_(None), columns.cost_status == "unknown")),
    )
    return _grouped(by, sums).where(columns.started_at >= since, columns.started_at < until)


def _times(connection: Connection, since: datetime, until: datetime, grouped_by: Collection[GroupBy]) -> Select[Any]:
    # Apart from what is added up: the fewer columns a database groups by, the faster it is.
    columns = attempts.c
    day = _day(connection, columns.started_at) if GroupBy.DAY in grouped_by else literal_column("''")
    task = columns.task if GroupBy.TASK in grouped_by else literal_column("''")
    grouped = _grouped((day, task, columns.lane, columns.route, bucket(connection, columns.total_ms)), (func.count(),))
    answered = columns.answered.is_(true()) & columns.total_ms.is_not(None)
    return grouped.where(columns.started_at >= since, columns.started_at < until, answered)


def _scores(connection: Connection, since: datetime, until: datetime) -> Select[Any]:
    columns, score_columns = calls.c, scores.c
    by = (
        _day(connection, columns.started_at),
        columns.task,
        columns.lane,
        columns.route,
        score_columns.name,
    )
    both = scores.join(calls, score_columns.call_id == columns.id)
    joined = _grouped(by, (func.count(), func.sum(score_columns.value))).select_from(both)
    later = scores.alias("later")
    replaced = exists().where(
        later.c.call_id == score_columns.call_id, later.c.name == score_columns.name, later.c.at > score_columns.at
    )
    # No score is older than its call: an index leaves the older ones out.
    return joined.where(score_columns.at >= since, columns.started_at >= since, columns.started_at < until, ~replaced)


def _grouped(by: tuple[ColumnElement[Any], ...], sums: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    # By position: an expression with parameters would be another one to PostgreSQL when it is repeated.
    return select(*by, *sums).group_by(*(literal_column(str(number)) for number in range(1, len(by) + 1)))


def _sum(numbers: Column[int]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(numbers), 0), BigInteger)  # or PostgreSQL makes a decimal number of it


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(cast(case((condition, 1), else_=0), Integer))


def _day(connection: Connection, moment: Column[datetime]) -> ColumnElement[Any]:
    """The day of a moment, in UTC: a text, or a date that has it as its ``str``."""
    if connection.dialect.name == "sqlite":
        return func.substr(moment, 1, 10)
    return cast(func.timezone("UTC", moment), Date)
