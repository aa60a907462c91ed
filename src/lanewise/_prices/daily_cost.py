"""What each task has cost today, and an alert the moment that one costs more than its ``alert_cost_per_day``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date

from lanewise._prices.price_book import PriceBook
from lanewise.config import Config, Task
from lanewise.types import Call
from lanewise.types.sinks import Record

__all__ = ["DailyCost", "uncounted"]


def uncounted(config: Config, prices: PriceBook) -> tuple[str, ...]:
    """Lines to log when a router opens: which routes of a task with an alert have no known price."""
    lines = []
    for name, task in config.tasks.items():
        unknown = [route for route in task.routes if prices.of(route, None) is None]
        if task.alert_cost_per_day is not None and unknown:
            lines.append(
                f"tasks.{name}.alert_cost_per_day: the price of {', '.join(unknown)} is not known, so what is spent "
                "there is not counted. Give it in the config: price = { input = ..., output = ... }"
            )
    return tuple(lines)


class DailyCost:
    """Counts US dollars by task and by day, for the tasks with an ``alert_cost_per_day``. In this process alone.

    A sink of calls: costs are summed in its writer's thread, not while somebody waits for an answer. ``report``
    is called with a task, what it has spent today and its limit, the moment it passes that. What is unknown is not
    counted: :func:`uncounted` lists the routes without a price.
    """

    def __init__(self, tasks: Mapping[str, Task], report: Callable[[str, float, float], None]) -> None:
        self._report = report
        self.limits = {
            name: task.alert_cost_per_day for name, task in tasks.items() if task.alert_cost_per_day is not None
        }
        self._spent: dict[str, tuple[date, float]] = {}

    def write(self, batch: Sequence[Record]) -> None:
        """Count what calls have cost."""
        for record in batch:
            if isinstance(record, Call) and record.task in self.limits and (cost := record.cost_usd):
                spent = self._add(record.task, cost, record.started_at.astimezone(UTC).date())
                if spent is not None:
                    self._report(record.task, spent, self.limits[record.task])

    def _add(self, task: str, dollars: float, today: date) -> float | None:
        """What a task has cost on a day of UTC's, if these dollars took it over its limit just now; else ``None``."""
        limit = self.limits[task]
        day, before = self._spent.get(task, (today, 0.0))
        if today < day:
            return None  # a call that began before midnight, and ended after others of today
        if today > day:
            before = 0.0
        spent = before + dollars
        self._spent[task] = (today, spent)
        return spent if before <= limit < spent else None

    def close(self) -> None:
        """Keep the sums: a router that is opened again on the same day goes on with them."""

    def after_fork(self) -> None:
        """In the child of a fork: what was spent before is the parent's to report."""
        self._spent.clear()
