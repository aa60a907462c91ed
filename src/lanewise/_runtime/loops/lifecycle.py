"""What works beside the calls of a router, each in a thread of its own: records are written, health is shared."""

from __future__ import annotations

import logging
import weakref
from typing import Final, Protocol, runtime_checkable

from lanewise._process_hooks import Ending, ForkAware, at_exit

__all__ = ["BackgroundService", "BackgroundServices"]

_log: Final = logging.getLogger("lanewise")


class BackgroundService(ForkAware, Protocol):
    """Starts at its first use in this process (prefork servers), and again at the first use after a close."""

    def close(self) -> None:
        """Finish what is waiting, within a few seconds, and end the thread. From any thread; idempotent."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """A service whose close may begin before it is waited for. What is put there meanwhile starts it anew."""

    def stop(self) -> None:
        """Begin to close. Doesn't wait; from any thread."""
        ...


class BackgroundServices:
    """The services of one router."""

    def __init__(self) -> None:
        self._services: list[BackgroundService] = []
        self._followed: list[ForkAware] = []
        _living.add(self)

    def add(self, service: BackgroundService) -> None:
        """Have a service closed with the router, after those that came before it."""
        self._services.append(service)

    def follow(self, *aware: ForkAware) -> None:
        """Call ``after_fork`` also of what has no thread of its own and needs no close."""
        self._followed.extend(aware)

    def __bool__(self) -> bool:
        return bool(self._services)

    def close(self) -> None:
        """Close all. What one of them raises is logged: the others are closed all the same.

        Those that only write what waits begin to do so together: the time that each may take is then that of all.
        """
        for service in self._services:
            if isinstance(service, Stoppable):
                service.stop()
        for service in self._services:
            try:
                service.close()
            except Exception as error:  # noqa: BLE001 - the border of foreign sinks and stores
                _log.error("%s could not be closed (%s)", type(service).__name__, type(error).__name__)

    def after_fork(self) -> None:
        """In the child of a fork."""
        for aware in (*self._services, *self._followed):
            aware.after_fork()


_living: weakref.WeakSet[BackgroundServices] = weakref.WeakSet()


def _close_living() -> None:
    for services in list(_living):
        services.close()


at_exit(Ending.SERVICES, _close_living)
