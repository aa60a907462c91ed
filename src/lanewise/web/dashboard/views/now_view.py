"""Now: each task's lanes as they stand, who answers at present and why, and the last hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from lanewise.types.past_calls import RecentFacts
from lanewise.web.dashboard.ledger_calls import LedgerSilent
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Viewer
from lanewise.web.dashboard.sparkline import outcome_bars, sparkline
from lanewise.web.dashboard.templates import Html
from lanewise.web.dashboard.views.task_status import Level, TaskStatus, hour_before, task_statuses
from lanewise.web.dashboard.views.view_context import ViewContext

__all__ = ["now"]


class Card(msgspec.Struct, frozen=True):
    """A task with the charts of its last hour."""

    task: TaskStatus
    bars: Html
    lines: dict[str, Html]


def now(context: ViewContext, request: PageRequest, viewer: Viewer) -> PageResponse:
    """The view."""
    moment = datetime.now(UTC)
    trouble = ""
    try:
        facts = context.past.facts(hour_before(moment), moment)
    except LedgerSilent as silent:
        facts, trouble = RecentFacts(calls=(), attempts=(), cost_today={}), str(silent)
    health = context.router.health
    statuses = task_statuses(context.router.config, health, facts, moment)
    return context.page(
        "now.html",
        request,
        viewer,
        now=moment,
        cards=[_card(task_status) for task_status in statuses],
        summary=_summary(statuses),
        worst=statuses[0].level if statuses else Level.PRIMARY,
        series=_series(statuses, moment),
        total=_total(statuses),
        shared=health.shared,
        stores=context.router.config.router.state != "memory",
        trouble=trouble,
    )


def _card(task_status: TaskStatus) -> Card:
    hour = task_status.hour
    return Card(
        task_status,
        outcome_bars(_primary(task_status), hour.fallback, hour.failed),
        {
            "calls": sparkline(hour.calls),
            "answered": sparkline(hour.answered),
            "absorbed": sparkline(hour.absorbed),
            "p50": sparkline(hour.p50),
            "p95": sparkline(hour.p95),
            "cost": sparkline(hour.cost),
        },
    )


def _primary(task_status: TaskStatus) -> list[int]:
    hour = task_status.hour
    return [answered - fallback for answered, fallback in zip(hour.answered, hour.fallback, strict=True)]


def _summary(statuses: Sequence[TaskStatus]) -> str:
    """All tasks in a line."""
    if not statuses:
        return "The config has no task."
    told = []
    for level, one, more in (
        (Level.FAILING, "is failing", "are failing"),
        (Level.SHAKY, "answers in part", "answer in part"),
        (Level.FALLBACK, "is on its fallback", "are on their fallbacks"),
    ):
        names = [task_status.name for task_status in statuses if task_status.level is level]
        if names:
            who = names[0] if len(names) == 1 else f"{len(names)} tasks"
            told.append(f"{who} {one if len(names) == 1 else more}")
    if not told:
        only = len(statuses) == 1
        return f"{statuses[0].name} is on its primary lane." if only else "All tasks are on their primary lanes."
    rest = sum(task_status.level is Level.PRIMARY for task_status in statuses)
    return ", ".join(told) + (f"; {rest} on {'its' if rest == 1 else 'their'} primary." if rest else ".")


def _total(statuses: Sequence[TaskStatus]) -> Html:
    rows = [_added(statuses, row) for row in (_primary, lambda s: s.hour.fallback, lambda s: s.hour.failed)]
    return outcome_bars(*rows)


def _series(statuses: Sequence[TaskStatus], moment: datetime) -> str:
    """The rows of the chart, as JSON: minutes, and calls by what became of them."""
    first = int(hour_before(moment).timestamp())
    rows = [_added(statuses, row) for row in (_primary, lambda s: s.hour.fallback, lambda s: s.hour.failed)]
    minutes = [first + 60 * number for number in range(len(rows[0]))] if statuses else []
    return msgspec.json.encode([minutes, *rows]).decode()


def _added(statuses: Sequence[TaskStatus], row: Any) -> list[int]:
    return [sum(numbers) for numbers in zip(*(row(task_status) for task_status in statuses), strict=True)]
