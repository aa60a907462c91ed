"""Raises the sensitivity of what runs here: of the current scope, or outside of any, of the scopes opened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lanewise._scope.sensitivity import required
from lanewise.scope import current_scope

__all__ = ["raise_sensitivity", "sensitivity"]


@contextmanager
def sensitivity(category: str) -> Iterator[None]:
    """Raise the current scope's sensitivity; outside any scope, that of the scopes opened while this lasts.

    Example::

        with sensitivity("payment"):
            decide(refund)
    """
    scope = current_scope()
    if scope is not None:
        scope.raise_sensitivity(category)
        yield
        return
    token = required.set(required.get() | {category})
    try:
        yield
    finally:
        required.reset(token)


def raise_sensitivity(category: str) -> None:
    """As :func:`sensitivity`, for good: there is no end to it within this context."""
    scope = current_scope()
    if scope is not None:
        scope.raise_sensitivity(category)
    else:
        required.set(required.get() | {category})
