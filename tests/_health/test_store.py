"""The connection to the shared store: where it is told, what is wrong with that, and that it never shows a password."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterator

import pytest
import redis

from config.small import changed, mistakes_of
from lanewise import _store as connection
from lanewise._store import client
from lanewise.config import Config, ConfigError, resolve_credentials
from lanewise.config.environment.store_address import StoreAddress, wrong_with_store_url
from real_valkey import Valkey

KEYS = {"OPENAI_API_KEY": "k"}
SECRET = "canary-password"


def opened(state: str, **environ: str) -> StoreAddress | None:
    """The address that a router with this ``state`` gets when it opens."""
    config = Config.from_mapping(changed("router", value={"state": state}))
    return resolve_credentials(config, {**KEYS, **environ}).store


def problem_of(state: str, **environ: str) -> str:
    """What a router with this ``state`` is told when it opens."""
    with pytest.raises(ConfigError) as caught:
        opened(state, **environ)
    assert SECRET not in str(caught.value)
    return str(caught.value.mistakes[0])


def test_memory_has_no_address() -> None:
    """By default nothing is shared; a variable may say so too, on a developer's machine."""
    assert opened("memory") is None
    assert opened("env:STORE_URL", STORE_URL="memory") is None


@pytest.mark.parametrize(
    "url", ["redis://cache/0", "rediss://u:p@cache:6380/1?ssl_cert_reqs=none", "unix:///run/v?db=2"]
)
def test_a_url_may_stand_in_a_variable(url: str) -> None:
    """That is the place of one with a password."""
    address = opened("env:STORE_URL", STORE_URL=url)
    assert address is not None
    assert address.reveal() == url


def test_an_unset_variable_is_told_when_the_router_opens() -> None:
    """With its name and an example."""
    assert "STORE_URL is not set" in problem_of("env:STORE_URL")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"postgres://:{SECRET}@db/0", "scheme"),
        (f"redis://:{SECRET}@/0", "no host"),
        (f"redis://:{SECRET}@cache:0/0", "no host"),
        (f"redis://:{SECRET}@cache:port/0", "not a URL"),
        (f"redis://:{SECRET}@cache/first", "not a number"),
        (f"redis://:{SECRET}@cache/?db=first", "not a number"),
        (f"redis://:{SECRET}@cache/0?decode_responses=1", "option"),
        (f"unix://?password={SECRET}", "option"),
        ("unix://", "no socket"),
        (SECRET, "scheme"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str, problem: str) -> None:
    """At the opening for a variable, which is never shown."""
    assert problem in problem_of("env:STORE_URL", STORE_URL=url)
    assert wrong_with_store_url(url) is not None


def test_a_url_in_the_config_is_checked_when_the_config_is_read() -> None:
    """With its place."""
    mistakes = mistakes_of(changed("router", value={"state": "http://cache:6379"}))
    assert [(mistake.place, mistake.problem) for mistake in mistakes] == [
        ("router.state", "the scheme is none of redis, rediss and unix")
    ]


def test_a_missing_package_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the router opens, not at the first call."""
    monkeypatch.setattr("lanewise.config.environment.store_address.find_spec", lambda name: None)
    assert "pip install 'lanewise[redis]'" in problem_of("redis://cache/0")


def test_an_address_shows_no_password_and_is_not_pickled() -> None:
    """Neither it nor its clients."""
    address = StoreAddress(f"redis://app:{SECRET}@127.0.0.1:1/0")
    assert str(address) == "redis://127.0.0.1:1/0"
    with client(address) as made:
        assert SECRET not in f"{address!r} {made!r}"
        with pytest.raises(redis.ConnectionError) as caught:
            made.ping()
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError):
        pickle.dumps(address)


def test_a_client_talks_to_a_real_store(valkey: Valkey) -> None:
    """By its unix socket and by TCP."""
    for url in (valkey.url, valkey.tcp_url):
        with client(StoreAddress(url)) as made:
            assert made.ping()
            made.set("a", b"\xff")
            assert made.get("a") == b"\xff"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_client_gives_up_on_a_silent_store(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one short wait, not after several."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.1)
    started = time.monotonic()
    with client(StoreAddress(silent)) as made, pytest.raises(redis.TimeoutError):
        made.ping()
    assert time.monotonic() - started < 5
