"""``CallRecorder``: the record of one call, written while it runs, with the log's lines of it."""

from __future__ import annotations

from lanewise._failures.error_body import model_name
from lanewise._openai.response_check import Answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._runtime.call.attempts.attempt_types import BuiltAttempt
from lanewise._runtime.call.attempts.cost import Billing
from lanewise._runtime.call.attempts.fan_out import PartialFailure
from lanewise._runtime.call.record_fields import AttemptFields, CallFields
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise.types import Attempt, Failure, FailureKind, LaneName, Move, Outcome, Send

__all__ = ["CallRecorder"]


class CallRecorder:
    """Writes the record of one call and of its attempts, of which one is out at a time. Times are by the loop's
    clock."""

    __slots__ = (
        "_answer",
        "_attempt_started",
        "_billing",
        "_loop",
        "_recording",
        "_resolved",
        "_sent",
        "_trace",
        "_unclear",
        "attempt",
        "call",
        "started",
    )

    def __init__(self, resolved: ResolvedCall) -> None:
        runtime = resolved.context.runtime
        self.call = resolved.call
        self.attempt: Attempt | None = None
        """The latest attempt."""
        self._sent: BuiltAttempt | None = None
        self._answer: Answer | StreamValidator | None = None
        self._unclear = False
        self._resolved = resolved
        self._recording = runtime.recording
        self._trace = self._recording.trace()
        self._billing = Billing(runtime.prices, self.call.api, resolved.body, resolved.choices)
        self._loop = resolved.context.loop.loop
        self.started = self._attempt_started = self._loop.time()

    def beside(self) -> CallRecorder:
        """A recorder of the same call, for an attempt that goes out beside the latest one."""
        other = CallRecorder(self._resolved)
        other.started = self.started
        return other

    def move(self, move: Move) -> None:
        """Note what the plan does next; calls that begin elsewhere since a route is open are counted for the log."""
        call = self.call
        CallFields.moves(call, (*call.moves, ((self._loop.time() - self.started) * 1000, move)))
        if not call.attempts and isinstance(move, Send) and move.skipped:
            self._recording.log.passed_over(call, move)

    def note(self, text: str) -> None:
        """Note what else happened, for ``Call.explain()``."""
        call = self.call
        CallFields.notes(call, (*call.notes, ((self._loop.time() - self.started) * 1000, text)))

    def begin_attempt(self, sent: BuiltAttempt) -> Attempt:
        """Note an attempt that goes out now."""
        attempt = sent.record
        self.attempt, self._sent, self._answer, self._unclear = attempt, sent, None, False
        self._attempt_started = self._loop.time()
        CallFields.attempts(self.call, (*self.call.attempts, attempt))
        return attempt

    def answer(self, answer: Answer | StreamValidator) -> None:
        """Note what is known of an answer, whatever becomes of it."""
        self._answer = answer
        sent = self._sent
        if sent is None:
            return
        AttemptFields.model_answered(sent.record, model_name(answer.model))
        if isinstance(answer, StreamValidator) and answer.lenient:
            AttemptFields.lenient(sent.record, tuple(dict.fromkeys((*sent.record.lenient, *answer.lenient))))
        if sent.record.total_ms is not None:
            self._billing.settle(sent, None, answer)  # a refusal that was held back, and goes to the app after all

    def answer_in_part(self, partial: PartialFailure) -> None:
        """Note what is known of several requests that did not come to one answer."""
        self._unclear = partial.unclear
        if partial.answer is not None:
            self.answer(partial.answer)

    def refusal(self, answer: Answer | StreamValidator) -> None:
        """A refusal that goes to the app is recorded as what it is."""
        if answer.content_policy and self.attempt is not None:
            AttemptFields.failure(self.attempt, FailureKind.CONTENT_POLICY)

    def settle(self) -> None:
        """The latest attempt's route answers the call."""
        if self.attempt is not None:
            CallFields.route(self.call, self.attempt.route)
            CallFields.lane(self.call, self.attempt.lane)

    def put_last(self, attempt: Attempt) -> None:
        """Of two attempts that were out at once, the one that answered comes last."""
        others = tuple(each for each in self.call.attempts if each is not attempt)
        CallFields.attempts(self.call, (*others, attempt))

    def replayed(self, call_id: str, route: str, lane: LaneName) -> None:
        """The call was given the answer of an earlier one, and has ended."""
        self.note(f"is given the answer of call {call_id} again")
        CallFields.replayed_from(self.call, call_id)
        CallFields.route(self.call, route)
        CallFields.lane(self.call, lane)
        self.end(Outcome.ANSWERED, None)

    def end_attempt(self, failure: Failure | None) -> None:
        """Note how the latest attempt ended. Does nothing if it has ended."""
        sent = self._sent
        if sent is None or sent.record.total_ms is not None:
            return
        attempt = sent.record
        AttemptFields.total_ms(attempt, (self._loop.time() - self._attempt_started) * 1000)
        self._billing.settle(sent, failure, self._answer, unclear=self._unclear)
        if failure is None:
            return
        AttemptFields.failure(attempt, failure.kind)
        AttemptFields.timed_out(attempt, failure.kind is FailureKind.TIMEOUT)
        AttemptFields.provider_error_code(attempt, failure.code)
        AttemptFields.detail(attempt, _detail(failure))
        self._recording.log.failure(self.call, attempt, failure)

    def end(self, outcome: Outcome, failure: FailureKind | None) -> None:
        """Note how the call ended. Does nothing if it has ended."""
        call = self.call
        if call.outcome is not None:
            return
        CallFields.total_ms(call, (self._loop.time() - self.started) * 1000)
        CallFields.failure(call, failure)
        CallFields.outcome(call, outcome)
        self._recording.call(call, self._trace)


def _detail(failure: Failure) -> str:
    """What a failure's kind, status and code don't tell."""
    plain = failure.code or failure.kind is FailureKind.CANCELLED
    parts = [] if plain else [failure.cause or failure.detail]
    if failure.param:
        parts.append(f"parameter {failure.param}")
    if failure.retry_after:
        parts.append(f"asks to wait {failure.retry_after:.3g} s")
    return "; ".join(parts)
