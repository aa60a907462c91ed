"""Which scopes this context is in, and which of them were entered by the request's own doing."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from lanewise._scope.sensitivity import SensitivityState

__all__ = ["Entry", "began_here", "entered"]

Entry = tuple[SensitivityState, bool]
"""A scope that was entered; and whether what runs here was begun by its request, or was wrapped by it.

A scope can also be entered by hand (``with scope:``), by whoever has hold of it: that makes nothing the request's own.
"""

entered: Final[ContextVar[tuple[Entry, ...]]] = ContextVar("lanewise_scopes", default=())
"""The current scope last. No tokens: a scope may be entered by several tasks at once, and left in another context than
it was entered in (a generator's)."""


def began_here(scope: SensitivityState) -> bool:
    """Whether what runs in this context was begun by the scope's request: in a task of its, or wrapped by it."""
    return (scope, True) in entered.get()
