"""Digests of keys that anybody would guess: short texts, common passwords, words, and names out of the config."""

from __future__ import annotations

import functools
import lzma
import re
import string
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import files
from itertools import product
from typing import Final

__all__ = ["guessable"]

_SHORT: Final = ((string.printable, 2), (string.ascii_lowercase + string.digits, 3), (string.digits, 4))
"""All texts of up to so many of these characters are tried."""
_PASSWORDS: Final = """
123456 1234567 12345678 123456789 1234567890 111111 000000 222222 666666 888888 999999 121212 123123 123321 654321
987654321 qwerty qwertyuiop qwerty123 asdfgh asdfghjkl zxcvbn zxcvbnm 1q2w3e 1q2w3e4r 1qaz2wsx q1w2e3r4 abc123 abcd1234
a1b2c3 password passw0rd p@ssword p@ssw0rd password1 password123 passphrase passwort letmein welcome welcome1 iloveyou
monkey dragon sunshine princess football baseball superman batman trustno1 shadow master michael jordan hunter2 starwars
whatever freedom ninja mustang access flower hello hello123 helloworld hello-world goodbye computer internet samsung
admin admin123 administrator root toor user username guest login logout default demo sample example foobar foo bar baz
qux test testing test123 tester testkey test-key test_key test-token unittest dummy fake mock placeholder changeme
change-me change_me changeit change-this replaceme replace-me replace_me your-key your-key-here your-api-key
your_api_key your-api-key-here your-secret your-secret-key insert-key-here todo fixme none null undefined nothing empty
secret secret1
secret123 secret-key secret_key secretkey mysecret my-secret my_secret supersecret super-secret topsecret top-secret
key mykey my-key my_key apikey api-key api_key myapikey my-api-key token mytoken my-token access-token accesstoken
bearer authorization credentials private public internal external local localhost development dev staging stage prod
production qa ci openai open-ai chatgpt gpt gpt-4 gpt-5 claude anthropic gemini llama mistral ollama lanewise litellm
portkey langchain sk sk-test sk-1234 sk-12345 sk-123456 sk-xxx sk-xxxx sk-fake sk-dummy sk-none sk-placeholder sk-proj
sk-litellm sk-master-key sk-key sk-secret xxx xxxx xxxxx xxxxxx xxxxxxxx aaaa aaaaaa aaaaaaaa abcdef abcdefg abcdefgh
correcthorsebatterystaple correct-horse-battery-staple backend frontend node nodejs python curl client service server
worker gateway endpoint
"""
_ENDINGS: Final = ("", "1", "12", "123", "1234", "!", "1!", "0", "2024", "2025", "2026")
_WORD: Final = re.compile(rb" ?([A-Za-z]{3,24})")
_TOKENS: Final = 100_256
"""How many tokens the vocabulary has: the number that ``_openai/encodings.py`` has for cl100k_base."""


def guessable(digests: frozenset[str], names: Iterable[str]) -> frozenset[str]:
    """Those of the digests (64 hex digits) whose texts anybody would guess; ``names`` stand in the config.

    Example::

        assert guessable(frozenset({sha256(b"secret").hexdigest()}), ())
    """
    return _found(digests, (form.encode() for name in names for form in _forms(name))) | _common(digests)


@functools.lru_cache(maxsize=64)
def _common(digests: frozenset[str]) -> frozenset[str]:
    """Tries some 280,000 texts, in a third of a second: once for the keys of a config."""
    return _found(digests, _texts())


def _found(digests: frozenset[str], texts: Iterable[bytes]) -> frozenset[str]:
    wanted = {bytes.fromhex(digest) for digest in digests}
    return frozenset(digest.hex() for text in texts if (digest := sha256(text).digest()) in wanted)


def _forms(text: str) -> Iterator[str]:
    for form in (text, text.upper(), text.capitalize(), text * 2, f"sk-{text}", f"{text}-key", f"{text}_key"):
        yield from (form + ending for ending in _ENDINGS)


def _texts() -> Iterator[bytes]:
    yield b""
    for characters, most in _SHORT:
        letters = [character.encode() for character in characters]
        for length in range(1, most + 1):
            yield from map(b"".join, product(letters, repeat=length))
    for text in _PASSWORDS.split():
        yield from (form.encode() for form in _forms(text))
    for word in _vocabulary():
        lower = word.lower()
        yield from {word, lower, lower.upper(), lower.capitalize()}
    for character in string.printable:
        yield from ((character * length).encode() for length in range(3, 65))


def _vocabulary() -> Iterator[bytes]:
    """The words of a tokenizer's vocabulary, which is shipped to count tokens: the commonest of many languages."""
    data = lzma.decompress(files("lanewise").joinpath("_openai", "ranks", "cl100k_base.xz").read_bytes())
    start = _TOKENS
    for length in data[:_TOKENS]:
        token = data[start : start + length]
        start += length
        if word := _WORD.fullmatch(token):
            yield word[1]
