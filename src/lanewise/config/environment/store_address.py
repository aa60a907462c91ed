"""The address of the store that workers share: from the config or a variable, checked when a router opens."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, NoReturn
from urllib.parse import parse_qsl, urlsplit

from lanewise.config.mistakes import MistakeCollector, quoted

__all__ = ["MEMORY", "StoreAddress", "find_store", "wrong_with_store_url"]

MEMORY: Final = "memory"
"""The ``state`` of a router that shares nothing."""

_EXAMPLE: Final = 'It looks like "redis://cache.example:6379/0".'
_OPTIONS: Final = frozenset(
    {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}
)
"""Options of redis-py that may follow the ``?``: which database, and how TLS verifies the server."""


class StoreAddress:
    """Where a Valkey or Redis is. Its text and repr have no credentials, and it refuses to be pickled.

    Example::

        assert str(StoreAddress("redis://:secret@cache.example/0")) == "redis://cache.example/0"
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """The URL, credentials and all: only for the client that connects."""
        return self._url

    def __str__(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        return f"StoreAddress({str(self)!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the store's address may hold a password and is not pickled")


def find_store(state: str, environ: Mapping[str, str], findings: MistakeCollector) -> StoreAddress | None:
    """The address that ``router.state`` gives, or ``None`` for memory. What is wrong goes into ``findings``."""
    if state == MEMORY:
        return None
    place = ("router", "state")
    url = state
    variable = state.removeprefix("env:")
    if variable != state:
        url = environ.get(variable, "")
        if not url:
            findings.add(place, f"the variable {variable} is not set", f"Set it to the store's URL. {_EXAMPLE}")
            return None
    problem = None if url == MEMORY else wrong_with_store_url(url)
    if problem is not None:
        findings.add(place, problem if variable == state else f"the variable {variable}: {problem}", _EXAMPLE)
        return None
    if url == MEMORY:
        return None
    if find_spec("redis") is None:
        findings.add(place, "the package redis is not installed", "pip install 'lanewise[redis]'")
        return None
    return StoreAddress(url)


def wrong_with_store_url(url: str) -> str | None:
    """Why a text can't be the store's URL, without the text (it may hold a password), or ``None`` if it can.

    Example::

        assert wrong_with_store_url("postgres://db/0") == "the scheme is none of redis, rediss and unix"
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "this is not a URL"
    if parts.scheme not in ("redis", "rediss", "unix"):
        return "the scheme is none of redis, rediss and unix"
    for name, value in options:
        if name not in _OPTIONS:
            return f"the URL has an option that is not taken here, {quoted(name)}"
        if name == "db" and not value.isdecimal():
            return "the database is not a number"
    if parts.scheme == "unix":
        return None if parts.path.strip("/") else "the URL names no socket"
    if not parts.hostname or port == 0:
        return "the URL names no host"
    database = parts.path.strip("/")
    return None if not database or database.isdecimal() else "the database is not a number"
