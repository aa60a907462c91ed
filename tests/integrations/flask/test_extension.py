"""The extension: where it is installed, which clients it gives, and what it says where it can't."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from flask import Flask, Response, copy_current_request_context, g, request, session
from flask.testing import FlaskClient

from begun_threads import begun_threads
from flask_lanewise import Lanewise, sensitive
from lanewise import NotInScope, Router, Scope, current_scope
from lanewise.testing import Status

Install = Callable[..., Lanewise]
MESSAGES: Any = [{"role": "user", "content": "canary-prompt"}]


def test_a_view_has_a_routed_client(app: Flask, ai: Lanewise, stage: Any) -> None:
    """The first provider fails, the second one answers, and the scope tells."""
    stage.first.script("model-one", Status(500))

    @app.get("/summary")
    def summary() -> dict[str, str | None]:
        reply = ai.openai.chat.completions.create(model="summary", messages=MESSAGES)
        return {"text": reply.choices[0].message.content, "route": ai.scope.call_for(reply).route}

    answer = app.test_client().get("/summary")
    assert answer.json == {"text": "Hello from model-two", "route": "second"}


def test_the_clients_are_the_sdks_own(app: Flask, ai: Lanewise) -> None:
    """One of each in a request, bound to its scope."""
    with app.test_request_context("/"):
        assert isinstance(ai.openai, openai.OpenAI)
        assert isinstance(ai.async_openai, openai.AsyncOpenAI)
        assert ai.openai is ai.openai
        assert isinstance(ai.scope, Scope)
        assert ai.scope is ai.scope


def test_an_async_view_has_a_routed_client(app: Flask, ai: Lanewise, stage: Any) -> None:
    """Flask gives each of its calls an event loop of its own, and the connections outlive it."""

    @app.get("/summary")
    async def summary() -> dict[str, str | None]:
        reply = await ai.async_openai.chat.completions.create(model="summary", messages=MESSAGES)
        stream = await ai.async_openai.chat.completions.create(model="summary", messages=MESSAGES, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return {"text": reply.choices[0].message.content, "stream": "".join(pieces)}

    client = app.test_client()
    for _ in range(3):
        assert client.get("/summary").json == {"text": "Hello from model-one", "stream": "Hello from model-one"}
    assert stage.first.connections == 1


def test_a_request_without_ai_makes_no_client_and_no_thread(app: Flask, ai: Lanewise) -> None:
    """What a request does not use, it does not pay for."""
    seen: list[Scope | None] = []

    @app.get("/")
    def index() -> str:
        seen.append(current_scope())
        return "hello"

    begun = begun_threads()
    assert app.test_client().get("/").status_code == 200
    assert begun() == []
    assert seen[0] is not None
    assert seen[0]._openai is None
    assert seen[0]._async_openai is None
    assert current_scope() is None


def test_an_app_that_is_made_later(stage: Any, routers: list[Router]) -> None:
    """``init_app`` takes a router, or the path in the app's config."""
    routers.append(Router.from_mapping(stage.config()))
    ai = Lanewise()
    app = Flask("later")
    ai.init_app(app, routers[0])
    with app.test_request_context("/"):
        assert ai.router is routers[0]
        assert ai.openai.chat.completions.create(model="summary", messages=MESSAGES)


def test_the_config_is_found_by_the_apps_own_config(tmp_path: Path) -> None:
    """``LANEWISE_CONFIG`` names the file; it is ``lanewise.toml`` unless the app says otherwise."""
    file = tmp_path / "ai.toml"
    file.write_text(
        '[providers.one]\nbase_url = "http://127.0.0.1:9/v1"\n[routes.first]\nprovider = "one"\nmodel = "m"\n'
        '[tasks.summary]\nprimary = "first"\n'
    )
    app = Flask("configured")
    app.config["LANEWISE_CONFIG"] = str(file)
    ai = Lanewise(app)
    with app.app_context():
        assert list(ai.router.config.tasks) == ["summary"]
    other = Flask("other")
    with pytest.raises(ValueError, match=r"lanewise\.toml"):
        Lanewise(other)
    assert other.config["LANEWISE_CONFIG"] == "lanewise.toml"


