"""Marks that can't hold: the app does not start, or refuses its first and every request with the reason in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from flask_lanewise import Lanewise, sensitive
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


@pytest.mark.parametrize("group", ["view", "blueprint", "app"])
def test_an_unknown_category_refuses_every_request(
    group: str, app: Flask, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """A mark that the config does not know is no mark at all."""
    install(app)
    blueprint = Blueprint("payments", __name__)
    blueprint.add_url_rule("/refunds", "refund", sensitive("paymnt")(refund) if group == "view" else refund())
    app.register_blueprint(blueprint)
    if group != "view":
        sensitive("paymnt")(blueprint if group == "blueprint" else app)
    assert app.test_client().get("/nowhere").status_code == 500
    assert "unknown sensitive category 'paymnt'" in caplog.text
    assert "payments.refund" in caplog.text


def test_categories_without_a_route_in_common_refuse_every_request(
    app: Flask, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """No request to the endpoint could ever be answered."""
    install(app, sensitive={"a": {"routes": ["first"]}, "b": {"routes": ["second"]}})
    app.add_url_rule("/", "refund", sensitive("a")(sensitive("b")(refund())))
    assert app.test_client().get("/").status_code == 500
    assert "no route is approved for a, b together" in caplog.text


def test_missing_keys_refuse_every_request(
    app: Flask, stage: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flask has no start at which the router could open: the first request tells, whether it uses AI or not."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = stage.config()
    config["providers"]["one"]["api_key_env"] = "NO_SUCH_KEY"
    Lanewise(app, Router.from_mapping(config))
    app.add_url_rule("/", "index", lambda: "fine")
    assert app.test_client().get("/").status_code == 500
    assert "NO_SUCH_KEY" in caplog.text


def test_a_request_context_made_by_hand_is_refused_too(app: Flask, install: Install) -> None:
    """A test that makes one gets the error itself."""
    ai = install(app)
    app.add_url_rule("/", "refund", sensitive("paymnt")(refund()))
    with app.test_request_context("/"), pytest.raises(ConfigError, match="paymnt"):
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
