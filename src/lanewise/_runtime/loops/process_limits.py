"""What keeps a router from working in this process: patched threads, too few files and sockets."""

from __future__ import annotations

import sys
from typing import Final

from lanewise.config import Config

__all__ = ["descriptor_limit_warning", "require_real_threads"]

BESIDE: Final = 100
"""Descriptors for everything else: the server's own connections, logs, databases, modules that are being read."""


def descriptor_limit_warning(config: Config) -> str | None:
    """The warning for when the router opens, if the soft limit is lower than what the providers' connections can take.

    Each loop of a process that makes calls (its own, and the portal's) has connections of its own; most apps use one.
    """
    limit = _soft_limit()
    if limit is None:
        return None
    used = {route.provider for route in config.routes.values()}
    connections = sum(
        provider.max_concurrency or provider.max_idle_connections
        for name, provider in config.providers.items()
        if name in used
    )
    if connections + BESIDE <= limit:
        return None
    return (
        f"this process may open {limit} files and sockets, and connections to the providers alone may take "
        f"{connections}: raise the limit (ulimit -n, systemd's LimitNOFILE, a container's --ulimit nofile), or set "
        "the providers' `max_idle_connections` lower"
    )


def _soft_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


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
