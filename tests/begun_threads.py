"""Which threads began in a while: those of other tests, whose routers nobody closed, are there before and may end."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["begun_threads"]


def begun_threads() -> Callable[[], list[str]]:
    """What gives the names of the threads that run and have begun since now.

    Example::

        begun = begun_threads()
        ...
        assert begun() == []
    """
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]
