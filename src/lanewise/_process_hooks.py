"""The one registry of what must know that this process forks or ends: who is told, and in which order."""

from __future__ import annotations

import atexit
import logging  # noqa: F401 - first: what ends here still logs, and logging ends what was registered after it before
import os
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from enum import IntEnum
from typing import Final, Protocol

__all__ = ["Ending", "ForkAware", "at_exit", "at_fork", "notify_of_forks"]

Hook = Callable[[], object]


class Ending(IntEnum):
    """What ends at the interpreter's end, from the first to the last."""

    CALLS = 1
    """They leave their records."""
    SERVICES = 2
    """Those of routers that nobody has closed, each with what waits for it."""
    RECORDS = 3
    """What writers still have to write that belong to no router any more."""
    CONNECTIONS = 4


class ForkAware(Protocol):
    """An object of which a child of a fork has only a copy."""

    def after_fork(self) -> None:
        """In the child: threads, sockets, locks and what waits for them are the parent's."""
        ...


class _Registry:
    def __init__(self) -> None:
        self._endings: list[tuple[Ending, Hook]] = []
        self._before: list[Hook] = []
        self._in_parent: list[Hook] = []
        self._in_child: list[Hook] = []
        self._aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: _run(reversed(self._before)),
                after_in_parent=lambda: _run(self._in_parent),
                after_in_child=self.in_child,
            )

    def at_exit(self, what: Ending, end: Hook) -> None:
        self._endings.append((what, end))

    def at_fork(self, in_child: Hook, *, before: Hook | None = None, in_parent: Hook | None = None) -> None:
        self._in_child.append(in_child)
        if before is not None:
            self._before.append(before)
        if in_parent is not None:
            self._in_parent.append(in_parent)

    def notify_of_forks(self, aware: ForkAware) -> None:
        self._aware.add(aware)

    def in_child(self) -> None:
        _run([*self._in_child, *(aware.after_fork for aware in tuple(self._aware))])

    def end(self) -> None:
        _run(end for _, end in sorted(self._endings, key=lambda ending: ending[0]))


def _run(hooks: Iterable[Hook]) -> None:
    """Call all, in order: also those after one that raises, whose error comes out at the end."""
    with ExitStack() as stack:
        for hook in reversed([*hooks]):
            stack.callback(hook)


_registry: Final = _Registry()
at_exit: Final = _registry.at_exit
"""Have something ended at the interpreter's end; within one kind, in the order in which they came."""
at_fork: Final = _registry.at_fork
"""Have a function called in the child of each fork; ``before`` it in the parent, and after it ``in_parent``."""
notify_of_forks: Final = _registry.notify_of_forks
"""Have an object told of forks for as long as it lives, after the functions."""
