"""The SDK's own words through the router: what works, what is refused clearly, and what goes upstream."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest

from lanewise import NotRouted, Router, UnknownTask
from lanewise.testing import Answer, Status, StreamOf, ToolCall
from router.driving import (
    FIRST_MODEL,
    FORMS,
    MESSAGES,
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


async def _final(client: openai.AsyncOpenAI) -> tuple[Any, list[Any]]:
    async with client.chat.completions.stream(model="both", messages=MESSAGES) as stream:
        kinds = [event.type async for event in stream]
        return await stream.get_final_completion(), kinds


def _final_sync(client: openai.OpenAI) -> tuple[Any, list[Any]]:
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
        with pytest.raises(UnknownTask, match=r"unknown task 'bohts'.*Did you mean 'both'.*both, alone"):
            await using(scope, form.client, lambda client: client.models.retrieve("bohts"))
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
