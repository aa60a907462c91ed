"""What can be declared and is not carried out by this version: named when a router opens, never ignored silently.

Whoever builds one of these removes its line from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanewise.config.models import RouterSettings

__all__ = ["not_yet"]

_ROUTER: Mapping[str, Callable[[RouterSettings], bool]] = {
    "drill_header": lambda router: router.drill_header is not None,
}


def not_yet(router: RouterSettings) -> tuple[str, ...]:
    """The places of what is declared and not carried out."""
    return tuple(f"router.{key}" for key, declared in _ROUTER.items() if declared(router))
