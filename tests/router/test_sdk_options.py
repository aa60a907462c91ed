"""Raw responses, time-outs, headers: what the SDK lets an app say of one call, and what becomes of it."""

from __future__ import annotations

import time
from typing import Any

import anyio
import openai
import pytest

from lanewise import DeadlineExceeded, Outcome, Router
from lanewise.testing import Answer, Silence, Status
from router.driving import (
    FIRST_KEY,
    FIRST_MODEL,
    FORMS,
    MESSAGES,
    PROMPT,
    SECOND_MODEL,
    WHOLE,
    Form,
    Stage,
    ask,
    config,
    using,
)

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)


@each_client
@pytest.mark.usefixtures("hurried")
async def test_the_response_says_who_answered(form: Form, stage: Stage) -> None:
    """x-lanewise-* headers, seen through with_raw_response, and never a provider's forgery of them."""
    forged = {"x-lanewise-route": "forged", "set-cookie": "a=b"}
    stage.first.script(FIRST_MODEL, Status(500))
    stage.second.script(SECOND_MODEL, Answer(headers=forged))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        raw = await using(
            scope,
            form.client,
            lambda client: client.chat.completions.with_raw_response.create(model="both", messages=MESSAGES),
        )
    assert raw.headers["x-lanewise-route"] == "second"
    assert raw.headers["x-lanewise-lane"] == "equivalent"
    assert raw.headers["x-lanewise-attempts"] == "3"
    assert raw.headers["x-lanewise-call-id"] == scope.calls[-1].id
    assert "set-cookie" not in raw.headers
    assert raw.parse().choices[0].message.content == "Hello from model-two"
    assert raw.elapsed.total_seconds() > 0
    assert scope.call_for(raw) is scope.calls[-1]


@each_client
async def test_with_streaming_response_works(form: Form, stage: Stage) -> None:
    """Bytes as they come, and the same headers."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        helper = _streaming_sync if form.client == "sync" else _streaming
        text, route = await using(scope, form.client, helper)
    assert "Hello" in text
    assert text.rstrip().endswith("data: [DONE]")
    assert route == "first"
    assert scope.calls[-1].outcome is Outcome.ANSWERED


async def _streaming(client: openai.AsyncOpenAI) -> tuple[str, str]:
    create = client.chat.completions.with_streaming_response.create
    async with create(model="both", messages=MESSAGES, stream=True) as response:
        return "".join([text async for text in response.iter_text()]), response.headers["x-lanewise-route"]


def _streaming_sync(client: openai.OpenAI) -> tuple[str, str]:
    create = client.chat.completions.with_streaming_response.create
    with create(model="both", messages=MESSAGES, stream=True) as response:
        return "".join(response.iter_text()), response.headers["x-lanewise-route"]


@each_form
@pytest.mark.parametrize("request_id", [None, "req_provider"])
async def test_the_call_is_found_by_its_reply(request_id: str | None, form: Form, stage: Stage) -> None:
    """By the provider's request id, or by one that we make where it sends none."""
    answer = Answer(request_id=request_id)
    stage.first.script(FIRST_MODEL, answer)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        with pytest.raises(LookupError):
            router.scope().call_for(got.reply)
    assert got.scope.call_for(got.reply) is got.call
    if not form.stream:
        assert got.reply._request_id == (request_id or got.call.id)


@each_client
@pytest.mark.parametrize("how", ["argument", "with_options", "copy"])
async def test_a_timeout_of_the_sdk_tightens_the_deadline(how: str, form: Form, stage: Stage) -> None:
    """However it is given."""
    stage.first.script(FIRST_MODEL, Silence())

    def use(client: Any) -> Any:
        if how == "argument":
            return client.chat.completions.create(model="alone", messages=MESSAGES, timeout=1.0)
        client = client.with_options(timeout=1.0) if how == "with_options" else client.copy(timeout=1.0)
        return client.chat.completions.create(model="alone", messages=MESSAGES)

    async with Router.from_mapping(config(stage)) as router:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await using(router.scope(), form.client, use)
    assert 0.95 < time.monotonic() - started < 8  # the task has 10


