"""Lists of past calls, newest first: paged by key, each page within a bound of rows that are looked through.

Of what a filter asks one condition picks the index that is walked; the others are tried on the rows that it gives, of
which no page looks at more than some thousand. What is rarer than that is found on a later page, which begins
where this one stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from lanewise._ledger.schema.tables import attempts, calls
from lanewise.types import LaneName, Outcome
from lanewise.types.past_calls import ANY, CallFilter, CallPage, CallSummary, PageKey

__all__ = ["call_page"]

LOOKS: Final = (200, 1300, 3500)
"""How many rows a page looks through, one look after the other: the first is mostly enough, and all of them take some
tens of milliseconds."""

_SHOWN: Final = (
    "id",
    "request_id",
    "task",
    "lane",
    "route",
    "outcome",
    "failure",
    "attempts",
    "started_at",
    "total_ms",
)


def call_page(connection: Connection, wanted: CallFilter, after: PageKey | None, size: int) -> CallPage:
    """A page of at most ``size`` calls, those that are older than ``after``.

    Example::

        first = call_page(connection, CallFilter(task="ticket-summary"), None, 50)
        second = call_page(connection, CallFilter(task="ticket-summary"), first.older, 50)
    """
    found: list[Row[Any]] = []
    for most in LOOKS:
        walked = _attempts_walked(wanted, after) if wanted.failure is not None else _calls_walked(wanted, after)
        looked_at = walked.limit(most).subquery("looked_at")
        found += connection.execute(_kept(connection, looked_at, wanted).limit(size + 1 - len(found)))
        if len(found) > size:
            return CallPage(calls=_with_attempts(connection, found[:size]), older=_key(found[size - 1]))
        last = connection.execute(select(looked_at).offset(most - 1)).first()
        if last is None:
            return CallPage(calls=_with_attempts(connection, found))
        after = _key(last)
    assert after is not None
    return CallPage(calls=_with_attempts(connection, found), older=after, looked_back_to=after.at)


def _key(row: Row[Any]) -> PageKey:
    return PageKey(row.at, row.id, row.number)


def _calls_walked(wanted: CallFilter, after: PageKey | None) -> Select[Any]:
    """The calls as one index has them: the one by which the fewest are likely to be left."""
    its = calls.c
    conditions = _span(its.started_at, wanted, after)
    if after is not None:
        conditions.append(or_(its.started_at < after.at, its.id < after.call_id))
    if wanted.request_id is not None:
        conditions.append(or_(its.request_id == wanted.request_id, its.id == wanted.request_id))
    elif wanted.outcome not in (None, Outcome.ANSWERED):
        conditions += [its.outcome == wanted.outcome, _index_condition("calls.outcome <> 'answered'")]
    elif wanted.lane not in (None, LaneName.PRIMARY):
        conditions += [its.lane == wanted.lane, _index_condition("calls.lane <> 'primary'")]
    elif wanted.route is not None:
        conditions.append(its.route == wanted.route)
    elif wanted.task is not None:
        conditions.append(its.task == wanted.task)
    newest_first = its.started_at.desc(), its.id.desc()
    chosen = select(its.started_at.label("at"), its.id, literal(0).label("number"))
    return chosen.where(*conditions).order_by(*newest_first)


def _attempts_walked(wanted: CallFilter, after: PageKey | None) -> Select[Any]:
    """The failed attempts: of each call the first that met what is asked for."""
    its = attempts.c
    conditions = [*_span(its.started_at, wanted, after), _index_condition("attempts.failure IS NOT NULL")]
    if after is not None:
        earlier = and_(its.call_id == after.call_id, its.attempt_number < after.attempt)
        conditions.append(or_(its.started_at < after.at, its.call_id < after.call_id, earlier))
    if wanted.failure != ANY:
        conditions.append(its.failure == wanted.failure)
    newest_first = its.started_at.desc(), its.call_id.desc(), its.attempt_number.desc()
    chosen = select(its.started_at.label("at"), its.call_id.label("id"), its.attempt_number.label("number"))
    return chosen.where(*conditions).order_by(*newest_first)


def _index_condition(condition: str) -> ColumnElement[bool]:
    """The condition of a partial index, literally: with a parameter in it the index would not be used."""
    return literal_column(condition, Boolean)


def _span(moment: ColumnElement[datetime], wanted: CallFilter, after: PageKey | None) -> list[ColumnElement[bool]]:
    """What bounds the walk of an index by time; the caller adds what holds at the moment ``after`` itself."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(moment >= wanted.since)
    if wanted.until is not None:
        conditions.append(moment < wanted.until)
    if after is not None:
        conditions.append(moment <= after.at)
    return conditions


