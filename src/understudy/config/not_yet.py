"""What can be declared and is not carried out by this version: named when a router opens, never ignored silently.

Whoever builds one of these removes its line from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from understudy.config.mistakes import place_text
from understudy.config.models import Route, RouterSettings, SensitiveCategory, Task

__all__ = ["not_yet"]

_ROUTE: Mapping[str, Callable[[Route], bool]] = {}
_TASK: Mapping[str, Callable[[Task], bool]] = {
    "select": lambda task: task.select in ("cheapest", "fastest"),
}
_CATEGORY: Mapping[str, Callable[[SensitiveCategory], bool]] = {
    "on_failure": lambda category: category.on_failure == "review",
}
_ROUTER: Mapping[str, Callable[[RouterSettings], bool]] = {
    "drill_header": lambda router: router.drill_header is not None,
}


def not_yet(
    routes: Mapping[str, Route],
    tasks: Mapping[str, Task],
    sensitive: Mapping[str, SensitiveCategory],
    router: RouterSettings,
) -> tuple[str, ...]:
    """The places of what is declared and not carried out."""

    def places() -> Iterator[str]:
        yield from (f"router.{key}" for key, declared in _ROUTER.items() if declared(router))
        for name, route in routes.items():
            yield from (f"{place_text(('routes', name))}.{key}" for key, said in _ROUTE.items() if said(route))
        for name, task in tasks.items():
            yield from (f"{place_text(('tasks', name))}.{key}" for key, said in _TASK.items() if said(task))
        for name, category in sensitive.items():
            yield from (f"{place_text(('sensitive', name))}.{key}" for key, said in _CATEGORY.items() if said(category))

    return tuple(places())
