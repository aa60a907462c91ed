"""A call's second attempt, beside a first one that has not begun to answer: who answers first is the call's."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._health.hedge_budget import HedgeBudget
from lanewise._openai.request_body import RequestBody
from lanewise._routing.hedge import hedge, hedge_failed, hedge_unsent, hedge_won, leaves_to_hedge
from lanewise._routing.plan import Plan
from lanewise._runtime.call.attempts import attempt
from lanewise._runtime.call.attempts.attempt_runner import AttemptRunner
from lanewise._runtime.call.attempts.attempt_types import AttemptResult, BuiltAttempt, StreamStarted
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.call.unforeseen import as_failure
from lanewise.types import Api, Failure

__all__ = ["Hedging", "hedging_of"]

_TOOLS: Final = frozenset({"tools", "functions", "tool_choice", "function_call", "web_search_options", "background"})
"""With these an attempt may do something, and not only answer."""


def hedging_of(resolved: ResolvedCall, plan: Plan) -> Hedging | None:
    """How a call is hedged; ``None`` for one that may not be asked twice, or whose task asks for no hedge."""
    hedges = resolved.context.runtime.hedges
    budget = hedges.get(resolved.call.task) if hedges else None
    if budget is None or resolved.call.sensitive or resolved.bound or resolved.choices > 1:
        return None
    if not _may_be_asked_twice(resolved.body, resolved.call.api):
        return None
    budget.count()
    return Hedging(resolved, plan, budget)


def _may_be_asked_twice(body: RequestBody, api: Api) -> bool:
    """Whether it does no harm if two providers answer a request: not with tools, nor where they keep what they say."""
    fields = body.fields
    keeps = b"true" if api is Api.RESPONSES else b"false"
    return bytes(fields.get("store", keeps)) != b"true" and _TOOLS.isdisjoint(fields)


class Hedging:
    """Of one call. Only its first attempt is hedged, and once."""

    def __init__(self, resolved: ResolvedCall, plan: Plan, budget: HedgeBudget) -> None:
        self._call = resolved.call
        self._caller = resolved.context.caller
        self._plan = plan
        self._budget = budget
        self._loop = asyncio.get_running_loop()

    async def race(self, attempts: AttemptRunner, built: BuiltAttempt) -> AttemptResult:
        """What the first attempt comes to, or the second if that answers first: the call goes on from it then."""
        record, api, stream, started = built.record, self._call.api, self._call.stream, self._loop.time()
        delay = self._budget.delay(record.route, api, stream=stream)
        first = asyncio.ensure_future(attempt.run(built.request, record))
        second: _SecondAttempt | None = None
        try:
            if delay is not None:
                await asyncio.wait((first,), timeout=delay)
                may_hedge = self._budget.may_hedge(record.route, api, stream=stream)
                if may_hedge and not first.done() and not attempts.admission.is_probe:
                    second = await self._second(attempts, first)
            raced = _Raced(await first, is_second=False) if second is None else await second.race(attempts, first)
        except BaseException:
            await _close(first)
            if second is not None:
                await second.lose()
            raise
        if raced.is_second or not isinstance(raced.result, Failure):
            seconds = self._loop.time() - started
            self._budget.note(record.route, api, seconds, stream=stream, has_lost=raced.is_second)
        if second is None:
            return raced.result
        if not raced.is_second:
            attempts.recorder.put_last(record)
            return raced.result
        await _close(first)
        attempts.end(raced.failure or failures.HEDGED.failure())
        attempts.adopt(second.attempts)
        return raced.result

    async def _second(self, attempts: AttemptRunner, first: asyncio.Task[AttemptResult]) -> _SecondAttempt | None:
        """A second attempt that has gone out; ``None`` if there is no route for it, or the first has just ended."""
        found = hedge(self._plan, self._loop.time()) if self._caller.still_allowed(self._call) else None
        if found is None:
            return None
        position, send = found
        self._budget.take()
        beside = attempts.beside()
        built = None
        try:
            if await beside.admission.enter_beside(send, beside.recorder) and not first.done():
                made = beside.builder.make(send, self._plan.deadline)
                built = None if made.more else made
        except Exception as error:  # noqa: BLE001 - what keeps a hedge from going out is nothing to its call
            as_failure(error)
        finally:
            if built is None:
                beside.admission.leave(failures.HEDGED.failure())
                hedge_unsent(self._plan, position)
                self._budget.give_back()
        if built is None:
            return None
        beside.recorder.move(send)
        beside.recorder.begin_attempt(built)
        task = asyncio.ensure_future(attempt.run(built.request, built.record))
        return _SecondAttempt(beside, self._plan, position, task)


class _Raced(msgspec.Struct, frozen=True):
    """What an attempt and its hedge came to. ``failure`` is that of the first attempt, where it ended and is not the
    result."""

    result: AttemptResult
    is_second: bool
    failure: Failure | None = None


class _SecondAttempt:
    """``attempts`` is what made it, ``position`` its candidate's in the plan."""

    def __init__(self, attempts: AttemptRunner, plan: Plan, position: int, task: asyncio.Task[AttemptResult]) -> None:
        self.attempts = attempts
        self._plan = plan
        self._position = position
        self._task = task

    async def race(self, attempts: AttemptRunner, first: asyncio.Task[AttemptResult]) -> _Raced:
        """What came first and counts as an answer, else what the first attempt, made by ``attempts``, came to."""
        second = self._task
        waiting: set[asyncio.Task[AttemptResult]] = {first, second}
        failure: Failure | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if first in done:
                failure = await _failure_of(first.result(), attempts)
                if failure is None or not leaves_to_hedge(self._plan, self._position, failure):
                    await self.lose()
                    return _Raced(first.result(), is_second=False)
            if second in done:
                result = _result_of(second)
                failed = await _failure_of(result, self.attempts)
                if failed is None:
                    hedge_won(self._plan, self._position)
                    return _Raced(result, is_second=True, failure=failure)
                await _close(second)
                self.attempts.end(failed)
                now = asyncio.get_running_loop().time()
                hedge_failed(self._plan, self._position, failed, now, random.random())
        return _Raced(first.result(), is_second=False)

    async def lose(self) -> None:
        """Close it: it is not needed, whatever it would say. Does nothing if it has ended."""
        await _close(self._task)
        self.attempts.end(failures.HEDGED.failure())


async def _close(task: asyncio.Task[AttemptResult]) -> None:
    """End an attempt that nobody waits for any more, with its exchange."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and task.exception() is None and isinstance(started := task.result(), StreamStarted):
        started.flow.exchange.abort()


async def _failure_of(result: AttemptResult, attempts: AttemptRunner) -> Failure | None:
    """How an attempt failed, or why its answer does not count."""
    return result if isinstance(result, Failure) else await attempts.failure_of(result)


def _result_of(task: asyncio.Task[AttemptResult]) -> AttemptResult:
    error = task.exception()
    if isinstance(error, Exception):
        return as_failure(error)
    return task.result()
