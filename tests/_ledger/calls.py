"""Calls as the router records them, made by hand: for what needs many, or particular ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Engine, Table, select

from lanewise.types import Api, Attempt, Call, CostStatus, FailureKind, LaneName, Outcome, Send, Switch

__all__ = ["NOON", "attempt", "call", "rows"]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_LANES = {"flagship": LaneName.PRIMARY, "sonnet": LaneName.EQUIVALENT, "mini": LaneName.DEGRADED}
_numbers = count(1)


def attempt(route: str = "flagship", failure: FailureKind | None = None, **more: Any) -> Attempt:
    """An attempt; without a failure it answers."""
    fields = {
        "call_id": "",
        "attempt_number": 0,
        "route": route,
        "lane": _LANES[route],
        "model_asked": f"model-of-{route}",
        "provider_host": "api.example.com",
        "idempotency_key": "req-2026-000042-0123456789abcdef",
        "started_at": NOON,
        "http_status": 200 if failure is None else 500,
        "failure": failure,
        "total_ms": 250.0,
        "cost_status": CostStatus.UNKNOWN,
        **more,
    }
    return Attempt(**fields)


def call(*attempts: Attempt, task: str = "ticket-summary", at: datetime = NOON, **more: Any) -> Call:
    """A call that ended with the last of its attempts."""
    call_id = f"01a203e9-aa42-7b3a-bc28-{next(_numbers):012}"
    made = [_numbered(each, call_id, number, at) for number, each in enumerate(attempts or (attempt(),), 1)]
    last = made[-1]
    answered = last.failure is None
    fields = {
        "id": call_id,
        "request_id": f"req-of-{call_id}",
        "task": task,
        "api": Api.CHAT,
        "started_at": at,
        "outcome": Outcome.ANSWERED if answered else Outcome.FAILED,
        "failure": last.failure,
        "route": last.route if answered else None,
        "lane": last.lane if answered else None,
        "attempts": tuple(made),
        "moves": tuple((10.0 * each.attempt_number, _move(each)) for each in made),
        "total_ms": sum(each.total_ms or 0.0 for each in made),
        **more,
    }
    return Call(**fields)


def _numbered(made: Attempt, call_id: str, number: int, at: datetime) -> Attempt:
    import msgspec

    return msgspec.structs.replace(made, call_id=call_id, attempt_number=number, started_at=at)


def _move(made: Attempt) -> Send:
    kind = Send if made.attempt_number == 1 else Switch
    return kind(
        route=made.route,
        lane=made.lane,
        attempt_number=made.attempt_number,
        timeout=20.0,
        cause="first" if made.attempt_number == 1 else "switch",
    )


def rows(engine: Engine, table: Table) -> Sequence[Any]:
    """All rows of a table, in the order of its key."""
    with engine.connect() as connection:
        return connection.execute(select(table).order_by(*table.primary_key.columns)).all()
