"""Two providers, and the endpoint over them in each framework."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from endpoint.stage import MOUNTS, Caller, Stage, mounted
from lanewise.testing import FakeProvider


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Two providers, both well until they are told otherwise."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """The providers of a module's own endpoints."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture(scope="module", params=MOUNTS)
def endpoint(request: pytest.FixtureRequest, standing: Stage) -> Iterator[Caller]:
    """An endpoint that a module's tests share, in each framework."""
    with mounted(request.param, standing.router()) as caller:
        yield caller


@pytest.fixture
def asked(standing: Stage) -> Stage:
    """The shared providers, with no script and an empty journal."""
    standing.first.reset()
    standing.second.reset()
    return standing
