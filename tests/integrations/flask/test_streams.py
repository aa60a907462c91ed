"""Streaming responses: they keep their client, end the upstream with themselves, and never end as whole when broken."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, g, request, stream_with_context
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_lanewise import Lanewise, sensitive
from lanewise import CallerGone, FailClosed, RoutingError, StreamBroken, current_scope
from lanewise.testing import Status, StreamOf

MESSAGES: Any = [{"role": "user", "content": "canary-prompt"}]
STALLED = StreamOf(stall_after=2)


def pieces(client: Any, task: str = "summary") -> Iterator[str]:
    for chunk in client.chat.completions.create(model=task, messages=MESSAGES, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def test_a_stream_keeps_its_client(app: Flask, ai: Lanewise) -> None:
    """The request's context has gone when the first piece is made."""

    @app.get("/")
    def index() -> Response:
        client = ai.openai
        return Response(pieces(client))

    assert app.test_client().get("/").text == "Hello from model-one"


def test_a_stream_with_context_finds_its_client(app: Flask, ai: Lanewise) -> None:
    """Flask's own way: the context comes back for the generator."""

    @app.get("/")
    def index() -> Response:
        mine = ai.scope

        def generate() -> Iterator[str]:
            assert ai.scope is mine
            assert request.path == "/"
            g.seen = True
            yield from pieces(ai.openai)

        return Response(stream_with_context(generate()))

    assert app.test_client().get("/").text == "Hello from model-one"


def test_a_stream_runs_in_the_requests_scope(app: Flask, ai: Lanewise) -> None:
    """And leaves no scope behind, neither between its pieces nor after them."""

    @app.get("/")
    def index() -> Response:
        mine = ai.scope

        def generate() -> Iterator[str]:
            for _ in range(3):
                yield "yes " if current_scope() is mine else "no "

        return Response(generate())

    body, status, _ = run_wsgi_app(app, EnvironBuilder("/").get_environ())
    assert status == "200 OK"
    for piece in body:
        assert piece == b"yes "
        assert current_scope() is None


@pytest.mark.parametrize("marked", [False, True], ids=["standard", "sensitive"])
def test_a_stream_that_fails_before_its_first_piece_is_a_problem(
    marked: bool, app: Flask, ai: Lanewise, stage: Any
) -> None:
    """Nothing was sent yet, so the answer is as if the view itself had failed: by the app's error handling."""
    stage.first.script("model-one", Status(500))
    after: list[int] = []

    def view() -> Response:
        return Response(pieces(ai.openai, "summary" if marked else "alone"), mimetype="text/event-stream")

    app.add_url_rule("/", "view", sensitive("payment")(view) if marked else view)

    @app.after_request
    def count(response: Response) -> Response:
        after.append(response.status_code)
        return response

    answer = app.test_client().get("/", headers={"X-Request-ID": "req-2026-000042"})
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert answer.headers.getlist("X-Request-ID") == ["req-2026-000042"]
    assert answer.headers.getlist("Content-Type") == ["application/problem+json"]
    assert stage.second.request_count == 0
    assert after == [200, 503]


def test_a_stream_that_fails_first_is_the_app_handlers(app: Flask, ai: Lanewise, stage: Any) -> None:
    """The app's own handler answers here too."""
    stage.first.script("model-one", Status(500))
    app.register_error_handler(RoutingError, lambda error: ("sorry", 418))

    @app.get("/")
    def index() -> Response:
        return Response(pieces(ai.openai, "alone"))

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.text) == (418, "sorry")


@pytest.mark.parametrize(("marked", "kind"), [(False, StreamBroken), (True, FailClosed)])
def test_a_stream_that_breaks_later_raises(
    marked: bool, kind: type[Exception], app: Flask, ai: Lanewise, stage: Any
) -> None:
    """The server aborts the connection: a broken answer never ends as if it were whole."""
    stage.first.script("model-one", StreamOf(cut_after=2))

    def view() -> Response:
        return Response(pieces(ai.openai))

    app.add_url_rule("/", "view", sensitive("payment")(view) if marked else view)
    body, status, _ = run_wsgi_app(app, EnvironBuilder("/").get_environ())
    assert status == "200 OK"
    assert next(body)
    with pytest.raises(kind):
        list(body)
    assert stage.second.request_count == 0


