"""Request ids: taken in, echoed once, on every attempt and in every line of the log."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, current_app, make_response

from flask_lanewise import Lanewise, RequestIdFilter
from lanewise.testing import Status

OWN = "req-2026-000042"
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_an_id_goes_to_every_attempt_and_back(app: Flask, ask: Callable[..., str], stage: Any) -> None:
    """As idempotency key, client request id, and on the answer."""
    app.add_url_rule("/", "index", lambda: ask())
    stage.first.script("model-one", Status(500))
    answer = app.test_client().get("/", headers={"X-Request-ID": OWN})
    assert answer.headers.getlist("X-Request-ID") == [OWN]
    for received in (*stage.first.journal, *stage.second.journal):
        assert received.headers["idempotency-key"].startswith(f"{OWN}-")
        assert received.headers["x-client-request-id"]


@pytest.mark.parametrize(
    "bad",
    ["short", "a b c d e f g h", "x" * 129, "x" * 100_000, "grüße-123456", "req\x00-12345678", f"{OWN},{OWN}", ""],
)
def test_an_id_of_another_form_is_replaced(bad: str, app: Flask, ai: Lanewise) -> None:
    """A fresh one takes its place; what came reaches neither headers nor log."""
    app.add_url_rule("/", "index", lambda: ai.scope.request_id)
    environ = {"HTTP_X_REQUEST_ID": bad.encode().decode("latin-1")}
    answer = app.test_client().get("/", environ_overrides=environ)
    assert re.fullmatch(UUID7, answer.text)
    assert answer.headers.getlist("X-Request-ID") == [answer.text]


def test_errors_have_the_id_too(app: Flask, ai: Lanewise) -> None:
    """Not found, refused, crashed, and answered by an error handler that crashed."""
    app.add_url_rule("/refused", "refused", lambda: abort(403))
    app.add_url_rule("/crashed", "crashed", lambda: 1 // 0)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()
    for path, status in (("/nowhere", 404), ("/refused", 403), ("/crashed", 500)):
        answer = client.get(path, headers={"X-Request-ID": OWN})
        assert (answer.status_code, answer.headers.getlist("X-Request-ID")) == (status, [OWN])


def test_the_apps_own_header_stays(app: Flask, ai: Lanewise) -> None:
    """The id is echoed once: not beside the app's."""

    @app.get("/")
    def index() -> Any:
        answer = make_response("hello")
        answer.headers["x-request-id"] = "the-apps-own"
        return answer

    answer = app.test_client().get("/", headers={"X-Request-ID": OWN})
    assert answer.headers.getlist("X-Request-ID") == ["the-apps-own"]


def test_the_header_has_the_name_that_the_config_says(app: Flask, install: Any) -> None:
    """Inbound and outbound."""
    ai = install(app, router={"request_id_header": "X-Correlation-ID"})
    app.add_url_rule("/", "index", lambda: ai.scope.request_id)
    answer = app.test_client().get("/", headers={"X-Correlation-ID": OWN, "X-Request-ID": "req-other-42"})
    assert answer.text == OWN
    assert answer.headers["X-Correlation-ID"] == OWN
    assert "X-Request-ID" not in answer.headers


def test_the_trace_is_passed_on(app: Flask, ask: Callable[..., str], stage: Any) -> None:
    """``traceparent`` as it came; one that is malformed is not."""
    app.add_url_rule("/", "index", lambda: ask())
    client = app.test_client()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    client.get("/", headers={"traceparent": trace})
    client.get("/", headers={"traceparent": "nonsense"})
    traces = [received.headers.get("traceparent") for received in stage.first.journal]
    assert traces == [trace, None]


def test_every_line_of_a_request_has_its_id(app: Flask, ai: Lanewise) -> None:
    """By the filter that is provided, in views and in streams; outside of requests there is a dash."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    log = logging.getLogger("desk.test")
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    @app.get("/")
    def index() -> Any:
        log.info("in the view")

        def generate() -> Any:
            log.info("in the stream")
            yield "piece"

        return current_app.response_class(generate())

    try:
        assert app.test_client().get("/", headers={"X-Request-ID": OWN}).text == "piece"
        log.info("outside")
    finally:
        log.removeHandler(handler)
    assert lines.getvalue().splitlines() == [f"{OWN} in the view", f"{OWN} in the stream", "- outside"]
