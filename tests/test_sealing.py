"""Sealed texts: they come back by the same key and purpose, and by no other."""

from __future__ import annotations

import base64
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._sealing import Seal, SealBroken, wrong_with_storage_key

KEY, OLD_KEY = "canary-hB6cMcdtvxBPDFdTJ8UtAVt4e", "canary-W2mO8qvIh0XRZkYV1yQp9sLdf"


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


@pytest.mark.parametrize(
    "guessable",
    [
        "a" * 32,
        "password" * 5,
        "0123456789" * 4,
        "changeme-changeme-changeme-changeme",
        "abcdefghijklmnopqrstuvwxyz012345",
    ],
)
def test_a_storage_key_that_repeats_itself_is_refused(guessable: str) -> None:
    """Its length alone makes no key."""
    assert wrong_with_storage_key(guessable) == "repeats itself too much to be a key made by chance"


def test_storage_keys_made_by_chance_are_taken() -> None:
    """As ``openssl rand`` prints them, in base64 and in hexadecimal digits."""
    chance = random.Random(7)
    for _ in range(2000):
        made = chance.randbytes(24)
        assert wrong_with_storage_key(base64.b64encode(made).decode()) is None
        assert wrong_with_storage_key(made[:16].hex()) is None


@pytest.mark.parametrize(("value", "wrong"), [("", "is empty"), (" , ", "is empty"), (KEY, None)])
def test_a_storage_key_is_looked_at_before_it_is_used(value: str, wrong: str | None) -> None:
    """Each of several, and none is told."""
    assert wrong_with_storage_key(value) == wrong
    assert wrong_with_storage_key(f"{KEY},short") == "is shorter than 32 characters"