def test_several_apps_have_a_router_each(stage: Any, install: Install) -> None:
    """One extension serves several apps, each by its own router; a request knows which."""
    ai, apps = Lanewise(), [Flask("a"), Flask("b")]
    for app, task in zip(apps, ("only-a", "only-b"), strict=True):
        ai.init_app(app, Router.from_mapping(stage.config(tasks={task: {"primary": "first"}})))

        @app.get("/")
        def tasks() -> list[str]:
            return [model.id for model in ai.openai.models.list().data]

    assert [app.test_client().get("/").json for app in apps] == [["only-a"], ["only-b"]]


def test_an_app_that_another_one_calls_falls_under_its_marks(stage: Any, install: Install) -> None:
    """A request that is handed on to an inner app, with a router of its own, stays as sensitive as it was."""
    outer, inner = Flask("outer"), Flask("inner")
    install(outer)
    ai = install(inner)
    stage.first.script("model-one", Status(500))

    @inner.get("/refund")
    def answer() -> str:
        return ai.openai.chat.completions.create(model="summary", messages=MESSAGES).choices[0].message.content or ""

    @outer.get("/refund")
    @sensitive("payment")
    def hand_on() -> Response:
        return Response.from_app(inner.wsgi_app, request.environ)

    assert inner.test_client().get("/refund").text == "Hello from model-two"
    stage.second.reset()
    assert outer.test_client().get("/refund").status_code == 503
    assert stage.second.request_count == 0


def test_installing_twice_is_refused(app: Flask, ai: Lanewise) -> None:
    """The second installation in an app says that there is one."""
    with pytest.raises(RuntimeError, match="installed in this Flask app already"):
        ai.init_app(app, "lanewise.toml")


def test_a_router_without_an_app_is_refused() -> None:
    """It would be forgotten silently."""
    with pytest.raises(TypeError, match="init_app"):
        Lanewise(None, "lanewise.toml")


def test_what_is_neither_a_router_nor_a_path_is_refused(app: Flask) -> None:
    """The message names what was given."""
    with pytest.raises(TypeError, match="dict"):
        Lanewise(app, {})  # type: ignore[arg-type]


def test_an_app_without_the_extension_says_how_to_install_it() -> None:
    """A client without an installation is an error, never an unmarked client."""
    with Flask("bare").test_request_context("/"), pytest.raises(RuntimeError, match="init_app"):
        _ = Lanewise().openai


def test_outside_of_a_request_there_is_no_client(app: Flask, ai: Lanewise) -> None:
    """Neither without any context nor in a command; the message says what to do."""
    with pytest.raises(NotInScope, match=r"with ai\.router\.scope"):
        _ = ai.openai
    with app.app_context(), pytest.raises(NotInScope, match="outside of a request"):
        _ = ai.scope


def test_a_job_opens_a_scope_of_its_own(app: Flask, ai: Lanewise) -> None:
    """Then what a view calls can be called in a job as well."""
    with app.app_context(), ai.router.scope(request_id="nightly-2026-11", detached=True) as scope:
        assert ai.scope is scope
        assert ai.openai.chat.completions.create(model="summary", messages=MESSAGES)


def test_a_call_in_a_bare_thread_is_refused(app: Flask, ai: Lanewise, stage: Any) -> None:
    """A lost context is no unmarked call: neither by the extension nor by the router's HTTP client."""
    client = openai.OpenAI(api_key="-", base_url="http://x.invalid", http_client=ai_http(app, ai), max_retries=0)

    @app.get("/")
    def index() -> str:
        with ThreadPoolExecutor(1) as pool:
            for lost in (lambda: ai.openai, lambda: client.chat.completions.create(model="summary", messages=MESSAGES)):
                with pytest.raises(NotInScope):
                    pool.submit(lost).result()
        return "refused"

    assert app.test_client().get("/").text == "refused"
    assert stage.first.request_count == 0


def ai_http(app: Flask, ai: Lanewise) -> Any:
    with app.app_context():
        return ai.router.sync_http_client()


