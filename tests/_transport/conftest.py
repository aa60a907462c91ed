"""What the tests of the transport share: the loop they run on, a throw-away certificate authority, a transport."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from certificates import authority, served, trusting
from lanewise._transport import aiohttp_transport
from lanewise._transport.aiohttp_transport import AiohttpTransport

__all__ = ["authority", "served", "trusting"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["written whole", pytest.param("by aiohttp's session", marks=pytest.mark.slow)])
async def transport(
    anyio_backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AiohttpTransport]:
    """A transport that sends small requests by itself, and one that leaves all of them to aiohttp's session."""
    if request.param != "written whole":
        monkeypatch.setattr(aiohttp_transport, "WRITE_WHOLE", 0)
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()
