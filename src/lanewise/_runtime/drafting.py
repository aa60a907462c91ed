"""Drafts for a person's case: a call of its own, by the ``review_routes`` alone; its answer goes into the case only."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._openai.choices import Choice, read_choices
from lanewise._openai.request_body import RequestBody
from lanewise._reviews import ReviewsUnavailable
from lanewise._routing import idempotency as keys
from lanewise._routing import restarts
from lanewise._routing.candidates import candidates
from lanewise._routing.ordering import as_declared
from lanewise._runtime.call.cancellation import CallCancellation
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.call.runner import CallRunner
from lanewise._runtime.loop_context import LoopContext
from lanewise._runtime.messages import CallContext, RoutedRequest
from lanewise._runtime.router_runtime import RouterRuntime
from lanewise.config import Lane, LaneEntry, Task
from lanewise.config.deadline_budget import deadline_alone
from lanewise.errors import RoutingError
from lanewise.types import DRAFT_OF, NEVER_MOVE, Api, Call, FailureKind, LaneName, Outcome

__all__ = ["start_draft"]

_ANYTHING: Final = frozenset(FailureKind) - NEVER_MOVE
_STREAMING: Final = ("stream", "stream_options")
_log: Final = logging.getLogger("lanewise")
_running: set[asyncio.Task[None]] = set()
"""Kept here: a loop only has weak references to its tasks."""


def start_draft(
    runtime: RouterRuntime,
    loop_context: LoopContext,
    resolved: ResolvedCall,
    request: RoutedRequest,
    caller: CallContext,
    review_id: str,
) -> None:
    """Have a draft written in the background, if the call's categories name routes for that.

    In a context of its own: the request that the case came from is over, and its hang-up is not the draft's.
    """
    rule = resolved.review
    if rule is None or not rule.drafts_by or resolved.bound or resolved.call.api is Api.EMBEDDINGS:
        return
    drafted = _as_draft(runtime, resolved, rule.drafts_by, review_id)
    nobody = _NobodyCalls(drafted.call, caller.subject, caller.client)
    draft = _Draft(runtime, loop_context, drafted, request, nobody, review_id)
    task = asyncio.get_running_loop().create_task(draft.write(), context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a draft was given up: %s", type(error).__name__)


def _as_draft(runtime: RouterRuntime, resolved: ResolvedCall, routes: tuple[str, ...], review_id: str) -> ResolvedCall:
    """The call once more, as one to the routes of drafts: whole, with no stream, and never left to a person itself."""
    call, body = resolved.call, _whole(resolved.body)
    task = _task_of_drafts(resolved.task, routes)
    selection = candidates(
        task,
        runtime.config.routes,
        api=call.api,
        arrange=as_declared,
        off=runtime.off,
        incapable=lambda route: (
            runtime.upstreams[route].recipe.incapable(body, call.api) if route in runtime.upstreams else None
        ),
        reasoning=body.asks_reasoning,
    )
    return msgspec.structs.replace(
        resolved,
        call=Call(
            id=keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10)),
            request_id=call.request_id,
            task=call.task,
            api=call.api,
            started_at=datetime.now(UTC),
            sensitive=call.sensitive,
            subject_hash=call.subject_hash,
            labels=(*call.labels, (DRAFT_OF, review_id)),
        ),
        task=task,
        body=body,
        candidates=selection,
        budget=task.deadline,
        budget_alone=deadline_alone(task),
        ordinal=1,
        hold_all=False,
        refusals_move=False,
        on_break=restarts.ERROR,
        review=None,
        ends_as=Outcome.PENDING_REVIEW,
    )


def _task_of_drafts(task: Task, routes: tuple[str, ...]) -> Task:
    entries = tuple(LaneEntry(route=route, on=_ANYTHING) for route in routes)
    lane = Lane(name=LaneName.PRIMARY, entries=entries)
    return task.model_copy(update={"primary": lane, "equivalent": None, "degraded": None, "select": "order"})


def _whole(body: RequestBody) -> RequestBody:
    fields = {name: value for name, value in body.fields.items() if name not in _STREAMING}
    return RequestBody.parse(msgspec.json.encode(fields))


class _Draft:
    """One draft, written by a call that runs in a home as any other does."""

    def __init__(
        self,
        runtime: RouterRuntime,
        loop_context: LoopContext,
        resolved: ResolvedCall,
        request: RoutedRequest,
        nobody: _NobodyCalls,
        review_id: str,
    ) -> None:
        self._nobody = nobody
        self._runtime = runtime
        self._loop_context = loop_context
        self._resolved = resolved
        self._request = msgspec.structs.replace(request, on_break=None, helper=False, timeout=None)
        self._review_id = review_id

    async def write(self) -> None:
        """Make the call, and put what it says into the case. The records tell of its failure."""
        hang_up = CallCancellation()
        try:
            self._loop_context.enter(hang_up)
            text, route = await self._drafted()
            if text and self._runtime.reviews is not None:
                queue = self._runtime.reviews
                await asyncio.wrap_future(queue.submit(lambda: queue.add_draft(self._review_id, text, route)))
        except RoutingError:
            pass  # the case waits without a draft
        except ReviewsUnavailable as error:
            _log.error("a draft was lost: %s", error, extra={"review_id": self._review_id})
        except asyncio.CancelledError:
            if hang_up.taken_back(self._resolved.call) is None:  # else the router closes: the case has no draft
                raise
        finally:
            hang_up.disarm()
            self._loop_context.leave(hang_up)

    async def _drafted(self) -> tuple[str, str]:
        runner = CallRunner(self._runtime, self._resolved, self._request, self._nobody)
        reply = await runner.run(self._loop_context)
        call = self._resolved.call
        return _text(read_choices(call.api, reply.body) or ()), call.route or ""


def _text(said: Iterable[Choice]) -> str:
    """What a person would read of an answer: its text, and the functions that it would call."""
    for choice in said:
        calls = "\n".join(f"{called.name}({called.arguments or ''})" for called in choice.calls)
        if choice.text or calls:
            return "\n".join(filter(None, (choice.text, calls)))
    return ""


class _NobodyCalls:
    """The caller of a draft: a case, and not the scope that it came from, which must not get to the answer.

    Its subject and client are those of the call that opened the case: the draft counts in their budgets.
    """

    def __init__(self, call: Call, subject: str | None, client: str | None) -> None:
        self.request_id = call.request_id
        self.subject = subject
        self.labels = dict(call.labels)
        self.start: LaneName | None = None
        self.forwarded: tuple[tuple[str, str], ...] = ()
        self.sensitive = frozenset(call.sensitive)
        self.refusal: str | None = None
        self.client = client
        self.named: str | None = None
        self.review: bytes | None = None

    def close_under(self, categories: frozenset[str]) -> None:
        """It is asked here only."""

    def begun(self, hang_up: Callable[[], None]) -> None:
        """No request ends a draft."""

    def ended(self, hang_up: Callable[[], None]) -> None:
        """As above."""

    def add_call(self, call: Call) -> None:
        """No scope has it among its calls."""

    def still_allowed(self, call: Call) -> bool:
        """It is as sensitive as it can become."""
        return True

    def answered(self, reply_id: str, call: Call) -> None:
        """No app has the reply."""

    def ordinal(self, digest: bytes) -> int:
        """The only one of its case."""
        return 1
