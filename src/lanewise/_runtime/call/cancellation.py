"""Ends a running call whose caller has gone, or whose router closes: the attempt is closed, the app's task goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from lanewise._runtime.call.context import CallContext
from lanewise.errors import CallerGone, FailClosed, RoutingError
from lanewise.types import Call

__all__ = ["CallCancellation", "RunningCall", "became_sensitive", "caller_gone"]


class CallCancellation:
    """Made in the task that drives a call. Calling it, from any thread, ends the call with :class:`CallerGone`."""

    __slots__ = ("_cancelling", "_loop", "_task", "_why")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._why: Callable[[Call | None], RoutingError] | None = None

    def __call__(self) -> None:
        """End the call. Does nothing once the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.end, caller_gone)

    def end(self, make_error: Callable[[Call | None], RoutingError]) -> None:
        """End the call with the error that ``make_error`` makes. In the call's own loop."""
        if self._task is not None and self._why is None:
            self._why = make_error
            self._task.cancel()

    def disarm(self) -> None:
        """The call is over: a hang-up that comes now finds nothing to end."""
        self._task = None

    def taken_back(self, call: Call | None) -> RoutingError | None:
        """The error to raise instead of a cancellation that was this hang-up's alone, and is now undone in the task."""
        if self._why is None or self._task is None or self._task.uncancel() > self._cancelling:
            return None
        return self._why(call)


class RunningCall(CallCancellation):
    """While it is entered, the end of its caller's request ends what runs here, and so does its router's close.

    ``call`` is its record, as soon as there is one.
    """

    __slots__ = ("_context", "call", "caller_left")

    def __init__(self, context: CallContext) -> None:
        super().__init__()
        self._context = context
        self.call: Call | None = None
        self.caller_left = False
        """Also where that came in the turn of the loop in which a stream began: too late to end the call itself."""

    def __call__(self) -> None:
        """As :class:`CallCancellation`."""
        self.caller_left = True
        super().__call__()

    def __enter__(self) -> RunningCall:
        """Begin. Raises RouterClosed."""
        self._context.loop.enter(self)
        self._context.caller.add_running(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ended = None
        if isinstance(error, asyncio.CancelledError):
            ended = self.taken_back(self.call)
            if self.call is None and isinstance(ended, CallerGone) and self._context.caller.sensitive:
                ended = FailClosed(str(ended))
        self._task = None
        self._context.loop.leave(self)
        self._context.caller.remove_running(self)
        if ended is not None:
            raise ended from None


def caller_gone(call: Call | None) -> RoutingError:
    """The error of a call whose caller has gone; of one that has no record yet, ``None``."""
    if call is None:
        return CallerGone("a call was given up before it was sent: the caller of the request has gone")
    message = f"task {call.task!r} was given up: the caller of the request has gone. [call {call.id}]"
    return FailClosed(message, call) if call.sensitive else CallerGone(message, call)


def became_sensitive(call: Call) -> RoutingError:
    """The error of a call whose request has become sensitive since it was made."""
    message = (
        f"task {call.task!r} was not answered: its request became sensitive while the call ran. Mark the "
        f"endpoint itself, so that the mark is known before the first call. [call {call.id}]"
    )
    return FailClosed(message, call)
