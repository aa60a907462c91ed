"""Marks that can't hold: the app does not start, or refuses its first and every request with the reason in the log."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Blueprint, Flask
from flask.cli import FlaskGroup
from flask.views import MethodView

from flask_lanewise import Lanewise, endpoints, sensitive
from lanewise import ConfigError, Router

Install = Callable[..., Lanewise]


def careless(view: Any) -> Any:
    """A decorator that forgets ``functools.wraps``."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return run


class Object:
    """A decorator that is an object."""

    def __init__(self, view: Any) -> None:
        self.view = view

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.view(*args, **kwargs)


def refund() -> Callable[[], str]:
    """A view of its own for each use: a function that is marked is marked wherever it is registered."""

    def refund() -> str:
        return "refunded"

    return refund


class Refund(MethodView):
    @sensitive("payment")
    def get(self) -> str:
        return "refunded"


HIDDEN: dict[str, Callable[[], Any]] = {
    "under a function": lambda: careless(sensitive("payment")(refund())),
    "under two": lambda: careless(careless(sensitive("payment")(refund()))),
    "under an object": lambda: Object(sensitive("payment")(refund())),
    "on a method": lambda: careless(Refund.as_view("refund")),
}


@pytest.mark.parametrize("make", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_mark_refuses_every_request(
    make: Callable[[], Any], app: Flask, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """Those to other endpoints too, so that a health check sees it; the log names the endpoint."""
    install(app)
    app.add_url_rule("/refunds", "refund", make())
    app.add_url_rule("/health", "health", lambda: "fine")
    client = app.test_client()
    for path in ("/health", "/refunds", "/nowhere", "/health"):
        caplog.clear()
        answer = client.get(path, headers={"X-Request-ID": "req-2026-000042"})
        assert answer.status_code == 500
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["X-Request-ID"] == "req-2026-000042"
        assert "payment" not in answer.text
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "GET /refunds (refund)" in record.getMessage()
        assert "hides its mark 'payment'" in record.getMessage()


def test_a_hidden_mark_that_is_there_already_stops_the_start(app: Flask, install: Install) -> None:
    """Where the extension is installed after the endpoints, the app does not even start."""
    app.add_url_rule("/refunds", "refund", careless(sensitive("payment")(refund())))
    with pytest.raises(ConfigError, match=r"GET /refunds \(refund\).*hides its mark"):
        install(app)
    assert "lanewise" not in app.extensions


def on_a_view(app: Flask) -> None:
    app.add_url_rule("/refunds", "refund", sensitive("paymnt")(refund()))


def above_the_route(app: Flask) -> None:
    sensitive("paymnt")(app.get("/refunds")(refund()))


def on_a_method(app: Flask) -> None:
    class Refunds(MethodView):
        @sensitive("paymnt")
        def post(self) -> str:
            return "refunded"

    app.add_url_rule("/refunds", view_func=Refunds.as_view("refunds"))


def on_a_view_class(app: Flask) -> None:
    class Refunds(MethodView):
        def post(self) -> str:
            return "refunded"

    app.add_url_rule("/refunds", view_func=sensitive("paymnt")(Refunds).as_view("refunds"))


def on_a_method_of_an_added_class(app: Flask) -> None:
    class Refunds(MethodView):
        def post(self) -> str:
            return "refunded"

    app.add_url_rule("/refunds", view_func=Refunds.as_view("refunds"))
    sensitive("paymnt")(Refunds)


def under_a_decorator(app: Flask) -> None:
    app.add_url_rule("/refunds", "refund", functools.wraps(refund)(careless(sensitive("paymnt")(refund()))))


def on_a_blueprint(app: Flask) -> None:
    blueprint = Blueprint("payments", __name__)
    blueprint.add_url_rule("/refunds", "refund", refund())
    app.register_blueprint(sensitive("paymnt")(blueprint))


def on_a_registered_blueprint(app: Flask) -> None:
    blueprint = Blueprint("payments", __name__)
    blueprint.add_url_rule("/refunds", "refund", refund())
    app.register_blueprint(blueprint)
    sensitive("paymnt")(blueprint)


def in_a_nested_blueprint(app: Flask) -> None:
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/refunds", "refund", refund())
    outer.register_blueprint(inner)
    app.register_blueprint(sensitive("paymnt")(outer))


def on_the_app(app: Flask) -> None:
    app.add_url_rule("/refunds", "refund", refund())
    sensitive("paymnt")(app)


def on_the_app_before(app: Flask) -> None:
    sensitive("paymnt")(app)
    app.add_url_rule("/refunds", "refund", refund())


ADDED = [
    on_a_view,
    above_the_route,
    on_a_method,
    on_a_view_class,
    on_a_method_of_an_added_class,
    under_a_decorator,
    on_a_blueprint,
    on_a_registered_blueprint,
    in_a_nested_blueprint,
    on_the_app,
    on_the_app_before,
]


@pytest.mark.parametrize("add", ADDED, ids=lambda add: add.__name__)
@pytest.mark.parametrize("installed", ["before", "after"])
def test_an_unknown_category_stops_the_start(
    installed: str, add: Callable[[Flask], None], app: Flask, install: Install
) -> None:
    """Where the mark is written, or where lanewise is installed: the code that makes the app does not get further."""
    if installed == "before":
        install(app)
        with pytest.raises(ConfigError, match=r"unknown sensitive category 'paymnt'.*payment, medical"):
            add(app)
    else:
        add(app)
        with pytest.raises(ConfigError, match=r"unknown sensitive category 'paymnt'.*payment, medical"):
            install(app)


def test_another_app_knows_the_category(app: Flask, install: Install) -> None:
    """A mark stops only those apps that it is in."""
    install(app)
    other = Flask("other")
    install(other, sensitive={"paymnt": {"routes": ["first"]}})
    other.add_url_rule("/refunds", "refund", sensitive("paymnt")(refund()))
    sensitive("paymnt")(other)


def test_categories_without_a_route_in_common_refuse_every_request(
    app: Flask, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """No request to the endpoint could ever be answered."""
    install(app, sensitive={"a": {"routes": ["first"]}, "b": {"routes": ["second"]}})
    app.add_url_rule("/", "refund", sensitive("a")(sensitive("b")(refund())))
    assert app.test_client().get("/").status_code == 500
    assert "no route is approved for a, b together" in caplog.text


@pytest.mark.parametrize("given", ["config", "router", "by name"])
def test_missing_keys_stop_the_start(
    given: str, app: Flask, stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the variable."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = stage.config()
    config["providers"]["one"]["api_key_env"] = "NO_SUCH_KEY"
    file = tmp_path / "lanewise.toml"
    file.write_text(
        f'providers.p = {{ base_url = "{stage.first.base_url}", api_key_env = "NO_SUCH_KEY" }}\n'
        'routes.r = { provider = "p", model = "m" }\ntasks.t.primary = "r"\n'
    )
    app.config["LANEWISE_CONFIG"] = str(file)
    routers = {"config": None, "router": Router.from_mapping(config), "by name": file}
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        Lanewise(app, routers[given])
    assert "lanewise" not in app.extensions


def test_a_command_needs_no_keys(app: Flask, stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``flask routes`` and its kin serve nobody, and run where no key is: where the app is built, say."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = stage.config()
    config["providers"]["one"]["api_key_env"] = "NO_SUCH_KEY"

    def make() -> Flask:
        Lanewise(app, Router.from_mapping(config))
        return app

    listed = CliRunner().invoke(FlaskGroup(create_app=make), ["routes"])
    assert (listed.exit_code, "static" in listed.output) == (0, True), listed.output
    assert app.test_client().get("/").status_code == 500, "and yet it serves nothing without them"


def test_a_request_context_made_by_hand_is_refused_too(app: Flask, install: Install) -> None:
    """A test that makes one gets the error itself."""
    ai = install(app)
    app.add_url_rule("/", "refund", careless(sensitive("payment")(refund())))
    with app.test_request_context("/"), pytest.raises(ConfigError, match="hides its mark 'payment'"):
        _ = ai.scope


def test_the_marks_of_a_request_context_made_by_hand_hold(app: Flask, install: Install) -> None:
    """Without a request nothing was enforced before; the endpoint's marks hold all the same."""
    ai = install(app)
    app.add_url_rule("/", "refund", sensitive("payment")(refund()))
    with app.test_request_context("/"):
        assert ai.scope.sensitive == {"payment"}


def test_another_extension_may_replace_a_view(app: Flask, install: Install) -> None:
    """The marks are those of the view that runs."""
    ai = install(app)
    app.add_url_rule("/", "refund", lambda: sorted(ai.scope.sensitive))
    client = app.test_client()
    assert client.get("/").json == []
    app.view_functions["refund"] = sensitive("payment")(app.view_functions["refund"])
    assert client.get("/").json == ["payment"]


def test_a_marked_function_before_requests_is_listed_with_the_views(install: Install, app: Flask) -> None:
    """With what it is the mark of."""
    install(app)

    @app.before_request
    @sensitive("payment")
    def known() -> None: ...

    app.add_url_rule("/x", "x", lambda: "done")
    listed = {endpoint.name: endpoint.categories for endpoint in endpoints(app)}
    assert listed["x"] == {"payment"}
