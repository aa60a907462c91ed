"""A call's second attempt, beside a first one that has not begun to answer: who answers first is the call's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from lanewise._failures import failure_table as failures
from lanewise._openai.request_body import RequestBody
from lanewise._routing.hedge import hedge_failed, hedge_won
from lanewise._routing.plan import Plan
from lanewise._runtime.call.attempt import CompleteResponse, StreamStarted
from lanewise._runtime.unforeseen import as_failure
from lanewise.types import Api, Failure

__all__ = ["SecondAttempt", "close", "may_be_asked_twice"]

Result = CompleteResponse | StreamStarted | Failure

_TOOLS: Final = frozenset({"tools", "functions", "tool_choice", "function_call", "web_search_options", "background"})
"""With these an attempt may do something, and not only answer."""


def may_be_asked_twice(body: RequestBody, api: Api) -> bool:
    """Whether it does no harm if two providers answer a request: not with tools, nor where they keep what they say.

    Example::

        assert may_be_asked_twice(RequestBody.parse(b'{"messages": []}'), Api.CHAT)
    """
    fields = body.fields
    keeps = b"true" if api is Api.RESPONSES else b"false"
    return bytes(fields.get("store", keeps)) != b"true" and _TOOLS.isdisjoint(fields)


class SecondAttempt:
    """``position`` is its candidate's in the plan; ``end`` writes how it ended, ``adopt`` makes it the call's own."""

    def __init__(
        self,
        plan: Plan,
        position: int,
        task: asyncio.Task[Result],
        end: Callable[[Failure], None],
        adopt: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._position = position
        self._task = task
        self._end = end
        self.adopt = adopt

    async def race(self, first: asyncio.Task[Result]) -> tuple[Result, bool]:
        """What came first that is an answer, else how the first attempt failed; and whether it is the second's."""
        second = self._task
        waiting: set[asyncio.Task[Result]] = {first, second}
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
                self._end(result)
                now = asyncio.get_running_loop().time()
                hedge_failed(self._plan, self._position, result, now, random.random())
        return first.result(), False

    async def lose(self) -> None:
        """Close it: it is not needed, whatever it would say. Does nothing if it has ended."""
        await close(self._task)
        self._end(failures.HEDGED.failure())


async def close(task: asyncio.Task[Result]) -> None:
    """End an attempt that nobody waits for any more, with its exchange."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and task.exception() is None and isinstance(started := task.result(), StreamStarted):
        started.flow.exchange.abort()


def _result_of(task: asyncio.Task[Result]) -> Result:
    error = task.exception()
    if isinstance(error, Exception):
        return as_failure(error)
    return task.result()
