"""The OpenAI endpoint as a blueprint: what callers outside of the app point their base URL at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Request, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from flask_lanewise.extension import Lanewise
from flask_lanewise.installed import installed_in
from lanewise.web import WsgiAnswer, WsgiEndpoint, endpoint_error

__all__ = ["openai_blueprint"]

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def openai_blueprint(
    ai: Lanewise, *, authenticate: Callable[[Request], str | None] | None = None, name: str = "lanewise_openai"
) -> Blueprint:
    """The router as an OpenAI-compatible endpoint: ``chat/completions``, ``responses``, ``embeddings`` and ``models``.

    It serves the clients of the config. ``authenticate`` takes the place of their keys: a function of Flask's
    ``request`` that gives a client's name, or ``None`` for a 401. Lanewise must be installed in the app before the
    blueprint is registered there.

    Raises TypeError: ``ai`` is no Lanewise. Where it is registered, ConfigError: no client has a key, and there is no
    ``authenticate``; RuntimeError: Lanewise is not installed in the app.

    Example::

        ai = Lanewise(app, "lanewise.toml")
        app.register_blueprint(openai_blueprint(ai), url_prefix="/ai/v1")
    """
    if not isinstance(ai, Lanewise):
        raise TypeError(f"openai_blueprint takes the app's Lanewise, not {type(ai).__name__}")
    endpoints: WeakKeyDictionary[Flask, WsgiEndpoint] = WeakKeyDictionary()

    def mount(state: BlueprintSetupState) -> None:
        assert isinstance(state.app, Flask)
        endpoints[state.app] = WsgiEndpoint(installed_in(state.app).inbound.router, authenticate)

    def tell() -> object:
        assert authenticate is not None, "the endpoint asks only where there is a function"
        return current_app.ensure_sync(authenticate)(request)

    def serve(path: str = "") -> Response:
        endpoint = endpoints[current_app._get_current_object()]  # type: ignore[attr-defined]
        return _response(endpoint.serve(request.environ, path, read=request.stream.read, tell=tell))

    blueprint = Blueprint(name, __name__)
    blueprint.record(mount)
    blueprint.register_error_handler(HTTPException, _refusal)
    for rule in ("/", "/<path:path>"):
        blueprint.add_url_rule(
            rule, "serve", serve, methods=_METHODS, provide_automatic_options=False, strict_slashes=False
        )
    return blueprint


def _refusal(error: HTTPException) -> Response:
    """What Flask refuses itself (a body beyond MAX_CONTENT_LENGTH), or ``authenticate``, in OpenAI's shape."""
    if isinstance(error.response, Response):
        return error.response
    return _response(endpoint_error(error.code or 500, error.name))


def _response(answer: WsgiAnswer) -> Response:
    response = Response(answer.body, answer.status, answer.headers)
    response.automatically_set_content_length = False
    return response
