"""Around each request: its scope is the current one, and errors of calls are answered through Flask's own handling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response
from openai import OpenAIError

from flask_lanewise.installed import Installed
from lanewise import InvalidCall, RoutingError, Scope
from lanewise.web import WsgiCore, log_problem, problem_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask.typing import ResponseReturnValue

__all__ = ["RequestScopes", "answer_errors"]


class RequestScopes:
    """Takes the place of ``app.wsgi_app``, which it calls."""

    def __init__(self, app: Flask, installed: Installed) -> None:
        self._app = app
        self._inner = app.wsgi_app
        self._installed = installed
        self._core = WsgiCore(installed.inbound, self._answer)
        installed.look_into(app.wsgi_app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        scope = self._installed.begin(environ)
        failure = self._installed.failure()
        app = self._inner if failure is None else _problem(InvalidCall(f"the app is refused: {failure}"), scope)
        return self._core.serve(app, environ, scope, start_response)

    def _answer(self, error: RoutingError, environ: WSGIEnvironment) -> WSGIApplication:
        """The app's own answer to an error, from where its request context is gone already."""
        with self._app.request_context(environ):
            return self._app.finalize_request(self._app.handle_user_exception(error), from_error_handler=True)


def answer_errors(app: Flask, installed: Installed) -> None:
    """Answer errors of calls that the app has no handler for, neither by our class nor by one of ``openai``."""

    def answer(error: OpenAIError) -> ResponseReturnValue:
        if isinstance(error, RoutingError):
            return _problem(error, installed.scope_of_request())
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


def _problem(error: RoutingError, scope: Scope) -> Response:
    """The problem that an error is to the request's caller."""
    made = problem_for(error, request_id=scope.request_id)
    log_problem(made, error, scope)
    return Response(made.body, made.status, dict(made.all_headers))