class _TakesAtReturn:
    """A server that takes the status and the headers when the app returns, as granian does."""

    def __init__(self, app: Flask, path: str) -> None:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        environ = EnvironBuilder(path, headers={"X-Request-ID": "req-2026-000042"}).get_environ()
        body = app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))  # type: ignore[arg-type,return-value,func-returns-value]
        self.status, headers = started[-1] if started else ("200 OK", [])
        self.headers = {name.title(): value for name, value in headers}
        self.text = b"".join(body).decode()
        body.close()  # type: ignore[attr-defined]
        assert len(started) <= 1


def test_the_answer_has_begun_when_the_app_returns(app: Flask, ai: Lanewise, stage: Any) -> None:
    """Streams that ask a model, that ask late, that ask none and that are empty keep their status and headers."""

    def asked() -> Response:
        return Response(pieces(ai.openai, "alone"), 201, {"X-Mine": "yes"}, mimetype="text/event-stream")

    def asked_late() -> Response:
        def generate() -> Iterator[str]:
            yield from pieces(ai.openai, "alone")

        return Response(stream_with_context(generate()), 201, {"X-Mine": "yes"}, mimetype="text/event-stream")

    def unasked() -> Response:
        return Response(iter(["", "a", "", "b"]), 201, {"X-Mine": "yes"}, mimetype="text/event-stream")

    def empty() -> Response:
        return Response(iter([]), 201, {"X-Mine": "yes"}, mimetype="text/event-stream")

    for view in (asked, asked_late, unasked, empty):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)
    for path, text in {"asked": "Hello from model-one", "asked_late": "Hello from model-one", "unasked": "ab"}.items():
        answer = _TakesAtReturn(app, "/" + path)
        assert (answer.status, answer.text) == ("201 CREATED", text)
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert (answer.headers["X-Mine"], answer.headers["X-Request-Id"]) == ("yes", "req-2026-000042")
    assert (_TakesAtReturn(app, "/empty").status, _TakesAtReturn(app, "/empty").text) == ("201 CREATED", "")

    stage.first.script("model-one", Status(500))
    for path in ("asked", "asked_late"):
        answer = _TakesAtReturn(app, "/" + path)
        assert answer.status.startswith("503 ")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Request-Id"] == "req-2026-000042"


def test_an_error_of_the_apps_own_before_the_first_piece_is_the_servers(app: Flask, ai: Lanewise, stage: Any) -> None:
    """As without us: the server answers, and what the endpoint had running is closed."""
    stage.first.script("model-one", STALLED)
    closed: list[str] = []

    @app.get("/")
    def index() -> Response:
        def generate() -> Iterator[str]:
            running = pieces(ai_client)
            next(running)
            raise ValueError("no")
            yield ""

        ai_client = ai.openai
        answer = Response(generate())
        answer.call_on_close(lambda: closed.append("closed"))
        return answer

    with pytest.raises(ValueError, match="no"):
        run_wsgi_app(app, EnvironBuilder("/").get_environ())
    assert closed == ["closed"]
    stage.first.wait_until(lambda: stage.first.in_flight == 0)


def test_closing_a_stream_early_cancels_the_upstream(app: Flask, ai: Lanewise, stage: Any) -> None:
    """The client has gone: the provider's answer is wanted no more."""
    stage.first.script("model-one", STALLED)

    @app.get("/")
    def index() -> Response:
        return Response(pieces(ai.openai))

    body = open_stream(app)
    assert next(body)
    assert stage.first.in_flight == 1
    body.close()
    stage.first.wait_until(lambda: stage.first.in_flight == 0)
    stage.first.wait_until(lambda: stage.first.open_connections == 0)


def test_closing_a_stream_early_ends_calls_in_threads(app: Flask, ai: Lanewise, stage: Any) -> None:
    """Also where the response does not read the upstream itself, and holds on to it."""
    stage.first.script("model-one", STALLED)
    kept: list[Any] = []

    @app.get("/")
    def index() -> Response:
        kept.append(ai.openai.chat.completions.create(model="summary", messages=MESSAGES, stream=True))
        return Response(iter(["one", "two"]))

    body = open_stream(app)
    assert next(body) == b"one"
    body.close()
    stage.first.wait_until(lambda: stage.first.in_flight == 0)
    with pytest.raises(CallerGone):
        list(kept[0])


