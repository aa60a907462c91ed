"""Answers that a provider has stored: whoever asks for one again reaches the route that made it, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from lanewise import FailClosed, NotRouted, Outcome, Router
from lanewise.testing import JsonBody, Status
from router.driving import MESSAGES, WHOLE, Form, Stage, config, using

pytestmark = pytest.mark.anyio

each_client = pytest.mark.parametrize("form", WHOLE, ids=str)
QUEUED = {"id": "resp_1", "object": "response", "status": "queued", "output": [], "model": "model-two"}
STORED = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "model-two",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}
SENSITIVE = {"sensitive": {"payment": {"routes": ["second"]}, "health": {"routes": ["first"]}}}


def made_by_second(stage: Stage) -> None:
    """The first route is down, so that the second makes what is asked for."""
    stage.first.script_all(Status(401))
    stage.second.script("/responses", JsonBody(QUEUED))
    stage.second.script("/chat/completions", JsonBody(STORED))
    stage.second.script("/resp_1", JsonBody({**QUEUED, "status": "completed"}))
    stage.second.script("/cancel", JsonBody({**QUEUED, "status": "cancelled"}))
    stage.second.script("/input_items", JsonBody({"object": "list", "data": [], "has_more": False}))
    stage.second.script("/chatcmpl-1", JsonBody(STORED))
    stage.second.script("/messages", JsonBody({"object": "list", "data": [], "has_more": False}))


async def make_response(scope: Any, form: Form, **options: Any) -> Any:
    return await using(
        scope, form.client, lambda ai: ai.responses.create(model="both", input="x", background=True, **options)
    )


async def make_chat(scope: Any, form: Form) -> Any:
    return await using(
        scope, form.client, lambda ai: ai.chat.completions.create(model="both", messages=MESSAGES, store=True)
    )


@each_client
async def test_a_response_of_the_background_is_followed_where_it_is_made(stage: Stage, form: Form) -> None:
    """Polled, cancelled, looked into and deleted; nobody else is asked."""
    made_by_second(stage)
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            made = await make_response(scope, form)
            assert made.status == "queued"
            asked = len(stage.first.journal)
            got = await using(scope, form.client, lambda ai: ai.responses.retrieve("resp_1"))
            cancelled = await using(scope, form.client, lambda ai: ai.responses.cancel("resp_1"))
            items = await using(scope, form.client, lambda ai: ai.responses.input_items.list("resp_1"))
            await using(scope, form.client, lambda ai: ai.responses.delete("resp_1"))
            call = scope.call_for(got)
        assert (got.status, cancelled.status, items.data) == ("completed", "cancelled", [])
        assert (call.route, call.task, call.outcome) == ("second", "both", Outcome.ANSWERED)
    assert len(stage.first.journal) == asked
    assert [(one.method, one.path.partition("/v1")[2]) for one in stage.second.journal][1:] == [
        ("GET", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"),
        ("GET", "/responses/resp_1/input_items"),
        ("DELETE", "/responses/resp_1"),
    ]


@each_client
async def test_a_stored_chat_is_found_where_it_was_made(stage: Stage, form: Form) -> None:
    """As responses are."""
    made_by_second(stage)
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            await make_chat(scope, form)
            got = await using(scope, form.client, lambda ai: ai.chat.completions.retrieve("chatcmpl-1"))
            await using(scope, form.client, lambda ai: ai.chat.completions.update("chatcmpl-1", metadata={"a": "b"}))
            await using(scope, form.client, lambda ai: ai.chat.completions.messages.list("chatcmpl-1"))
            await using(scope, form.client, lambda ai: ai.chat.completions.delete("chatcmpl-1"))
    assert got.choices[0].message.content == "Hi"
    update = stage.second.journal[2]
    assert (update.method, json.loads(update.body)) == ("POST", {"metadata": {"a": "b"}})


@each_client
async def test_a_list_holds_what_was_made_here(stage: Stage, form: Form) -> None:
    """Not what else the account has stored, nor what is more sensitive than the scope."""
    made_by_second(stage)
    async with Router.from_mapping(config(stage, more=SENSITIVE)) as router:
        with router.scope() as scope:
            await make_chat(scope, form)
        stage.second.script("/chat/completions", JsonBody({**STORED, "id": "chatcmpl-2"}))
        with router.scope(sensitive="payment") as private:
            await make_chat(private, form)
        listed = [STORED, {**STORED, "id": "chatcmpl-2"}, {**STORED, "id": "chatcmpl-of-somebody"}]
        stage.second.script(
            "/chat/completions", JsonBody({"object": "list", "data": listed, "has_more": False, "first_id": "x"})
        )
        page = {}
        for sensitive in (None, "payment"):
            with router.scope(sensitive=sensitive or ()) as scope:
                found = await using(
                    scope, form.client, lambda ai: ai.chat.completions.list(after="chatcmpl-1", model="both")
                )
                page[sensitive] = [item.id for item in found.data]
    assert page == {None: ["chatcmpl-1"], "payment": ["chatcmpl-1", "chatcmpl-2"]}


UNKNOWN = {
    "a response": lambda ai: ai.responses.retrieve("resp_of_somebody"),
    "a chat": lambda ai: ai.chat.completions.retrieve("chatcmpl-of-somebody"),
    "another's": lambda ai: ai.chat.completions.delete("../../files/file-1"),
    "a list of nobody": lambda ai: ai.chat.completions.list(),
    "a list by a model": lambda ai: ai.chat.completions.list(model="gpt-5.5"),
}


@each_client
@pytest.mark.parametrize("use", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_was_not_made_here_is_asked_of_nobody(stage: Stage, form: Form, use: Any) -> None:
    """The error says so."""
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope, pytest.raises(NotRouted) as caught:
            await using(scope, form.client, use)
    assert isinstance(caught.value, openai.NotFoundError)
    assert "was not made through this router" in str(caught.value) or "name a task" in str(caught.value)
    assert stage.received() == []


USES = {
    "retrieve": lambda ai: ai.responses.retrieve("resp_1"),
    "delete": lambda ai: ai.responses.delete("resp_1"),
    "cancel": lambda ai: ai.responses.cancel("resp_1"),
    "input_items": lambda ai: ai.responses.input_items.list("resp_1"),
    "go on": lambda ai: ai.responses.create(model="both", input="x", previous_response_id="resp_1"),
}


@each_client
@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("scope_of", [None, "health"], ids=["unmarked", "another-mark"])
async def test_an_answer_to_a_sensitive_call_carries_its_marks(
    stage: Stage, form: Form, use: Any, scope_of: str | None
) -> None:
    """A scope that is not as sensitive gets nothing of it, and nothing is sent."""
    made_by_second(stage)
    async with Router.from_mapping(config(stage, more=SENSITIVE)) as router:
        with router.scope(sensitive="payment") as scope:
            await make_response(scope, form)
        before = len(stage.received())
        with router.scope(sensitive=scope_of or ()) as scope, pytest.raises(FailClosed):
            await using(scope, form.client, use)
        assert len(stage.received()) == before
        with router.scope(sensitive="payment") as scope:
            await using(scope, form.client, use)
        assert len(stage.received()) == before + 1


@each_client
async def test_a_sensitive_scope_asks_only_approved_routes(stage: Stage, form: Form) -> None:
    """Also for an answer that was not sensitive."""
    made_by_second(stage)
    async with Router.from_mapping(config(stage, more=SENSITIVE)) as router:
        with router.scope() as scope:
            await make_response(scope, form)
        with router.scope(sensitive="health") as scope, pytest.raises(FailClosed):
            await using(scope, form.client, lambda ai: ai.responses.retrieve("resp_1"))


@each_client
async def test_an_error_of_the_provider_is_the_sdks_own(stage: Stage, form: Form) -> None:
    """And an outage is tried again, as the plain SDK does."""
    made_by_second(stage)
    stage.second.script("/resp_1", Status(503), JsonBody({**QUEUED, "status": "completed"}), Status(404))
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            await make_response(scope, form)
            got = await using(scope, form.client, lambda ai: ai.responses.retrieve("resp_1"))
            assert got.status == "completed"
            with pytest.raises(openai.NotFoundError):
                await using(scope, form.client, lambda ai: ai.responses.retrieve("resp_1"))


async def test_a_stored_response_is_streamed_as_it_is(stage: Stage) -> None:
    """From where the app left off."""
    from lanewise.testing import Body

    event = {"type": "response.completed", "sequence_number": 7, "response": {**QUEUED, "status": "completed"}}
    made_by_second(stage)
    stage.second.script(
        "/resp_1",
        Body(f"event: response.completed\ndata: {json.dumps(event)}\n\n", content_type="text/event-stream"),
    )
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            await make_response(scope, Form("async"))
            stream = await scope.async_openai.responses.retrieve("resp_1", stream=True, starting_after=6)
            events = [event async for event in stream]
    assert [event.type for event in events] == ["response.completed"]
    assert stage.second.journal[-1].query["starting_after"] == "6"


async def test_a_background_response_is_not_held_to_its_contract_before_it_is_made(stage: Stage) -> None:
    """There is nothing to check yet."""
    made_by_second(stage)
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    async with Router.from_mapping(config(stage)) as router:
        with router.scope() as scope:
            made = await make_response(scope, Form("async"), text={"format": schema})
    assert made.status == "queued"