def _kept(connection: Connection, looked_at: Subquery, wanted: CallFilter) -> Select[Any]:
    """Those of the calls that were looked at which have all that is asked for."""
    its = calls.c
    query = select(looked_at.c.at, looked_at.c.number, *(its[name] for name in _SHOWN)).select_from(
        looked_at.join(calls, its.id == looked_at.c.id)
    )
    if wanted.failure is not None:
        query = query.where(*_met(looked_at, wanted))
    else:
        asked = {"lane": wanted.lane, "route": wanted.route}
        query = query.where(*(its[name] == value for name, value in asked.items() if value is not None))
    if wanted.task is not None:
        query = query.where(its.task == wanted.task)
    if wanted.outcome is not None:
        query = query.where(its.outcome == wanted.outcome)
    if wanted.request_id is not None:
        query = query.where(or_(its.request_id == wanted.request_id, its.id == wanted.request_id))
    if wanted.label is not None:
        place = func.instr if connection.dialect.name == "sqlite" else func.strpos
        query = query.where(place(its.labels, _written(*wanted.label)) > 0)
    return query.order_by(looked_at.c.at.desc(), looked_at.c.id.desc(), looked_at.c.number.desc())


def _met(looked_at: Subquery, wanted: CallFilter) -> tuple[ColumnElement[bool], ...]:
    """That this attempt is the call's first of those that are asked for."""
    this, earlier = attempts.alias("this"), attempts.alias("earlier")

    def asked_for(its: Any) -> list[ColumnElement[bool]]:
        conditions = [its.failure.is_not(None) if wanted.failure == ANY else its.failure == wanted.failure]
        conditions += [its.route == wanted.route] if wanted.route is not None else []
        return conditions + ([its.lane == wanted.lane] if wanted.lane is not None else [])

    is_it = and_(this.c.call_id == looked_at.c.id, this.c.attempt_number == looked_at.c.number, *asked_for(this.c))
    before = and_(
        earlier.c.call_id == looked_at.c.id, earlier.c.attempt_number < looked_at.c.number, *asked_for(earlier.c)
    )
    return exists().where(is_it), ~exists().where(before)


def _written(name: str, value: str | None) -> str:
    """A label as it stands in the column: no value of another one can hold it, since its quotes are escaped."""
    start = f"{msgspec.json.encode(name).decode()}:"
    return start if value is None else start + msgspec.json.encode(value).decode()


def _with_attempts(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[CallSummary, ...]:
    """The calls with what their attempts cost and met."""
    costs: dict[str, float] = {}
    failures: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    its = attempts.c
    asked = select(its.call_id, its.route, its.failure, its.cost_usd).where(its.call_id.in_([row.id for row in rows]))
    for call_id, route, failure, cost in connection.execute(asked.order_by(its.call_id, its.attempt_number)):
        if cost is not None:
            costs[call_id] = costs.get(call_id, 0.0) + cost
        if failure is not None:
            failures[call_id].append((route, failure))
    return tuple(
        CallSummary(
            **{name: row._mapping[name] for name in _SHOWN},
            cost_usd=costs.get(row.id),
            failures=tuple(failures[row.id]),
        )
        for row in rows
    )
