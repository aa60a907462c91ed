"""A fake provider for the tests of the engine: it must have no connection left when a test's router has closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lanewise.testing import FakeProvider
from shared_store import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Answers well until a test scripts something else."""
    with FakeProvider() as running:
        yield running
