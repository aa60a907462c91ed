"""Whose fault a failure is, over HTTP: what one caller can cause ends his call, and closes no route to the others."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from _failures.provider_errors import DOCUMENTED, RESPONSE_ERROR_CODES, Documented
from lanewise import FailureKind, Outcome, Router
from lanewise.testing import Behaviour, Body, Html, JsonBody, Received, Status, StreamOf
from router.driving import FORMS, WHOLE, Form, Stage, ask, config, using

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)

CALLERS = (FailureKind.BAD_REQUEST, FailureKind.CONTENT_POLICY)
MISTAKES = [code for code, kind in RESPONSE_ERROR_CODES.items() if kind in CALLERS]
PICTURE: Any = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}
]
PLACES: dict[str, Any] = {
    "a 200": lambda code: JsonBody({"id": "resp_1", "status": "failed", "output": [], "error": _error(code)}),
    "an event": lambda code: StreamOf(error_event_after=0, error=_error(code), error_event="response.failed"),
    "an error event": lambda code: StreamOf(error_event_after=0, error=_error(code)),
}


def _error(code: str) -> dict[str, object]:
    return {"code": code, "message": "canary-provider-text"}


@each_client
@pytest.mark.parametrize("place", PLACES)
async def test_a_callers_mistake_in_a_response_is_sent_once_and_closes_nothing(
    form: Form, place: str, stage: Stage
) -> None:
    """All such codes of the SDK's, one after the other: each ends its own call, and the route is asked each time."""
    async with Router.from_mapping(config(stage)) as router:
        for code in MISTAKES:
            stage.first.script_all(PLACES[place](code))
            scope = router.scope()
            with pytest.raises(openai.BadRequestError) as caught:
                await using(scope, form.client, lambda client: _respond(client, stream=place != "a 200"))
            assert caught.value.code == code
            assert scope.calls[-1].failure is RESPONSE_ERROR_CODES[code]

    assert stage.first.request_count == len(MISTAKES)
    assert stage.second.request_count == 0


def _respond(client: Any, *, stream: bool) -> Any:
    if isinstance(client, openai.AsyncOpenAI):
        return _respond_async(client, stream=stream)
    reply = client.responses.create(model="both", input="Hi", stream=stream)
    return list(reply) if stream else reply


async def _respond_async(client: openai.AsyncOpenAI, *, stream: bool) -> None:
    reply: Any = await client.responses.create(model="both", input="Hi", stream=stream)
    if stream:
        async for _ in reply:
            pass


@pytest.mark.parametrize("error", DOCUMENTED, ids=str)
async def test_a_documented_error_ends_the_call_or_moves_it_on(error: Documented, stage: Stage) -> None:
    """A caller's mistake is the app's to hear of; the account's trouble finds an answer elsewhere."""
    body = Body(error.body, "text/plain", status=error.status) if isinstance(error.body, str) else None
    stage.first.script_all(body or JsonBody(error.body, error.status))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, WHOLE[0])

    if error.kind in (*CALLERS, FailureKind.CONTEXT_LENGTH):
        assert isinstance(got.error, openai.APIStatusError)
        assert (got.error.status_code, got.routes, stage.second.request_count) == (error.status, ["first"], 0)
    else:
        assert (got.error, got.text) == (None, "Hello from model-two")
    assert got.call.attempts[0].failure is error.kind


REFUSALS: dict[str, Behaviour] = {
    "403": Status(403),
    "a firewall": Html(status=403),
    "451": Status(451),
    "412": Status(412),
    "431": Status(431),
    "463": Status(463),
    "an end user's budget": JsonBody({"error": {"message": "End User=u over budget", "type": "budget_exceeded"}}, 400),
    "one request's price": JsonBody({"error": {"message": "You can only afford 900 tokens", "code": 402}}, 402),
    "a feature": JsonBody({"error": {"message": "No endpoints found that support tool use", "code": 404}}, 404),
    "a tool's model": JsonBody({"error": {"code": "model_not_found", "message": "", "param": "tools[0].model"}}, 400),
    "a tool's server": JsonBody({"error": {"code": "external_connector_error", "message": ""}}, 424),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_what_one_caller_can_cause_closes_no_route(refusal: str, stage: Stage) -> None:
    """However often, and whoever asks: the next caller's call goes to the first route."""
    stage.first.script_all(REFUSALS[refusal])
    async with Router.from_mapping(config(stage)) as router:
        for number in range(12):
            await ask(router, WHOLE[number % 2], subject=f"user-{number % 4}")
        stage.first.script_all(StreamOf())
        got = await ask(router, WHOLE[0])

    assert stage.first.request_count == 13
    assert (got.routes, got.text) == (["first"], "Hello from the stream")


def _eyeless(received: Received) -> Behaviour:
    return Status(500) if "image_url" in str(received.json["messages"]) else StreamOf()


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_server_without_eyes_is_not_down_for_others(form: Form, stage: Stage) -> None:
    """As many pictures as texts: half of what it is asked fails, and the texts are answered by it all the same."""
    stage.first.script_all(_eyeless)
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(12):
            seen = await ask(router, form, messages=PICTURE)
            assert (seen.call.outcome, seen.call.route) == (Outcome.ANSWERED, "second")
            got = await ask(router, form)
            assert got.routes == ["first"]


@pytest.mark.usefixtures("hurried")
async def test_a_server_that_answers_nobody_is_down_for_pictures_too(stage: Stage) -> None:
    """Nothing shows that it is well: it is passed over after some failures, as after any."""
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage)) as router:
        for _ in range(12):
            got = await ask(router, WHOLE[0], messages=PICTURE)

    assert got.routes == ["second"]
