"""Sealed texts: they come back by the same key and purpose, and by no other."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._sealing import Seal, SealBroken, wrong_with_storage_key

KEY, OLD_KEY = "canary-" + "k" * 32, "canary-" + "o" * 32


@given(st.binary(max_size=5000))
def test_a_sealed_text_comes_back(text: bytes) -> None:
    """By another seal of the same key, as another worker has it."""
    assert Seal([KEY]).unseal(Seal([KEY]).seal(text, purpose="replay"), purpose="replay") == text


def test_what_is_sealed_shows_nothing_of_the_text_and_is_never_the_same_twice() -> None:
    """A store shows neither a text nor that two are the same."""
    first, second = (Seal([KEY]).seal(b"the patient's answer", purpose="replay") for _ in range(2))
    assert b"patient" not in first
    assert first != second


def test_a_text_is_not_opened_for_another_purpose() -> None:
    """What was moved within the store is no answer."""
    sealed = Seal([KEY]).seal(b"yes", purpose="call 1")
    with pytest.raises(SealBroken, match="another purpose"):
        Seal([KEY]).unseal(sealed, purpose="call 2")


def test_an_older_key_still_opens() -> None:
    """A key is changed by putting the new one before it."""
    sealed = Seal([OLD_KEY]).seal(b"yes", purpose="call")
    assert Seal([KEY, OLD_KEY]).unseal(sealed, purpose="call") == b"yes"
    assert Seal([KEY]).unseal(Seal([KEY, OLD_KEY]).seal(b"yes", purpose="call"), purpose="call") == b"yes"
    with pytest.raises(SealBroken, match="not in use any more"):
        Seal([KEY]).unseal(sealed, purpose="call")


@given(st.binary(max_size=80))
def test_garbage_is_broken_and_nothing_else(garbage: bytes) -> None:
    """Whatever is found in the store."""
    with pytest.raises(SealBroken):
        Seal([KEY]).unseal(garbage, purpose="call")


def test_each_damaged_byte_is_noticed() -> None:
    """The head and the nonce too."""
    sealed = Seal([KEY]).seal(b"yes", purpose="call")
    for position in range(len(sealed)):
        damaged = bytes(byte ^ (index == position) for index, byte in enumerate(sealed))
        with pytest.raises(SealBroken):
            Seal([KEY]).unseal(damaged, purpose="call")


def test_a_seal_shows_no_key_and_is_not_pickled() -> None:
    """Neither in its repr nor elsewhere."""
    assert "canary" not in repr(Seal([KEY]))
    with pytest.raises(TypeError):
        pickle.dumps(Seal([KEY]))


@pytest.mark.parametrize(("value", "wrong"), [("", "is empty"), (" , ", "is empty"), (KEY, None)])
def test_a_storage_key_is_looked_at_before_it_is_used(value: str, wrong: str | None) -> None:
    """Each of several, and none is told."""
    assert wrong_with_storage_key(value) == wrong
    assert wrong_with_storage_key(f"{KEY},short") == "is shorter than 32 characters"
