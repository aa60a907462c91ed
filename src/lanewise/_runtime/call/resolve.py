"""Before the first move: the body is read, the task found, sensitivity settled, and the candidates listed."""

from __future__ import annotations

import asyncio
import difflib
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import msgspec

from lanewise._contracts.contract import Contract
from lanewise._contracts.request_contract import SHAPING, BadFormat, contract_of, with_declared_format
from lanewise._openai.tokens import count_body
from lanewise._routing import idempotency as keys
from lanewise._routing import restarts
from lanewise._routing.escalation import ReviewRule, review_rule
from lanewise._routing.plan import Plan
from lanewise._routing.restarts import OnBreak
from lanewise._routing.selection.candidates import Candidate
from lanewise._routing.selection.conversations import Conversation
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.record_fields import CallFields
from lanewise._runtime.candidate_selector import NeedsTokenCount
from lanewise._runtime.messages import API_OF_PATH, RoutedRequest
from lanewise._transform.emulation import asked_choices
from lanewise._transform.request_transform import BadBody, RequestBody
from lanewise.config import Task
from lanewise.config.deadline_budget import deadline_alone
from lanewise.config.tables.sensitive import approved_routes
from lanewise.errors import ErrorDetails, FailClosed, InvalidCall, NotRouted, RoutingError, UnknownTask
from lanewise.types import Api, Call, Failure, FailureKind, Outcome

__all__ = ["ResolvedCall", "plan_of", "resolve", "with_count"]

COUNT_WAIT: Final = 0.25
"""Seconds for which a count of tokens is waited for: about a megabyte of text. After that the estimate counts."""
_MODEL: Final = "models/"
_ON_BREAK: Final = ("error", "restart")
_SHOWN: Final = 20
"""How many tasks an error lists."""


class ResolvedCall(msgspec.Struct, frozen=True):
    """A call that can be driven. ``budget`` is its whole deadline in seconds, ``budget_alone`` where no other route
    could be used."""

    context: CallContext
    call: Call
    task: Task
    body: RequestBody
    candidates: tuple[Candidate, ...]
    budget: float
    budget_alone: float
    ordinal: int
    hold_all: bool
    choices: int
    bound: bool
    no_candidate: Failure
    needs_count: NeedsTokenCount | None
    refusals_move: bool
    on_break: OnBreak = restarts.ERROR
    added_format: bool = False
    """The body's format is the task's, not the app's."""
    contract: Contract | None = None
    """What an answer must keep to count."""
    conversation: Conversation | None = None
    """What its conversation is known by, where its calls are kept on one route."""
    review: ReviewRule | None = None
    """How the call is left to a person if nobody answers it. Then ``candidates`` may be empty."""
    ends_as: Outcome = Outcome.ANSWERED
    """What becomes of a call with a whole answer: a draft waits for a person."""

    def __repr__(self) -> str:
        return f"ResolvedCall({self.call.id})"


