"""What the tests of the transport share: the loop they run on, a throw-away certificate authority, a transport."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from understudy.transport.aio import AiohttpTransport


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the throw-away authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def served(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
async def transport(anyio_backend: str) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()
