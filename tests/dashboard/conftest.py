"""Two providers, and the page of a router over them in each framework."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.stage import BOSS, MOUNTS, Stage, Visitor, mounted, visiting
from lanewise import Router
from lanewise.testing import FakeProvider


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The providers of a module's tests."""
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture(autouse=True)
def well(stage: Stage) -> None:
    """Both are well, until a test says otherwise."""
    stage.first.reset()
    stage.second.reset()


@pytest.fixture(scope="module")
def router(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Router:
    """A router with a ledger that a module's tests share."""
    path: Path = tmp_path_factory.mktemp("dashboard") / "ledger.db"
    return Router.from_mapping(stage.config(f"sqlite:///{path}"))


@pytest.fixture(scope="module", params=MOUNTS)
def page(request: pytest.FixtureRequest, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page in each framework, over a ledger of its own."""
    path = tmp_path_factory.mktemp("page") / "ledger.db"
    with mounted(request.param, Router.from_mapping(stage.config(f"sqlite:///{path}"))) as url:
        yield url


@pytest.fixture
def staff(page: str) -> Iterator[Visitor]:
    """Somebody who may look."""
    with visiting(page) as visitor:
        yield visitor


@pytest.fixture
def boss(page: str) -> Iterator[Visitor]:
    """Somebody who may decide cases and operate routes."""
    with visiting(page, BOSS) as visitor:
        yield visitor
