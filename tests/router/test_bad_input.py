"""Bad input: a clear error of the right class, nothing sent where nothing should be, and no secret in it."""

from __future__ import annotations

import re
from typing import Any

import anyio
import httpx2
import openai
import pytest

from lanewise import BadResponse, Config, ConfigError, FailClosed, InvalidCall, Router, RoutingError, UnknownTask
from lanewise.testing import Body
from router.driving import FIRST_MODEL, FORMS, WHOLE, Form, Stage, ask, ask_in, config

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)


@each_form
@pytest.mark.parametrize("task", ["", "canary task\r\nX-Admin: yes", "x" * 5000, "\ud83c"])
async def test_an_unknown_task_is_a_local_error(task: str, form: Form, stage: Stage) -> None:
    """Nothing is sent, and of a long name only the beginning is told."""
    async with Router.from_mapping(config(stage)) as router:
        try:
            got = await ask_unrecorded(router, form, task)
        except UnicodeEncodeError:
            assert task == "\ud83c"  # the SDK's own: it can't write this as JSON
            return
    assert isinstance(got, UnknownTask | InvalidCall)
    assert len(str(got)) < 500
    assert "\n" not in str(got)
    assert stage.received() == []


async def ask_unrecorded(router: Router, form: Form, task: str) -> Exception | None:
    got = await ask(router, form, task)
    return got.error


BODIES: dict[str, bytes] = {
    "empty": b"",
    "text": b"canary-body",
    "cut": b'{"model": "both", "messages": [{"role": "user", "content": "canary-body',
    "list": b'["canary-body"]',
    "not-utf-8": b'{"model": "both", "messages": [{"role": "user", "content": "canary-body \xff"}]}',
    "nan": b'{"model": "both", "temperature": NaN, "user": "canary-body"}',
    "no-model": b'{"messages": [{"content": "canary-body"}]}',
    "model-is-a-number": b'{"model": 7, "user": "canary-body"}',
    "deep": b'{"model": "both", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "multipart": b"--x\r\nContent-Disposition: form-data\r\n\r\ncanary-body\r\n--x--\r\n",
}


@each_client
@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_can_not_be_routed_is_refused_before_anything_is_sent(
    name: str, form: Form, stage: Stage
) -> None:
    """A bad request of ours, whose text never quotes the body; in a sensitive scope it fails closed."""
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with Router.from_mapping(config(stage, more=more)) as router:
        for sensitive in ((), ("payment",)):
            with router.scope(sensitive=sensitive) as scope:
                error = await _post(router, form, BODIES[name])
            assert isinstance(error, RoutingError)
            assert isinstance(error, FailClosed if sensitive else InvalidCall | UnknownTask), repr(error)
            assert isinstance(error, openai.APIStatusError) is not bool(sensitive)
            assert "canary" not in str(error) + repr(error) + repr(error.args)
            assert scope.calls == ()
    assert stage.received() == []


async def _post(router: Router, form: Form, body: bytes) -> Exception | None:
    url = "https://anything.example/v1/chat/completions"
    try:
        if form.client == "sync":
            client = router.sync_http_client()
            await anyio.to_thread.run_sync(lambda: client.post(url, content=body))
        else:
            await router.http_client().post(url, content=body)
    except RoutingError as error:
        return error
    return None


@each_client
async def test_a_body_of_50_mb_goes_through_unharmed(form: Form, stage: Stage) -> None:
    """A prompt full of images is large; the provider may say that it is too large, not we."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000_000}}
    content: Any = [{"role": "user", "content": [image]}]
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, messages=content)
    assert got.error is None
    assert got.text == "Hello from model-one"
    assert len(stage.first.journal[0].body) > 50_000_000


@each_form
async def test_an_answer_that_is_not_utf_8_is_no_answer(form: Form, stage: Stage) -> None:
    """Elsewhere it may be; alone it is an invalid response, not a UnicodeDecodeError."""
    body = b'{"id": "x", "choices": [{"message": {"role": "assistant", "content": "canary \xff\xfe"}}]}'
    event = b'data: {"id": "x", "choices": [{"index": 0, "delta": {"content": "canary \xff\xfe"}}]}\n\n'
    stage.first.script_all(Body(event, "text/event-stream") if form.stream else Body(body))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        alone = await ask(router, form, "alone")
    assert got.text == "Hello from model-two"
    assert isinstance(alone.error, openai.APIConnectionError if form.stream else BadResponse)
    assert "canary" not in str(alone.error)


def test_a_key_that_is_unset_is_told_when_the_router_opens(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All unset variables at once, by their names; nothing is sent before."""
    monkeypatch.delenv("FIRST_KEY")
    monkeypatch.setenv("SECOND_KEY", "")
    router = Router.from_mapping(config(stage))
    with pytest.raises(ConfigError) as caught, router:
        pass
    assert "FIRST_KEY" in str(caught.value)
    assert "SECOND_KEY" in str(caught.value)


