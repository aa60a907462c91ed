"""Calls without an answer: problems by our handler, unless the app has one of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import openai
import pytest
from flask import Blueprint, Flask

from flask_lanewise import Lanewise, sensitive
from lanewise import FailClosed, RoutingError
from lanewise.testing import Status

Ask = Callable[..., str]


def client_of(app: Flask, ask: Ask) -> Any:
    app.add_url_rule("/", "index", lambda: ask("alone"))
    return app.test_client()


def test_a_failed_call_is_a_problem(app: Flask, ask: Ask, stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Without provider, model, prompt or upstream text; logged with the request's id and the call's."""
    stage.first.script("model-one", Status(500, {"message": "canary-upstream"}))
    answer = client_of(app, ask).get("/", headers={"X-Request-ID": "req-2026-000042"})
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert answer.json["request_id"] == "req-2026-000042"
    assert int(answer.headers["Retry-After"]) >= 1
    for secret in ("model-one", "canary-upstream", "canary-prompt", "127.0.0.1"):
        assert secret not in answer.text
    record = next(record for record in caplog.records if "answered with 503" in record.getMessage())
    assert record.levelno == logging.WARNING
    assert record.__dict__["request_id"] == "req-2026-000042"
    assert record.__dict__["call_id"] == answer.json["call_id"]


@pytest.mark.parametrize(
    "kind", [openai.RateLimitError, openai.APIStatusError, openai.APIError, openai.OpenAIError, RoutingError]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_apps_own_handler_comes_first(
    kind: type[Exception], when: str, app: Flask, install: Any, stage: Any
) -> None:
    """For any class of ``openai`` or for ours, registered before the extension or after it."""
    stage.first.script("model-one", Status(429))
    if when == "before":
        app.register_error_handler(kind, lambda error: (type(error).__name__, 418))
    ai = install(app)
    if when == "after":
        app.register_error_handler(kind, lambda error: (type(error).__name__, 418))

    @app.get("/")
    def index() -> str:
        ai.openai.chat.completions.create(model="alone", messages=[{"role": "user", "content": "Hello"}])
        return "never"

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.text) == (418, "UpstreamRateLimit")


def test_a_blueprints_own_handler_comes_first(app: Flask, ask: Ask, stage: Any) -> None:
    """Even one for any exception: it is nearer."""
    stage.first.script("model-one", Status(500))
    payments = Blueprint("payments", __name__)
    payments.add_url_rule("/", "index", lambda: ask("alone"))
    payments.register_error_handler(Exception, lambda error: ("the blueprint's", 418))
    app.register_blueprint(payments)
    assert app.test_client().get("/").text == "the blueprint's"


def test_an_app_can_answer_what_failed_closed_in_its_own_way(app: Flask, ask: Ask, stage: Any) -> None:
    """By our class."""
    stage.first.script("model-one", Status(500))
    app.register_error_handler(FailClosed, lambda error: ("call us: 0800 123", 503))
    app.add_url_rule("/", "refund", sensitive("payment")(lambda: ask()))
    assert app.test_client().get("/").text == "call us: 0800 123"


def test_errors_of_other_openai_clients_are_not_ours(app: Flask, ai: Lanewise) -> None:
    """A plain client's error goes where it would go without us: to the app's handler for all, or to a plain 500."""

    @app.get("/")
    def index() -> str:
        raise openai.OpenAIError("of a plain client")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()
    assert client.get("/").mimetype == "text/html"
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(openai.OpenAIError, match="of a plain client"):
        client.get("/")

    other = Flask("other")
    other.register_error_handler(Exception, lambda error: (f"all: {error}", 418))
    with app.app_context():
        Lanewise(other, ai.router)
    other.add_url_rule("/", "index", index)
    assert other.test_client().get("/").text == "all: of a plain client"


def test_an_unknown_task_is_the_apps_own_mistake(app: Flask, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """A 500, and an error in the log that lists the tasks."""
    app.add_url_rule("/", "index", lambda: ask("sumary"))
    assert app.test_client().get("/").status_code == 500
    assert any(record.levelno == logging.ERROR and "summary" in record.getMessage() for record in caplog.records)
