"""API keys that are set in Python, wrapped so that no repr, error or pickle has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BeforeValidator, InstanceOf, SecretStr, ValidationInfo

from lanewise.config.values.scalars import reads_file, wrong

__all__ = ["ApiKey", "ApiKeyField", "HiddenKeySource", "KeyDropped", "KeySource", "wrong_with_key"]

KeySource = Callable[[], str | Awaitable[str]]
"""A function, or an async one, that gives a key: for keys that rotate, and for Azure's Entra tokens."""


class HiddenKeySource:
    """A function that gives a key. Its repr says nothing of what the function holds (a partial shows its arguments)."""

    __slots__ = ("source",)

    def __init__(self, source: KeySource) -> None:
        self.source = source

    def __call__(self) -> str | Awaitable[str]:
        return self.source()

    def __repr__(self) -> str:
        return "HiddenKeySource()"

    def __deepcopy__(self, memo: dict[int, object]) -> HiddenKeySource:
        return self

    def __reduce__(self) -> tuple[type[KeyDropped], tuple[()]]:
        return KeyDropped, ()


class KeyDropped:
    """Stands where a key was before the config was pickled."""

    def __repr__(self) -> str:
        return "KeyDropped()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyDropped)

    def __hash__(self) -> int:
        return hash(KeyDropped)


ApiKey = SecretStr | HiddenKeySource | KeyDropped


def wrong_with_key(key: str) -> str | None:
    """Why a key can't be sent in a header, in words that don't hold it, or ``None`` if it can.

    Example::

        assert wrong_with_key("abc\\n") == "has a line break in it"
    """
    if not key:
        return "is empty"
    if "\n" in key or "\r" in key:
        return "has a line break in it"
    if any(character.isspace() for character in key):
        return "has a space in it"
    if not key.isascii() or not key.isprintable():
        return "has a character in it that is not printable ASCII"
    if key[0] in "\"'" or key[-1] in "\"'":
        return "has a quotation mark at its end"
    return None


def _api_key(value: object, info: ValidationInfo) -> object:
    if reads_file(info):
        raise wrong("a key has no place in a file", 'Name the variable that has it: api_key_env = "OPENAI_API_KEY".')
    if isinstance(value, SecretStr | HiddenKeySource | KeyDropped) or value is None:
        return value
    if isinstance(value, str):
        if (reason := wrong_with_key(value)) is not None:
            raise wrong(f"the key {reason}")
        return SecretStr(value)
    if callable(value):
        return HiddenKeySource(value)
    raise wrong("a key is a text, or a function that gives one")


ApiKeyField = Annotated[
    InstanceOf[SecretStr] | InstanceOf[HiddenKeySource] | InstanceOf[KeyDropped], BeforeValidator(_api_key)
]
