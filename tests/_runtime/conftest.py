"""A fake provider for the tests of the engine: it must have no connection left when a test's router has closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lanewise.testing import FakeProvider


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Answers well until a test scripts something else."""
    with FakeProvider() as running:
        yield running
