"""The page as a blueprint: how the tasks stand, past calls, the cases that wait, and routes opened by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Request, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from flask_lanewise.extension import Lanewise
from flask_lanewise.installed import installed_in
from lanewise.web import WsgiDashboard

__all__ = ["dashboard_blueprint"]

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


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
    pages: WeakKeyDictionary[Flask, WsgiDashboard] = WeakKeyDictionary()

    def mount(state: BlueprintSetupState) -> None:
        assert isinstance(state.app, Flask)
        pages[state.app] = WsgiDashboard(
            installed_in(state.app).inbound.router,
            allow=allow,
            may_review=may_review,
            may_operate=may_operate,
            hosts=hosts,
            trace_url=trace_url,
        )

    def tell(function: Callable[..., Any]) -> object:
        return current_app.ensure_sync(function)(request)

    def serve(path: str = "") -> Response:
        page = pages[current_app._get_current_object()]  # type: ignore[attr-defined]
        status, headers, body = page.serve(request.environ, path, read=request.stream.read, tell=tell)
        return Response(body, status, list(headers))

    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)
    blueprint.record(mount)
    for rule in ("/", "/<path:path>"):
        blueprint.add_url_rule(rule, "serve", serve, methods=_METHODS, provide_automatic_options=False)
    return blueprint
