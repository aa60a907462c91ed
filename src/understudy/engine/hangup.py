"""Ends a running call whose caller has gone: the upstream attempt is closed, the app's own task goes on."""

from __future__ import annotations

import asyncio

from understudy.errors import CallerGone, FailClosed, RoutingError
from understudy.words import Call

__all__ = ["HangUp", "caller_gone"]


class HangUp:
    """Made in the task that drives a call. Calling it, from any thread, ends the call with :class:`CallerGone`."""

    __slots__ = ("_loop", "_task", "fired")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self.fired = False

    def __call__(self) -> None:
        """End the call. Does nothing once the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fire)

    def disarm(self) -> None:
        """The call is over: a hang-up that comes now finds nothing to end."""
        self._task = None

    def taken_back(self) -> bool:
        """Whether a cancellation was this hang-up and nothing else, and is now taken back from the task."""
        return self.fired and self._task is not None and self._task.uncancel() == 0

    def _fire(self) -> None:
        if self._task is not None and not self.fired:
            self.fired = True
            self._task.cancel()


def caller_gone(call: Call) -> RoutingError:
    """The error of a call whose caller has gone."""
    message = f"task {call.task!r} was given up: the caller of the request has gone. [call {call.id}]"
    return FailClosed(message, call) if call.sensitive else CallerGone(message, call)
