"""Fixtures of tests with a shared store: the server, two providers, and workers that replay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lanewise._runtime.call import replaying as replay
from lanewise.testing import FakeProvider
from real_valkey import Valkey, running_valkey
from router.driving import FIRST_KEY, SECOND_KEY, Stage


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """One server for all tests of this worker."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The server, empty."""
    valkey_server.clear()
    return valkey_server


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The two providers, both well until they are told otherwise."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers' keys and the storage key, where the config looks for them."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    monkeypatch.setenv("SECOND_KEY", SECOND_KEY)
    monkeypatch.setenv("STORAGE_KEY", "canary-storage-key-" + "k" * 32)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine even a store on the same one may take longer than 50 ms: here that is not what is measured."""
    monkeypatch.setattr(replay, "CLAIM_WAIT", 20.0)
    monkeypatch.setattr(replay, "LOOK_WAIT", 20.0)
