"""Who may call the endpoint: keys, the app's own function, and what each client may use."""

from __future__ import annotations

import threading
from typing import Any

import flask
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from endpoint.stage import KEY, MESSAGES, MOUNTS, OTHER_KEY, SPARE_KEY, Caller, Stage, digest, mounted
from flask_lanewise import Lanewise, openai_blueprint
from lanewise import ConfigError, Router
from lanewise.testing import Silence
from lanewise.web import OpenAIEndpoint


def refused(answer: Any) -> None:
    """It is a 401 in OpenAI's shape, and tells nothing of keys."""
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.json()["error"]["type"] == "authentication_error"
    assert "sha256" not in answer.text


@pytest.mark.parametrize("key", [KEY, SPARE_KEY])
@pytest.mark.parametrize("form", ["Authorization", "api-key", "lower"])
def test_each_of_a_client_s_keys_is_known(endpoint: Caller, key: str, form: str) -> None:
    """In the header of OpenAI, or of Azure; the scheme's case is nobody's business."""
    headers = {"Authorization": f"Bearer {key}"}
    if form == "api-key":
        headers = {"api-key": key}
    elif form == "lower":
        headers = {"authorization": f"bearer  {key}"}
    assert endpoint.as_client(None).post(headers=headers).status_code == 200


NOT_KEYS: list[dict[str, str]] = [
    {},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": f"Bearer {KEY[:-1]}"},
    {"Authorization": f"Bearer {KEY.upper()}"},
    {"Authorization": f"Bearer {digest(KEY)}"},
    {"Authorization": f"Bearer {digest(KEY).removeprefix('sha256:')}"},
    {"Authorization": "Bearer"},
    {"Authorization": KEY},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": f"Bearer {KEY} {KEY}"},
    {"Authorization": f"Bearer {KEY}", "api-key": OTHER_KEY},
    {"api-key": ""},
    {"api_key": KEY},
    {"X-Api-Key": KEY},
    {"Cookie": f"api-key={KEY}"},
    {"Proxy-Authorization": f"Bearer {KEY}"},
]


@pytest.mark.parametrize("headers", NOT_KEYS, ids=lambda headers: "-".join(headers) or "none")
def test_what_is_no_key_is_refused(endpoint: Caller, asked: Stage, headers: dict[str, str]) -> None:
    """Nothing is sent, and the models are not told either."""
    stranger = endpoint.as_client(None)
    refused(stranger.post(headers=headers))
    refused(stranger.http.get("models", headers=headers))
    assert asked.sent == 0


def test_a_key_in_the_url_or_the_body_is_none(endpoint: Caller) -> None:
    """They end in logs."""
    refused(endpoint.as_client(None).http.post(f"chat/completions?api_key={KEY}&api-key={KEY}", json={"api_key": KEY}))


def test_two_headers_are_no_key(endpoint: Caller) -> None:
    """Who sends two may have had one added on the way."""
    headers = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {OTHER_KEY}")]
    refused(endpoint.as_client(None).http.get("models", headers=headers))


def test_an_endpoint_that_nobody_could_call_is_not_mounted(stage: Stage) -> None:
    """Neither in an ASGI app nor in a Flask app; clients without a key need a function that knows them."""
    for clients in ({}, {"web": {"tasks": ["chat"]}}):
        router = stage.router(clients=clients)
        with pytest.raises(ConfigError, match="authenticate"):
            OpenAIEndpoint(router)
        app = flask.Flask("served")
        with pytest.raises(ConfigError, match=r"\[clients"):
            app.register_blueprint(openai_blueprint(Lanewise(app, router)))


@pytest.mark.parametrize("given", [None, "lanewise.toml", object(), Router])
def test_what_is_no_router_is_told(given: Any) -> None:
    """Where the endpoint is made, and not at its first request."""
    with pytest.raises(TypeError, match="takes the app's Router"):
        OpenAIEndpoint(given)


def test_the_blueprint_needs_lanewise_in_the_app(stage: Stage) -> None:
    """It is told where it is forgotten."""
    with pytest.raises(RuntimeError, match="not installed"):
        flask.Flask("served").register_blueprint(openai_blueprint(Lanewise()))
    with pytest.raises(TypeError, match="openai_blueprint takes"):
        openai_blueprint(stage.router())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="function of the request"):
        OpenAIEndpoint(stage.router(), authenticate="node")  # type: ignore[arg-type]


def by_header(request: Any) -> str | None:
    """An app's own way."""
    found: str | None = request.headers.get("X-Session")
    return found


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_function_of_the_app_tells_who_calls(stage: Stage, mount: str) -> None:
    """Keys count no more then; of the config's clients it must name one."""
    with mounted(mount, stage.router(), authenticate=by_header) as endpoint:
        stranger = endpoint.as_client(None)
        assert [each["id"] for each in stranger.http.get("models", headers={"X-Session": "other"}).json()["data"]] == [
            "chat",
            "pay",
        ]
        refused(endpoint.post())
        for name in ("", "nobody", "node-backend"):
            refused(stranger.post(headers={"X-Session": name}))


