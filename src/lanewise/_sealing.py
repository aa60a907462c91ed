"""Texts that are kept for later, encrypted: answers that may be given again, and cases that wait for a person.

AES-256-GCM, by the ``cryptography`` package of the extras ``redis`` and ``ledger``. What is sealed for one purpose
can't be opened for another: neither moved from one call to another in the store, nor from there to a person's case.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["LEAST_KEY_LENGTH", "Seal", "SealBroken", "looks_like_bits", "storage_keys", "wrong_with_storage_key"]

LEAST_KEY_LENGTH: Final = 32
"""Characters of a storage key: as many as ``openssl rand -base64 24`` prints."""
LEAST_KEY_BITS: Final = 48.0
"""How much a storage key must at least look like chance, in bits: a word said four times has 30, 32 random hexadecimal
digits have 110. It is an estimate from the text alone, for mistakes, and no proof that a key was made by chance."""

_VERSION: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
"""NIST SP 800-38D, 8.2: 96 bits, at random; a key serves for 2**32 texts."""
_DOMAIN: Final = b"lanewise storage key 1"


class SealBroken(Exception):
    """What is stored can't be opened: damaged, sealed with a key that is gone, or for another purpose."""


class Seal:
    """Seals and opens texts. ``keys`` are texts of at least 32 characters: the first seals, each of them opens.

    It has no pickle, and its repr shows no key. Raises ImportError: ``cryptography`` is missing. ValueError: no key.

    Example::

        seal = Seal([os.environ["STORAGE_KEY"]])
        stored = seal.seal(b"the answer", purpose="replay 01998c7e")
        assert seal.unseal(stored, purpose="replay 01998c7e") == b"the answer"
    """

    __slots__ = ("_by_id", "_first")

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a seal takes at least one key")
        self._by_id: dict[bytes, AESGCM] = {}
        for key in reversed(keys):
            self._first, cipher = _derived(key)
            self._by_id[self._first] = cipher

    def seal(self, text: bytes, *, purpose: str) -> bytes:
        """The text, encrypted: 33 bytes longer."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._by_id[self._first].encrypt(nonce, text, purpose.encode())
        return b"".join((_VERSION, self._first, nonce, sealed))

    def unseal(self, sealed: bytes, *, purpose: str) -> bytes:
        """The text of what was sealed for the same purpose. Raises SealBroken."""
        from cryptography.exceptions import InvalidTag

        start = len(_VERSION) + _ID_BYTES
        cipher = self._by_id.get(sealed[len(_VERSION) : start])
        if cipher is None or not sealed.startswith(_VERSION):
            raise SealBroken("the text was sealed with a key that is not in use any more, or is damaged")
        nonce, rest = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, purpose.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("the text is damaged, or was sealed for another purpose") from None

    def __repr__(self) -> str:
        return f"Seal(keys={len(self._by_id)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a seal holds a key and is not pickled")


def wrong_with_storage_key(value: str) -> str | None:
    """Why a variable's value can't be the storage key (or keys, with commas between), or ``None`` if it can.

    Example::

        assert wrong_with_storage_key("short") == "is shorter than 32 characters"
    """
    keys = storage_keys(value)
    if not keys:
        return "is empty"
    if min(map(len, keys)) < LEAST_KEY_LENGTH:
        return f"is shorter than {LEAST_KEY_LENGTH} characters"
    if min(map(looks_like_bits, keys)) < LEAST_KEY_BITS:
        return "repeats itself too much to be a key made by chance"
    return None


def looks_like_bits(text: str) -> float:
    """How many bits of chance a text seems to hold: the entropy of its characters, those left out that follow from the
    ones before (a sequence, or four that stood together earlier).

    Example::

        assert looks_like_bits("abcdefgh" * 4) < 10 < looks_like_bits("kYv3Jt0Zr5aQ")
    """
    seen: set[str] = set()
    surprising: list[str] = []
    for position, character in enumerate(text):
        steps = [ord(text[i]) - ord(text[i - 1]) for i in range(max(1, position - 1), position + 1)]
        is_sequence = len(steps) == 2 and steps[0] == steps[1] and abs(steps[0]) <= 1
        four = text[max(0, position - 3) : position + 1].lower()
        if not is_sequence and four not in seen:
            surprising.append(character)
        seen.add(four)
    counts = Counter(surprising)
    total = len(surprising)
    return -sum(count * log2(count / total) for count in counts.values()) if total else 0.0


def storage_keys(value: str) -> list[str]:
    """The keys in a variable's value, the one that seals first."""
    return [key for part in value.split(",") if (key := part.strip())]


def _derived(key: str) -> tuple[bytes, AESGCM]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    material = HKDF(SHA256(), 32 + _ID_BYTES, salt=None, info=_DOMAIN).derive(key.encode("utf-8", "surrogatepass"))
    return material[32:], AESGCM(material[:32])