def test_an_endpoint_can_have_its_calls_survive(app: Flask, ai: Lanewise, stage: Any) -> None:
    """``survive_hang_up``: the answer is wanted anyway."""
    kept: list[Any] = []

    @app.get("/")
    def index() -> Response:
        ai.scope.survive_hang_up()
        kept.append(ai.openai.chat.completions.create(model="summary", messages=MESSAGES, stream=True))
        return Response(iter(["one", "two"]))

    body = open_stream(app)
    next(body)
    body.close()
    assert "".join(c.choices[0].delta.content or "" for c in kept[0] if c.choices) == "Hello from model-one"


def test_the_end_of_a_response_is_no_hang_up(app: Flask, ai: Lanewise) -> None:
    """A call that runs on in the background when the response is complete is left alone."""
    kept: list[Any] = []

    @app.get("/stream")
    def stream() -> Response:
        return Response(iter([index(), "!"]))

    @app.get("/")
    def index() -> str:
        kept.append(ai.openai.chat.completions.create(model="summary", messages=MESSAGES, stream=True))
        return "accepted"

    for path in ("/", "/stream"):
        body, _, _ = run_wsgi_app(app, EnvironBuilder(path).get_environ())
        list(body)
        body.close()
        assert "".join(c.choices[0].delta.content or "" for c in kept[-1] if c.choices) == "Hello from model-one"


def test_an_empty_stream_and_a_bodiless_answer_pass(app: Flask, ai: Lanewise) -> None:
    """The held back start of the response comes with the end of its body at the latest."""
    app.add_url_rule("/empty", "empty", lambda: Response(iter([])))
    app.add_url_rule("/blank", "blank", lambda: Response(iter(["", "a", "", "b"])))
    app.add_url_rule("/none", "none", lambda: ("", 204))
    client = app.test_client()
    assert (client.get("/empty").status_code, client.get("/empty").text) == (200, "")
    assert client.get("/blank").text == "ab"
    assert client.get("/none").status_code == 204
    assert client.head("/blank").status_code == 200
    assert client.get("/none").headers["X-Request-ID"]


def test_files_are_sent_as_the_server_likes(app: Flask, ai: Lanewise) -> None:
    """A server's own file wrapper reaches it as it is."""

    class Wrapper:
        def __init__(self, file: Any, size: int = 8192) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.file)

        def close(self) -> None:
            self.file.close()

    @app.get("/")
    def index() -> Response:
        body = request.environ["wsgi.file_wrapper"](io.BytesIO(b"file"))
        return Response(body, direct_passthrough=True)

    started: list[str] = []
    environ = EnvironBuilder("/").get_environ() | {"wsgi.file_wrapper": Wrapper}
    body = app(environ, lambda status, headers, exc_info=None: started.append(status) or (lambda data: None))
    assert isinstance(body, Wrapper)
    assert started == ["200 OK"]
    body.close()


def test_a_body_that_fails_is_closed_by_then(app: Flask, ai: Lanewise) -> None:
    """Werkzeug's server closes none whose caller has reset the connection; a server that does closes it once."""
    closed: list[str] = []

    @app.get("/")
    def index() -> Response:
        response = Response(failing())
        response.call_on_close(lambda: closed.append("closed"))
        return response

    def failing() -> Iterator[str]:
        yield "a"
        raise ValueError("of the app")

    body = app(EnvironBuilder("/").get_environ(), lambda status, headers, exc_info=None: lambda data: None)
    assert next(body) == b"a"  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="of the app"):
        next(body)  # type: ignore[call-overload]
    assert closed == ["closed"]
    body.close()  # type: ignore[attr-defined]
    assert closed == ["closed"]


def open_stream(app: Flask) -> Any:
    body, status, _ = run_wsgi_app(app, EnvironBuilder("/").get_environ())
    assert status == "200 OK"
    return body