@each_client
async def test_an_unset_key_of_an_optional_provider_turns_its_routes_off(
    form: Form, stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning, and the trace says why the route was not tried."""
    monkeypatch.delenv("FIRST_KEY")
    mapping: Any = config(stage, first_provider={"optional": True})
    del mapping["tasks"]["alone"]
    async with Router.from_mapping(mapping) as router:
        got = await ask(router, form)
    assert got.routes == ["second"]
    assert "FIRST_KEY" in got.call.explain()
    assert any("FIRST_KEY" in record.message for record in caplog.records if record.levelname == "WARNING")


def test_a_wrong_config_tells_all_mistakes_at_once(stage: Stage) -> None:
    """Before anything runs."""
    mapping: Any = config(stage)
    mapping["tasks"]["both"]["primary"] = "frist"
    mapping["tasks"]["alone"]["dedline"] = "1s"
    with pytest.raises(ConfigError) as caught:
        Router.from_mapping(mapping)
    assert "frist" in str(caught.value)
    assert "dedline" in str(caught.value)
    assert "deadline" in str(caught.value)


@each_form
@pytest.mark.parametrize(
    "poison",
    ["short", "a" * 129, "req-2026\r\nX-Admin: yes", "req 2026 0042", "req-2026-\u00e9\u00e9", "canary;rm -rf /"],
)
async def test_a_poisoned_request_id_is_replaced(
    poison: str, form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Not refused: a digest takes its place, the same each time; the poison reaches no header, record or log line."""
    caplog.set_level("INFO")
    async with Router.from_mapping(config(stage)) as router:
        got = await ask_in(router.scope(request_id=poison), form)
        assert router.scope(request_id=poison).request_id == got.call.request_id
    assert got.error is None
    assert re.fullmatch(r"id-[0-9a-f]{32}", got.call.request_id)
    assert stage.first.journal[0].headers["idempotency-key"].startswith(got.call.request_id)
    seen = caplog.text + got.call.explain() + repr(stage.first.journal[0].headers.pairs)
    assert poison not in seen
    assert "X-Admin" not in seen


async def test_a_request_that_is_not_a_post_is_not_routed(stage: Stage) -> None:
    """The http clients route what the SDK sends, and nothing else."""
    async with Router.from_mapping(config(stage)) as router:
        client = router.http_client()
        with pytest.raises(RoutingError):
            await client.get("https://anything.example/v1/chat/completions")
        with pytest.raises(RoutingError):
            await client.send(httpx2.Request("POST", "https://anything.example/v1/other", json={"model": "both"}))
    assert stage.received() == []


def test_what_the_config_declares_is_what_the_router_has(stage: Stage) -> None:
    """A router's repr names its tasks, and holds no key."""
    router = Router(Config.from_mapping(config(stage)))
    assert repr(router) == "<Router tasks=['both', 'alone']>"
    assert FIRST_MODEL in repr(router.config)
    assert "canary-key" not in repr(router.config) + repr(vars(router))


@pytest.mark.parametrize("given", [5, {"first-provider": httpx2.Client()}], ids=["number", "sync client"])
def test_an_http_client_that_is_none_is_told(given: Any, stage: Stage) -> None:
    """When the router is made."""
    with pytest.raises(TypeError, match=r"takes an httpx2\.AsyncClient or a function that makes one, not"):
        Router.from_mapping(config(stage), http_client=given)


@each_client
async def test_a_function_that_makes_no_http_client_is_told(form: Form, stage: Stage) -> None:
    """By the first call: nothing is sent past the client that the app wanted."""
    make: Any = httpx2.Client
    async with Router.from_mapping(config(stage), http_client=make) as router:
        got = await ask(router, form)
    assert isinstance(got.error, InvalidCall)
    assert "http_client made no httpx2.AsyncClient, but a httpx2" in str(got.error)
    assert stage.received() == []


def test_an_http_client_of_an_unknown_provider_is_told(stage: Stage) -> None:
    """A slip of the pen must not leave a provider without its mTLS."""
    with pytest.raises(ValueError, match="unknown provider, 'frist-provider'; the config has: first-provider"):
        Router.from_mapping(config(stage), http_client={"frist-provider": httpx2.AsyncClient})
