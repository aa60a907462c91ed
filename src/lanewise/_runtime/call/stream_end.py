"""How a committed stream ends: what the record, the app and the scope's hang-ups get of it, and whether it restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lanewise._failures import failure_table as failures
from lanewise._openai.stream_validator import StreamValidator
from lanewise._routing.restarts import OnBreak
from lanewise._runtime.call.attempt import StreamStarted
from lanewise._runtime.call.cancellation import became_sensitive, caller_gone
from lanewise._runtime.call.committed_stream import Restarted
from lanewise._runtime.call.final_errors import broken_stream
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.messages import CallContext, RoutedRequest
from lanewise.errors import RoutingError
from lanewise.types import Call, Failure, FailureKind, Outcome, Stop

if TYPE_CHECKING:
    from lanewise._runtime.call.runner import CallRunner

__all__ = ["StreamEnd"]


class StreamEnd:
    """The watcher of one call's stream."""

    def __init__(
        self,
        runner: CallRunner,
        resolved: ResolvedCall,
        request: RoutedRequest,
        caller: CallContext,
        opened: StreamStarted,
    ) -> None:
        self._drive = runner
        self._on_break = resolved.on_break
        self._path = request.path
        self._caller = caller
        self._judge: StreamValidator | None = opened.flow.judge
        """``None`` while the stream is about to start over."""
        self._checked = opened.ended
        self.hang_up: Callable[[], None] | None = None
        """What ends the stream when the caller hangs up, if that was told to the scope."""

    @property
    def call(self) -> Call:
        """The call's record."""
        return self._drive.call

    async def breach(self) -> Failure | None:
        """The failure of a stream that is whole and breaks its contract."""
        return None if self._checked or self._judge is None else await self._drive.breach(self._judge)

    def completed(self) -> None:
        """The stream is whole, and keeps its contract."""
        self._ends(None)
        if self._judge is not None:
            self._drive.recorder.refusal(self._judge)
        self._drive.recorder.end(Outcome.ANSWERED, None)

    def broken(self, failure: Failure) -> RoutingError:
        """The stream broke for good: the error that its reader gets."""
        runner, call = self._drive, self.call
        self._ends(failure)
        stop = Stop(failure=failure, reason=_why_broken(self._on_break))
        if call.outcome is None:
            runner.recorder.move(stop)
        runner.recorder.end(Outcome.FAILED, failure.kind)
        runner.close_scope()
        return broken_stream(call, stop, path=self._path)

    def abandoned(self) -> None:
        """The app, or its caller, has let go of the stream."""
        failure = failures.CANCELLED.failure()
        self._ends(failure)
        self._drive.recorder.end(Outcome.CANCELLED, failure.kind)

    def caller_gone(self) -> RoutingError:
        """The caller of the request hung up: the error that the stream's reader gets."""
        self.abandoned()
        return caller_gone(self.call)

    def overtaken(self) -> RoutingError | None:
        """The error that the reader gets if the request has become sensitive since the call was made."""
        if self._caller.still_allowed(self.call):
            return None
        if self.call.outcome is None:
            self._ends(failures.CANCELLED.failure())
            self._drive.recorder.end(Outcome.REFUSED, FailureKind.LOCAL)
        return became_sensitive(self.call)

    def broke(self, failure: Failure) -> bool:
        """Whether the stream that broke starts over. If so, its attempt ends here, and the call goes on."""
        if self._judge is None or not self._on_break.restarts:
            return False
        self._drive.recorder.answer(self._judge)
        self._drive.end_attempt(failure)
        self._judge = None
        return True

    async def start_over(self, failure: Failure, max_at: float) -> Restarted:
        """Have the call answered anew. Raises RoutingError, which ends the call."""
        try:
            opened, told = await self._drive.start_over(failure, max_at)
        except BaseException:
            self._forget()
            raise
        self._judge = opened.flow.judge
        self._checked = opened.ended
        return Restarted(opened.flow, told + opened.held, opened.ended, self._drive.stream_limits())

    def _ends(self, failure: Failure | None) -> None:
        """Note the end of the attempt that answered, with what is known of its answer."""
        self._forget()
        if self._judge is not None:
            self._drive.recorder.answer(self._judge)
        self._drive.end_attempt(failure)

    def _forget(self) -> None:
        """No hang-up ends this call any more: it has ended."""
        if self.hang_up is not None:
            self._caller.ended(self.hang_up)


def _why_broken(on_break: OnBreak) -> str:
    if on_break.restarts:
        return "the longest time of a stream has passed"
    asked = f"; it was to start over, but {on_break.why_not}" if on_break.why_not else ""
    return f"a stream that has begun to answer belongs to its route{asked}"
