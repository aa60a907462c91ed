"""What the tests of the transport share: the loop they run on, a throw-away certificate authority, a transport."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from certificates import authority, served, trusting
from lanewise._transport.aiohttp_transport import AiohttpTransport

__all__ = ["authority", "served", "trusting"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport(anyio_backend: str) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()
