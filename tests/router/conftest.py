"""Fixtures of the routing tests: the two providers, their keys, and short back-offs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lanewise._routing import retry as repeats
from lanewise._runtime.call import resolve as call
from lanewise.testing import FakeProvider
from router.driving import FIRST_KEY, SECOND_KEY, Spy, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The two providers, both well until they are told otherwise."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers' keys, where the config looks for them."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    monkeypatch.setenv("SECOND_KEY", SECOND_KEY)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-offs of some milliseconds: how long they are by right is shown by the tests of the plan."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Spy]]:
    """All plans note what they are told."""
    monkeypatch.setattr(call, "Plan", Spy)
    Spy.seen = ()
    yield Spy
    Spy.seen = ()