def resolve(context: CallContext) -> ResolvedCall:
    """Read the request and list the routes that may answer it, or refuse it before anything is sent.

    Raises RoutingError: UnknownTask, NotRouted, InvalidCall; FailClosed instead of any, in a sensitive scope.
    """
    runtime, request, caller = context.runtime, context.request, context.caller
    api = API_OF_PATH.get(request.path)
    if request.method == "GET" and request.path.startswith(_MODEL):
        raise _no_such_task(context, unquote(request.path.removeprefix(_MODEL)))
    if api is None or request.method != "POST":
        raise _refusal(context, NotRouted, _not_routed(request), status=404, code="not_routed")
    try:
        body = RequestBody.parse(request.body) if request.parsed is None else request.parsed
    except BadBody as error:
        raise _refusal(context, InvalidCall, f"nothing was sent: {error}", code="invalid_body") from None
    task = runtime.config.tasks.get(body.model or "")
    if task is None:
        raise _no_such_task(context, body.model)
    if request.on_break is not None and request.on_break not in _ON_BREAK:
        message = "nothing was sent: the header x-lanewise-on-break is neither 'restart' nor 'error'"
        raise _refusal(context, InvalidCall, message, code="invalid_header")
    if caller.start is not None and caller.start not in [lane.name for lane in task.lanes]:
        lanes = ", ".join(lane.name.value for lane in task.lanes)
        message = (
            f"nothing was sent: the scope starts in the {caller.start} lane, and task {task.name!r} has none: it has "
            f"{lanes}"
        )
        raise _refusal(context, InvalidCall, message, code="no_such_lane")
    declared = runtime.contracts.get(task.name)
    try:
        is_shaped = declared is not None or not SHAPING.isdisjoint(body.fields)
        contract = contract_of(body, api, declared, runtime.formats) if is_shaped else None
    except BadFormat as error:
        message = f"nothing was sent: {error.param}: {error.problem}"
        raise _refusal(context, InvalidCall, message, code="invalid_schema", param=error.param) from None
    written = body
    if declared is not None:
        body = with_declared_format(body, api, declared)
    resolved = _resolved(context, api, body, task, contract)
    return resolved if body is written else msgspec.structs.replace(resolved, added_format=True)


def _resolved(context: CallContext, api: Api, body: RequestBody, task: Task, contract: Contract | None) -> ResolvedCall:
    runtime, request, caller = context.runtime, context.request, context.caller
    categories = caller.sensitive if task.sensitive is None else caller.sensitive | {task.sensitive}
    call = Call(
        id=keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10)),
        request_id=caller.request_id,
        task=task.name,
        api=api,
        started_at=datetime.now(UTC),
        stream=body.stream,
        sensitive=tuple(sorted(categories)),
        subject_hash=None if runtime.secret is None else keys.subject_hash(caller.subject, runtime.secret),
        labels=tuple(caller.labels.items()) if caller.labels else (),
    )
    try:
        if api is Api.RESPONSES:
            _check_marks(context, call, body)
        approved = _approved(context, call)
        selection = runtime.selectors[task.name].list(body, api, caller, approved)
        if selection.start is not None:
            CallFields.notes(call, ((0.0, f"starts in {selection.start}"),))
        review = review_rule([runtime.config.sensitive[name] for name in call.sensitive]) if categories else None
        if categories and not selection.candidates and review is None:
            raise FailClosed(
                f"task {task.name!r} is sensitive ({', '.join(call.sensitive)}) and none of its routes is approved for "
                "that. Nothing was sent.",
                call,
            )
    except FailClosed:
        caller.close_under(categories)
        context.end_unsent(call, Outcome.REFUSED)
        raise
    finally:
        caller.add_call(call)
    refusals_move = False
    for candidate in selection.candidates[1:]:
        refusals_move = refusals_move or FailureKind.CONTENT_POLICY in candidate.on
    return ResolvedCall(
        context=context,
        call=call,
        task=task,
        body=body,
        candidates=selection.candidates,
        budget=task.deadline if request.timeout is None else min(task.deadline, request.timeout),
        budget_alone=deadline_alone(task) if request.timeout is None else min(deadline_alone(task), request.timeout),
        ordinal=caller.ordinal(body.digest),
        hold_all=task.stream.hold == "all",
        choices=asked_choices(body.fields),
        bound=selection.bound is not None,
        no_candidate=selection.no_candidate,
        needs_count=selection.needs_count,
        refusals_move=refusals_move,
        on_break=restarts.ERROR if request.on_break is None else _on_break(request, call, body, task),
        contract=contract,
        conversation=selection.conversation,
        review=review,
    )


def _on_break(request: RoutedRequest, call: Call, body: RequestBody, task: Task) -> OnBreak:
    """What becomes of the stream of a call that has a wish for it."""
    if request.on_break != "restart" or not call.stream:
        return restarts.ERROR
    allowed = task.stream.on_break == "restart"
    return restarts.on_break(call.api, body, allowed=allowed, sensitive=bool(call.sensitive), helper=request.helper)


