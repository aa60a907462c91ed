"""The pytest plugin that comes with the package: the fixture ``fake_provider``.

Every pytest run in an environment that has the package loads this module, so it imports nothing before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import FakeProvider

__all__ = ["fake_provider"]


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """A running fake provider, a new one for each test. See :class:`lanewise.testing.FakeProvider`."""
    from . import FakeProvider

    with FakeProvider() as provider:
        yield provider
