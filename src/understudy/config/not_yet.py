"""What can be declared and is not carried out by this version: named when a router opens, never ignored silently.

Whoever builds one of these removes its line from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from understudy.config.mistakes import place_text
from understudy.config.models import RouterSettings, SensitiveCategory

__all__ = ["not_yet"]

_CATEGORY: Mapping[str, Callable[[SensitiveCategory], bool]] = {
    "on_failure": lambda category: category.on_failure == "review",
}
_ROUTER: Mapping[str, Callable[[RouterSettings], bool]] = {
    "drill_header": lambda router: router.drill_header is not None,
}


def not_yet(
    sensitive: Mapping[str, SensitiveCategory],
    router: RouterSettings,
) -> tuple[str, ...]:
    """The places of what is declared and not carried out."""

    def places() -> Iterator[str]:
        yield from (f"router.{key}" for key, declared in _ROUTER.items() if declared(router))
        for name, category in sensitive.items():
            yield from (f"{place_text(('sensitive', name))}.{key}" for key, said in _CATEGORY.items() if said(category))

    return tuple(places())