@each_client
async def test_a_timeout_of_the_sdk_never_loosens_the_deadline(form: Form, stage: Stage) -> None:
    """The task's deadline holds, whatever the call says."""
    stage.first.script(FIRST_MODEL, Silence())
    mapping: Any = config(stage)
    mapping["tasks"]["alone"]["deadline"] = "1s"
    async with Router.from_mapping(mapping) as router:
        started = time.monotonic()
        got = await ask(router, form, "alone", timeout=600)
    assert isinstance(got.error, DeadlineExceeded)
    assert 0.9 < time.monotonic() - started < 20


@each_form
async def test_what_goes_upstream_is_the_routes_own_and_what_the_app_added(form: Form, stage: Stage) -> None:
    """The app's extra headers, query and body go along; never its credentials, cookies or the SDK's own headers."""
    extra = {
        "X-Note": "kept",
        "Authorization": "Bearer canary",
        "Cookie": "canary=1",
        "Proxy-Authorization": "canary",
        "Api-Key": "canary",
        "X-Api-Key": "canary",
        "X-Goog-Api-Key": "canary",
        "Host": "canary.example",
        "Idempotency-Key": "canary",
        "OpenAI-Organization": "canary",
    }
    async with Router.from_mapping(config(stage, first_provider={"query": {"api-version": "7"}})) as router:
        await ask(router, form, extra_headers=extra, extra_query={"trace": "on"}, extra_body={"top_k": 3})

    received = stage.first.journal[0]
    assert received.headers["x-note"] == "kept"
    assert received.headers.all("authorization") == [f"Bearer {FIRST_KEY}"]
    assert received.query == {"api-version": "7", "trace": "on"}
    assert received.json["top_k"] == 3
    assert received.json["model"] == FIRST_MODEL
    names = [name.lower() for name in received.headers]
    assert "cookie" not in names
    assert not any(name.startswith("x-stainless") for name in names)
    assert received.headers["user-agent"].startswith("lanewise/")
    assert received.headers["host"] == f"127.0.0.1:{stage.first.port}"
    assert "canary" not in repr(received.headers.pairs).replace(FIRST_KEY, "")
    assert PROMPT in received.body.decode()


@each_form
async def test_a_base_url_with_credentials_of_the_app_reaches_nobody(form: Form, stage: Stage) -> None:
    """with_options(api_key=, base_url=) does not lead a call around the router."""
    elsewhere = stage.second.base_url
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        client: Any = scope.openai if form.client == "sync" else scope.async_openai
        moved = client.with_options(api_key="canary", base_url=elsewhere)
        use = lambda: moved.chat.completions.create(model="alone", messages=MESSAGES)  # noqa: E731
        reply = await (anyio.to_thread.run_sync(use) if form.client == "sync" else use())
    assert reply.choices[0].message.content == "Hello from model-one"
    assert stage.second.request_count == 0
    assert "canary" not in stage.first.journal[0].headers["authorization"].replace(FIRST_KEY, "")


@each_client
async def test_what_the_config_sets_is_not_replaced_by_a_call(form: Form, stage: Stage) -> None:
    """Neither headers nor parameters of the URL; others of the app's own go out."""
    own = {"headers": {"X-Gate": "ours"}, "query": {"api-version": "1"}}
    async with Router.from_mapping(config(stage, first_provider=own)) as router:
        got = await ask(
            router,
            form,
            extra_headers={"x-gate": "theirs", "Authorization": "Bearer theirs", "x-own": "kept"},
            extra_query={"api-version": "2", "own": "kept"},
        )
    (received,) = stage.first.requests(FIRST_MODEL)
    assert got.error is None
    sent = [(name.lower(), value) for name, value in received.headers.pairs]
    assert [value for name, value in sent if name == "x-gate"] == ["ours"]
    assert [value for name, value in sent if name == "authorization"] == ["Bearer " + FIRST_KEY]
    assert received.headers["x-own"] == "kept"
    assert received.target.partition("?")[2] == "api-version=1&own=kept"
