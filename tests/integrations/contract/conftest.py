"""Fixtures of the contract suite: two providers, and one app a framework that its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.contract.harness import Driver
from integrations.contract.served_apps import DRIVERS, ServedApp, Stage, kept_app
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
def _served(driver: Driver, _stage: Stage) -> Iterator[ServedApp]:
    with kept_app(driver, _stage) as served:
        yield served


@pytest.fixture
def served(_served: ServedApp, stage: Stage) -> ServedApp:
    """The framework's app with all endpoints, served; the providers are as new."""
    return _served
