"""Which scopes this context is in, and which of them were entered by the request's own doing."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from lanewise._scope.state import ScopeState

__all__ = ["Entry", "began_here", "entered", "entered_states"]


Entry = tuple[ScopeState, bool, object]
"""A scope that was entered; whether what runs here was begun by its request, or was wrapped by it; and the ``Scope``
that the app holds.

A scope can also be entered by hand (``with scope:``), by whoever has hold of it: that makes nothing the request's own.
"""

entered: Final[ContextVar[tuple[Entry, ...]]] = ContextVar("lanewise_scopes", default=())
"""The current scope last. No tokens: a scope may be entered by several tasks at once, and left in another context than
it was entered in (a generator's)."""


def entered_states() -> tuple[ScopeState, ...]:
    """The scopes that this context is in, each once, the current one last."""
    entries = entered.get()
    if len(entries) < 2:
        return (entries[0][0],) if entries else ()
    return tuple(dict.fromkeys(state for state, _, _ in reversed(entries)))[::-1]


def began_here(state: ScopeState) -> bool:
    """Whether what runs in this context was begun by the scope's request: in a task of its, or wrapped by it."""
    return any(each is state and is_its_own for each, is_its_own, _ in entered.get())
