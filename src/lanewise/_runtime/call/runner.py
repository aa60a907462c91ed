"""``CallRunner``: drives one request of the app to its reply, or to the error that says why there is none."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from lanewise._failures import failure_table as failures
from lanewise._reviews import ReviewsUnavailable
from lanewise._routing.acceptance import READ_BY_THE_APP
from lanewise._routing.escalation import is_escalated
from lanewise._routing.plan import Plan
from lanewise._routing.restarts import announcement
from lanewise._runtime.call.attempts.attempt import run
from lanewise._runtime.call.attempts.attempt_runner import TRUE, AttemptRunner
from lanewise._runtime.call.attempts.attempt_types import AttemptResult, CompleteResponse, StreamStarted
from lanewise._runtime.call.attempts.hedging import hedging_of
from lanewise._runtime.call.cancellation import RunningCall, caller_gone
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.drafting import draft_text, drafting_call, write_in_background
from lanewise._runtime.call.escalation import escalate, leave_unsent, outcome_of
from lanewise._runtime.call.final_errors import broken_stream, error_for
from lanewise._runtime.call.other_requests import StoredRequest, answer_locally, answer_stored, call_of, stored_request
from lanewise._runtime.call.recorder import CallRecorder
from lanewise._runtime.call.replaying import ReplayClaim
from lanewise._runtime.call.reply_headers import reply_headers
from lanewise._runtime.call.resolve import ResolvedCall, plan_of, resolve, with_count
from lanewise._runtime.call.streams.committed_stream import CommittedStream
from lanewise._runtime.call.streams.recording_stream import RecordingStream
from lanewise._runtime.call.streams.stream_outcome import StreamOutcome
from lanewise._runtime.call.unforeseen import as_failure, as_routing_error
from lanewise._runtime.messages import API_OF_PATH, RoutedResponse
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise.errors import ReviewPending, RoutingError
from lanewise.types import Api, Failure, FailureKind, Move, Outcome, Send, Stop, Wait

__all__ = ["CallRunner"]

_log: Final = logging.getLogger("lanewise")


class CallRunner:
    """Drives one request, in the running loop: one that becomes a call, or asks for what is here or stored already."""

    _resolved: ResolvedCall
    _plan: Plan
    _attempts: AttemptRunner

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._loop = context.loop.loop
        self._committed = False

    async def run(self) -> RoutedResponse:
        """The reply. Raises RoutingError; CancelledError when the app's own task is cancelled."""
        context, request = self._context, self._context.request
        stored = None
        if request.method != "POST" or request.path not in API_OF_PATH:  # a list of stored chats is asked of their path
            reply = answer_locally(context.runtime.config, request)
            if reply is not None:
                return reply
            stored = stored_request(request)
        with RunningCall(context) as running:
            try:
                if stored is not None:
                    return await self._ask_stored(stored, running)
                return await self._run_call(running)
            except RoutingError as error:
                if error.call is None and (stored is not None or running.call is None):  # it has no record
                    context.runtime.recording.log.not_a_call(context.caller.request_id, type(error).__name__)
                raise
            except Exception as unforeseen:  # noqa: BLE001 - no foreign error leaves
                raise as_routing_error(unforeseen, None) from None

    async def _ask_stored(self, stored: StoredRequest, running: RunningCall) -> RoutedResponse:
        running.call = call_of(stored, self._context.caller)
        return await answer_stored(self._context, stored, running.call)

    async def _run_call(self, running: RunningCall) -> RoutedResponse:
        context = self._context
        affinity, body = context.runtime.affinity, context.request.body
        if affinity.is_shared and (b"previous_response_id" in body or b"conversation" in body):
            await affinity.look_up(body)
        resolved = resolve(context)
        running.call = resolved.call
        try:
            if not resolved.candidates:
                raise await leave_unsent(resolved)
            if resolved.needs_count is not None:
                resolved = await with_count(resolved, resolved.needs_count)
            reply = await self._answer(resolved)
        except ReviewPending as pending:
            self._start_draft(resolved, pending.review_id or "")
            raise
        if reply.stream is not None and running.caller_left:
            await reply.stream.aclose()
            raise caller_gone(resolved.call)
        if isinstance(reply.stream, CommittedStream | RecordingStream):
            context.loop.keep(reply.stream)
        return reply

    async def _answer(self, resolved: ResolvedCall) -> RoutedResponse:
        """The reply to a call that has candidates: its own, or that of the same call made before."""
        runtime, call = self._context.runtime, resolved.call
        recorder = CallRecorder(resolved)
        plan = plan_of(resolved, recorder.started)
        self._resolved = resolved
        self._plan = plan
        self._attempts = AttemptRunner(resolved, plan, recorder)
        self._hedging = hedging_of(resolved, plan) if runtime.hedges else None
        if runtime.replay is None or call.sensitive or not self._context.may_be_replayed:
            return self._reply(await self._carry_out(plan.begin(self._loop.time(), random.random())))
        return await self._replayed(ReplayClaim(runtime.replay, resolved, recorder))

    async def _replayed(self, claim: ReplayClaim) -> RoutedResponse:
        """The reply to a call that may have been made before: the answer of then, or its own, which is kept."""
        try:
            stored = await claim.stored_answer()
            if stored is not None:
                self._attempts.check_sensitivity()
                return claim.replay(stored)
            reply = self._reply(await self._carry_out(self._plan.begin(self._loop.time(), random.random())))
        except BaseException:
            # does nothing if the plan has ended the call
            self._attempts.recorder.end(Outcome.CANCELLED, FailureKind.CANCELLED)
            claim.release()
            raise
        return claim.keep(reply)

    # -- drafts ----------------------------------------------------------------------------------------------------

    def _start_draft(self, resolved: ResolvedCall, review_id: str) -> None:
        """Have a draft written for a person's case, if the call's categories name routes for that."""
        draft = drafting_call(resolved, review_id)
        if draft is not None:
            write_in_background(CallRunner(draft.context).write_draft(draft, review_id))

    async def write_draft(self, draft: ResolvedCall, review_id: str) -> None:
        """Make the call, and put what it says into the case. The records tell of its failure."""
        try:
            with RunningCall(self._context) as running:
                running.call = draft.call
                reply = await self._answer(draft)
                text = draft_text(draft.call.api, reply.body)
                queue = self._context.runtime.reviews
                if text and queue is not None:
                    route = draft.call.route or ""
                    await asyncio.wrap_future(queue.submit(lambda: queue.add_draft(review_id, text, route)))
        except RoutingError:
            pass  # the case waits without a draft
        except ReviewsUnavailable as error:
            _log.error("a draft was lost: %s", error, extra={"review_id": review_id})

    # -- by the plan -----------------------------------------------------------------------------------------------

    async def _start_over(self, failure: Failure, max_at: float) -> StreamStarted:
        """The answer anew, of another route, after the app had got a part of one, beginning with the chunk that tells
        of it. It has the call's whole deadline again, but not longer than ``max_at``. Raises RoutingError."""
        now = self._loop.time()
        budget = min(self._resolved.budget, max_at - now)
        move = self._plan.broke(
            failure,
            now,
            random.random(),
            deadline=now + budget,
            budget=budget,
            alone=min(self._resolved.budget_alone, max_at - now),
            transformed=self._attempts.builder.learn(failure).transformed,
        )
        result = await self._carry_out(move)
        assert isinstance(result, StreamStarted), "a stream was asked for"
        attempt = self._attempts.recorder.attempt
        assert attempt is not None, "it was answered"
        return result.after(announcement(attempt, result.flow.validator, failure.kind, int(time.time())))

    async def _carry_out(self, move: Move) -> CompleteResponse | StreamStarted:
        """What the plan comes to from this move on."""
        attempts = self._attempts
        try:
            while True:
                if isinstance(move, Send):
                    admitted = await attempts.admission.enter(move, self._plan, attempts.recorder)
                    if admitted is not move:
                        move = admitted
                        continue
                attempts.recorder.move(move)
                if isinstance(move, Send):
                    result = await self._attempt(move)
                    if not isinstance(result, Failure):
                        return result
                    move = self._after(result)
                elif isinstance(move, Wait):
                    await asyncio.sleep(move.seconds)
                    move = self._plan.waited(self._loop.time(), random.random())
                else:
                    return await self._stopped(move)
        except RoutingError:
            attempts.end(failures.CANCELLED.failure())
            attempts.recorder.end(Outcome.FAILED, FailureKind.LOCAL)  # does nothing if the plan has ended the call
            raise
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            raise self._unforeseen(error) from None
        except BaseException:
            attempts.end(failures.CANCELLED.failure())
            attempts.recorder.end(Outcome.CANCELLED, FailureKind.CANCELLED)
            raise

    async def _attempt(self, send: Send) -> AttemptResult:
        attempts = self._attempts
        built = attempts.build(send)
        result: AttemptResult | None = None
        try:
            if built.more:
                result = await attempts.fan_out(built)
            elif self._hedging is not None and built.record.attempt_number == 1:
                result = await self._hedging.race(attempts, built)
            else:
                result = await run(built.request, built.record)
            judged = await attempts.check(result)
        except RoutingError:
            raise
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            if isinstance(result, StreamStarted):
                result.flow.exchange.abort()
            judged = as_failure(error)
            attempts.end(judged)
        latencies, latest = self._context.runtime.latencies, attempts.recorder.attempt
        if latencies is not None and latest is not None:  # for tasks that select the fastest route
            call = self._resolved.call
            latencies.note(latest, call.api, judged if isinstance(judged, Failure) else None, stream=call.stream)
        return judged

    def _after(self, failure: Failure) -> Move:
        hints = self._attempts.builder.learn(failure)
        move = self._plan.failed(
            failure,
            self._loop.time(),
            random.random(),
            droppable=hints.droppable,
            repairable=hints.repairable,
            transformed=hints.transformed,
        )
        if self._plan.charged and isinstance(move, Send | Wait):
            self._context.runtime.health.spend(move.route)
        return move

    async def _stopped(self, stop: Stop) -> CompleteResponse | StreamStarted:
        resolved, recorder = self._resolved, self._attempts.recorder
        failure = stop.failure
        if failure.kind in READ_BY_THE_APP and self._attempts.failed_answer is not None:
            recorder.settle()
            return self._attempts.failed_answer
        self._context.close_scope(resolved.call)
        if resolved.review is not None and is_escalated(failure.kind, failure.trouble) and not self._committed:
            error = await escalate(resolved, stop)
            recorder.end(outcome_of(error), failure.kind)
            raise error
        recorder.end(Outcome.REFUSED if resolved.call.sensitive else Outcome.FAILED, failure.kind)
        path = self._context.request.path
        raise (broken_stream if self._committed else error_for)(resolved.call, stop, path=path) from None

    def _unforeseen(self, error: Exception) -> RoutingError:
        self._attempts.end(failures.UNFORESEEN.failure())
        self._attempts.recorder.end(Outcome.FAILED, FailureKind.BAD_RESPONSE)
        return as_routing_error(error, self._resolved.call)

    # -- the reply -------------------------------------------------------------------------------------------------

    def _reply(self, result: CompleteResponse | StreamStarted) -> RoutedResponse:
        """What the app gets. A whole answer ends the call, a stream does so itself."""
        resolved, call = self._resolved, self._resolved.call
        try:
            if call.api is Api.RESPONSES or (call.api is Api.CHAT and resolved.body.fields.get("store") == TRUE):
                self._remember(result.response_id(call.api))
            headers = reply_headers(call, result.headers)
            stream = self._committed_stream(result) if isinstance(result, StreamStarted) else None
            if headers.limits:
                self._attempts.admission.limits(headers.limits)
            self._context.caller.answered(headers.reply_id, call)
            if isinstance(result, StreamStarted):
                return RoutedResponse(result.status, headers.all, b"", stream)
            self._attempts.recorder.end(resolved.ends_as, None)
            return RoutedResponse(result.status, headers.all, result.body)
        except Exception as error:  # noqa: BLE001 - no foreign error leaves
            if isinstance(result, StreamStarted):
                result.flow.exchange.abort()
            raise self._unforeseen(error) from None

    def _committed_stream(self, started: StreamStarted) -> CommittedStream:
        self._committed = True
        outcome = StreamOutcome(self._resolved, self._plan, self._attempts, started, self._start_over)
        return CommittedStream(started, outcome, max_at=self._loop.time() + self._resolved.task.stream.max)

    def _remember(self, response_id: str | None) -> None:
        """Note whose memory the next call rests on; of a stream from its commit on, when the app knows the id."""
        call = self._resolved.call
        if call.route is not None:
            made = ResponseOrigin(call.route, call.task, call.sensitive)
            self._context.runtime.affinity.remember(self._resolved.body, response_id, made)
