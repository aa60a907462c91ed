"""Fixtures of the tests of reviews: two providers of which only the first is approved, a queue, and short back-offs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from _reviews.asking import STORAGE_KEY, Desk
from lanewise._routing import retry as repeats
from lanewise.testing import FakeProvider
from router.driving import FIRST_KEY, SECOND_KEY, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The two providers, both well until they are told otherwise."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture
def desk(stage: Stage, tmp_path: Path) -> Desk:
    """The config over them, and a ledger of the test's own."""
    return Desk(stage, tmp_path / "ledger.db")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys, where the config looks for them."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    monkeypatch.setenv("SECOND_KEY", SECOND_KEY)
    monkeypatch.setenv("STORAGE_KEY", STORAGE_KEY)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-offs of some milliseconds: how long they are by right is shown by the tests of the plan."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)
