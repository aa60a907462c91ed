"""The error of a call in what an app let out: the router's, or that the caller has gone; and how each is logged."""

from __future__ import annotations

import logging
from typing import Final

from lanewise.errors import CallerGone, FailClosed, ReviewPending, RoutingError
from lanewise.scope import Scope
from lanewise.types import Outcome
from lanewise.web.problems import Problem

__all__ = ["hang_up_in", "is_hang_up", "log_hang_up", "log_problem", "routing_error_in"]

_log: Final = logging.getLogger("lanewise")
_MOST_ERRORS: Final = 64
"""How many errors are looked at in what an app let out."""


def routing_error_in(raised: BaseException) -> RoutingError | None:
    """The router's error that an app let out; ``None`` for an error of its own."""
    if isinstance(raised, RoutingError):
        return raised
    if isinstance(raised, BaseExceptionGroup):  # an asyncio.TaskGroup of calls
        found = [routing_error_in(each) for each in raised.exceptions]
        ours = [each for each in found if each is not None]
        return min(ours, key=_weight) if len(ours) == len(found) else None
    if type(raised) is RuntimeError and isinstance(raised.__cause__, RoutingError):
        return raised.__cause__  # Starlette's own: a handler of the app would have answered, had it not begun already
    return None


def hang_up_in(raised: BaseException) -> RoutingError | None:
    """The error of a call that ended because its caller had gone, wherever it is in what an app let out.

    An app may wrap it, or fail because of it; there is nobody left to answer.
    """
    waiting = [raised]  # each once: a group's errors have that group among what they were raised in
    for error in waiting:
        if is_hang_up(error):
            assert isinstance(error, RoutingError)
            return error
        inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        for each in (error.__cause__, error.__context__, *inner):
            if each is not None and len(waiting) < _MOST_ERRORS and not any(each is known for known in waiting):
                waiting.append(each)
    return None


def is_hang_up(error: BaseException) -> bool:
    """Whether an error only says that the caller of the request had gone: a sensitive call fails closed by that."""
    if isinstance(error, CallerGone):
        return True
    return isinstance(error, FailClosed) and error.call is not None and error.call.outcome is Outcome.CANCELLED


def log_hang_up(error: RoutingError, scope: Scope) -> None:
    """Say in the log that a caller has left."""
    request_id = scope.request_id
    _log.info("the caller hung up: %s [request %s]", error, request_id, extra={"request_id": request_id})


def _weight(error: RoutingError) -> int:
    """The order in which one of several errors is answered: what failed closed, then what waits for a person."""
    if isinstance(error, FailClosed):
        return 0
    return 1 if isinstance(error, ReviewPending) else 2


def log_problem(problem: Problem, error: RoutingError, scope: Scope) -> None:
    """Say in the log why a request was answered by a problem: an error where somebody has to mend something."""
    if is_hang_up(error):
        log_hang_up(error, scope)
        return
    level = {500: logging.ERROR, 202: logging.INFO}.get(problem.status, logging.WARNING)
    call_id = error.call.id if error.call is not None else None
    _log.log(
        level,
        "a request was answered with %d: %s [request %s]",
        problem.status,
        error,
        scope.request_id,
        extra={"request_id": scope.request_id, "call_id": call_id},
    )
