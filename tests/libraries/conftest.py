"""Fixtures of the tests with other people's libraries: a broken primary, a good standby, and a router over both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from lanewise import Router
from lanewise.testing import FakeProvider, Status
from libraries.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Two providers, of which the first refuses everything."""
    with FakeProvider() as primary, FakeProvider() as standby:
        primary.script_all(Status(401))
        yield Stage(primary, standby)


@pytest.fixture
async def router(stage: Stage) -> AsyncIterator[Router]:
    """A router that is open, with the tasks ``desk``, and ``refund`` that is sensitive."""
    async with Router.from_mapping(stage.config()) as opened:
        yield opened


@pytest.fixture
def own_loop() -> Iterator[None]:
    """A loop for what a library runs synchronously: it would leave its own unclosed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
