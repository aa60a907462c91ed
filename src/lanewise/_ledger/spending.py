"""What was spent in a span of time, for budgets: added up by the database, by minute and by whose calls they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, cast, func, literal_column, select

from lanewise._budgets.history import PastSpending
from lanewise._ledger.tables import attempts, calls

__all__ = ["past_spending"]

_ROWS: Final = 5000
"""How many rows are fetched together."""
_LABELS: Final = msgspec.json.Decoder(dict[str, Any])


def past_spending(connection: Connection, since: datetime, until: datetime) -> Iterator[PastSpending]:
    """What attempts took that began in a span of time; ``until`` is after the last.

    Example::

        for spent in past_spending(connection, now - timedelta(days=1), now):
            ...
    """
    its = attempts.c
    tokens_of = func.coalesce(its.input_tokens, 0) + func.coalesce(its.output_tokens, 0)
    sums = (
        func.count(its.call_id.distinct()),
        cast(func.coalesce(func.sum(tokens_of), 0), BigInteger),
        func.coalesce(func.sum(func.coalesce(its.cost_usd, its.cost_upper_usd)), 0.0),
    )
    by = (_minute(connection, its.started_at), its.task, its.subject_hash, calls.c.labels)
    query = (
        select(*by, *sums)
        .select_from(attempts.join(calls, its.call_id == calls.c.id))
        .where(its.started_at >= since, its.started_at < until)
        .group_by(*(literal_column(str(number)) for number in range(1, len(by) + 1)))
    )
    rows = connection.execution_options(yield_per=_ROWS).execute(query)
    for minute, task, subject, labels, count, tokens, usd in rows:
        yield PastSpending(_end_of(minute), task, subject, _read(labels), int(count), int(tokens), float(usd))


def _minute(connection: Connection, moment: Column[datetime]) -> ColumnElement[Any]:
    """The minute of a moment, in UTC, as a text."""
    if connection.dialect.name == "sqlite":
        return func.substr(moment, 1, 16)
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD HH24:MI")


def _end_of(minute: str) -> datetime:
    """The end of a minute, and still in it: no window forgets it sooner than it should."""
    return datetime.fromisoformat(minute).replace(tzinfo=UTC) + timedelta(seconds=59)


def _read(labels: str) -> Mapping[str, str]:
    return {name: value for name, value in _LABELS.decode(labels).items() if isinstance(value, str)}
