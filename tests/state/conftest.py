"""The shared store of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from real_valkey import Valkey, running_valkey


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
