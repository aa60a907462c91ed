"""A call's second attempt, beside a first one that has not begun to answer: who answers first is the call's."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from lanewise._failures import failure_table as failures
from lanewise._health.hedge_budget import HedgeBudget
from lanewise._openai.request_body import RequestBody
from lanewise._routing.hedge import hedge, hedge_failed, hedge_unsent, hedge_won
from lanewise._routing.plan import Plan
from lanewise._runtime.call import attempt
from lanewise._runtime.call.attempt import AttemptResult, BuiltAttempt, StreamStarted
from lanewise._runtime.call.attempt_runner import AttemptRunner
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
        is_second = False
        try:
            if delay is not None:
                await asyncio.wait((first,), timeout=delay)
                if not first.done() and self._budget.may_hedge and not attempts.admission.is_probe:
                    second = await self._second(attempts)
            result, is_second = (await first, False) if second is None else await second.race(first)
        except BaseException:
            await _close(first)
            if second is not None:
                await second.lose()
            raise
        if is_second or not isinstance(result, Failure):
            self._budget.note(record.route, api, self._loop.time() - started, stream=stream)
        if second is None:
            return result
        if not is_second:
            attempts.recorder.put_last(record)
            return result
        lost = first.result() if first.done() and not first.cancelled() and first.exception() is None else None
        await _close(first)
        attempts.end(lost if isinstance(lost, Failure) else failures.HEDGED.failure())
        attempts.adopt(second.attempts)
        return result

    async def _second(self, attempts: AttemptRunner) -> _SecondAttempt | None:
        """A second attempt that has gone out; ``None`` if there is no route for it."""
        found = hedge(self._plan, self._loop.time()) if self._caller.still_allowed(self._call) else None
        if found is None:
            return None
        position, send = found
        self._budget.take()
        beside = attempts.beside()
        is_out = await beside.admission.enter_beside(send)
        built = beside.builder.make(send, self._plan.deadline) if is_out else None
        if built is None or built.more:
            beside.admission.leave(failures.HEDGED.failure())
            hedge_unsent(self._plan, position)
            self._budget.give_back()
            return None
        beside.recorder.move_beside(send)
        beside.recorder.begin_attempt(built)
        task = asyncio.ensure_future(attempt.run(built.request, built.record))
        return _SecondAttempt(beside, self._plan, position, task)


class _SecondAttempt:
    """``attempts`` is what made it, ``position`` its candidate's in the plan."""

    def __init__(self, attempts: AttemptRunner, plan: Plan, position: int, task: asyncio.Task[AttemptResult]) -> None:
        self.attempts = attempts
        self._plan = plan
        self._position = position
        self._task = task

    async def race(self, first: asyncio.Task[AttemptResult]) -> tuple[AttemptResult, bool]:
        """What came first that is an answer, else how the first attempt failed; and whether it is the second's."""
        second = self._task
        waiting: set[asyncio.Task[AttemptResult]] = {first, second}
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if first in done and not isinstance(first.result(), Failure):
                await self.lose()
                return first.result(), False
            if second in done:
                result = _result_of(second)
                if not isinstance(result, Failure):
                    hedge_won(self._plan, self._position)
                    return result, True
                self.attempts.end(result)
                now = asyncio.get_running_loop().time()
                hedge_failed(self._plan, self._position, result, now, random.random())
        return first.result(), False

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


def _result_of(task: asyncio.Task[AttemptResult]) -> AttemptResult:
    error = task.exception()
    if isinstance(error, Exception):
        return as_failure(error)
    return task.result()
