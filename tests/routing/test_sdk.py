"""The SDK's own words through the router: what works, what is refused clearly, and what goes upstream."""

from __future__ import annotations

import asyncio
import copy
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import openai
import pydantic
import pytest

from routing.driving import (
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
    ask_in,
    config,
    using,
)
from understudy import DeadlineExceeded, LaneName, NotRouted, Outcome, Router, UnknownTask, current_scope
from understudy.testing import Answer, Silence, Status, StreamOf, ToolCall

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)


class Summary(pydantic.BaseModel):
    """What ``parse`` is asked for."""

    title: str
    count: int


# -- chat ------------------------------------------------------------------------------------------------------------


@each_client
async def test_parse_gives_the_model_that_was_asked_for(form: Form, stage: Stage) -> None:
    """The schema travels to whichever route answers."""
    stage.first.script(FIRST_MODEL, Status(429, retry_after=60))
    stage.second.script(SECOND_MODEL, Answer('{"title": "Parcel", "count": 2}'))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        reply = await using(
            scope,
            form.client,
            lambda client: client.chat.completions.parse(model="both", messages=MESSAGES, response_format=Summary),
        )
    assert reply.choices[0].message.parsed == Summary(title="Parcel", count=2)
    assert stage.second.journal[0].json["response_format"]["json_schema"]["name"] == "Summary"  # type: ignore[index]
    assert scope.call_for(reply).route == "second"


@each_client
async def test_the_stream_helper_works_across_a_failover(form: Form, stage: Stage) -> None:
    """chat.completions.stream() gets one clean stream, and its final completion."""
    stage.first.script(FIRST_MODEL, StreamOf(cut_after=0))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        helper = _final_sync if form.client == "sync" else _final
        final, kinds = await using(scope, form.client, helper)
    assert final.choices[0].message.content == "Hello from model-two"
    assert kinds[-1] == "content.done"
    assert scope.calls[-1].attempts[-1].output_tokens == 5


async def _final(client: openai.AsyncOpenAI) -> tuple[Any, list[str]]:
    async with client.chat.completions.stream(model="both", messages=MESSAGES) as stream:
        kinds = [event.type async for event in stream]
        return await stream.get_final_completion(), kinds


