"""The two providers of the tests of the Starlette adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.asgi_stage import Stage
from lanewise._routing import retry as repeats
from lanewise.testing import FakeProvider


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Both well until they are told otherwise; back-offs are short."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)
