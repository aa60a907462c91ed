"""Whether a budget's limit can be kept: its tasks are declared, its lane is there, and prices are known."""

from __future__ import annotations

from typing import Final

from lanewise.config.mistakes import MistakeCollector, Place, quoted
from lanewise.config.reading.sections import Sections
from lanewise.config.tables.budgets import Budget, Unit, nano_usd
from lanewise.config.tables.prices import least_cost
from lanewise.config.tables.routes import Route
from lanewise.config.tables.tasks import Task

__all__ = ["check_budget"]

_LEAST_TOKENS: Final = 2
"""A call takes one token in and one out, at the least."""


def check_budget(place: Place, budget: Budget, sections: Sections, findings: MistakeCollector) -> None:
    """Note what a budget names that is not there, and what of it can't be kept."""
    for task in budget.tasks or ():
        findings.expect_declared((*place, "tasks"), "task", task, sections.declared["tasks"])
    covered = {name: task for name, task in sections.tasks.items() if budget.covers(name)}
    _check_lane(place, budget, covered, findings)
    if budget.limit.unit is Unit.TOKENS and budget.limit.amount < _LEAST_TOKENS:
        findings.add((*place, "limit"), "no call takes as little: one token in, one out", "Give it more.")
    if budget.limit.unit is Unit.USD:
        _check_prices(place, budget, covered, sections, findings)


def _check_lane(place: Place, budget: Budget, covered: dict[str, Task], findings: MistakeCollector) -> None:
    if budget.lane is None:
        return
    without = [name for name, task in covered.items() if budget.lane not in {lane.name for lane in task.lanes}]
    if without and (budget.tasks is not None or len(without) == len(covered)):
        findings.add(
            (*place, "over"),
            f"no call can go on there: of {', '.join(map(quoted, without))} there is no {budget.lane.value} lane",
            'Write over = "refuse", or declare that lane.',
        )


def _check_prices(
    place: Place, budget: Budget, covered: dict[str, Task], sections: Sections, findings: MistakeCollector
) -> None:
    names = dict.fromkeys(route for task in covered.values() for route in task.routes)
    routes = [sections.routes[name] for name in names if name in sections.routes]
    if not routes or any(route.provider not in sections.providers for route in routes):
        return  # a route that is not declared is a mistake already
    costs = [cost for route in routes if (cost := _least_cost(route, sections)) is not None]
    if not costs:
        findings.add(
            (*place, "limit"),
            f"a limit in USD, and the price of none of {', '.join(names)} is known",
            "Give one of these routes its `price = { input = ..., output = ... }`, or count tokens or calls.",
        )
    elif nano_usd(min(costs)) > budget.limit.amount:
        findings.add(
            (*place, "limit"), f"no route can keep to {budget.limit}: the smallest call costs more", "Give it more."
        )


def _least_cost(route: Route, sections: Sections) -> float | None:
    return least_cost(route.price, route.model, sections.providers[route.provider].base_url)