def _final_sync(client: openai.OpenAI) -> tuple[Any, list[str]]:
    with client.chat.completions.stream(model="both", messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        return stream.get_final_completion(), kinds


@each_client
async def test_tool_calls_come_through(form: Form, stage: Stage) -> None:
    """An answer that calls a tool is an answer."""
    stage.first.script(FIRST_MODEL, Answer(tool_calls=[ToolCall("look_up", '{"id": 7}')]))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
    assert got.reply.choices[0].message.tool_calls[0].function.arguments == '{"id": 7}'


# -- responses and embeddings ----------------------------------------------------------------------------------------


@each_client
@pytest.mark.usefixtures("hurried")
async def test_responses_fail_over(form: Form, stage: Stage) -> None:
    """responses.create and .stream() are routed as chat is."""
    stage.first.script(FIRST_MODEL, Status(500))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        reply = await using(scope, form.client, lambda client: client.responses.create(model="both", input="hi"))
        helper = _response_sync if form.client == "sync" else _response
        final = await using(scope, form.client, helper)
    assert reply.output_text == final.output_text == "Hello from model-two"
    assert scope.call_for(reply).attempts[-1].input_tokens == 12
    assert [call.route for call in scope.calls] == ["second", "second"]


async def _response(client: openai.AsyncOpenAI) -> Any:
    async with client.responses.stream(model="both", input="hi") as stream:
        async for _ in stream:
            pass
        return await stream.get_final_response()


def _response_sync(client: openai.OpenAI) -> Any:
    with client.responses.stream(model="both", input="hi") as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


@each_client
async def test_a_response_that_goes_on_stays_on_the_route_that_has_its_memory(form: Form, stage: Stage) -> None:
    """previous_response_id means something to one provider only."""
    stage.first.script(FIRST_MODEL, Status(429, retry_after=60), Answer())
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        made = await using(scope, form.client, lambda client: client.responses.create(model="both", input="hi"))
        options = {"model": "both", "input": "go on", "previous_response_id": made.id}
        await using(scope, form.client, lambda client: client.responses.create(**options))
        stage.second.script(SECOND_MODEL, Status(401))
        with pytest.raises(openai.AuthenticationError) as caught:
            await using(scope, form.client, lambda client: client.responses.create(**options))
    assert [call.route for call in scope.calls] == ["second", "second", None]
    assert stage.first.request_count == 1
    assert "first (primary) not tried: the call is bound to second" in str(caught.value)


@each_client
async def test_embeddings_never_switch_to_another_model(form: Form, stage: Stage) -> None:
    """Vectors of two models can't be compared: another model's route is no way out."""
    stage.first.script(FIRST_MODEL, Status(401))
    async with Router.from_mapping(config(stage)) as router:
        with pytest.raises(openai.AuthenticationError) as caught:
            await using(router.scope(), form.client, _embed)
    assert stage.second.request_count == 0
    assert "gives other embeddings than first" in str(caught.value)


@each_client
@pytest.mark.parametrize("second", [{"model": FIRST_MODEL}, {"same_as": ["first"]}], ids=["same-model", "same-as"])
async def test_embeddings_switch_to_the_same_model_or_one_declared_the_same(
    second: dict[str, object], form: Form, stage: Stage
) -> None:
    """The same model elsewhere gives the same vectors, as base64 too, which the SDK asks for by itself."""
    stage.first.script(FIRST_MODEL, Status(401))
    async with Router.from_mapping(config(stage, second=second)) as router:
        scope = router.scope()
        reply = await using(scope, form.client, _embed)
    assert len(reply.data[0].embedding) == 8
    assert scope.calls[-1].route == "second"


def _embed(client: Any) -> Any:
    return client.embeddings.create(model="both", input=["parcel"])


# -- what the router answers itself, and what it does not --------------------------------------------------------------


@each_client
async def test_models_are_the_tasks(form: Form, stage: Stage) -> None:
    """models.list and .retrieve tell which tasks there are; a task that is none is a NotFoundError."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        listed = await using(scope, form.client, lambda client: client.models.list())
        one = await using(scope, form.client, lambda client: client.models.retrieve("both"))
        with pytest.raises(openai.NotFoundError):
            await using(scope, form.client, lambda client: client.models.retrieve("nothing"))
    assert [model.id for model in listed.data] == ["both", "alone"]
    assert one.id == "both"
    assert stage.received() == []


NOT_ROUTED = {
    "files": lambda client: client.files.list(),
    "upload": lambda client: client.files.create(file=b"canary", purpose="batch"),
    "batches": lambda client: client.batches.create(
        input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h"
    ),
    "audio": lambda client: client.audio.speech.create(model="both", input="canary", voice="alloy"),
    "transcription": lambda client: client.audio.transcriptions.create(model="both", file=("a.wav", b"canary")),
    "images": lambda client: client.images.generate(prompt="canary"),
    "moderations": lambda client: client.moderations.create(input="canary"),
    "completions": lambda client: client.completions.create(model="both", prompt="canary"),
    "retrieve": lambda client: client.responses.retrieve("resp_1"),
    "realtime": lambda client: client.realtime.client_secrets.create(),
}


@each_client
@pytest.mark.parametrize("what", NOT_ROUTED)
async def test_what_is_not_routed_is_refused_clearly(what: str, form: Form, stage: Stage) -> None:
    """No guess where it might go: an error that names what is routed, and nothing sent."""
    async with Router.from_mapping(config(stage)) as router:
        with pytest.raises(NotRouted) as caught:
            await using(router.scope(), form.client, NOT_ROUTED[what])
    assert isinstance(caught.value, openai.NotFoundError)
    assert "POST /chat/completions" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert stage.received() == []


# -- raw responses, options, headers -----------------------------------------------------------------------------------


@each_client
@pytest.mark.usefixtures("hurried")
async def test_the_response_says_who_answered(form: Form, stage: Stage) -> None:
    """x-understudy-* headers, seen through with_raw_response, and never a provider's forgery of them."""
    forged = {"x-understudy-route": "forged", "set-cookie": "a=b"}
    stage.first.script(FIRST_MODEL, Status(500))
    stage.second.script(SECOND_MODEL, Answer(headers=forged))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        raw = await using(
            scope,
            form.client,
            lambda client: client.chat.completions.with_raw_response.create(model="both", messages=MESSAGES),
        )
    assert raw.headers["x-understudy-route"] == "second"
    assert raw.headers["x-understudy-lane"] == "equivalent"
    assert raw.headers["x-understudy-attempts"] == "3"
    assert raw.headers["x-understudy-call-id"] == scope.calls[-1].id
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
        return "".join([text async for text in response.iter_text()]), response.headers["x-understudy-route"]


def _streaming_sync(client: openai.OpenAI) -> tuple[str, str]:
    create = client.chat.completions.with_streaming_response.create
    with create(model="both", messages=MESSAGES, stream=True) as response:
        return "".join(response.iter_text()), response.headers["x-understudy-route"]


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
            return client.chat.completions.create(model="alone", messages=MESSAGES, timeout=0.2)
        client = client.with_options(timeout=0.2) if how == "with_options" else client.copy(timeout=0.2)
        return client.chat.completions.create(model="alone", messages=MESSAGES)

    async with Router.from_mapping(config(stage)) as router:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await using(router.scope(), form.client, use)
    assert 0.19 < time.monotonic() - started < 2


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
    assert 0.9 < time.monotonic() - started < 3


@each_form
async def test_what_goes_upstream_is_the_routes_own_and_what_the_app_added(form: Form, stage: Stage) -> None:
    """The app's extra headers, query and body go along; never its credentials, cookies or the SDK's own headers."""
    extra = {
        "X-Note": "kept",
        "Authorization": "Bearer canary",
        "Cookie": "canary=1",
        "Proxy-Authorization": "canary",
        "Api-Key": "canary",
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
    assert received.headers["user-agent"].startswith("understudy/")
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


# -- clients and scopes ------------------------------------------------------------------------------------------------


@each_client
async def test_a_client_is_bound_to_its_scope_for_life(form: Form, stage: Stage) -> None:
    """Also its copies, and whatever scope is the current one when they are used."""
    async with Router.from_mapping(config(stage)) as router:
        scope, other = router.scope(), router.scope()
        with other:
            for change in (
                lambda client: client,
                lambda client: client.copy(),
                lambda client: client.with_options(max_retries=3),
                lambda client: client.with_options(timeout=3).copy(),
                copy.copy,
            ):
                await using(
                    scope,
                    form.client,
                    lambda client, change=change: change(client).chat.completions.create(
                        model="both", messages=MESSAGES
                    ),
                )
    assert len(scope.calls) == 5
    assert other.calls == ()


async def test_foreign_clients_follow_the_current_scope(stage: Stage) -> None:
    """Libraries that make SDK clients themselves get http clients of ours; the base URL is theirs to invent."""
    async with Router.from_mapping(config(stage)) as router:
        theirs = openai.AsyncOpenAI(
            http_client=router.http_client(), base_url="https://elsewhere.example/api/v9", api_key="canary"
        )
        theirs_sync = openai.OpenAI(http_client=router.sync_http_client(), api_key="canary")
        with router.scope() as scope:
            reply = await theirs.chat.completions.create(model="both", messages=MESSAGES)
            create = theirs_sync.chat.completions.create
            await anyio.to_thread.run_sync(lambda: create(model="both", messages=MESSAGES))
        await theirs.chat.completions.create(model="both", messages=MESSAGES)  # in a scope of its own
        await theirs.close()
        with router.scope() as second:
            await router.scope().async_openai.close()
            stream = await openai.AsyncOpenAI(http_client=router.http_client(), api_key="x").chat.completions.create(
                model="both", messages=MESSAGES, stream=True
            )
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello from model-one"

    assert scope.call_for(reply) is scope.calls[0]
    assert [len(scope.calls), len(second.calls)] == [2, 1]
    assert {received.headers["authorization"] for received in stage.first.journal} == {f"Bearer {FIRST_KEY}"}


async def test_closing_a_client_closes_nothing_shared(stage: Stage) -> None:
    """Neither close() nor a with block takes the router's connections away."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        async with scope.async_openai as client:
            await client.chat.completions.create(model="both", messages=MESSAGES)
        with scope.openai:
            pass
        await scope.async_openai.close()
        got = await ask_in(scope, Form("async"))
        also = await ask_in(router.scope(), Form("sync"))
    assert got.error is None
    assert also.error is None


async def test_wrap_carries_the_scope_into_an_executor(stage: Stage) -> None:
    """A context variable is empty in a thread of one's own."""
    async with Router.from_mapping(config(stage)) as router:
        client = openai.OpenAI(http_client=router.sync_http_client(), api_key="-")

        def summarise() -> bool:
            client.chat.completions.create(model="both", messages=MESSAGES)
            return current_scope() is not None

        with router.scope() as scope, ThreadPoolExecutor(2) as executor:
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(executor, scope.wrap(summarise))
            assert not await loop.run_in_executor(executor, summarise)
    assert len(scope.calls) == 1


async def test_calls_are_live_and_stay_readable(stage: Stage) -> None:
    """A call is in its scope from its start, and readable after the scope has closed."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            task = asyncio.create_task(scope.async_openai.chat.completions.create(model="alone", messages=MESSAGES))
            await anyio.to_thread.run_sync(stage.first.wait_for, 1)
            call = scope.calls[0]
            assert (call.outcome, len(call.attempts), call.attempts[0].total_ms) == (None, 1, None)
            assert "running" in call.explain()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert scope.calls == (call,)
    assert call.outcome is Outcome.CANCELLED


async def test_a_scope_keeps_its_last_256_calls(stage: Stage) -> None:
    """A long job does not grow without end."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        for _ in range(13):
            await asyncio.gather(*(ask_in(scope, Form("async"), "alone") for _ in range(20)))
    assert stage.first.request_count == 260
    assert len(scope.calls) == 256


@each_form
async def test_a_drill_starts_in_the_lane_that_it_names(form: Form, stage: Stage) -> None:
    """start = "degraded" shows the degraded lane before the outage does; the lanes before it come last."""
    mapping: Any = config(stage, task={"degraded": "third"})
    mapping["routes"]["third"] = {"provider": "second-provider", "model": "model-three"}
    async with Router.from_mapping(mapping) as router:
        drill = await ask_in(router.scope(start="degraded"), form)
        stage.second.script("model-three", Status(429, retry_after=60))
        round_again = await ask_in(router.scope(start="degraded"), form)
        with pytest.raises(ValueError, match="unknown lane 'worst'"):
            router.scope(start="worst")
    assert (drill.text, drill.call.lane) == ("Hello from model-three", LaneName.DEGRADED)
    assert round_again.routes == ["third", "first"]


@each_client
async def test_an_unknown_task_lists_the_tasks(form: Form, stage: Stage) -> None:
    """A NotFoundError of ours, with the nearest name; nothing is sent."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        with pytest.raises(UnknownTask) as caught:
            await using(
                scope,
                form.client,
                lambda client: client.chat.completions.create(model="alon", messages=MESSAGES),
            )
    assert isinstance(caught.value, openai.NotFoundError)
    assert "Did you mean 'alone'?" in str(caught.value)
    assert "both, alone" in str(caught.value)
    assert caught.value.call is None
    assert stage.received() == []
