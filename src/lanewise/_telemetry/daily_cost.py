"""What each task has cost today, so that a task that costs too much is told the moment it does."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date

from lanewise._telemetry.prices import PriceBook
from lanewise.config import Config, Task

__all__ = ["Spending", "uncounted"]


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


class Spending:
    """Counts US dollars by task and by day, for the tasks with an ``alert_cost_per_day``. In this process alone.

    What is unknown is not counted: :func:`uncounted` says where that is to be feared.

    Example::

        spent = spending.add("ticket-summary", 0.02, datetime.now(UTC).date())
        if spent is not None: ...  # just now it passed its limit
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.limits = {
            name: task.alert_cost_per_day for name, task in tasks.items() if task.alert_cost_per_day is not None
        }
        self._spent: dict[str, tuple[date, float]] = {}
        self._lock = threading.RLock()  # re-entrant: collecting garbage ends calls, wherever that happens

    def add(self, task: str, dollars: float, today: date) -> float | None:
        """What a task has cost today, if these dollars took it over its limit; else ``None``. ``today`` is UTC's."""
        limit = self.limits.get(task)
        if limit is None:
            return None
        with self._lock:
            day, before = self._spent.get(task, (today, 0.0))
            if day != today:
                before = 0.0
            spent = before + dollars
            self._spent[task] = (today, spent)
        return spent if before <= limit < spent else None

    def close(self) -> None:
        """The day goes on, whether the router is open or not."""

    def after_fork(self) -> None:
        """In the child of a fork: what was spent before is the parent's to tell."""
        self._lock = threading.RLock()
        self._spent.clear()
