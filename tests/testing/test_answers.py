"""A good answer, read by the plain OpenAI SDK in every form that it asks for."""

from __future__ import annotations

import openai
import pytest
from pydantic import BaseModel

from lanewise.testing import Answer, FakeProvider, StreamOf, ToolCall


class Summary(BaseModel):
    title: str


def test_a_chat_is_answered_with_the_model_that_was_asked_for(client: openai.OpenAI) -> None:
    """Without a script the answer names the model, and has usage and a request id."""
    reply = client.chat.completions.create(model="gpt-5.5", messages=[])
    assert reply.choices[0].message.content == "Hello from gpt-5.5"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.model, reply._request_id) == ("gpt-5.5", "req_1")
    assert reply.usage is not None
    assert reply.usage.total_tokens == 17


def test_an_answer_says_what_it_was_told(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """Text, model, usage, finish reason, headers and request id can each be given or left out."""
    answer = Answer(
        "Hé", model="m-1", usage=None, finish_reason="length", headers={"x-served-by": "a"}, request_id=None
    )
    fake_provider.script("m", answer)
    raw = client.chat.completions.with_raw_response.create(model="m", messages=[])
    reply = raw.parse()
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("Hé", "length")
    assert (reply.model, reply.usage) == ("m-1", None)
    assert (raw.headers["x-served-by"], raw.headers.get("x-request-id")) == ("a", None)


def test_several_choices_are_given_when_asked_for(client: openai.OpenAI) -> None:
    """``n`` is honoured."""
    assert len(client.chat.completions.create(model="m", messages=[], n=3).choices) == 3


def test_parse_reads_a_structured_answer(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """``.parse()`` works on an answer whose text is JSON, in chat and in responses."""
    fake_provider.script("m", Answer('{"title": "T"}'))
    chat = client.chat.completions.parse(model="m", messages=[], response_format=Summary)
    response = client.responses.parse(model="m", input="x", text_format=Summary)
    assert chat.choices[0].message.parsed == Summary(title="T")
    assert response.output_parsed == Summary(title="T")


def test_a_stream_has_a_preamble_words_and_an_end(client: openai.OpenAI) -> None:
    """The first chunk has only the role, the last one only the finish reason; usage comes when it is asked for."""
    stream = client.chat.completions.create(model="m", messages=[], stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:-2]] == ["Hello", " from", " m"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.total_tokens) == ([], 17)


def test_a_stream_has_no_usage_unless_asked(client: openai.OpenAI) -> None:
    """As OpenAI does it."""
    chunks = list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.anyio
async def test_the_stream_helper_assembles_the_answer(fake_provider: FakeProvider) -> None:
    """``.stream()`` of the asynchronous client sees the same text, and the parsed object."""
    fake_provider.script("m", Answer('{"title": "two words"}'))
    async with (
        openai.AsyncOpenAI(base_url=fake_provider.base_url, api_key="k", max_retries=0) as client,
        client.chat.completions.stream(model="m", messages=[], response_format=Summary) as stream,
    ):
        completion = await stream.get_final_completion()
    assert completion.choices[0].message.parsed == Summary(title="two words")


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_and_refusals_arrive(fake_provider: FakeProvider, client: openai.OpenAI, stream: bool) -> None:
    """An answer can call functions or refuse instead of having text, whole or streamed."""
    fake_provider.script("m", Answer(tool_calls=[ToolCall("pay", '{"cents": 5}')]), Answer(refusal="No."))
    if stream:
        with client.chat.completions.stream(model="m", messages=[]) as called_stream:
            called = called_stream.get_final_completion().choices[0]
        with client.chat.completions.stream(model="m", messages=[]) as refused_stream:
            refused = refused_stream.get_final_completion().choices[0]
    else:
        called = client.chat.completions.create(model="m", messages=[]).choices[0]
        refused = client.chat.completions.create(model="m", messages=[]).choices[0]
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls is not None
    assert called.message.tool_calls[0].function.arguments == '{"cents": 5}'
    assert (refused.message.refusal, refused.message.content) == ("No.", None)


@pytest.mark.parametrize(
    ("answer", "text", "types", "status"),
    [
        (Answer("Good day."), "Good day.", ["message"], "completed"),
        (Answer("cut", finish_reason="length"), "cut", ["message"], "incomplete"),
        (Answer(tool_calls=[ToolCall("pay")]), "", ["function_call"], "completed"),
        (Answer(refusal="No."), "", ["message"], "completed"),
    ],
)
def test_a_response_is_the_same_whole_and_streamed(
    fake_provider: FakeProvider, client: openai.OpenAI, answer: Answer, text: str, types: list[str], status: str
) -> None:
    """The final response of a stream equals the one that is given at once."""
    fake_provider.script("m", answer)
    whole = client.responses.create(model="m", input="x")
    events = list(client.responses.create(model="m", input="x", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", f"response.{status}")
    final = events[-1].response  # type: ignore[union-attr]
    assert (whole.output_text, [item.type for item in whole.output], whole.status) == (text, types, status)
    assert (final.output_text, [item.type for item in final.output], final.status) == (text, types, status)
    assert final.usage == whole.usage
    with client.responses.stream(model="m", input="x") as stream:
        assert stream.get_final_response().output_text == text if status == "completed" else True


def test_embeddings_are_the_same_as_floats_and_as_base64(client: openai.OpenAI) -> None:
    """The SDK asks for base64 on its own; one vector an input, of the length asked for, the same for the same text."""
    packed = client.embeddings.create(model="m", input=["a", "b"], dimensions=5)
    plain = client.embeddings.create(model="m", input=["a", "b"], dimensions=5, encoding_format="float")
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert [len(item.embedding) for item in packed.data] == [5, 5]
    assert packed.data[0].embedding != packed.data[1].embedding
    assert len(client.embeddings.create(model="m", input=[1, 2, 3]).data) == 1


def test_legacy_completions_are_answered(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """The old API, whole and streamed."""
    fake_provider.script("m", Answer("once upon"))
    assert client.completions.create(model="m", prompt="x").choices[0].text == "once upon"
    chunks = client.completions.create(model="m", prompt="x", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "once upon"


def test_models_are_the_scripted_ones(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """``GET /models`` lists what has a script, and any single one can be retrieved."""
    fake_provider.script("m", Answer())
    fake_provider.script("n", Answer())
    assert [model.id for model in client.models.list()] == ["m", "n"]
    assert client.models.retrieve("m").id == "m"


def test_a_scripted_stream_answers_a_whole_request_too(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """A request that asks for no stream gets the chunks' text at once."""
    fake_provider.script("m", StreamOf(chunks=["a", "b"]))
    assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "ab"


@pytest.mark.parametrize("body", [b"not json", b"[1]", b"\xff"])
def test_a_body_that_is_no_object_is_a_400(ask, body: bytes) -> None:  # type: ignore[no-untyped-def]
    """As a real provider would say."""
    assert ask(body).startswith(b"HTTP/1.1 400 ")


def test_an_unknown_path_is_a_404(client: openai.OpenAI) -> None:
    """What the provider does not know it does not answer."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.batches.list()
    assert caught.value.code == "unknown_url"
