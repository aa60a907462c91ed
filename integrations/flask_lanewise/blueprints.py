"""What an app mounts of lanewise, as blueprints: the OpenAI-compatible endpoint, and the page of its router."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Request, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from flask_lanewise.extension import Lanewise
from flask_lanewise.installed import installed_in
from lanewise import Router
from lanewise.web import WsgiAnswer, WsgiDashboard, WsgiEndpoint, endpoint_error

__all__ = ["dashboard_blueprint", "openai_blueprint"]

_Mounted = TypeVar("_Mounted")

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

    def ask() -> object:
        assert authenticate is not None, "the endpoint asks only where there is a function"
        return _ask_of_request(authenticate)

    def serve(endpoint: WsgiEndpoint, path: str) -> Response:
        return _response(endpoint.serve(request.environ, path, read=_body_reader(), tell=ask))

    blueprint = Blueprint(name, __name__)
    blueprint.register_error_handler(HTTPException, _refusal)
    _mount(blueprint, lambda router: WsgiEndpoint(router, authenticate), serve, strict_slashes=False)
    return blueprint


def dashboard_blueprint(
    ai: Lanewise,
    *,
    allow: Callable[[Request], object],
    may_review: Callable[[Request], object] | None = None,
    may_operate: Callable[[Request], object] | None = None,
    hosts: Collection[str] | None = None,
    trace_url: str | None = None,
    name: str = "lanewise_dashboard",
    url_prefix: str = "/_lanewise",
) -> Blueprint:
    """The page of the app's router, under ``/_lanewise``. The functions are given Flask's ``request``.

    ``allow`` says who may see it; who is not allowed gets a 403. ``may_review`` and ``may_operate`` give the name
    of who decides cases, or opens and closes routes, or ``None``: without them the page is read-only. ``hosts`` and
    ``trace_url`` are as of :class:`lanewise.web.Dashboard`. Lanewise must be installed in the app before the blueprint
    is registered there.

    Raises TypeError: ``ai`` is no Lanewise, or there is no ``allow``. Where it is registered, RuntimeError: Lanewise is
    not installed in the app; ImportError: Jinja is missing (the extra ``dashboard``).

    Example::

        ai = Lanewise(app, "lanewise.toml")
        app.register_blueprint(dashboard_blueprint(ai, allow=lambda request: current_user.is_staff))
    """
    if not isinstance(ai, Lanewise):
        raise TypeError(f"dashboard_blueprint takes the app's Lanewise, not {type(ai).__name__}")
    if not callable(allow):
        raise TypeError("the page needs `allow`: a function of the request that says who may see it")

    def make(router: Router) -> WsgiDashboard:
        return WsgiDashboard(
            router, allow=allow, may_review=may_review, may_operate=may_operate, hosts=hosts, trace_url=trace_url
        )

    def serve(page: WsgiDashboard, path: str) -> Response:
        status, headers, body = page.serve(request.environ, path, read=_body_reader(), tell=_ask_of_request)
        return Response(body, status, list(headers))

    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)
    _mount(blueprint, make, serve)
    return blueprint


def _mount(
    blueprint: Blueprint,
    make: Callable[[Router], _Mounted],
    serve: Callable[[_Mounted, str], Response],
    *,
    strict_slashes: bool | None = None,
) -> None:
    """Have a blueprint serve all below it by what is made of the router of each app that it is registered in."""
    mounted: WeakKeyDictionary[Flask, _Mounted] = WeakKeyDictionary()

    def register(state: BlueprintSetupState) -> None:
        assert isinstance(state.app, Flask)
        mounted[state.app] = make(installed_in(state.app).inbound.router)

    def view(path: str = "") -> Response:
        return serve(mounted[current_app._get_current_object()], path)  # type: ignore[attr-defined]

    blueprint.record(register)
    for rule in ("/", "/<path:path>"):
        blueprint.add_url_rule(
            rule, "serve", view, methods=_METHODS, provide_automatic_options=False, strict_slashes=strict_slashes
        )


def _body_reader() -> Callable[[int], bytes]:
    """Reads the request's body, also where the app has read it before: to log it, or to check its signature."""
    has_begun = False

    def read(size: int) -> bytes:
        nonlocal has_begun
        piece = request.stream.read(size)
        if not piece and not has_begun:
            piece = request.get_data(cache=False)  # what get_data() and get_json() keep
        has_begun = True
        return piece

    return read


def _ask_of_request(function: Callable[..., Any]) -> object:
    """What a function of the app's answers about the request that is served."""
    return current_app.ensure_sync(function)(request)


def _refusal(error: HTTPException) -> Response:
    """What Flask refuses itself (a body beyond MAX_CONTENT_LENGTH), or ``authenticate``, in OpenAI's shape."""
    if isinstance(error.response, Response):
        return error.response
    return _response(endpoint_error(error.code or 500, error.name))


def _response(answer: WsgiAnswer) -> Response:
    response = Response(answer.body, answer.status, answer.headers)
    response.automatically_set_content_length = False
    return response