def _check_marks(context: CallContext, call: Call, body: RequestBody) -> None:
    """What goes on from a sensitive answer is as sensitive. Raises FailClosed."""
    made = context.runtime.affinity.made_for(body)
    if made is not None and (missing := sorted(set(made.marks) - set(call.sensitive))):
        raise FailClosed(
            f"nothing was sent: the call goes on from an answer that is sensitive ({', '.join(missing)}), and is not "
            "marked so itself.",
            call,
        )


def _approved(context: CallContext, call: Call) -> frozenset[str] | None:
    """The routes that every category approves; ``None`` for a call under none. What can't be resolved fails closed."""
    refusal = context.caller.refusal
    if refusal is not None:
        raise FailClosed(f"nothing was sent: {refusal}.", call)
    categories = []
    for name in call.sensitive:
        category = context.runtime.config.sensitive.get(name)
        if category is None:
            raise FailClosed(f"the sensitive category {name!r} is not in the config; nothing was sent", call)
        categories.append(category)
    return approved_routes(categories) if categories else None


def _refusal(
    context: CallContext,
    kind: type[RoutingError],
    message: str,
    *,
    code: str,
    status: int = 400,
    param: str | None = None,
) -> RoutingError:
    details = ErrorDetails(path=context.request.path, status=status, code=code, param=param)
    return FailClosed(message, None, details) if context.caller.sensitive else kind(message, None, details)


def _no_such_task(context: CallContext, model: str | None) -> RoutingError:
    message = _unknown_task(list(context.runtime.config.tasks), model)
    return _refusal(context, UnknownTask, message, status=404, code="unknown_task", param="model")


def _not_routed(request: RoutedRequest) -> str:
    routed = ", ".join(f"POST /{path}" for path in API_OF_PATH)
    return (
        f"{request.method} /{request.path} is not routed by lanewise: it routes {routed}, what is asked of answers "
        "that were stored so, and answers GET /models with the tasks. Use a client of the provider's own for the rest."
    )


def _unknown_task(tasks: list[str], model: str | None) -> str:
    listed = ", ".join(tasks[:_SHOWN]) + (f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else "")
    if model is None:
        return f"the call names no task: give model=... one of {listed}"
    near = difflib.get_close_matches(model, tasks, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown task {model[:100]!r}: the model argument names a task of the config.{hint} The tasks are {listed}"


async def with_count(resolved: ResolvedCall, needs_count: NeedsTokenCount) -> ResolvedCall:
    """The call with its candidates by the count of its question; as it is if there is no exact one, or not in time."""
    work = asyncio.get_running_loop().run_in_executor(
        None, _counts, resolved.body.raw, resolved.call.api, needs_count.models
    )
    done, _ = await asyncio.wait((work,), timeout=COUNT_WAIT)
    counts = work.result() if done else {}
    if not counts:
        return resolved
    return msgspec.structs.replace(resolved, candidates=needs_count.fitting(counts))


def _counts(raw: bytes, api: Api, models: Mapping[str, str]) -> dict[str, int]:
    """The tokens for each route whose model's can be counted exactly: images and tools can't."""
    try:
        body = msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}
    by_model = {model: count_body(body, api, model) for model in set(models.values())}
    return {route: by_model[model].tokens for route, model in models.items() if by_model[model].exact}


def plan_of(resolved: ResolvedCall, started: float) -> Plan:
    """The plan of a call that began at ``started`` by the loop's clock."""
    call, task, context = resolved.call, resolved.task, resolved.context
    return Plan(
        resolved.candidates,
        deadline=started + resolved.budget,
        budget=resolved.budget,
        alone=resolved.budget_alone,
        patience=task.patience,
        retries=task.retries,
        max_attempts=task.max_attempts,
        sensitive=bool(call.sensitive),
        health=context.runtime.health.of[call.api],
        no_candidate=resolved.no_candidate,
    )
