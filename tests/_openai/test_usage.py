"""Reading usages: whatever a server writes there, what is read adds up, and what is not understood is named."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lanewise._openai.usage.accumulator import UsageAccumulator
from lanewise._openai.usage.entries import UsageEntries
from lanewise._openai.usage.reading import read_usage
from lanewise._openai.usage.usage import NO_USAGE, Usage, add_up

counts = st.integers(0, 10**6)
maybe = st.none() | counts
numbers = st.one_of(
    st.integers(), st.floats(), st.integers(0, 2000), st.sampled_from(["7", "1e3", "x", "", True, False])
)
names = st.sampled_from([
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cached_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens",
    "image_tokens", "video_tokens", "text_tokens", "prompt_tokens_details", "completion_tokens_details",
    "input_tokens_details", "output_tokens_details", "cached_tokens_details", "cache_creation",
    "cache_write_tokens_details", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "ttl_12h_tokens", "cost",
    "total_cost", "currency", "cost_details", "upstream_inference_cost", "is_byok", "cost_in_usd_ticks",
    "estimated_cost", "server_tool_use", "web_search_requests", "num_search_queries", "service_tier", "speed",
    "inference_geo", "queue_time", "mystery_tokens", "prompt_audio_seconds", "tool_usage",
])  # fmt: skip
values = st.recursive(
    st.none() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)
WHOLES = (
    ("input_tokens", ("cached_tokens", "cache_write_tokens")),
    ("input_tokens", ("input_audio_tokens", "input_image_tokens", "input_video_tokens")),
    ("output_tokens", ("reasoning_tokens",)),
    ("output_tokens", ("output_audio_tokens", "output_image_tokens", "output_video_tokens")),
)


def counted(usage: Usage, name: str) -> int:
    return getattr(usage, name) or 0


@given(st.dictionaries(names, values, max_size=10))
def test_whatever_a_usage_holds_it_is_read_and_adds_up(table: dict[str, Any]) -> None:
    """No part is more than its whole, no count or cost is negative or no number, and nothing is raised."""
    usage = read_usage(table)
    told = msgspec.structs.asdict(usage)
    for name in (name for name in told if name.endswith(("_tokens", "_usd", "_seconds"))):
        value = told[name]
        assert value is None or (0 <= value < 2e12 and not isinstance(value, bool)), name
        assert value is None or name.endswith("_usd") or isinstance(value, int)
    for whole, parts in WHOLES:
        if getattr(usage, whole) is not None:
            assert sum(counted(usage, part) for part in parts) <= counted(usage, whole)
    assert usage.input_tokens != 0
    msgspec.json.encode(usage)


@given(st.binary(max_size=40) | values.map(lambda value: repr(value).encode()))
def test_a_usage_that_is_no_json_is_none(raw: bytes) -> None:
    """Whatever is left raw may be anything."""
    assert isinstance(read_usage(msgspec.Raw(raw)), Usage)


@given(counts, counts, maybe, maybe, maybe, st.booleans(), st.booleans())
def test_the_short_way_to_a_usage_gives_what_the_long_one_gives(
    told: int, given_: int, cached: int | None, written: int | None, reasoning: int | None, responses: bool, raw: bool
) -> None:
    """In chat's words and in those of Responses, decoded or not."""
    read = {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": 0}
    said = {"reasoning_tokens": reasoning, "audio_tokens": 0}
    words = ("input_tokens", "output_tokens") if responses else ("prompt_tokens", "completion_tokens")
    table = {words[0]: told, words[1]: given_, "total_tokens": told + given_}
    table |= {f"{words[0]}_details": read, f"{words[1]}_details": said}  # type: ignore[dict-item]
    found = read_usage(msgspec.Raw(msgspec.json.encode(table)) if raw else table)
    assert found == UsageEntries(table).usage()


@given(st.dictionaries(names, values, max_size=8), st.text(min_size=1, max_size=12), st.integers(1, 10**6))
def test_a_count_that_nobody_knows_is_named(table: dict[str, Any], name: str, count: int) -> None:
    """At the top and among the details: it may be billed."""
    unknown = f"mystery_{name}_units"
    assert any(part.startswith("mystery_") for part in read_usage({**table, unknown: count}).unclear)
    details = {"prompt_tokens_details": {unknown: count}}
    assert any(part.startswith("mystery_") for part in read_usage({**table, **details}).unclear)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=60))
def test_a_usage_that_grows_with_its_stream_is_its_last(grown: list[tuple[int, int]]) -> None:
    """However many chunks tell it."""
    so_far = UsageAccumulator()
    told, given_ = 1, 0
    for more, further in grown:
        told, given_ = told + more, given_ + further
        so_far.add({"prompt_tokens": told, "completion_tokens": given_})
    assert (so_far.usage.input_tokens, so_far.usage.output_tokens) == (told, given_)


def test_what_one_answer_does_not_tell_is_told_of_none() -> None:
    """The sum of what is not known is not known; what is told apart by some is told apart."""
    one = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reported_cost_usd=0.5)
    other = Usage(input_tokens=20, output_tokens=None, tool_calls=(("web_search", 1),))
    assert add_up([one, other]) == Usage(input_tokens=30, cached_tokens=4, tool_calls=(("web_search", 1),))
    assert add_up([one, one]) == Usage(input_tokens=20, output_tokens=10, cached_tokens=8, reported_cost_usd=1.0)
    assert not NO_USAGE
    assert UsageAccumulator().usage == NO_USAGE


def test_choices_that_each_tell_a_usage_are_added_up_and_are_unclear() -> None:
    """Nobody knows whether it is theirs, or that of all."""
    so_far = UsageAccumulator()
    for index in range(2):
        so_far.add({"prompt_tokens": 10, "completion_tokens": 5}, index)
    assert so_far.usage == Usage(input_tokens=10, output_tokens=10, unclear=("choices",))
