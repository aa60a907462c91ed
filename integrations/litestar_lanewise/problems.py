"""A call's error as an answer: the app's own handler for it if it has one, else problem details."""

from __future__ import annotations

from typing import Any, cast

import openai
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import LitestarException
from litestar.exceptions.responses import create_debug_response, create_exception_response
from litestar.handlers import BaseRouteHandler
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR
from litestar.types import ExceptionHandler
from litestar.types import Scope as LitestarScope

from lanewise import RoutingError, Scope
from lanewise.web import (
    ENDED_BY,
    MEDIA_TYPE,
    SCOPE_KEY,
    AsgiScope,
    hang_up_in,
    log_problem,
    problem_for,
    routing_error_in,
)

__all__ = ["answer_group", "answer_with_problem", "broken_stream", "handler_of_the_app", "note_socket_error"]


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


def answer_group(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Any]:
    """Answer a group of failed calls (of an ``asyncio.TaskGroup``) as one; any other group as if this were not here."""
    error = routing_error_in(group)
    if error is not None:
        return answer_with_problem(request, error)
    handlers = request.route_handler.resolve_exception_handlers()
    own = handlers.get(Exception) or handlers.get(HTTP_500_INTERNAL_SERVER_ERROR)
    if own is not None:
        return own(request, cast("Any", group))
    return (create_debug_response if request.app.debug else create_exception_response)(request, group)


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


def broken_stream(error: LitestarException) -> Exception | None:
    """The calls' error behind Litestar's word that one came after the start: which we held, maybe, as yet unsent."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) and routing_error_in(cause) is not None else None


async def note_socket_error(error: Exception, scope: LitestarScope) -> None:
    """Note the error of a call that Litestar closes a WebSocket for: its own code says that the app has a bug."""
    found = routing_error_in(error) or hang_up_in(error)
    if found is not None and scope["type"] == ScopeType.WEBSOCKET:
        cast("AsgiScope", scope)[ENDED_BY] = found
