"""Apps of Flask with marks wherever one can stand, each with a function that asks before the view."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import flask
from flask import Blueprint, Flask, Response, stream_with_context
from flask.views import MethodView, View
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import Map, Rule, Submount

import starlette_lanewise
from flask_lanewise import Lanewise, sensitive, standard
from integrations.asking import Asker
from lanewise import ConfigError

payment = sensitive("payment")
MakeApp = Callable[[Asker], Any]
"""Makes an app, or one with the path that is asked for and the method."""


def life(asker: Asker) -> AbstractContextManager[object]:
    """Flask has no start: the router is open around the test."""
    return asker.router


def start(app: Any) -> None:
    """What is wrong with an app's marks is said at its first request, to each."""
    if serve(app, "/anything") == 500:
        raise ConfigError([])


def app_of(asker: Asker, *, early: bool = True) -> Flask:
    app = Flask("desk")
    Lanewise(app, asker.router)
    if early:
        app.before_request(lambda: asker.sync() and None)
    return app


def view_of(asker: Asker) -> Callable[..., str]:
    def view(**values: Any) -> str:
        asker.sync()
        return "done"

    return view


def serve(app: Any, path: str = "/x", method: str = "GET") -> int:
    with app.test_client().open(path, method=method) as response:
        response.get_data()
        return int(response.status_code)


# -- views and what lies around them -----------------------------------------------------------------------------------


def a_blueprint_within_a_marked_one(asker: Asker) -> Any:
    app, outer, inner = app_of(asker), Blueprint("outer", "outer"), Blueprint("inner", "inner")
    inner.add_url_rule("/x", "x", view_of(asker))
    outer.register_blueprint(inner)
    app.register_blueprint(outer, name="another")
    payment(outer)
    return app


def the_hooks_of_a_marked_blueprint(asker: Asker) -> Any:
    app, desk = app_of(asker), Blueprint("desk", "desk")
    payment(desk)
    desk.before_request(lambda: asker.sync() and None)
    desk.teardown_request(lambda error: asker.sync() and None)
    desk.errorhandler(ZeroDivisionError)(lambda error: asker.sync())

    @desk.get("/x")
    def view() -> str:
        raise ZeroDivisionError

    app.register_blueprint(desk)
    return app


def a_marked_function_before_all_requests(asker: Asker) -> Any:
    app = app_of(asker)

    @app.before_request
    @payment
    def known() -> None: ...

    app.add_url_rule("/x", "x", view_of(asker))
    return app


