"""The record of one call, written while it runs: its moves, its attempts, how each ended, and the log's lines of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lanewise._failures.error_body import model_name
from lanewise._openai.response_check import Answer
from lanewise._openai.stream_validator import StreamValidator
from lanewise._runtime.call.cost import Billing
from lanewise._runtime.recording import Recording
from lanewise.types import Attempt, Call, Failure, FailureKind, LaneName, Move, Outcome, Send, note

if TYPE_CHECKING:
    from lanewise._runtime.call.attempt_builder import BuiltAttempt
    from lanewise._runtime.call.fan_out import PartialFailure

__all__ = ["CallRecorder"]


class CallRecorder:
    """Writes one call's record. Times are by the running loop's clock."""

    __slots__ = (
        "_answer",
        "_attempt_started",
        "_billing",
        "_first_lane",
        "_loop",
        "_recording",
        "_sent",
        "_trace",
        "_unclear",
        "attempt",
        "call",
        "started",
    )

    def __init__(self, call: Call, first_lane: LaneName, recording: Recording, billing: Billing) -> None:
        self.call = call
        self.attempt: Attempt | None = None
        """The latest attempt."""
        self._sent: BuiltAttempt | None = None
        self._answer: Answer | StreamValidator | None = None
        self._unclear = False
        self._first_lane = first_lane
        self._recording = recording
        self._trace = recording.trace()
        self._billing = billing
        self._loop = asyncio.get_running_loop()
        self.started = self._attempt_started = self._loop.time()

    def beside(self) -> CallRecorder:
        """A recorder of the same call, for an attempt that goes out beside the latest one."""
        other = CallRecorder(self.call, self._first_lane, self._recording, self._billing)
        other.started = self.started
        return other

    def move(self, move: Move) -> None:
        """Note what the plan does next; a warning tells when the call leaves its first lane."""
        call = self.call
        note(call, "moves", (*call.moves, ((self._loop.time() - self.started) * 1000, move)))
        if isinstance(move, Send) and move.lane is not self._first_lane:
            left = self._first_lane if self.attempt is None else self.attempt.lane
            if left is self._first_lane:
                self._recording.log.lane_left(call, left, move.lane, move.route, self._reason(move))

    def _reason(self, move: Send) -> FailureKind | None:
        """Why the first lane is left: the failure of the attempt there, or what had opened its routes."""
        if self.attempt is not None:
            return self.attempt.failure
        return next((skip.failure.kind for skip in move.skipped if skip.failure is not None), None)

    def begin_attempt(self, sent: BuiltAttempt) -> Attempt:
        """Note an attempt that goes out now."""
        attempt = sent.record
        self.attempt, self._sent, self._answer, self._unclear = attempt, sent, None, False
        self._attempt_started = self._loop.time()
        note(self.call, "attempts", (*self.call.attempts, attempt))
        return attempt

    def answer(self, answer: Answer | StreamValidator) -> None:
        """Note what is known of an answer, whatever becomes of it."""
        self._answer = answer
        sent = self._sent
        if sent is None:
            return
        note(sent.record, "model_answered", model_name(answer.model))
        if isinstance(answer, StreamValidator) and answer.lenient:
            note(sent.record, "lenient", tuple(dict.fromkeys((*sent.record.lenient, *answer.lenient))))
        if sent.record.total_ms is not None:
            self._billing.settle(sent, None, answer)  # a refusal that was held back, and goes to the app after all

    def fell(self, fell: PartialFailure) -> None:
        """Note what is known of several requests that did not come to one answer."""
        self._unclear = fell.unclear
        if fell.answer is not None:
            self.answer(fell.answer)

    def refusal(self, answer: Answer | StreamValidator) -> None:
        """A refusal that goes to the app is recorded as what it is."""
        if answer.content_policy and self.attempt is not None:
            note(self.attempt, "failure", FailureKind.CONTENT_POLICY)

    def settle(self) -> None:
        """The latest attempt's route answers the call."""
        if self.attempt is not None:
            note(self.call, "route", self.attempt.route)
            note(self.call, "lane", self.attempt.lane)

    def end_attempt(self, failure: Failure | None) -> None:
        """Note how the latest attempt ended. Does nothing if it has ended."""
        sent = self._sent
        if sent is None or sent.record.total_ms is not None:
            return
        attempt = sent.record
        note(attempt, "total_ms", (self._loop.time() - self._attempt_started) * 1000)
        self._billing.settle(sent, failure, self._answer, unclear=self._unclear)
        if failure is None:
            return
        note(attempt, "failure", failure.kind)
        note(attempt, "timed_out", failure.kind is FailureKind.TIMEOUT)
        note(attempt, "provider_error_code", failure.code)
        note(attempt, "detail", _detail(failure))
        self._recording.log.failure(self.call, attempt, failure)

    def end(self, outcome: Outcome, failure: FailureKind | None) -> None:
        """Note how the call ended. Does nothing if it has ended."""
        call = self.call
        if call.outcome is not None:
            return
        note(call, "total_ms", (self._loop.time() - self.started) * 1000)
        note(call, "failure", failure)
        note(call, "outcome", outcome)
        self._recording.call(call, self._trace)


def _detail(failure: Failure) -> str:
    """What a failure's kind, status and code don't tell."""
    plain = failure.code or failure.kind is FailureKind.CANCELLED
    told = [] if plain else [failure.cause or failure.detail]
    if failure.param:
        told.append(f"parameter {failure.param}")
    if failure.retry_after:
        told.append(f"asks to wait {failure.retry_after:.3g} s")
    return "; ".join(told)
