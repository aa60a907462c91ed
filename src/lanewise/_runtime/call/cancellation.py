"""Ends a running call whose caller has gone, or whose router closes: the attempt is closed, the app's task goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lanewise.errors import CallerGone, FailClosed, RouterClosed, RoutingError
from lanewise.types import Call

__all__ = ["CallCancellation", "caller_gone", "router_closed"]


class CallCancellation:
    """Made in the task that drives a call. Calling it, from any thread, ends the call with :class:`CallerGone`."""

    __slots__ = ("_cancelling", "_loop", "_task", "_why")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._why: Callable[[Call], RoutingError] | None = None

    def __call__(self) -> None:
        """End the call. Does nothing once the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.end, caller_gone)

    def end(self, why: Callable[[Call], RoutingError]) -> None:
        """End the call with the error that ``why`` makes. In the call's own loop."""
        if self._task is not None and self._why is None:
            self._why = why
            self._task.cancel()

    def disarm(self) -> None:
        """The call is over: a hang-up that comes now finds nothing to end."""
        self._task = None

    def taken_back(self, call: Call) -> RoutingError | None:
        """The error to raise instead of a cancellation that was this hang-up's alone, and is now undone in the task."""
        if self._why is None or self._task is None or self._task.uncancel() > self._cancelling:
            return None
        return self._why(call)


def caller_gone(call: Call) -> RoutingError:
    """The error of a call whose caller has gone."""
    message = f"task {call.task!r} was given up: the caller of the request has gone. [call {call.id}]"
    return FailClosed(message, call) if call.sensitive else CallerGone(message, call)


def became_sensitive(call: Call) -> RoutingError:
    """The error of a call whose request has become sensitive since it was made."""
    message = (
        f"task {call.task!r} was not answered: its request became sensitive while the call ran. Mark the "
        f"endpoint itself, so that the mark is known before the first call. [call {call.id}]"
    )
    return FailClosed(message, call)


def router_closed(call: Call) -> RoutingError:
    """The error of a call whose router is closed while it runs."""
    return RouterClosed(f"the router was closed while task {call.task!r} was being answered. [call {call.id}]", call)
