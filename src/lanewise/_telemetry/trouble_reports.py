"""Log lines about trouble of this process (descriptors, ports, a blocked loop): one a minute, with a remedy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from lanewise._telemetry.deferred_log import LogText
from lanewise.types import LocalTrouble

__all__ = ["TroubleReports"]

EVERY: Final = 60.0
"""Seconds between two lines about the same trouble."""

_T: Final = LocalTrouble
_LINES: Final = {
    _T.DESCRIPTORS: (
        "this process has no file descriptor left (limit: {limit}), so it can't connect to providers",
        "Raise the limit (ulimit -n, systemd's LimitNOFILE, a container's --ulimit nofile), or find what is left open",
    ),
    _T.PORTS: (
        "this machine has no local port left, so it can't connect to providers",
        "Widen net.ipv4.ip_local_port_range, or find what opens and closes so many connections",
    ),
    _T.MEMORY: (
        "this process or machine has no memory or network buffers left, so attempts fail",
        "Give it more memory, or find what takes it",
    ),
    _T.THREADS: (
        "this process can't start another thread, so it can't look names up",
        "Raise the limit of threads (ulimit -u, systemd's TasksMax, a container's --pids-limit), or find their maker",
    ),
    _T.NETWORK: (
        "this machine has no network, or no way to a provider's host",
        "See whether it has an address, a default route and a name server",
    ),
    _T.PERMISSION: (
        "this process is not permitted to connect to a provider's host",
        "See what forbids it: a firewall, SELinux, a sandbox",
    ),
    _T.LOOP: (
        "the event loop of this process stood still or had no time for {lost:.1f} s, while attempts waited for it",
        "Find what blocks it (a synchronous call in an async handler, say), or give the process more CPU",
    ),
}
_NOBODY_ELSE: Final = "It is no provider's fault: no route is closed for it, and no other worker hears of it."


class _Unreported:
    __slots__ = ("count", "lost", "next_at")

    def __init__(self) -> None:
        self.count = 0
        self.lost = 0.0
        self.next_at = float("-inf")


class TroubleReports:
    """Counts trouble, of one router, and makes the line when it is due. Methods are for any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._of: dict[LocalTrouble, _Unreported] = {}

    def report(self, trouble: LocalTrouble, *, lost: float = 0.0) -> LogText | None:
        """Count one more case. The line to write, if none was written in the last minute.

        ``lost`` are the seconds that the loop had no time for.
        """
        now = self._clock()
        with self._lock:
            unreported = self._of.setdefault(trouble, _Unreported())
            unreported.count += 1
            unreported.lost += lost
            if now < unreported.next_at:
                return None
            unreported.next_at = now + EVERY
            count, lost = unreported.count, unreported.lost
            unreported.count, unreported.lost = 0, 0.0
        what, do = _LINES[trouble]
        fields: dict[str, object] = {"trouble": trouble, "times": count}
        if trouble is _T.LOOP:
            fields["loop_lag_ms"] = round(lost * 1000)
        text = f"{what.format(limit=_descriptor_limit(), lost=lost)}. {_NOBODY_ELSE} {do}. (%d times)"
        return LogText(logging.WARNING if trouble is _T.LOOP else logging.ERROR, text, (count,), fields)


def _descriptor_limit() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "unknown"
    return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
