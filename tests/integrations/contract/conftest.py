"""Fixtures of the contract suite: two providers, and one house a framework that its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.contract.harness import Driver
from integrations.contract.house import DRIVERS, House, Stage, kept_house
from lanewise._routing import retry as repeats
from lanewise.testing import FakeProvider


@pytest.fixture(scope="session")
def _hurried() -> Iterator[None]:
    """Keys where the configs look for them, and back-offs of some milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROVED_KEY", "canary-key-of-the-approved")
        patch.setenv("OTHER_KEY", "canary-key-of-the-other")
        patch.setattr(repeats, "FIRST_BACKOFF", 0.005)
        yield


@pytest.fixture(scope="session")
def _stage(_hurried: None) -> Iterator[Stage]:
    with FakeProvider() as approved, FakeProvider() as other:
        yield Stage(approved, other)


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """The two providers, both well until they are told otherwise."""
    _stage.reset()
    return _stage


@pytest.fixture(scope="session", params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each framework in its turn."""
    return DRIVERS[request.param]


@pytest.fixture(scope="session")
def _house(driver: Driver, _stage: Stage) -> Iterator[House]:
    with kept_house(driver, _stage) as house:
        yield house


@pytest.fixture
def house(_house: House, stage: Stage) -> House:
    """The framework's app with all endpoints, served; the providers are as new."""
    return _house