def test_threads_take_the_requests_scope_along(app: Flask, ai: Lanewise) -> None:
    """By the client itself, by ``scope.wrap``, or by Flask's own copy of the context."""

    @app.get("/")
    def index() -> dict[str, bool]:
        mine = ai.scope
        with ThreadPoolExecutor(1) as pool:
            client = ai.openai
            by_client = pool.submit(lambda: client.chat.completions.create(model="summary", messages=MESSAGES))
            by_wrap = pool.submit(mine.wrap(current_scope))
            by_copy = pool.submit(copy_current_request_context(lambda: ai.scope))
            by_client.result()
            return {"wrap": by_wrap.result() is mine, "copy": by_copy.result() is mine, "calls": len(mine.calls) == 1}

    assert app.test_client().get("/").json == {"wrap": True, "copy": True, "calls": True}


def test_the_scope_is_there_after_the_request_in_a_test(app: Flask, ai: Lanewise) -> None:
    """``with client:`` keeps the context, and with it the calls to look at."""

    @app.get("/")
    def index() -> str:
        return ai.openai.chat.completions.create(model="summary", messages=MESSAGES).choices[0].message.content or ""

    client: FlaskClient
    with app.test_client() as client:
        client.get("/")
        assert [call.route for call in ai.scope.calls] == ["first"]


def test_the_subject_is_asked_once_and_only_where_a_call_is_made(app: Flask, install: Install, stage: Any) -> None:
    """Who the user is may be found out by the app itself, in the request; a session that is read leaves its traces."""
    asked: list[str] = []

    def subject() -> str | None:
        asked.append("")
        return g.user or session.get("user")

    ai = install(app, subject)

    @app.before_request
    def login() -> None:
        g.user = request.headers.get("X-User")

    @app.get("/")
    def index() -> str:
        return "hello"

    @app.get("/summary")
    def summary() -> str:
        for _ in range(2):
            ai.openai.chat.completions.create(model="alone", messages=MESSAGES)
        return ai.scope.subject

    client = app.test_client()
    client.get("/", headers={"X-User": "7"})
    assert asked == []
    keys = []
    for user in ("7", "8", "7"):
        headers = {"X-User": user, "X-Request-ID": "req-2026-000042"}
        assert client.get("/summary", headers=headers).text == user
        keys.append([received.headers["idempotency-key"] for received in stage.first.journal[-2:]])
    assert len(asked) == 3
    assert keys[0] == keys[2]
    assert not set(keys[0]) & set(keys[1])


@pytest.fixture(params=["gevent", "eventlet"])
def patch_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has threads look as if they were patched from then on."""
    name = {"gevent": "gevent.monkey", "eventlet": "eventlet.patcher"}[request.param]
    patcher = types.ModuleType(name)
    patcher.is_module_patched = lambda name: name == "threading"  # type: ignore[attr-defined]
    patcher.is_monkey_patched = lambda name: name == "thread"  # type: ignore[attr-defined]
    return lambda: monkeypatch.setitem(sys.modules, name, patcher)


def test_an_app_whose_threads_are_patched_does_not_start(
    app: Flask, install: Install, patch_threads: Callable[[], None]
) -> None:
    """The sentence names workers that have real threads."""
    patch_threads()
    with pytest.raises(RuntimeError, match=r"gunicorn's gthread or sync worker"):
        install(app)
    assert "lanewise" not in app.extensions


def test_an_app_whose_threads_are_patched_later_answers_nothing(
    app: Flask, ai: Lanewise, patch_threads: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """With ``--preload`` a worker patches when the app is there: nothing looks healthy then."""
    app.add_url_rule("/health", "health", lambda: "well")
    patch_threads()
    answer = app.test_client().get("/health")
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert "gunicorn's gthread or sync worker" in caplog.text


def test_a_closed_router_says_so(app: Flask, ai: Lanewise, routers: list[Router]) -> None:
    """The app's own mistake is a 500, and an error in the log."""
    with routers[0]:
        pass

    @app.get("/")
    def index() -> str:
        ai.openai.chat.completions.create(model="summary", messages=MESSAGES)
        return "never"

    @app.get("/plain")
    def plain() -> str:
        return "fine"

    assert app.test_client().get("/").status_code == 500
    assert app.test_client().get("/plain").text == "fine"


def test_without_flask_the_import_names_the_extra() -> None:
    """Whoever installed the core alone reads what to install."""
    code = "import sys; sys.modules['flask'] = None; import flask_lanewise"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'lanewise[flask]'" in done.stderr
