"""A call's error as an answer: the app's own handler for it if it has one, else problem details."""

from __future__ import annotations

from typing import Any, cast

import openai
from litestar import Request, Response
from litestar.exceptions import LitestarException
from litestar.handlers import BaseRouteHandler
from litestar.types import ExceptionHandler

from understudy import RoutingError, Scope
from understudy.web import MEDIA_TYPE, SCOPE_KEY, AsgiScope, log_problem, problem_for

__all__ = ["answer_with_problem", "broken_stream", "handler_of_the_app"]


def answer_with_problem(request: Request[Any, Any, Any], error: RoutingError) -> Response[Any]:
    """Answer with problem details, unless the app has a handler of its own for the error's ``openai`` class."""
    own = handler_of_the_app(cast("AsgiScope", request.scope), error)
    if own is not None:
        return own(request, cast("Any", error))
    scope = request.scope.get(SCOPE_KEY)
    problem = problem_for(error, request_id=scope.request_id if isinstance(scope, Scope) else None)
    if isinstance(scope, Scope):
        log_problem(problem, error, scope)
    return Response(problem.body, status_code=problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)


def handler_of_the_app(asgi: AsgiScope, error: RoutingError) -> ExceptionHandler[Any] | None:
    """The app's own handler for an error, of any layer: for our class, or for the ``openai`` class that it also is."""
    handler = asgi.get("route_handler")
    if not isinstance(handler, BaseRouteHandler):
        return None
    handlers = handler.resolve_exception_handlers()
    for cls in type(error).__mro__:
        own = handlers.get(cast("type[Exception]", cls)) if issubclass(cls, openai.OpenAIError) else None
        if own is not None and own is not answer_with_problem:
            return own
    return None


def broken_stream(error: LitestarException) -> RoutingError | None:
    """The call's error behind Litestar's word that one came after the start: which we held, maybe, as yet unsent."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RoutingError):
        # a streaming response runs in a task group
        group = isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1
        cause = cause.exceptions[0] if group and isinstance(cause, BaseExceptionGroup) else cause.__cause__
    return cause
