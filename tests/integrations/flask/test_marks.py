"""Marks hold, however they are put on: the unapproved provider never hears of a sensitive request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from flask_lanewise import Lanewise, assert_endpoints_declared, sensitive, standard
from lanewise.testing import Status

Ask = Callable[..., str]
Put = Callable[[Flask, Ask], None]


def careful(view: Any) -> Any:
    """A decorator of somebody else's, as they should be."""

    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return run


def careless(view: Any) -> Any:
    """A decorator that forgets ``functools.wraps``."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    run.__name__ = view.__name__
    return run


def below(app: Flask, ask: Ask) -> None:
    """The mark stands below ``@app.get``."""

    @app.get("/")
    @sensitive("payment")
    def refund() -> str:
        return ask()


def above(app: Flask, ask: Ask) -> None:
    """The mark stands above ``@app.get``, which has the bare function in hand already."""

    @sensitive("payment")
    @app.get("/")
    def refund() -> str:
        return ask()


def asynchronous(app: Flask, ask: Ask) -> None:
    """An async view."""

    @app.get("/")
    @sensitive("payment")
    async def refund() -> str:
        return ask()


def under_a_careful_decorator(app: Flask, ask: Ask) -> None:
    """A foreign decorator lies between."""

    @app.get("/")
    @careful
    @sensitive("payment")
    def refund() -> str:
        return ask()


def over_a_careless_decorator(app: Flask, ask: Ask) -> None:
    """The mark lies above what would hide it."""

    @app.get("/")
    @sensitive("payment")
    @careless
    def refund() -> str:
        return ask()


def on_a_view_class(app: Flask, ask: Ask) -> None:
    """A View as a whole."""

    @sensitive("payment")
    class Refund(View):
        def dispatch_request(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))


def on_a_method_view(app: Flask, ask: Ask) -> None:
    """A MethodView as a whole."""

    @sensitive("payment")
    class Refund(MethodView):
        def get(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))


def on_a_method(app: Flask, ask: Ask) -> None:
    """One method of a MethodView."""

    class Refund(MethodView):
        @sensitive("payment")
        def get(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))


def among_the_decorators_of_a_view_class(app: Flask, ask: Ask) -> None:
    """In ``View.decorators``."""

    class Refund(MethodView):
        decorators = (sensitive("payment"), careful)

        def get(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))


def on_a_base_class(app: Flask, ask: Ask) -> None:
    """A class inherits the mark, even if it dispatches in a way of its own and has another mark."""

    @sensitive("payment")
    class Base(View):
        pass

    @sensitive("medical")
    class Refund(Base):
        def dispatch_request(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))


def on_a_blueprint(app: Flask, ask: Ask) -> None:
    """A blueprint."""
    payments = sensitive("payment")(Blueprint("payments", __name__))
    payments.add_url_rule("/", "refund", lambda: ask())
    app.register_blueprint(payments)


def on_an_outer_blueprint(app: Flask, ask: Ask) -> None:
    """A blueprint around the one that has the view."""
    inner, outer = Blueprint("inner", __name__), sensitive("payment")(Blueprint("outer", __name__))
    inner.add_url_rule("/", "refund", standard(lambda: ask()))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)


def on_a_blueprint_that_is_registered_already(app: Flask, ask: Ask) -> None:
    """The mark comes after the registration."""
    payments = Blueprint("payments", __name__)
    payments.add_url_rule("/", "refund", lambda: ask())
    app.register_blueprint(payments, name="other_name")
    sensitive("payment")(payments)


def on_the_app(app: Flask, ask: Ask) -> None:
    """The whole app."""
    app.add_url_rule("/", "refund", lambda: ask())
    sensitive("payment")(app)


def called_from_a_view_without_a_mark(app: Flask, ask: Ask) -> None:
    """A function below the view, not known before it runs."""
    app.add_url_rule("/", "refund", lambda: DECIDE[0](ask))


def _decide(ask: Ask) -> str:
    return ask()


DECIDE = [sensitive("payment")(_decide)]

WAYS: list[Put] = [
    below,
    above,
    asynchronous,
    under_a_careful_decorator,
    over_a_careless_decorator,
    on_a_view_class,
    on_a_method_view,
    on_a_method,
    among_the_decorators_of_a_view_class,
    on_a_base_class,
    on_a_blueprint,
    on_an_outer_blueprint,
    on_a_blueprint_that_is_registered_already,
    on_the_app,
    called_from_a_view_without_a_mark,
]


@pytest.mark.parametrize("put", WAYS, ids=lambda put: put.__name__)
def test_a_mark_holds(put: Put, app: Flask, ask: Ask, stage: Any) -> None:
    """The approved route answers; if it can't, the request is refused, and nobody else is asked."""
    put(app, ask)
    client = app.test_client()
    assert client.get("/").text == "Hello from model-one"
    stage.first.script("model-one", Status(500))
    answer = client.get("/")
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert stage.second.request_count == 0


@pytest.mark.parametrize("put", [way for way in WAYS if way is not called_from_a_view_without_a_mark])
def test_a_mark_is_found_before_the_view_runs(put: Put, app: Flask, ask: Ask) -> None:
    """What runs before the view, or around it, falls under the mark as well."""
    seen: list[frozenset[str]] = []

    def look() -> str:
        seen.append(ai.scope.sensitive)
        return "seen"

    ai: Lanewise = ask.__closure__[0].cell_contents  # type: ignore[attr-defined]
    put(app, look)
    app.before_request(lambda: seen.append(ai.scope.sensitive))
    assert app.test_client().get("/").text == "seen"
    assert [("payment" in categories) for categories in seen] == [True, True]


