"""What is kept of compiled formats: bounded in bytes, and gone with its router."""

from __future__ import annotations

import gc
import json
import weakref

import pytest

from lanewise._contracts.format_cache import FormatCache
from lanewise._contracts.request_contract import BadFormat, contract_of
from lanewise._openai.request_body import RequestBody
from lanewise.types import Api


def body(size: int, title: str) -> RequestBody:
    schema = {"type": "object", "title": title, "description": "x" * size}
    format_ = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return RequestBody.parse(json.dumps({"model": "m", "response_format": format_}).encode())


def test_a_format_is_compiled_once() -> None:
    """The next request that asks for it finds it made."""
    cache = FormatCache()
    found = [contract_of(body(100, "a"), Api.CHAT, None, cache) for _ in range(3)]
    rules = {id(contract.json[0]) for contract in found if contract is not None}
    assert len(rules) == len(cache) == 1


def test_the_same_text_means_what_it_means_in_its_api() -> None:
    """A format of chat is none of the Responses API's."""
    cache = FormatCache()
    made = [cache.get(kind, b"{}", lambda _: object()) for kind in ("chat", "responses", "chat")]
    assert made[0] is made[2] is not made[1]


@pytest.mark.parametrize("size", [10, 1_000, 100_000])
def test_what_is_kept_is_bounded_in_bytes(size: int) -> None:
    """However many formats an app makes up, and however large they are: what was asked for last stays."""
    cache = FormatCache(2_000_000)
    for number in range(1_000):
        raw = b"%d" % number + b"x" * size
        cache.get("chat", raw, lambda raw: raw)
        assert cache.weight <= 2_000_000
    assert 0 < len(cache) <= 1_000
    assert cache.get("chat", raw, lambda _: None) is not None


def test_what_is_too_heavy_to_keep_is_made_each_time() -> None:
    """And drives out what is there, no longer than that."""
    cache = FormatCache(10_000)
    assert cache.get("chat", b"x" * 100_000, len) == 100_000
    assert (len(cache), cache.weight) == (0, 0)


def test_a_format_that_can_t_be_used_is_told_each_time() -> None:
    """Nothing is kept of it."""
    cache = FormatCache()
    bad = RequestBody.parse(b'{"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 7}}}}')
    for _ in range(2):
        with pytest.raises(BadFormat):
            contract_of(bad, Api.CHAT, None, cache)
    assert len(cache) == 0


def test_what_is_kept_goes_with_the_cache() -> None:
    """Nothing of what apps wrote outlives its router."""

    class Made:
        pass

    cache = FormatCache()
    made = weakref.ref(cache.get("chat", b"{}", lambda _: Made()))
    assert made() is not None
    del cache
    gc.collect()
    assert made() is None
