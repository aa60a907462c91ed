"""A real llama.cpp server as one of the providers: an implementation that nobody wrote to please these tests."""

from __future__ import annotations

from typing import Any, Literal

import anyio
import openai
import pydantic
import pytest

from lanewise import FailureKind, LaneName, Router
from lanewise.testing import Answer, FakeProvider, Reset, Status, StreamOf
from real.llama import CONTEXT, MODEL, Llama
from router.driving import FORMS, MESSAGES, PROMPT, Form, ask

pytestmark = pytest.mark.anyio

CLOUD_MODEL = "cloud-model"
PLAIN: dict[str, Any] = {"max_tokens": 12, "temperature": 0}
forms = pytest.mark.parametrize("form", FORMS, ids=str)
clients = pytest.mark.parametrize("form", [form for form in FORMS if not form.stream], ids=str)


class Mood(pydantic.BaseModel):
    """What the model has to say, whatever its weights are."""

    mood: Literal["glad", "sad"]
    late: bool


SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "mood", "strict": True, "schema": Mood.model_json_schema()},
}
"""Held to by the server's grammar: random weights would never write JSON by themselves."""


@pytest.fixture
def router(llama: Llama, fake_provider: FakeProvider) -> Router:
    """A router with a provider in the cloud and llama.cpp beside the app."""
    return Router.from_mapping(
        {
            "providers": {
                "cloud": {"base_url": fake_provider.base_url, "api_key_env": "PROVIDER_KEY"},
                "llama": {"base_url": llama.base_url},
            },
            "routes": {
                "cloud": {"provider": "cloud", "model": CLOUD_MODEL, "context_window": 100_000},
                "llama": {"provider": "llama", "model": MODEL, "context_window": CONTEXT},
                "llama-in-the-cloud": {"provider": "cloud", "model": MODEL},
            },
            "tasks": {
                "alone": {"primary": "llama"},
                "cloud-first": {"primary": "cloud", "degraded": "llama"},
                "llama-first": {"primary": "llama", "equivalent": {"routes": ["cloud"], "on": ["context_length"]}},
                "vectors": {"primary": "llama", "equivalent": "llama-in-the-cloud"},
            },
        }
    )


def straight(llama: Llama) -> str:
    """What llama.cpp says to the plain SDK."""
    with openai.OpenAI(base_url=llama.base_url, api_key="none", max_retries=0) as client:
        reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, **PLAIN)
    return reply.choices[0].message.content or ""


@forms
async def test_the_answer_is_the_same_as_without_the_router(router: Router, llama: Llama, form: Form) -> None:
    """Whole or as a stream, async or sync: the text that the server says to anyone."""
    async with router:
        got = await ask(router, form, "alone", **PLAIN)
    assert got.error is None
    assert len(got.text) == PLAIN["max_tokens"]
    assert got.text == straight(llama)
    assert (got.call.route, got.call.lane, len(got.call.attempts)) == ("llama", LaneName.PRIMARY, 1)


@forms
async def test_usage_is_accounted_though_the_app_did_not_ask(router: Router, form: Form) -> None:
    """The server's own count of tokens is in the record; a stream's chunk with it stays hidden from the app."""
    async with router:
        got = await ask(router, form, "alone", **PLAIN)
    attempt = got.call.attempts[0]
    assert (attempt.input_tokens, attempt.output_tokens) == (len(f"user: {PROMPT}\nassistant:") + 1, 12)
    assert (attempt.model_asked, attempt.model_answered, attempt.http_status) == (MODEL, MODEL, 200)
    if form.stream:
        assert all(chunk.usage is None and chunk.choices for chunk in got.chunks)
    else:
        assert got.reply.usage.prompt_tokens == attempt.input_tokens


async def test_usage_that_the_app_asked_for_is_shown(router: Router) -> None:
    """The last chunk of the stream is the server's own."""
    async with router:
        got = await ask(router, Form("async", stream=True), "alone", stream_options={"include_usage": True}, **PLAIN)
    assert got.chunks[-1].choices == []
    assert got.chunks[-1].usage.completion_tokens == got.call.attempts[0].output_tokens == 12


@forms
async def test_a_schema_reaches_the_servers_grammar(router: Router, form: Form) -> None:
    """``response_format`` goes through whole: only under the grammar made of it can such weights write JSON."""
    async with router:
        got = await ask(router, form, "alone", temperature=0, response_format=SCHEMA)
    assert got.error is None
    assert Mood.model_validate_json(got.text).mood in ("glad", "sad")


async def test_parse_gives_the_model_of_pydantic(router: Router) -> None:
    """The SDK's ``.parse()`` makes the schema and reads the answer."""
    async with router:
        with router.scope() as scope:
            reply = await scope.async_openai.chat.completions.parse(
                model="alone", messages=MESSAGES, response_format=Mood, temperature=0
            )
    assert isinstance(reply.choices[0].message.parsed, Mood)
    assert scope.call_for(reply).route == "llama"


async def test_the_sdks_stream_helper_reads_the_stream(router: Router) -> None:
    """``.stream()`` gathers the chunks into the whole that it would have been."""
    async with router:
        with router.scope() as scope:
            chat = scope.async_openai.chat.completions
            async with chat.stream(model="alone", messages=MESSAGES, response_format=Mood, temperature=0) as stream:
                reply = await stream.get_final_completion()
    assert isinstance(reply.choices[0].message.parsed, Mood)
    assert reply.choices[0].finish_reason == "stop"


