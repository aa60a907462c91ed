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

from busy_machine import LONG_ENOUGH
from flask_lanewise import Lanewise, assert_endpoints_declared, endpoints, sensitive, standard
from integrations.contract.asking import Reply
from integrations.contract.harness import (
    OWN_ANSWER,
    USER_HEADER,
    AppPlan,
    Ask,
    Driver,
    EndpointSpec,
    Form,
    Later,
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
        by_group = sorted(plan.specs, key=lambda spec: spec.prefix)
        for prefix, found in groupby(by_group, key=lambda spec: spec.prefix):
            specs = list(found)
            if prefix:
                _add_group(app, prefix, specs, ai)
            else:
                _add(app, specs, ai)
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
            thread.join(LONG_ENOUGH)
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


def _add_group(app: Flask, prefix: str, specs: list[EndpointSpec], ai: Lanewise) -> None:
    name = prefix.strip("/")
    outer = Blueprint(name, __name__, url_prefix=prefix)
    if specs[0].group_mark is not None:
        sensitive(specs[0].group_mark)(outer)
    match specs[0].group:
        case "blueprint":
            _add(outer, specs, ai)
        case "nested blueprint":
            inner = Blueprint("inner", __name__)
            _add(inner, specs, ai)
            outer.register_blueprint(inner)
        case unknown:
            raise ValueError(unknown)
    app.register_blueprint(outer)


def _add(to: Flask | Blueprint, specs: list[EndpointSpec], ai: Lanewise) -> None:
    for spec in specs:
        function = _function(spec, ai)
        if spec.form is Form.FUNCTION:
            above(to.get(spec.path, endpoint=spec.name)(_placed(function, spec)), spec, sensitive)
            continue
        method = _method(function, spec)
        is_class = spec.form is Form.CLASS
        view = type(f"View_{spec.name}", (MethodView,), {"get": method if is_class else _placed(method, spec)})
        if is_class:
            view = _placed(view, spec)
        to.add_url_rule(spec.path, view_func=view.as_view(spec.name))
        above(view, spec, sensitive)


def _placed(target: Any, spec: EndpointSpec) -> Any:
    return placed(target, spec, sensitive, standard)


def _function(spec: EndpointSpec, ai: Lanewise) -> Callable[..., Any]:
    action: Any = spec.action
    if spec.is_async:

        async def view_async() -> Response:
            return _respond(await action(_ask(ai)))

        return view_async

    def view() -> Response:
        return _respond(action(_ask(ai)))

    return view


def _method(function: Callable[..., Any], spec: EndpointSpec) -> Callable[..., Any]:
    if spec.is_async:

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
