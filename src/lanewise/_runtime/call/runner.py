"""One call, driven: asks the plan, makes the attempts, and ends in exactly one outcome."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise._contracts.contract import Contract
from lanewise._failures import failure_table as failures
from lanewise._health.hedge_budget import HedgeBudget
from lanewise._health.latency import RouteLatencies
from lanewise._openai.choices import Choice, read_choices
from lanewise._openai.response_check import Answer
from lanewise._openai.stream_validator import StreamValidator
from lanewise._routing.acceptance import READ_BY_THE_APP, may_be_read, unacceptable
from lanewise._routing.escalation import is_escalated
from lanewise._routing.hedge import hedge, hedge_unsent
from lanewise._routing.plan import Plan
from lanewise._routing.restarts import announcement
from lanewise._runtime.call import attempt
from lanewise._runtime.call.admission import Admission
from lanewise._runtime.call.attempt import CompleteResponse, StreamStarted
from lanewise._runtime.call.attempt_builder import AttemptBuilder, BuiltAttempt
from lanewise._runtime.call.cancellation import became_sensitive
from lanewise._runtime.call.committed_stream import CommittedStream, StreamLimits
from lanewise._runtime.call.contract_check import LONGEST, breach_of
from lanewise._runtime.call.cost import Billing
from lanewise._runtime.call.fan_out import run_all
from lanewise._runtime.call.final_errors import broken_stream, error_for
from lanewise._runtime.call.hedging import SecondAttempt, close, may_be_asked_twice
from lanewise._runtime.call.recorder import CallRecorder
from lanewise._runtime.call.reply_headers import reply_headers
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.call.stream_end import StreamEnd
from lanewise._runtime.escalation import escalate, outcome_of
from lanewise._runtime.loop_context import LoopContext
from lanewise._runtime.messages import CallContext, RoutedRequest, RoutedResponse
from lanewise._runtime.response_affinity import ResponseOrigin, id_of
from lanewise._runtime.router_runtime import RouterRuntime
from lanewise._runtime.unforeseen import as_failure, as_routing_error
from lanewise._runtime.upstreams import Upstream
from lanewise.errors import RoutingError
from lanewise.types import Api, Attempt, Call, Failure, FailureKind, Move, Outcome, Send, Stop, Wait, note

__all__ = ["CallRunner"]


_TRUE: Final = msgspec.Raw(b"true")


class CallRunner:
    """Drives one prepared call, in the running loop."""

    def __init__(
        self, runtime: RouterRuntime, resolved: ResolvedCall, request: RoutedRequest, caller: CallContext
    ) -> None:
        self._runtime = runtime
        self._resolved = resolved
        self._request = request
        self._caller = caller
        self._call = resolved.call
        self._loop = asyncio.get_running_loop()
        billing = Billing(runtime.prices, resolved.call.api, resolved.body, resolved.choices)
        self._recorder = CallRecorder(resolved.call, resolved.candidates[0].lane, runtime.recording, billing)
        self._admission = Admission(runtime, resolved, caller, self._recorder.started)
        self._sender = AttemptBuilder(runtime, resolved, request, caller, self._admission.heard)
        self._contract = resolved.contract
        self._kept: CompleteResponse | StreamStarted | None = None
        self._begun = False
        self._hedges = self._hedge_budget() if runtime.hedges else None

    @property
    def call(self) -> Call:
        """The call's record."""
        return self._call

    @property
    def recorder(self) -> CallRecorder:
        """The call's record, as it is written."""
        return self._recorder

    async def run(self, loop_context: LoopContext) -> RoutedResponse:
        """The routed answer. Raises RoutingError, or CancelledError when the caller goes away."""
        resolved = self._resolved
        self._loop_context = loop_context
        self._admission.lag = loop_context.lag
        self._plan = Plan(
            resolved.candidates,
            deadline=self._recorder.started + resolved.budget,
            budget=resolved.budget,
            alone=resolved.budget_alone,
            patience=resolved.task.patience,
            retries=resolved.task.retries,
            max_attempts=resolved.task.max_attempts,
            sensitive=bool(self._call.sensitive),
            health=self._runtime.health.of[self._call.api],
            nowhere=resolved.nowhere,
        )
        result = await self._answer(self._plan.begin(self._loop.time(), random.random()))
        try:
            return self._reply(result)
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            if isinstance(result, StreamStarted):
                result.flow.exchange.abort()
            raise self._unforeseen(error) from None

    async def start_over(self, failure: Failure, max_at: float) -> tuple[StreamStarted, bytes]:
        """The answer anew, of another route, after the app had got a part of one, and the chunk that tells of it.

        It has the call's whole deadline again, but not longer than ``max_at`` (by the loop's clock). Raises
        RoutingError.
        """
        now = self._loop.time()
        budget = min(self._resolved.budget, max_at - now)
        move = self._plan.broke(
            failure,
            now,
            random.random(),
            deadline=now + budget,
            budget=budget,
            alone=min(self._resolved.budget_alone, max_at - now),
            transformed=self._sender.learn(failure).transformed,
        )
        result = await self._answer(move)
        assert isinstance(result, StreamStarted), "a stream was asked for"
        attempt = self._recorder.attempt
        assert attempt is not None, "it was answered"
        return result, announcement(attempt, result.flow.judge, failure.kind, int(time.time()))

    async def _answer(self, move: Move) -> CompleteResponse | StreamStarted:
        """What the plan comes to from this move on."""
        try:
            while True:
                if isinstance(move, Send):
                    admitted = await self._admission.enter(move, self._plan, self._recorder.move)
                    if admitted is not move:
                        move = admitted
                        continue
                self._recorder.move(move)
                if isinstance(move, Send):
                    result = await self._attempt(move)
                    if self._runtime.speeds is not None:
                        self._note_speed(self._runtime.speeds, result if isinstance(result, Failure) else None)
                    if not isinstance(result, Failure):
                        return result
                    move = self._after(result)
                elif isinstance(move, Wait):
                    await asyncio.sleep(move.seconds)
                    move = self._plan.waited(self._loop.time(), random.random())
                else:
                    return await self._stopped(move)
        except RoutingError:
            self.end_attempt(failures.CANCELLED.failure())
            self._recorder.end(Outcome.FAILED, FailureKind.LOCAL)  # does nothing if the plan has ended the call
            raise
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            raise self._unforeseen(error) from None
        except BaseException:
            self.end_attempt(failures.CANCELLED.failure())
            self._recorder.end(Outcome.CANCELLED, FailureKind.CANCELLED)
            raise

    def _unforeseen(self, error: Exception) -> RoutingError:
        self.end_attempt(failures.UNFORESEEN.failure())
        self._recorder.end(Outcome.FAILED, FailureKind.BAD_RESPONSE)
        return as_routing_error(error, self._call)

    # -- one attempt -----------------------------------------------------------------------------------------------

    async def _attempt(self, send: Send) -> CompleteResponse | StreamStarted | Failure:
        if isinstance(self._kept, StreamStarted):
            self._kept.flow.exchange.abort()
        self._kept = None
        self.check_sensitivity()
        sent = self._sender.make(send, self._loop_context, self._plan.deadline)
        record = self._recorder.begin_attempt(sent)
        result: CompleteResponse | StreamStarted | Failure | None = None
        try:
            if sent.more:
                result = await self._several(sent, record)
            elif self._hedges is not None and record.attempt_number == 1:
                result = await self._hedged(self._hedges, sent, record)
            else:
                result = await attempt.run(sent.request, record)
            answering = self._recorder.attempt
            route = record.route if answering is None else answering.route  # a hedge may have taken its place
            return await self._judged(result, self._runtime.upstreams[route])
        except RoutingError:
            raise
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            if isinstance(result, StreamStarted):
                result.flow.exchange.abort()
            failure = as_failure(error)
            self.end_attempt(failure)
            return failure

    async def _judged(
        self, result: CompleteResponse | StreamStarted | Failure, upstream: Upstream
    ) -> CompleteResponse | StreamStarted | Failure:
        if isinstance(result, Failure):
            self.end_attempt(result)
            return result
        self.check_sensitivity(result)
        checked = await (
            self._whole(result, upstream) if isinstance(result, CompleteResponse) else self._opened(result, upstream)
        )
        if self._contract is not None and not isinstance(checked, Failure):
            self.check_sensitivity(checked)  # once more: it may have been checked for a while
        return checked

    async def _hedged(
        self, hedges: HedgeBudget, sent: BuiltAttempt, record: Attempt
    ) -> CompleteResponse | StreamStarted | Failure:
        """The first attempt, and a second one beside it if it has not begun to answer in the usual time."""
        api, stream, started = self._call.api, self._call.stream, self._loop.time()
        delay = hedges.delay(record.route, api, stream=stream)
        first = asyncio.ensure_future(attempt.run(sent.request, record))
        second: SecondAttempt | None = None
        is_second = False
        try:
            if delay is not None:
                await asyncio.wait((first,), timeout=delay)
                if not first.done() and hedges.may_hedge and not self._admission.is_probe:
                    second = await self._second(hedges)
            result, is_second = (await first, False) if second is None else await second.race(first)
        except BaseException:
            await close(first)
            if second is not None:
                await second.lose()
            raise
        if is_second or not isinstance(result, Failure):
            hedges.note(record.route, api, self._loop.time() - started, stream=stream)
        if second is None:
            return result
        if not is_second:
            others = tuple(each for each in self._call.attempts if each is not record)
            note(self._call, "attempts", (*others, record))  # what answered comes last
            return result
        lost = first.result() if first.done() and not first.cancelled() and first.exception() is None else None
        await close(first)
        self.end_attempt(lost if isinstance(lost, Failure) else failures.HEDGED.failure())
        second.adopt()
        return result

    def _hedge_budget(self) -> HedgeBudget | None:
        """What this call may be hedged by; ``None`` for one that may not be asked twice."""
        budget = self._runtime.hedges.get(self._call.task)
        resolved = self._resolved
        if budget is None or self._call.sensitive or resolved.bound or resolved.choices > 1:
            return None
        if not may_be_asked_twice(resolved.body, self._call.api):
            return None
        budget.count()
        return budget

    async def _second(self, hedges: HedgeBudget) -> SecondAttempt | None:
        """A second attempt that has gone out; ``None`` if there is no route for it."""
        found = hedge(self._plan, self._loop.time()) if self._caller.still_allowed(self._call) else None
        if found is None:
            return None
        position, send = found
        hedges.take()
        recorder = self._recorder.beside()
        admission = Admission(self._runtime, self._resolved, self._caller, recorder.started)
        admission.lag = self._loop_context.lag
        builder = AttemptBuilder(self._runtime, self._resolved, self._request, self._caller, admission.heard)
        is_out = await admission.enter_beside(send)
        sent = builder.make(send, self._loop_context, self._plan.deadline) if is_out else None
        if sent is None or sent.more:
            admission.leave(failures.HEDGED.failure())
            hedge_unsent(self._plan, position)
            hedges.give_back()
            return None
        now = self._loop.time()
        note(self._call, "moves", (*self._call.moves, ((now - recorder.started) * 1000, send)))
        record = recorder.begin_attempt(sent)

        def end(failure: Failure) -> None:
            recorder.end_attempt(failure)
            admission.leave(failure, record)

        def adopt() -> None:
            self._recorder, self._admission, self._sender = recorder, admission, builder

        task = asyncio.ensure_future(attempt.run(sent.request, record))
        return SecondAttempt(self._plan, position, task, end, adopt)

    async def _several(self, sent: BuiltAttempt, record: Attempt) -> CompleteResponse | Failure:
        result = await run_all((sent.request, *sent.more), record)
        if isinstance(result, CompleteResponse):
            return result
        self._recorder.fell(result)
        return result.failure

    def end_attempt(self, failure: Failure | None) -> None:
        """The latest attempt is over: health, caps and the record hear of it. Does nothing if it was before."""
        self._recorder.end_attempt(failure)  # before caps and budgets hear of it: it writes what the attempt used
        record = self._recorder.attempt
        self._admission.leave(failure, record)
        conversations = self._runtime.conversations
        if conversations is not None and failure is None and record is not None:
            conversations.answered(self._call.task, self._resolved.conversation, record, time.monotonic())

    def _note_speed(self, speeds: RouteLatencies, failure: Failure | None) -> None:
        """For tasks that select the fastest route: how long this one took, or that it failed."""
        if self._recorder.attempt is not None:
            speeds.note(self._recorder.attempt, self._call.api, failure, stream=self._call.stream)

    def check_sensitivity(self, result: CompleteResponse | StreamStarted | None = None) -> None:
        """Let nothing out, nor any answer in, by the rules of before: the request may have become sensitive since.

        Raises FailClosed.
        """
        if self._caller.still_allowed(self._call):
            return
        if isinstance(result, StreamStarted):
            result.flow.exchange.abort()
        self.end_attempt(failures.CANCELLED.failure())
        self._recorder.end(Outcome.REFUSED, FailureKind.LOCAL)
        raise became_sensitive(self._call)

    # -- an answer -------------------------------------------------------------------------------------------------

    async def _whole(self, result: CompleteResponse, upstream: Upstream) -> CompleteResponse | Failure:
        answer = result.answer
        self._recorder.answer(answer)
        failure = unacceptable(
            answer, upstream.route, sensitive=bool(self._call.sensitive), refusals_move=self._resolved.refusals_move
        )
        if failure is None and self._contract is not None and not self._goes_on(answer):
            failure = await self._breach(self._contract, read_choices(self._call.api, result.body), self._plan.deadline)
        self.end_attempt(failure)
        if failure is not None:
            if self._may_be_read(failure):
                self._kept = result
            return failure
        self._recorder.refusal(answer)
        self._recorder.settle()
        self._sender.answered()
        return result

    async def _opened(self, result: StreamStarted, upstream: Upstream) -> StreamStarted | Failure:
        judge = result.flow.judge
        failure = unacceptable(
            judge, upstream.route, sensitive=bool(self._call.sensitive), refusals_move=self._resolved.refusals_move
        )
        if failure is None and result.ended:
            try:
                failure = await self.breach(judge, self._plan.deadline)
            except BaseException:
                result.flow.exchange.abort()
                raise
        if failure is not None:
            self._recorder.answer(judge)
            self.end_attempt(failure)
            if self._may_be_read(failure):
                self._kept = result  # stays open: it goes to the app if nobody else is asked
            else:
                result.flow.exchange.abort()
            return failure
        self._admission.committed()
        self._recorder.settle()
        self._sender.answered()
        return result

    def _goes_on(self, answer: Answer) -> bool:
        """Whether a response is still being made in the background: there is nothing to check yet."""
        background = self._resolved.body.fields.get("background")
        return background == _TRUE and answer.finish_reasons == (None,)

    async def breach(self, judge: StreamValidator, until: float = math.inf) -> Failure | None:
        """The failure of a whole stream that breaks the contract; it is known by ``until`` on the loop's clock."""
        if self._contract is None or judge.gathered is None:
            return None
        return await self._breach(self._contract, judge.gathered.said(), until)

    async def _breach(self, contract: Contract, said: Sequence[Choice] | None, until: float) -> Failure | None:
        seconds = min(LONGEST, (until - self._loop.time()) * 0.8)  # and then it is the check that is told, not the time
        breach = await breach_of(contract, said, self._runtime.checks, seconds)
        if breach is None:
            return None
        self._sender.may_mend(breach.repair)
        return breach.failure

    def _may_be_read(self, failure: Failure) -> bool:
        json_asked = self._contract is not None and self._contract.asked
        return may_be_read(failure, self._call.attempts[:-1], json_asked=json_asked)

    # -- the reply -------------------------------------------------------------------------------------------------

    def _reply(self, result: CompleteResponse | StreamStarted) -> RoutedResponse:
        """What the app gets. A whole answer ends the call, a stream does so itself."""
        if self._call.api is Api.RESPONSES:
            self._remember((result.flow.judge if isinstance(result, StreamStarted) else result.answer).response_id)
        elif self._call.api is Api.CHAT and self._resolved.body.fields.get("store") == _TRUE:
            self._remember(result.flow.judge.response_id if isinstance(result, StreamStarted) else id_of(result.body))
        headers = reply_headers(self._call, result.headers)
        relay = self._relay(result) if isinstance(result, StreamStarted) else None
        if headers.limits:
            self._admission.limits(headers.limits)
        self._caller.answered(headers.reply_id, self._call)
        if isinstance(result, StreamStarted):
            return RoutedResponse(result.status, headers.all, b"", relay)
        self._recorder.end(self._resolved.ends_as, None)
        return RoutedResponse(result.status, headers.all, result.body)

    def _relay(self, result: StreamStarted) -> CommittedStream:
        self._begun = True
        end = StreamEnd(self, self._resolved, self._request, self._caller, result)
        relay = CommittedStream(
            result.flow,
            result.held,
            ended=result.ended,
            limits=self.stream_limits(),
            max_at=self._loop.time() + self._resolved.task.stream.max,
            watcher=end,
        )
        if not result.ended:
            end.hang_up = relay.hang_up
            self._caller.begun(relay.hang_up)
        return relay

    def stream_limits(self) -> StreamLimits:
        """How long the stream of the route that answers may be silent."""
        resolved = self._resolved
        restarts = resolved.on_break.restarts and self._plan.may_move
        return StreamLimits.of(
            self._runtime.upstreams[self._call.route or ""].route, resolved.task.stream, restarts=restarts
        )

    def _remember(self, response_id: str | None) -> None:
        """Note whose memory the next call rests on; of a stream from its commit on, when the app knows the id."""
        call = self._call
        if call.route is not None:
            made = ResponseOrigin(call.route, call.task, call.sensitive)
            self._runtime.memory.remember(self._resolved.body, response_id, made)

    # -- moving on -------------------------------------------------------------------------------------------------

    def _after(self, failure: Failure) -> Move:
        lesson = self._sender.learn(failure)
        move = self._plan.failed(
            failure,
            self._loop.time(),
            random.random(),
            droppable=lesson.droppable,
            repairable=lesson.repairable,
            transformed=lesson.transformed,
        )
        if self._plan.charged and isinstance(move, Send | Wait):
            self._runtime.health.spend(move.route)
        return move

    async def _stopped(self, stop: Stop) -> CompleteResponse | StreamStarted:
        if stop.failure.kind in READ_BY_THE_APP and self._kept is not None:
            self._recorder.settle()
            return self._kept
        self.close_scope()
        if (
            self._resolved.review is not None
            and is_escalated(stop.failure.kind, stop.failure.trouble)
            and not self._begun
        ):
            error = await escalate(self._runtime, self._resolved, self._request, self._caller, stop)
            self._recorder.end(outcome_of(error), stop.failure.kind)
            raise error
        outcome = Outcome.REFUSED if self._call.sensitive else Outcome.FAILED
        self._recorder.end(outcome, stop.failure.kind)
        raise (broken_stream if self._begun else error_for)(self._call, stop, path=self._request.path) from None

    def close_scope(self) -> None:
        """Let no layer above have the question of a sensitive call answered by another task, however it is put."""
        if self._call.sensitive:
            self._caller.close_under(frozenset(self._call.sensitive))
