"""Flask for the contract suite."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from flask.views import MethodView
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_lanewise import Lanewise, assert_endpoints_declared, endpoints, sensitive, standard
from integrations.contract.asking import Reply
from integrations.contract.harness import (
    OWN_ANSWER,
    USER_HEADER,
    AppPlan,
    Ask,
    Driver,
    Form,
    Later,
    Spot,
    Stream,
    above,
    in_background,
    placed,
)
from lanewise import current_scope
from lanewise.web import Endpoint

__all__ = ["FlaskDriver"]


class FlaskDriver(Driver):
    """Builds Flask apps."""

    name = "flask"
    groups = ("blueprint", "nested blueprint")
    async_streams = False  # WSGI has none
    opens_router = False  # it opens at its first call

    def app(self, plan: AppPlan) -> Flask:
        """The app by a plan."""
        app = Flask("app", static_folder=None)
        ai = Lanewise(subject=lambda: request.headers.get(USER_HEADER)) if plan.with_subject else Lanewise()
        for _ in range(plan.installs):
            ai.init_app(app, plan.router)
        by_group = sorted(plan.spots, key=lambda spot: spot.prefix)
        for prefix, found in groupby(by_group, key=lambda spot: spot.prefix):
            spots = list(found)
            if prefix:
                _add_group(app, prefix, spots, ai)
            else:
                _add(app, spots, ai)
        for kind in plan.own_handlers:
            app.register_error_handler(kind, _own_answer)
        if plan.category is not None:
            sensitive(plan.category)(app)
        return app

    @contextmanager
    def serving(self, app: Any) -> Iterator[str]:
        """Werkzeug's server in a thread, and a thread a request."""
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()

    def start(self, app: Any) -> None:
        """Flask has no start: the first request is it."""

    def direct(self, app: Any, path: str, headers: Sequence[tuple[bytes, bytes]] = (), root_path: str = "") -> Reply:
        """One request, as a WSGI server makes it of duplicate headers: joined by a comma."""
        environ = EnvironBuilder(path, base_url=f"http://app{root_path}/").get_environ()
        for name, value in headers:
            key = "HTTP_" + name.decode().upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        body, status, head = run_wsgi_app(app, environ, buffered=True)
        return Reply(int(status.split()[0]), tuple(head.items()), b"".join(body))

    def endpoints(self, app: Any) -> list[Endpoint]:
        """The endpoints as the adapter lists them."""
        return endpoints(app)

    def assert_declared(self, app: Any) -> None:
        """The adapter's assertion."""
        assert_endpoints_declared(app)


class _Handler(WSGIRequestHandler):
    """With chunks, so that a broken answer is told from a whole one."""

    protocol_version = "HTTP/1.1"


def _own_answer(error: Exception) -> tuple[str, int]:
    return OWN_ANSWER[1], OWN_ANSWER[0]


def _add_group(app: Flask, prefix: str, spots: list[Spot], ai: Lanewise) -> None:
    name = prefix.strip("/")
    outer = Blueprint(name, __name__, url_prefix=prefix)
    if spots[0].group_mark is not None:
        sensitive(spots[0].group_mark)(outer)
    match spots[0].group:
        case "blueprint":
            _add(outer, spots, ai)
        case "nested blueprint":
            inner = Blueprint("inner", __name__)
            _add(inner, spots, ai)
            outer.register_blueprint(inner)
        case unknown:
            raise ValueError(unknown)
    app.register_blueprint(outer)


def _add(to: Flask | Blueprint, spots: list[Spot], ai: Lanewise) -> None:
    for spot in spots:
        function = _function(spot, ai)
        if spot.form is Form.FUNCTION:
            above(to.get(spot.path, endpoint=spot.name)(_placed(function, spot)), spot, sensitive)
            continue
        method = _method(function, spot)
        is_class = spot.form is Form.CLASS
        view = type(f"View_{spot.name}", (MethodView,), {"get": method if is_class else _placed(method, spot)})
        if is_class:
            view = _placed(view, spot)
        to.add_url_rule(spot.path, view_func=view.as_view(spot.name))
        above(view, spot, sensitive)


def _placed(target: Any, spot: Spot) -> Any:
    return placed(target, spot, sensitive, standard)


def _function(spot: Spot, ai: Lanewise) -> Callable[..., Any]:
    deed: Any = spot.deed
    if spot.is_async:

        async def view_async() -> Response:
            return _respond(await deed(_ask(ai)))

        return view_async

    def view() -> Response:
        return _respond(deed(_ask(ai)))

    return view


def _method(function: Callable[..., Any], spot: Spot) -> Callable[..., Any]:
    if spot.is_async:

        async def get_async(self: MethodView) -> Any:
            return await function()

        return get_async

    def get(self: MethodView) -> Any:
        return function()

    return get


def _ask(ai: Lanewise) -> Ask:
    return Ask(ai.scope, ai.openai, ai.async_openai, request.args)


def _respond(answer: Any) -> Response:
    match answer:
        case Stream(pieces):
            return Response(pieces, mimetype="text/plain")  # type: ignore[arg-type]
        case Later(now, work):
            scope = current_scope()
            assert scope is not None
            in_background(scope.wrap(work))
            return jsonify(now)
        case _:
            return jsonify(answer)
