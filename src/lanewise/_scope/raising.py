"""Raises the sensitivity of what runs here: of its request, or outside of any, of the scopes opened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lanewise._scope.entered import entered
from lanewise._scope.sensitivity import UnusedMark, required
from lanewise._scope.state import ScopeState

__all__ = ["UnusedMark", "note_unused", "raise_sensitivity", "sensitivity"]


@contextmanager
def sensitivity(category: str) -> Iterator[None]:
    """Raise the request's sensitivity, for good; outside any scope, that of the scopes opened while this lasts.

    Outside any request it is the scopes that this runs in which are raised.

    Example::

        with sensitivity("payment"):
            decide(refund)
    """
    if _raised(category):
        yield
        return
    token = required.set(required.get() | {category})
    try:
        yield
    finally:
        required.reset(token)


def raise_sensitivity(category: str) -> None:
    """Raise the sensitivity of what runs here, for the rest of this context."""
    if not _raised(category):
        required.set(required.get() | {category})


def note_unused(mark: UnusedMark) -> None:
    """Have a mark that is made in a request, and is on nothing when a call is made, count for the request."""
    for scope in _concerned():
        scope._note_unused(mark)


def _raised(category: str) -> bool:
    scopes = _concerned()
    for scope in scopes:
        scope.raise_sensitivity(category)
    return bool(scopes)


def _concerned() -> list[ScopeState]:
    """The scopes of the request that this runs in; outside of any, all that it runs in."""
    scopes = [state for state, _, _ in entered.get()]
    return [each for each in scopes if each.in_request] or scopes