def test_without_a_mark_the_fallback_answers(app: Flask, ask: Ask, stage: Any) -> None:
    """The same shape, not sensitive."""
    app.add_url_rule("/", "refund", lambda: ask())
    stage.first.script("model-one", Status(500))
    assert app.test_client().get("/").text == "Hello from model-two"


def test_head_goes_to_get_and_so_does_its_mark(app: Flask, ask: Ask, stage: Any) -> None:
    """A HEAD request runs the method ``get``."""
    on_a_method(app, ask)
    stage.first.script("model-one", Status(500))
    assert app.test_client().head("/").status_code == 503
    assert stage.second.request_count == 0


def test_a_mark_on_one_method_is_not_for_the_others(app: Flask, ask: Ask, stage: Any) -> None:
    """``post`` is free of what ``get`` is marked with."""

    class Refund(MethodView):
        @sensitive("payment")
        def get(self) -> str:
            return ask()

        def post(self) -> str:
            return ask()

    app.add_url_rule("/", view_func=Refund.as_view("refund"))
    stage.first.script("model-one", Status(500))
    assert app.test_client().post("/").text == "Hello from model-two"
    assert app.test_client().get("/").status_code == 503


def test_marks_add_up(app: Flask, install: Any, stage: Any) -> None:
    """Of a blueprint, a view and a path rule: the routes that all of them approve."""
    categories = {"a": {"routes": ["first", "second"]}, "b": {"routes": ["first"]}, "c": {"routes": ["first"]}}
    ai = install(app, sensitive=categories, endpoints={"/refunds/*": "c"})
    payments = sensitive("a")(Blueprint("payments", __name__))

    @payments.get("/refunds/<int:number>")
    @sensitive("b")
    def refund(number: int) -> list[str]:
        return sorted(ai.scope.sensitive)

    app.register_blueprint(payments)
    assert app.test_client().get("/refunds/1").json == ["a", "b", "c"]


@pytest.mark.parametrize("path", ["/payments/1", "/payments//1", "/x/../payments/1", "/PAYMENTS/1", "/%70ayments/1"])
def test_a_path_rule_holds(path: str, app: Flask, install: Any) -> None:
    """Under a catch-all view, however the path is written."""
    ai = install(app, endpoints={"/payments/*": "payment"})
    app.url_map.merge_slashes = False

    @app.get("/<path:rest>")
    def anything(rest: str) -> list[str]:
        return sorted(ai.scope.sensitive)

    assert app.test_client().get(path).json == ["payment"]
    assert app.test_client().get("/tickets/1").json == []


def test_a_path_rule_holds_under_a_mount(app: Flask, install: Any) -> None:
    """With the root path, and without it."""
    ai = install(app, endpoints={"/payments/*": "payment"})
    app.add_url_rule("/<path:rest>", "all", lambda rest: sorted(ai.scope.sensitive))
    client = app.test_client()
    assert client.get("/1", base_url="http://localhost/payments").json == ["payment"]
    assert client.get("/payments/1", base_url="http://localhost/shop").json == ["payment"]


def test_undeclared_endpoints_are_what_the_config_says(app: Flask, install: Any, stage: Any) -> None:
    """Sensitive, say; what is declared standard is not concerned."""
    ai = install(app, router={"undeclared": "sensitive:payment"})
    app.add_url_rule("/undeclared", "undeclared", lambda: sorted(ai.scope.sensitive))
    app.add_url_rule("/standard", "standard", standard(lambda: sorted(ai.scope.sensitive)))
    client = app.test_client()
    assert client.get("/undeclared").json == ["payment"]
    assert client.get("/standard").json == []


def test_undeclared_endpoints_can_be_refused(app: Flask, install: Any, stage: Any) -> None:
    """``undeclared = "refuse"``: no call of theirs is sent."""
    ai = install(app, router={"undeclared": "refuse"})

    def ask() -> str:
        reply = ai.openai.chat.completions.create(model="summary", messages=[{"role": "user", "content": "Hello"}])
        return reply.choices[0].message.content or ""

    app.add_url_rule("/undeclared", "undeclared", lambda: ask())
    app.add_url_rule("/standard", "standard", standard(lambda: ask()))
    client = app.test_client()
    assert client.get("/undeclared").status_code == 503
    assert client.get("/standard").text == "Hello from model-one"
    assert stage.first.request_count == 1


def test_an_app_can_assert_that_all_its_endpoints_are_declared(app: Flask, install: Any) -> None:
    """The list of those that are not; static files need not be."""
    install(app, endpoints={"/payments/*": "payment"})
    app.add_url_rule("/payments/<int:n>", "pay", lambda n: "")
    app.add_url_rule("/health", "health", standard(lambda: ""))
    assert_endpoints_declared(app)
    app.add_url_rule("/new", "new", lambda: "")
    with pytest.raises(AssertionError, match=r"1 endpoints.*\n.*GET /new \(new\)"):
        assert_endpoints_declared(app)


def test_a_mark_is_for_what_dispatches() -> None:
    """Anything else is refused where it is marked."""
    with pytest.raises(TypeError, match="functions and classes"):
        sensitive("payment")("refund")
    with pytest.raises(TypeError, match="dispatches no requests"):
        sensitive("payment")(int)
