"""How a committed stream ends, for the record, the app and the scope; and whether one that breaks starts over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._routing.plan import Plan
from lanewise._routing.restarts import OnBreak
from lanewise._runtime.call.attempts.attempt_runner import AttemptRunner
from lanewise._runtime.call.attempts.attempt_types import StreamStarted
from lanewise._runtime.call.cancellation import became_sensitive, caller_gone
from lanewise._runtime.call.final_errors import broken_stream
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise.config import Route, StreamSettings
from lanewise.errors import RoutingError
from lanewise.types import Failure, FailureKind, Outcome, Stop

__all__ = ["StartOver", "StreamLimits", "StreamOutcome"]

StartOver = Callable[[Failure, float], Awaitable[StreamStarted]]
"""Has the call of a stream that broke answered anew, at the longest until a time of the loop's clock. Raises
RoutingError."""


class StreamLimits(msgspec.Struct, frozen=True):
    """How long a committed stream may bring no byte, and nothing but comments and keep-alives, in seconds."""

    stall: float
    silence: float

    @classmethod
    def of(cls, route: Route, stream: StreamSettings, *, restarts: bool) -> StreamLimits:
        """Those of a route's stream: what is declared, the route's first, else what suits a stream that ``restarts`` on
        another route or doesn't.

        Example::

            StreamLimits.of(Route(provider="a", model="m"), StreamSettings(), restarts=False).stall  # 300.0
        """
        defaults = _RESTARTING if restarts else stream
        stall = stream.stall if "stall" in stream.model_fields_set else defaults.stall
        silence = stream.silence if "silence" in stream.model_fields_set else route.stall or defaults.silence
        return cls(route.stall or stall, silence)


_RESTARTING: Final = StreamLimits(stall=60.0, silence=120.0)
"""Where a stream may start over on another route. Where nothing else can be done, waiting is best: reasoning models are
silent in mid-stream for up to 330 s."""


class StreamOutcome:
    """How one call's stream ended, reported once, and how one that broke goes on."""

    def __init__(
        self,
        resolved: ResolvedCall,
        plan: Plan,
        attempts: AttemptRunner,
        started: StreamStarted,
        start_over: StartOver,
    ) -> None:
        self.call = resolved.call
        self._resolved = resolved
        self._context = resolved.context
        self._plan = plan
        self._attempts = attempts
        self._start_over = start_over
        self._validator: StreamValidator | None = started.flow.validator
        """``None`` while the stream is about to start over."""
        self._checked = started.ended
        self._hang_up: Callable[[], None] | None = None

    def end_with_caller(self, hang_up: Callable[[], None]) -> None:
        """Have the stream ended by the caller's hang-up, until it has ended otherwise."""
        self._hang_up = hang_up
        self._context.caller.add_running(hang_up)

    def limits(self) -> StreamLimits:
        """How long the stream of the route that answers may be silent."""
        route = self._context.runtime.upstreams[self.call.route or ""].route
        restarts = self._resolved.on_break.restarts and self._plan.may_move
        return StreamLimits.of(route, self._resolved.task.stream, restarts=restarts)

    async def breach(self) -> Failure | None:
        """The failure of a stream that is whole, and breaks its contract."""
        return None if self._checked or self._validator is None else await self._attempts.breach(self._validator)

    def completed(self) -> None:
        """The stream is whole, and keeps its contract."""
        self._end_attempt(None)
        recorder = self._attempts.recorder
        if self._validator is not None:
            recorder.refusal(self._validator)
        recorder.end(Outcome.ANSWERED, None)

    def broken(self, failure: Failure) -> RoutingError:
        """The stream broke for good: the error that its reader gets."""
        self._end_attempt(failure)
        recorder = self._attempts.recorder
        stop = Stop(failure=failure, reason=_why_broken(self._resolved.on_break))
        if self.call.outcome is None:
            recorder.move(stop)
        recorder.end(Outcome.FAILED, failure.kind)
        self._context.close_scope(self.call)
        return broken_stream(self.call, stop, path=self._context.request.path)

    def abandoned(self) -> None:
        """The app, or its caller, has let go of the stream."""
        failure = failures.CANCELLED.failure()
        self._end_attempt(failure)
        self._attempts.recorder.end(Outcome.CANCELLED, failure.kind)

    def caller_gone(self) -> RoutingError:
        """The caller of the request hung up: the error that the stream's reader gets."""
        self.abandoned()
        return caller_gone(self.call)

    def overtaken(self) -> RoutingError | None:
        """The error of a stream whose request has become sensitive since the call was made; ``None``: it goes on."""
        if self._context.caller.still_allowed(self.call):
            return None
        if self.call.outcome is None:
            self._end_attempt(failures.CANCELLED.failure())
            self._attempts.recorder.end(Outcome.REFUSED, FailureKind.LOCAL)
        return became_sensitive(self.call)

    def broke(self, failure: Failure) -> bool:
        """Whether the stream that broke starts over. If so, its attempt ends here, and the call goes on."""
        if self._validator is None or not self._resolved.on_break.restarts:
            return False
        self._attempts.recorder.answer(self._validator)
        self._attempts.end(failure)
        self._validator = None
        return True

    async def start_over(self, failure: Failure, max_at: float) -> StreamStarted:
        """The stream to go on with. Raises RoutingError, which ends the call."""
        try:
            started = await self._start_over(failure, max_at)
        except BaseException:
            self._forget_caller()
            raise
        self._validator = started.flow.validator
        self._checked = started.ended
        return started

    def _end_attempt(self, failure: Failure | None) -> None:
        """The attempt that answered has ended, with what is known of its answer."""
        self._forget_caller()
        if self._validator is not None:
            self._attempts.recorder.answer(self._validator)
        self._attempts.end(failure)

    def _forget_caller(self) -> None:
        hang_up, self._hang_up = self._hang_up, None
        if hang_up is not None:
            self._context.caller.remove_running(hang_up)


def _why_broken(on_break: OnBreak) -> str:
    if on_break.restarts:
        return "the longest time of a stream has passed"
    asked = f"; it was to start over, but {on_break.why_not}" if on_break.why_not else ""
    return f"a stream that has begun to answer belongs to its route{asked}"
