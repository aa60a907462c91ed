"""What was spent in a span of time, for budgets: added up by the database, by minute and by whose calls they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    and_,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
)

from lanewise._budgets.history import PastSpending
from lanewise._ledger.schema.tables import attempts, calls
from lanewise.types import CostStatus

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
    input_tokens, output_tokens = func.coalesce(its.input_tokens, 0), func.coalesce(its.output_tokens, 0)
    is_open = and_(its.cost_usd.is_(None), its.cost_status != CostStatus.NOT_BILLED.value)
    unpriced = and_(is_open, its.output_tokens.is_not(None))
    unclear = and_(is_open, its.output_tokens.is_(None))
    has_no_upper = and_(unclear, its.cost_upper_usd.is_(None))
    sums = (
        _sum(its.attempt_number == 1, 1),
        _sum(true(), input_tokens + output_tokens),
        func.coalesce(func.sum(its.cost_usd), 0.0),
        _sum(unpriced, 1),
        _sum(unpriced, input_tokens),
        _sum(unpriced, output_tokens),
        _sum(unclear, 1),
        case((_sum(has_no_upper, 1) > 0, null()), else_=func.sum(case((unclear, its.cost_upper_usd), else_=0.0))),
        _sum(its.input_tokens.is_not(None), 1),
        _sum(true(), input_tokens),
    )
    by = (_minute(connection, its.started_at), its.task, its.route, its.subject_hash, calls.c.labels)
    query = (
        select(*by, *sums)
        .select_from(attempts.join(calls, its.call_id == calls.c.id))
        .where(its.started_at >= since, its.started_at < until)
        .group_by(*(literal_column(str(number)) for number in range(1, len(by) + 1)))
    )
    rows = connection.execution_options(yield_per=_ROWS).execute(query)
    for minute, task, route, subject, labels, count, tokens, usd, *open_costs in rows:
        yield PastSpending(
            _end_of(minute), task, route, subject, _read(labels), int(count), int(tokens), float(usd), *open_costs
        )


def _sum(where: ColumnElement[bool], what: ColumnElement[Any] | int) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(case((where, what), else_=0)), 0), BigInteger)


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
