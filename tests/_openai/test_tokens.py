"""Token counts without a network: exact where the encoding is known, else on the high side and marked."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from importlib import metadata

import pytest
import tiktoken
import tiktoken_ext.openai_public as published
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai.encodings import ENCODINGS, encoding, encoding_of, ranks
from lanewise._openai.tokens import TokenCount, count_body, count_text
from lanewise.types import Api

TIKTOKEN = tuple(int(part) for part in metadata.version("tiktoken").split(".")[:2])
HASHES = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
JARGON = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon "
        "into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch "
        "base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
"""The example of OpenAI's cookbook, "How to count tokens with tiktoken", whose counts the API itself confirmed."""


@pytest.mark.parametrize("name", HASHES)
def test_the_ranks_are_those_that_openai_publishes(name: str) -> None:
    """What is shipped unpacks to the very file whose hash tiktoken demands."""
    file = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(ranks(name)))
    assert hashlib.sha256(file.encode()).hexdigest() == HASHES[name]


@pytest.mark.parametrize("name", HASHES)
def test_texts_are_split_as_tiktoken_splits_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pattern and the special tokens are tiktoken's own, and so is the hash of its file."""
    asked: list[str] = []

    def no_download(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append(expected_hash)
        return {}

    monkeypatch.setattr(published, "load_tiktoken_bpe", no_download)
    said = published.ENCODING_CONSTRUCTORS[name]()
    assert asked == [HASHES[name]]
    assert said["pat_str"] == ENCODINGS[name].pattern
    assert said["special_tokens"] == ENCODINGS[name].special


def test_the_counts_of_openais_cookbook_come_out() -> None:
    """129 tokens for GPT-4 and 124 for GPT-4o: what the API billed for this example."""
    body = {"messages": JARGON}
    assert count_body(body, Api.CHAT, "gpt-4-0613") == TokenCount(129, exact=True)
    assert count_body(body, Api.CHAT, "gpt-4o-mini") == TokenCount(124, exact=True)


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [("antidisestablishmentarianism", 6, 6), ("2 + 2 = 4", 7, 7), ("お誕生日おめでとう", 8, 9), ("", 0, 0)],
)
def test_single_texts_have_the_counts_that_are_published(text: str, o200k: int, cl100k: int) -> None:
    """The cookbook's table of encodings."""
    assert count_text(text, "gpt-4o") == TokenCount(o200k, exact=True)
    assert count_text(text, "gpt-4") == TokenCount(cl100k, exact=True)


@given(st.text(max_size=200))
def test_every_text_can_be_counted_and_comes_back(text: str) -> None:
    """No text breaks the counting, and the tokens hold the text."""
    text = text.encode("utf-8", "replace").decode()
    for name in HASHES:
        codec = encoding(name)
        assert codec is not None
        assert codec.decode(codec.encode_ordinary(text)) == text


def test_a_text_that_spells_a_special_token_is_counted_as_text() -> None:
    """A user's text ends no prompt."""
    assert count_text("<|endoftext|>", "gpt-4o").tokens > 1


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5.5", "o200k_base"),
        ("gpt-5-mini-2025-08-07", "o200k_base"),
        ("openai/gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("o3", "o200k_base"),
        ("ft:gpt-4o:acme::1", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
    ],
)
def test_the_encoding_of_a_model_follows_from_its_name(model: str, name: str) -> None:
    """As in tiktoken's own table since 0.14, which ours was taken from; older ones know fewer models."""
    assert encoding_of(model) == name
    if "/" not in model and TIKTOKEN >= (0, 14):
        told = tiktoken.encoding_name_for_model(model)
        assert told.replace("harmony", "base") == name


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3-pro", "gpt-40", "o30", "llama-4", "my-deployment"])
def test_a_model_of_another_maker_has_none(model: str) -> None:
    """A name that only looks alike is not counted as if it were known."""
    assert encoding_of(model) is None
    assert not count_text("hello", model).exact


@pytest.mark.parametrize(
    "text",
    ["The quick brown fox jumps over it. " * 20, "def f(x):\n    return {'a': [x]}\n" * 20, "Привет, мир! " * 20],
)
def test_an_estimate_is_on_the_high_side(text: str) -> None:
    """A budget that is kept by the estimate is kept by the bill."""
    estimated = count_text(text, "some-model")
    assert not estimated.exact
    assert estimated.tokens >= count_text(text, "gpt-4o").tokens


def test_what_is_not_text_makes_an_estimate() -> None:
    """Tools and images are written into the prompt in a form that nobody publishes."""
    text = {"role": "user", "content": "What is this?"}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    plain = count_body({"messages": [text]}, Api.CHAT, "gpt-4o")
    with_image = count_body({"messages": [text, image]}, Api.CHAT, "gpt-4o")
    with_tools = count_body({"messages": [text], "tools": tools}, Api.CHAT, "gpt-4o")
    assert plain.exact
    assert not with_image.exact
    assert with_image.tokens > plain.tokens + 1000
    assert not with_tools.exact
    assert with_tools.tokens > plain.tokens


def test_the_other_apis_are_counted_too() -> None:
    """Responses with instructions, and embeddings of texts and of tokens, which have no framing."""
    told = count_body({"instructions": "Be brief.", "input": "hello world"}, Api.RESPONSES, "gpt-4o")
    listed = {"instructions": "Be brief.", "input": [{"type": "message", "role": "user", "content": "hello world"}]}
    assert told.exact
    assert count_body(listed, Api.RESPONSES, "gpt-4o") == told
    model = "text-embedding-3-small"
    assert count_body({"input": ["hello world", "hello"]}, Api.EMBEDDINGS, model) == TokenCount(3, exact=True)
    assert count_body({"input": [[1, 2, 3], [4]]}, Api.EMBEDDINGS, model) == TokenCount(4, exact=True)


def test_without_tiktoken_the_count_is_an_estimate() -> None:
    """The extra is optional, and its lack is told, not hidden."""
    code = (
        "import sys; sys.modules['tiktoken'] = None\n"
        "from lanewise._openai.tokens import count_text\n"
        "count = count_text('hello world', 'gpt-4o')\n"
        "assert not count.exact and count.tokens == 5 and str(count) == '~5'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
