"""Refuses processes whose threads gevent or eventlet has patched: the router's own loop runs in a real one."""

from __future__ import annotations

import sys

__all__ = ["require_real_threads"]


def require_real_threads() -> None:
    """Raise RuntimeError if threads are patched, with the names of workers that have real ones.

    Adapters whose framework blocks call it when they are installed: else the app would start, look healthy, and fail at
    its first call.

    Example::

        require_real_threads()
    """
    patcher = _patcher()
    if patcher is not None:
        raise RuntimeError(
            f"lanewise needs real threads and {patcher} has patched them. Use gunicorn's gthread or sync worker "
            "(worker_class = 'gthread'), or an async framework with the asynchronous client (worker_class = 'asgi', or "
            "uvicorn)."
        )


def _patcher() -> str | None:
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None
