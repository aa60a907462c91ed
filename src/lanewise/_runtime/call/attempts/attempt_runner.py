"""``AttemptRunner``: lets each attempt of a call out, sends it, checks what comes back, and reports how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise._contracts.contract import Breach, Contract
from lanewise._contracts.isolated_checks import CheckUnavailable, IsolatedChecks
from lanewise._contracts.json_schema import BadSchema, Question, TooMuchWork
from lanewise._failures import failure_table as failures
from lanewise._openai.choices import Choice, read_choices
from lanewise._openai.response_check import Answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._routing.acceptance import may_be_read, unacceptable
from lanewise._routing.plan import Plan
from lanewise._runtime.call.attempts.admission import Admission
from lanewise._runtime.call.attempts.attempt_builder import AttemptBuilder
from lanewise._runtime.call.attempts.attempt_types import AttemptResult, BuiltAttempt, CompleteResponse, StreamStarted
from lanewise._runtime.call.attempts.fan_out import run_all
from lanewise._runtime.call.cancellation import became_sensitive
from lanewise._runtime.call.recorder import CallRecorder
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise.types import Failure, FailureKind, Outcome, Send

__all__ = ["TRUE", "AttemptRunner"]

LONGEST: Final = 5.0
"""Seconds that the check of an answer by its contract may take, all that it asks together."""
TRUE: Final = msgspec.Raw(b"true")


class AttemptRunner:
    """Makes the attempts of one call, of which one is out at a time."""

    __slots__ = (
        "_caller",
        "_contract",
        "_loop",
        "_plan",
        "_resolved",
        "_runtime",
        "admission",
        "builder",
        "failed_answer",
        "recorder",
    )

    def __init__(self, resolved: ResolvedCall, plan: Plan, recorder: CallRecorder) -> None:
        self._resolved = resolved
        self._runtime = resolved.context.runtime
        self._caller = resolved.context.caller
        self._contract = resolved.contract
        self._plan = plan
        self._loop = resolved.context.loop.loop
        self.recorder = recorder
        self.admission = Admission(resolved)
        self.builder = AttemptBuilder(resolved, self.admission.bytes_came)
        self.failed_answer: CompleteResponse | StreamStarted | None = None
        """The latest attempt's answer, if it failed and goes to the app all the same where nobody else is asked."""

    def beside(self) -> AttemptRunner:
        """What makes an attempt of the same call beside the one that is out."""
        return AttemptRunner(self._resolved, self._plan, self.recorder.beside())

    def adopt(self, other: AttemptRunner) -> None:
        """Go on from the attempt that was out beside: it is the call's latest."""
        self.recorder, self.admission, self.builder = other.recorder, other.admission, other.builder

    def build(self, send: Send) -> BuiltAttempt:
        """The attempt that the plan asks for, from now on the latest. Raises FailClosed, RouterClosed."""
        if isinstance(self.failed_answer, StreamStarted):
            self.failed_answer.flow.exchange.abort()
        self.failed_answer = None
        self.check_sensitivity()
        built = self.builder.make(send, self._plan.deadline)
        self.recorder.begin_attempt(built)
        return built

    async def fan_out(self, built: BuiltAttempt) -> CompleteResponse | Failure:
        """What the latest attempt comes to, if it is several requests at once."""
        result = await run_all((built.request, *built.more), built.record)
        if isinstance(result, CompleteResponse):
            return result
        self.recorder.answer_in_part(result)
        return result.failure

    async def check(self, result: AttemptResult) -> AttemptResult:
        """The answer of the latest attempt, if it counts as one. Raises FailClosed."""
        if isinstance(result, Failure):
            self.end(result)
            return result
        self.check_sensitivity(result)
        judged = await (self._whole(result) if isinstance(result, CompleteResponse) else self._opened(result))
        if self._contract is not None and not isinstance(judged, Failure):
            self.check_sensitivity(judged)  # once more: it may have been checked for a while
        return judged

    def end(self, failure: Failure | None) -> None:
        """The latest attempt is over: health, caps and the record hear of it. Does nothing if it was before."""
        self.recorder.end_attempt(failure)  # before caps and budgets hear of it: it writes what the attempt used
        record = self.recorder.attempt
        self.admission.leave(failure, record)
        conversations = self._runtime.conversations
        if conversations is not None and failure is None and record is not None:
            resolved = self._resolved
            conversations.answered(resolved.call.task, resolved.conversation, record, time.monotonic())

    def check_sensitivity(self, result: CompleteResponse | StreamStarted | None = None) -> None:
        """Let nothing out, nor any answer in, by the rules of before: the request may have become sensitive since.

        Raises FailClosed.
        """
        call = self._resolved.call
        if self._caller.still_allowed(call):
            return
        if isinstance(result, StreamStarted):
            result.flow.exchange.abort()
        self.end(failures.CANCELLED.failure())
        self.recorder.end(Outcome.REFUSED, FailureKind.LOCAL)
        raise became_sensitive(call)

    async def failure_of(self, result: CompleteResponse | StreamStarted) -> Failure | None:
        """Why the answer of the latest attempt does not count, if it does not: of a stream, as far as it has come."""
        latest = self.recorder.attempt
        assert latest is not None, "something answered"
        answer = result.answer if isinstance(result, CompleteResponse) else result.flow.validator
        if isinstance(result, CompleteResponse):
            self.recorder.answer(answer)
        failure = unacceptable(
            answer,
            self._runtime.upstreams[latest.route].route,
            sensitive=bool(self._resolved.call.sensitive),
            refusals_move=self._resolved.refusals_move,
        )
        if failure is None and self._contract is not None:
            failure = await self._breach_so_far(self._contract, result)
        if failure is not None:
            self.recorder.answer(answer)
        return failure

    async def breach(self, validator: StreamValidator, until: float = math.inf) -> Failure | None:
        """The failure of a whole stream that breaks the contract; it is known by ``until`` on the loop's clock."""
        if self._contract is None or validator.accumulator is None:
            return None
        return await self._breach(self._contract, validator.accumulator.choices(), until)

    async def _breach_so_far(self, contract: Contract, result: CompleteResponse | StreamStarted) -> Failure | None:
        until = self._plan.deadline
        if isinstance(result, StreamStarted):
            return await self.breach(result.flow.validator, until) if result.ended else None
        if self._goes_on(result.answer):
            return None
        return await self._breach(contract, read_choices(self._resolved.call.api, result.body), until)

    async def _whole(self, result: CompleteResponse) -> CompleteResponse | Failure:
        failure = await self.failure_of(result)
        self.end(failure)
        if failure is not None:
            if self._may_be_read(failure):
                self.failed_answer = result
            return failure
        self.recorder.refusal(result.answer)
        self.recorder.settle()
        self.builder.answered()
        return result

    async def _opened(self, result: StreamStarted) -> StreamStarted | Failure:
        try:
            failure = await self.failure_of(result)
        except BaseException:
            result.flow.exchange.abort()
            raise
        if failure is not None:
            self.end(failure)
            if self._may_be_read(failure):
                self.failed_answer = result  # its exchange stays open
            else:
                result.flow.exchange.abort()
            return failure
        self.admission.committed()
        self.recorder.settle()
        self.builder.answered()
        return result

    def _may_be_read(self, failure: Failure) -> bool:
        json_asked = self._contract is not None and self._contract.asked
        return may_be_read(failure, self._resolved.call.attempts[:-1], json_asked=json_asked)

    def _goes_on(self, answer: Answer) -> bool:
        """Whether a response is still being made in the background: there is nothing to check yet."""
        return self._resolved.body.fields.get("background") == TRUE and answer.finish_reasons == (None,)

    async def _breach(self, contract: Contract, choices: Sequence[Choice] | None, until: float) -> Failure | None:
        seconds = min(
            LONGEST, (until - self._loop.time()) * 0.8
        )  # so that the failure names the check, not the deadline
        breach = await _breach_of(contract, choices, self._runtime.checks, seconds)
        if breach is None:
            return None
        self.builder.may_mend(breach.repair)
        return breach.failure


async def _breach_of(
    contract: Contract, choices: Sequence[Choice] | None, checks: IsolatedChecks, seconds: float
) -> Breach | None:
    """How an answer breaks the contract, or ``None``. One that can't be judged in ``seconds`` counts as breaking a
    contract of its task; where the call's own schema is the reason, the call is refused.
    """
    verdicts: dict[Question, str | None] = {}
    until = time.monotonic() + seconds
    while True:
        try:
            return contract.breach(choices, verdicts)
        except TooMuchWork as work:
            question, of_task = work.question, work.of_task
        try:
            verdicts[question] = await checks.breach(question, max(0.0, until - time.monotonic()))
        except (CheckUnavailable, BadSchema) as error:
            if of_task:
                return Breach(failures.CONTRACT.failure(http_status=200, cause=str(error)))
            code = "invalid_schema" if isinstance(error, BadSchema) else "schema_takes_too_long"
            return Breach(failures.UNJUDGED.failure(code=code, cause=str(error)))
