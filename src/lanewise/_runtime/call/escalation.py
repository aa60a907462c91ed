"""What becomes of a sensitive call that nobody answered: its case is opened, or it fails closed."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from lanewise._reviews import NewCase, Review, ReviewsUnavailable
from lanewise._routing.escalation import reason_unanswered
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise.errors import ErrorDetails, FailClosed, ReviewPending
from lanewise.types import Outcome, Stop

__all__ = ["escalate", "leave_unsent", "outcome_of"]

OPEN_WAIT: Final = 5.0
"""Seconds that a call waits for its case to be written. After them it fails closed, and there is no case."""

_log: Final = logging.getLogger("lanewise")


async def escalate(resolved: ResolvedCall, stop: Stop | None) -> ReviewPending | FailClosed:
    """Open the case of a call that nobody answered, and give the error that says so; one that fails closed if the
    queue can't be reached. ``stop`` is ``None`` if no route was approved at all.
    """
    call, runtime, path = resolved.call, resolved.context.runtime, resolved.context.request.path
    reason = reason_unanswered(call, stop)
    try:
        review = await _opened(resolved, reason)
    except ReviewsUnavailable as unavailable:
        problem = str(unavailable)
        _log.error(
            "no case could be opened for a person: %s [request %s, call %s]",
            problem,
            call.request_id,
            call.id,
            extra={"call_id": call.id, "request_id": call.request_id},
        )
        message = f"task {call.task!r} was not answered ({reason}), and no case could be opened for a person: {problem}"
        return FailClosed(f"{message}. [call {call.id}]", call, ErrorDetails(path=path, request_id=call.id))
    runtime.review_hooks.opened(review)
    location = runtime.config.router.review_location.replace("{id}", review.id)
    return ReviewPending(
        f"task {call.task!r} waits for a person: {reason}. Review {review.id}. [call {call.id}]",
        call,
        ErrorDetails(path=path, request_id=call.id, review_id=review.id, location=location),
    )


async def leave_unsent(resolved: ResolvedCall) -> ReviewPending | FailClosed:
    """Open the case of a call that no route may answer, end its record, and give the error that says so."""
    resolved.context.close_scope(resolved.call)
    outcome = Outcome.CANCELLED
    try:
        error = await escalate(resolved, None)
        outcome = outcome_of(error)
        return error
    finally:
        resolved.context.end_unsent(resolved.call, outcome)


def outcome_of(error: ReviewPending | FailClosed) -> Outcome:
    """How a call ended that was to be left to a person."""
    return Outcome.PENDING_REVIEW if isinstance(error, ReviewPending) else Outcome.REFUSED


async def _opened(resolved: ResolvedCall, reason: str) -> Review:
    """The case, once it is written. If the caller goes, or it takes too long, there is none."""
    rule, context = resolved.review, resolved.context
    queue = context.runtime.reviews
    if rule is None or queue is None:
        raise ReviewsUnavailable("there is no queue")
    new = NewCase(resolved.call, reason, context.caller.review, context.request.body, rule.expires, rule.keep)
    waiting = True
    opening = queue.submit(partial(queue.open, new, lambda: waiting))
    try:
        async with asyncio.timeout(OPEN_WAIT):
            review = await asyncio.wrap_future(opening)
    except TimeoutError:
        review = None
    finally:
        waiting = False
    if review is None:
        raise ReviewsUnavailable(f"the database did not write it within {OPEN_WAIT:g} s")
    return review