@forms
@pytest.mark.parametrize("failing", [Status(401), Status(529), Status(500), Reset(), "down"], ids=repr)
async def test_llama_answers_when_the_cloud_fails(
    router: Router, fake_provider: FakeProvider, form: Form, failing: Any
) -> None:
    """The app sees an answer of the degraded lane, held to the same schema, and no error."""
    if failing == "down":
        fake_provider.pause()
    else:
        fake_provider.script(CLOUD_MODEL, failing)
    async with router:
        got = await ask(router, form, "cloud-first", temperature=0, response_format=SCHEMA)
    assert got.error is None
    assert Mood.model_validate_json(got.text).mood in ("glad", "sad")
    assert (got.call.route, got.call.lane) == ("llama", LaneName.DEGRADED)
    assert got.call.attempts[-1].failure is None
    assert all(attempt.failure is not None for attempt in got.call.attempts[:-1])


@pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)
async def test_llama_takes_over_a_stream_that_breaks_before_its_content(
    router: Router, llama: Llama, fake_provider: FakeProvider, form: Form
) -> None:
    """Nothing of the cloud's stream is in the answer."""
    fake_provider.script(CLOUD_MODEL, StreamOf(cut_after=0))
    async with router:
        got = await ask(router, form, "cloud-first", **PLAIN)
    assert (got.error, got.text) == (None, straight(llama))
    assert [attempt.failure for attempt in got.call.attempts] == [FailureKind.STREAM_BROKEN, None]
    assert got.roles == ["assistant"]


@forms
async def test_a_prompt_over_the_context_is_the_callers_error(router: Router, form: Form) -> None:
    """The server's own words and type for it are understood, and the prompt is in no message."""
    async with router:
        got = await ask(router, form, "alone", messages=[{"role": "user", "content": PROMPT * 20}])
    assert isinstance(got.error, openai.BadRequestError)
    assert got.call.failure is FailureKind.CONTEXT_LENGTH
    assert len(got.call.attempts) == 1
    assert PROMPT not in str(got.error)


@forms
async def test_a_prompt_over_the_context_moves_to_the_larger_window(
    router: Router, fake_provider: FakeProvider, form: Form
) -> None:
    """The cloud's route is known to take more, so it answers."""
    fake_provider.script(CLOUD_MODEL, StreamOf(chunks=["Long", " read."]) if form.stream else Answer("Long read."))
    async with router:
        got = await ask(router, form, "llama-first", messages=[{"role": "user", "content": PROMPT * 20}])
    assert (got.error, got.text) == (None, "Long read.")
    assert [attempt.failure for attempt in got.call.attempts] == [FailureKind.CONTEXT_LENGTH, None]


@clients
async def test_a_grammar_that_the_server_refuses_goes_nowhere_else(
    router: Router, fake_provider: FakeProvider, form: Form
) -> None:
    """A 400 of any other kind is the app's own mistake: it gets the class that it would have got anyway."""
    async with router:
        got = await ask(router, form, "llama-first", extra_body={"grammar": "root ::= ("})
    assert isinstance(got.error, openai.BadRequestError)
    assert got.call.failure is FailureKind.BAD_REQUEST
    assert fake_provider.request_count == 0


async def test_an_api_that_the_server_does_not_have_moves_on(router: Router, fake_provider: FakeProvider) -> None:
    """Its 501 for embeddings is a matter of config; another route of the same model gives them."""
    async with router:
        with router.scope() as scope:
            reply = await scope.async_openai.embeddings.create(model="vectors", input="parcel")
    assert reply.data[0].embedding
    assert [attempt.failure for attempt in scope.call_for(reply).attempts] == [FailureKind.CONFIG, None]
    assert fake_provider.request_count == 1


async def test_responses_are_routed_too(router: Router, fake_provider: FakeProvider) -> None:
    """The other dialect, after a failure of the cloud, whole and as a stream."""
    fake_provider.script(CLOUD_MODEL, Status(401))
    async with router:
        with router.scope() as scope:
            responses = scope.async_openai.responses
            reply = await responses.create(model="cloud-first", input=PROMPT, max_output_tokens=8, temperature=0)
            stream = await responses.create(
                model="cloud-first", input=PROMPT, max_output_tokens=8, temperature=0, stream=True
            )
            text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert text == reply.output_text
    assert len(text) == 8
    assert [call.route for call in scope.calls] == ["llama", "llama"]
    assert [call.attempts[-1].output_tokens for call in scope.calls] == [8, 8]


async def test_calls_at_once_are_all_answered(router: Router, llama: Llama) -> None:
    """The server has one slot, so they wait for each other there; none of them fails for that."""
    texts: list[str] = []

    async def one(form: Form) -> None:
        texts.append((await ask(router, form, "alone", **PLAIN)).text)

    async with router, anyio.create_task_group() as group:
        for _ in range(3):
            for form in FORMS:
                group.start_soon(one, form)
    assert texts == [straight(llama)] * 12


@pytest.mark.slow
@forms
async def test_a_connection_that_the_server_let_go_is_not_noticed(router: Router, form: Form) -> None:
    """llama.cpp closes a connection that was idle for five seconds: the next call gets a fresh one."""
    async with router:
        first = await ask(router, form, "alone", **PLAIN)
        await anyio.sleep(5.5)
        second = await ask(router, form, "alone", **PLAIN)
    assert (second.error, second.text) == (None, first.text)
    assert len(second.call.attempts) == 1
