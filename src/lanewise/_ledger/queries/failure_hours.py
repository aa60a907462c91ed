"""Attempts by the hour in which they began, and by how they failed: when it went wrong, and how badly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, literal_column, select

from lanewise._ledger.schema.tables import attempts

__all__ = ["HourFact", "failure_hours"]


@dataclass(frozen=True, slots=True)
class HourFact:
    """Attempts of one hour (UTC) that failed in one way; ``failure`` is ``None`` for those that did not fail."""

    hour: datetime
    failure: str | None
    attempts: int


def failure_hours(connection: Connection, since: datetime, until: datetime) -> list[HourFact]:
    """The attempts that began in a span of time, by hour; ``until`` is after the last.

    Example::

        failed = [fact for fact in failure_hours(connection, now - timedelta(days=30), now) if fact.failure]
    """
    its = attempts.c
    query = (
        select(_hour(connection, its.started_at), its.failure, func.count())
        .where(its.started_at >= since, its.started_at < until)
        .group_by(literal_column("1"), literal_column("2"))
    )
    return [HourFact(_moment(hour), failure, count) for hour, failure, count in connection.execute(query)]


def _hour(connection: Connection, moment: Column[datetime]) -> ColumnElement[Any]:
    """The hour of a moment, in UTC, as a text."""
    if connection.dialect.name == "sqlite":
        return func.substr(moment, 1, 13)
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD HH24")


def _moment(hour: str) -> datetime:
    return datetime.strptime(hour, "%Y-%m-%d %H").replace(tzinfo=UTC)
