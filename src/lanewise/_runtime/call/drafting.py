"""Drafts for a person's case: a call of its own, by the ``review_routes`` alone; its answer goes into the case only."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._openai.choices import read_choices
from lanewise._openai.request_body import RequestBody
from lanewise._routing import idempotency as keys
from lanewise._routing import restarts
from lanewise._routing.selection.candidates import candidates
from lanewise._routing.selection.ordering import as_declared
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.messages import Caller
from lanewise.config import Lane, LaneEntry, Task
from lanewise.config.deadline_budget import deadline_alone
from lanewise.types import DRAFT_OF, NEVER_MOVE, Api, Call, FailureKind, LaneName, Outcome

__all__ = ["draft_text", "drafting_call", "write_in_background"]

_ANYTHING: Final = frozenset(FailureKind) - NEVER_MOVE
_STREAMING: Final = ("stream", "stream_options")
_log: Final = logging.getLogger("lanewise")
_running: set[asyncio.Task[None]] = set()
"""Kept here: a loop only has weak references to its tasks."""


def write_in_background(draft: Coroutine[object, object, None]) -> None:
    """Have a draft written in a context of its own: the request that the case came from is over, and its hang-up is
    not the draft's."""
    task = asyncio.get_running_loop().create_task(draft, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a draft was given up: %s", type(error).__name__)


def drafting_call(resolved: ResolvedCall, review_id: str) -> ResolvedCall | None:
    """The call once more, as one to the routes of drafts: whole, with no stream, and never left to a person itself.

    ``None`` if the call's categories name no routes for that.
    """
    rule = resolved.review
    if rule is None or not rule.drafts_by or resolved.bound or resolved.call.api is Api.EMBEDDINGS:
        return None
    call, body, runtime = resolved.call, _whole(resolved.body), resolved.context.runtime
    task = _task_of_drafts(resolved.task, rule.drafts_by)
    selection = candidates(
        task,
        runtime.config.routes,
        api=call.api,
        arrange=as_declared,
        off=runtime.off,
        incapable=lambda route: (
            runtime.upstreams[route].transform.incapable(body, call.api) if route in runtime.upstreams else None
        ),
        reasoning=body.asks_reasoning,
    )
    draft = Call(
        id=keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10)),
        request_id=call.request_id,
        task=call.task,
        api=call.api,
        started_at=datetime.now(UTC),
        sensitive=call.sensitive,
        subject_hash=call.subject_hash,
        labels=(*call.labels, (DRAFT_OF, review_id)),
    )
    caller = resolved.context.caller
    request = msgspec.structs.replace(resolved.context.request, on_break=None, helper=False, timeout=None)
    return msgspec.structs.replace(
        resolved,
        context=CallContext(runtime, resolved.context.loop, request, _NobodyCalls(draft, caller)),
        call=draft,
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


def draft_text(api: Api, body: bytes) -> str:
    """What a person would read of an answer: its text, and the functions that it would call."""
    for choice in read_choices(api, body) or ():
        calls = "\n".join(f"{called.name}({called.arguments or ''})" for called in choice.calls)
        if choice.text or calls:
            return "\n".join(filter(None, (choice.text, calls)))
    return ""


class _NobodyCalls:
    """The caller of a draft: a case, and not the scope that it came from, which must not get to the answer.

    Its subject and client are those of the call that opened the case: the draft counts in their budgets.
    """

    def __init__(self, call: Call, caller: Caller) -> None:
        self.request_id = call.request_id
        self.subject = caller.subject
        self.labels = dict(call.labels)
        self.start: LaneName | None = None
        self.forwarded: tuple[tuple[str, str], ...] = ()
        self.sensitive = frozenset(call.sensitive)
        self.refusal: str | None = None
        self.client = caller.client
        self.named: str | None = None
        self.review: bytes | None = None

    def close_under(self, categories: frozenset[str]) -> None:
        """It is asked here only."""

    def add_running(self, hang_up: Callable[[], None]) -> None:
        """No request ends a draft."""

    def remove_running(self, hang_up: Callable[[], None]) -> None:
        """No request ends a draft."""

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