def the_dispatch_of_a_view(asker: Asker) -> Any:
    class Desk(View):
        @payment
        def dispatch_request(self) -> str: ...

    class Refunds(Desk):
        def dispatch_request(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    return app


def the_making_of_a_view(asker: Asker) -> Any:
    class Refunds(MethodView):
        @payment
        def __init__(self) -> None: ...

        def get(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    return app


def the_decorators_of_a_view(asker: Asker) -> Any:
    class Refunds(MethodView):
        decorators = (payment,)
        init_every_request = False

        def get(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    return app


def an_object(asker: Asker) -> Any:
    class Refunds:
        @payment
        def __call__(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", "x", Refunds())
    return app


def an_async_view(asker: Asker) -> Any:
    app = app_of(asker)

    @app.get("/x")
    @payment
    async def view() -> str:
        return await asker.asynchronous()

    return app


def a_stream(asker: Asker) -> Any:
    app = app_of(asker)

    @app.get("/x")
    @payment
    def view() -> Response:
        def pieces() -> Iterator[str]:
            yield asker.sync()
            with asker.router.scope() as own:
                yield asker.sync(own)

        return Response(stream_with_context(pieces()))

    return app


def a_mark_of_another_framework(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/x", "x", starlette_lanewise.sensitive("payment")(view_of(asker)))
    return app


# -- how the view is found ---------------------------------------------------------------------------------------------


def a_rule_for_every_method(asker: Asker) -> Any:
    app = app_of(asker)
    app.view_functions["x"] = payment(view_of(asker))
    app.url_map.add(Submount("/in", [Rule("/x", endpoint="x")]))
    return app, "/in/x"


def another_url_map(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/x", "x", view_of(asker))
    app.url_map = Map([Rule("/x", endpoint="y")])
    app.view_functions["y"] = payment(view_of(asker))
    return app


def a_dispatch_that_asks(asker: Asker) -> Any:
    class Asking(Flask):
        def dispatch_request(self, *context: Any) -> Any:
            asker.sync()
            return super().dispatch_request(*context)

        def preprocess_request(self, *context: Any) -> Any:
            asker.sync()
            return super().preprocess_request(*context)

    app = Asking("desk")
    Lanewise(app, asker.router)
    app.add_url_rule("/x", "x", payment(view_of(asker)))
    return app


def a_signal(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/x", "x", payment(view_of(asker)))
    flask.request_started.connect(lambda sender, **more: asker.sync(), app, weak=False)
    return app


def a_head_of_a_marked_method(asker: Asker) -> Any:
    class Refunds(MethodView):
        @payment
        def get(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    return app, "/x", "HEAD"


def another_app_below(asker: Asker) -> Any:
    return _dispatched(asker, lambda inner: inner.add_url_rule("/x", "x", payment(view_of(asker))), early=True)


def a_marked_blueprint_of_another_app_below(asker: Asker) -> Any:
    def fill(inner: Flask) -> None:
        desk = payment(Blueprint("desk", "desk"))
        desk.add_url_rule("/x", "x", view_of(asker))
        inner.register_blueprint(desk)

    return _dispatched(asker, fill)


def another_marked_app_below(asker: Asker) -> Any:
    return _dispatched(asker, lambda inner: payment(inner).add_url_rule("/x", "x", view_of(asker)))


def _dispatched(asker: Asker, fill: Callable[[Flask], object], *, early: bool = False) -> Any:
    """An app in which a WSGI middleware passes some requests on to another one, which lanewise is not installed in."""
    app, inner = Flask("desk"), Flask("inner")
    fill(inner)
    if early:
        inner.before_request(lambda: asker.sync() and None)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/in": inner})  # type: ignore[method-assign]
    Lanewise(app, asker.router)
    return app, "/in/x"


# -- where no view is found --------------------------------------------------------------------------------------------


def a_page_for_a_404(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/marked", "marked", payment(view_of(asker)))
    app.register_error_handler(404, lambda error: asker.sync())
    return app, "/missing"


def a_page_for_a_405(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/x", "x", payment(view_of(asker)), methods=["POST"])
    app.register_error_handler(405, lambda error: asker.sync())
    return app


COVERED: list[MakeApp] = [
    a_blueprint_within_a_marked_one,
    the_hooks_of_a_marked_blueprint,
    a_marked_function_before_all_requests,
    the_dispatch_of_a_view,
    the_making_of_a_view,
    the_decorators_of_a_view,
    an_object,
    an_async_view,
    a_stream,
    a_mark_of_another_framework,
    a_rule_for_every_method,
    another_url_map,
    a_dispatch_that_asks,
    a_signal,
    a_head_of_a_marked_method,
    another_app_below,
    a_marked_blueprint_of_another_app_below,
    another_marked_app_below,
    a_page_for_a_404,
    a_page_for_a_405,
]


# -- what changes while the app serves ---------------------------------------------------------------------------------


def a_view_is_replaced(asker: Asker, app: Flask) -> None:
    app.view_functions["x"] = payment(view_of(asker))


def a_view_is_wrapped(asker: Asker, app: Flask) -> None:
    marked = payment(view_of(asker))
    app.view_functions["x"] = lambda **values: asker.sync() and marked(**values)


def a_rule_is_added(asker: Asker, app: Flask) -> None:
    app.view_functions["new"] = payment(view_of(asker))
    app.url_map.add(Rule("/x/new", endpoint="new"))


def a_mark_is_put_on(asker: Asker, app: Flask) -> None:
    payment(app.view_functions["x"])


def _changed(asker: Asker, change: Callable[[Asker, Flask], None], path: str) -> None:
    app = app_of(asker, early=False)
    app.add_url_rule("/x", "x", view_of(asker))
    app.register_error_handler(404, lambda error: asker.sync())
    assert serve(app, path) == 200
    asker.check(covered=False)
    asker.forget()
    change(asker, app)
    serve(app, "/x/new" if change is a_rule_is_added and path == "/x" else path)


CHANGES: dict[str, Callable[[Asker], None]] = {
    f"{change.__name__}-{path}": functools.partial(_changed, change=change, path=path)
    for change in (a_view_is_replaced, a_view_is_wrapped, a_rule_is_added, a_mark_is_put_on)
    for path in ("/x", "/missing")
}
"""Where the view is asked for, and where nothing is found."""


# -- what is not covered -----------------------------------------------------------------------------------------------


def beside_a_marked_one(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/x", "x", view_of(asker))
    app.add_url_rule("/marked", "marked", payment(view_of(asker)))
    return app


def another_method(asker: Asker) -> Any:
    class Refunds(MethodView):
        @payment
        def get(self) -> str: ...

        def post(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", view_func=Refunds.as_view("x"))
    return app, "/x", "POST"


def a_helper_that_marked_ones_use_too(asker: Asker) -> Any:
    app = app_of(asker)

    def helper() -> str:
        return asker.sync()

    @payment
    def refund() -> str:
        return helper()

    @app.get("/x")
    def view() -> str:
        return refund() if flask.request.args else helper()

    return app


def a_method_of_an_object_with_a_marked_one(asker: Asker) -> Any:
    class Desk:
        @payment
        def refund(self) -> str: ...

        def show(self) -> str:
            return asker.sync()

    app = app_of(asker)
    app.add_url_rule("/x", "x", Desk().show)
    return app


def another_open_app_below(asker: Asker) -> Any:
    return _dispatched(asker, lambda inner: inner.add_url_rule("/x", "x", view_of(asker)))


def a_page_for_a_404_of_a_view(asker: Asker) -> Any:
    app = app_of(asker)
    app.add_url_rule("/marked", "marked", payment(view_of(asker)))
    app.add_url_rule("/x", "x", lambda: flask.abort(404))
    app.register_error_handler(404, lambda error: asker.sync())
    return app


OPEN: list[MakeApp] = [
    beside_a_marked_one,
    another_method,
    a_helper_that_marked_ones_use_too,
    a_method_of_an_object_with_a_marked_one,
    another_open_app_below,
    a_page_for_a_404_of_a_view,
]


# -- misuse ------------------------------------------------------------------------------------------------------------


def _with(change: Callable[[Flask], object]) -> MakeApp:
    def make(asker: Asker) -> Flask:
        app = app_of(asker, early=False)
        change(app)
        return app

    return make


def _registered(blueprint: Blueprint) -> MakeApp:
    return _with(lambda app: app.register_blueprint(blueprint))


MISUSES: dict[str, MakeApp] = {
    "of a blueprint, without a category": lambda asker: sensitive(Blueprint("desk", "desk")),  # type: ignore[arg-type]
    "of nothing": lambda asker: sensitive(""),
    "on text": lambda asker: payment("payment"),
    "on a rule": lambda asker: payment(Rule("/x", endpoint="x")),
    "on a WSGI app": lambda asker: payment(DispatcherMiddleware(Flask("desk"))),
    "on a response": lambda asker: payment(Response("done")),
    "on a mark": lambda asker: payment(payment),
    "on what makes marks": lambda asker: payment(sensitive),
    "standard on what makes marks": lambda asker: standard(sensitive),
    "before requests": _with(lambda app: app.before_request(payment)),
    "before requests, without a category": _with(lambda app: app.before_request(sensitive)),
    "before requests, in part": _with(lambda app: app.before_request(functools.partial(sensitive, "payment"))),
    "after requests": _with(lambda app: app.after_request(payment)),
    "at the end of an app's context": _with(lambda app: app.teardown_appcontext(payment)),
    "as an error handler": _with(lambda app: app.register_error_handler(404, payment)),
    "as a context processor": _with(lambda app: app.context_processor(payment)),
    "as a view": _with(lambda app: app.add_url_rule("/x", "x", payment)),
    "as a view, in part": _with(lambda app: app.add_url_rule("/x", "x", functools.partial(payment))),
    "as a view, standard": _with(lambda app: app.add_url_rule("/x", "x", standard)),
    "as a view, of Starlette's": _with(
        lambda app: app.add_url_rule("/x", "x", starlette_lanewise.sensitive("payment"))  # type: ignore[arg-type]
    ),
    "an unknown category of no views": _registered(sensitive("paiment")(Blueprint("desk", "desk"))),
}


def a_mark_as_a_statement(asker: Asker) -> Any:
    app = app_of(asker, early=False)

    @app.get("/x")
    def view() -> str:
        sensitive("payment")
        return asker.sync()

    return app


STATED: list[MakeApp] = [a_mark_as_a_statement]