@pytest.mark.parametrize("mount", MOUNTS)
def test_where_no_client_is_declared_the_function_names_them(stage: Stage, mount: str) -> None:
    """Each may use every task that is not sensitive."""
    with mounted(mount, stage.router(clients={}), authenticate=by_header) as endpoint:
        models = endpoint.http.get("models", headers={"X-Session": "anne"}).json()["data"]
        assert [each["id"] for each in models] == ["chat", "alone", "backup", "a/b"]
        refused(endpoint.post())


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_function_may_be_asynchronous(stage: Stage, mount: str) -> None:
    """It gets the request in its framework's words."""
    seen: list[object] = []

    async def authenticate(request: Any) -> str | None:
        seen.append(request)
        return by_header(request)

    with mounted(mount, stage.router(), authenticate=authenticate) as endpoint:
        assert endpoint.post(headers={"X-Session": "node"}).status_code == 200
        refused(endpoint.post())
    assert all(isinstance(each, HTTPConnection) or mount == "flask" for each in seen)


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("told", [7, b"node", True, ["node"], "", "two\nlines", "x" * 300, "\ud800"])
def test_what_is_no_name_is_nobody(stage: Stage, mount: str, told: Any) -> None:
    """In doubt it is refused."""
    with mounted(mount, stage.router(), authenticate=lambda request: told) as endpoint:
        refused(endpoint.post())


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("sent", [{"Cookie": "session=1"}, {"Cookie": ""}, {"Origin": "https://evil.example"}])
def test_a_page_can_not_use_a_browser_s_session(stage: Stage, mount: str, sent: dict[str, str]) -> None:
    """A browser sends cookies and passwords along for any page, but JSON only where it may."""
    with mounted(mount, stage.router(), authenticate=lambda request: "node") as endpoint:
        body = b'{"model": "chat", "messages": [{"role": "user", "content": "x"}]}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            answer = endpoint.send(body, headers={**sent, "Content-Type": kind})
            assert answer.status_code == 415
        assert stage.sent == 0
        assert endpoint.send(body, headers=sent).status_code == 200
        assert endpoint.http.get("models", headers=sent).status_code == 200
        assert endpoint.http.get("models/chat", headers=sent).status_code == 200


@pytest.mark.parametrize("mount", MOUNTS)
def test_calls_a_minute_are_counted_by_client(stage: Stage, mount: str) -> None:
    """Whatever subject it names, and not for the others."""
    config = stage.config()
    config["clients"]["node"] |= {"rpm": 2, "subject": "header:x-user-id"}
    with mounted(mount, stage.router(**config)) as endpoint:
        answers = [endpoint.post(headers={"X-User-ID": f"user-{number}"}) for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert answers[2].json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].headers["x-should-retry"] == "false"
        assert endpoint.http.get("models").status_code == 200
        assert endpoint.as_client(OTHER_KEY).post().status_code == 200
    assert stage.first.request_count == 3


@pytest.mark.parametrize("mount", MOUNTS)
def test_calls_at_a_time_are_counted_by_client(stage: Stage, mount: str) -> None:
    """A place is free again when a call has ended, or its caller has gone, also in the middle of a stream."""
    config = stage.config()
    config["clients"]["node"] |= {"max_concurrency": 1}
    stage.first.script_all(Silence())
    with mounted(mount, stage.router(**config)) as endpoint:
        waiting = threading.Thread(target=endpoint.as_client(KEY).post, kwargs={"headers": {"X-Request-Timeout": "2"}})
        waiting.start()
        stage.first.wait_for(1)
        assert endpoint.post(model="backup").status_code == 429
        assert endpoint.as_client(OTHER_KEY).http.get("models").status_code == 200
        waiting.join()
        assert endpoint.post(model="backup").status_code == 200
        for _ in range(3):
            with endpoint.http.stream("POST", "chat/completions", json={"model": "nowhere", "messages": MESSAGES}):
                pass
        assert endpoint.post(model="backup", stream=True).status_code == 200
        assert endpoint.post(model="backup").status_code == 200


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_function_that_raises_lets_nobody_in(stage: Stage, mount: str, caplog: pytest.LogCaptureFixture) -> None:
    """The caller is told no more than that, and the log has the place without the text, which may be a key."""

    def authenticate(request: Any) -> str:
        return {"canary": "node"}[request.headers["Authorization"]]

    with mounted(mount, stage.router(), authenticate=authenticate) as endpoint:
        answer = endpoint.post()
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert answer.headers["x-should-retry"] == "false"
        assert endpoint.http.get("models").status_code == 500
    assert stage.sent == 0
    assert "authenticate raised KeyError" in caplog.text
    assert __file__ in caplog.text
    assert KEY not in caplog.text


def by_starlette(request: Any) -> str:
    """As an app refuses in Starlette."""
    raise HTTPException(403, "canary-detail")


def by_flask(request: Any) -> str:
    """As an app refuses in Flask."""
    flask.abort(403, "canary-detail")


@pytest.mark.parametrize(("mount", "authenticate"), [("starlette", by_starlette), ("flask", by_flask)])
def test_a_function_may_refuse_as_its_framework_does(
    stage: Stage, mount: str, authenticate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With the status that it says, in OpenAI's shape; it is no mistake of the app's."""
    with mounted(mount, stage.router(), authenticate=authenticate) as endpoint:
        answer = endpoint.post()
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert answer.json()["error"]["type"] == "permission_error"
    assert stage.sent == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
