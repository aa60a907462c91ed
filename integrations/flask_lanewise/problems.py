"""Errors of calls as problem details, through Flask's own error handling: an app's own handlers come first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response
from openai import OpenAIError

from flask_lanewise.installed import Installed
from lanewise import ConfigError, InvalidCall, RoutingError, Scope
from lanewise.web import log_problem, problem_for

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["answer_errors", "problem", "refusal"]


def answer_errors(app: Flask, installed: Installed) -> None:
    """Answer errors of calls that the app has no handler for, neither by our class nor by one of ``openai``."""

    def answer(error: OpenAIError) -> ResponseReturnValue:
        if isinstance(error, RoutingError):
            return problem(error, installed.scope_of_request())
        return _as_without_us(app, error)

    # Not for RoutingError: Flask goes by the method resolution order, in which that stands before openai's classes,
    # and the app's handler for openai.RateLimitError would never be called. OpenAIError stands behind them all.
    if OpenAIError not in app.error_handler_spec[None][None]:
        app.register_error_handler(OpenAIError, answer)


def _as_without_us(app: Flask, error: OpenAIError) -> ResponseReturnValue:
    """What becomes of an error of a client that is not ours."""
    handlers = app.error_handler_spec[None][None]
    handler = handlers.get(Exception)
    if handler is None:
        raise error
    answer: ResponseReturnValue = app.ensure_sync(handler)(error)
    return answer


def problem(error: RoutingError, scope: Scope) -> Response:
    """The problem that an error is to the request's caller."""
    made = problem_for(error, request_id=scope.request_id)
    log_problem(made, error, scope)
    return Response(made.body, made.status, dict(made.all_headers))


def refusal(failure: ConfigError | RuntimeError, scope: Scope) -> Response:
    """The problem of every request to an app whose marks can't hold."""
    error = InvalidCall(f"the app is refused: {failure}")
    return problem(error, scope)
