"""TLS with a throw-away authority, and a proxy that only knows CONNECT."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest
import trustme

from _transport.peers import ANSWER, Peer, Wire, answers, connect_proxy, silent
from busy_machine import LONG_ENOUGH
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Exchange, Target
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpxTransport

pytestmark = pytest.mark.anyio


@pytest.fixture
async def trusted(anyio_backend: str, trusting: ssl.SSLContext) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(trusting)
    yield transport
    await transport.aclose()


async def send(transport: AiohttpTransport, target: Target, within: float = 5.0) -> Exchange:
    deadline = asyncio.get_running_loop().time() + within
    return await transport.send(target, (), b"{}", stream=False, deadline=deadline, connect_timeout=within)


async def signal(transport: AiohttpTransport, target: Target, within: float = 5.0) -> TransportSignal:
    with pytest.raises(TransportFailure) as caught:
        await send(transport, target, within)
    assert caught.value.__context__ is None
    return caught.value.signal


async def test_a_trusted_certificate_is_accepted(trusted: AiohttpTransport, served: ssl.SSLContext) -> None:
    """The connection is kept over TLS too, and closed with the transport."""
    with Peer(answers(), served) as peer:
        for _ in range(2):
            assert await (await send(trusted, Target(peer.url))).read(100) == b'{"ok":true}'
        assert peer.accepted == 1


async def test_a_peer_that_has_gone_is_seen_over_tls(trusted: AiohttpTransport, served: ssl.SSLContext) -> None:
    """Also where the loop has had no turn to read it."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER)
        read.acquire(timeout=LONG_ENOUGH)
        wire.close()
        gone.release()

    read, gone = threading.Semaphore(0), threading.Semaphore(0)
    with Peer(talk, served) as peer:
        for number in range(1, 4):
            assert await (await send(trusted, Target(peer.url))).read(100) == b'{"ok":true}'
            assert peer.accepted == number
            read.release()
            assert gone.acquire(timeout=LONG_ENOUGH)


async def test_an_untrusted_authority_is_a_tls_failure(transport: AiohttpTransport, served: ssl.SSLContext) -> None:
    """What the operating system does not trust is not trusted."""
    with Peer(answers(), served) as peer:
        assert await signal(transport, Target(peer.url)) is TransportSignal.TLS


async def test_another_hosts_certificate_is_a_tls_failure(trusted: AiohttpTransport, authority: trustme.CA) -> None:
    """The certificate has to be for the host in the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with Peer(answers(), context) as peer:
        assert await signal(trusted, Target(peer.url)) is TransportSignal.TLS


@pytest.mark.parametrize("name", ["aiohttp", "httpx2"])
@pytest.mark.parametrize(
    ("valid", "told"),
    [
        ((datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)), "has expired"),
        ((datetime(2100, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)), "not yet valid"),
    ],
)
async def test_a_certificate_out_of_its_time_is_told_as_that(
    name: str, valid: tuple[datetime, datetime], told: str, trusting: ssl.SSLContext, authority: trustme.CA
) -> None:
    """Somebody has to renew it, or to set a clock: no number of OpenSSL's is read as one of the system's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", not_before=valid[0], not_after=valid[1]).configure_cert(context)
    transports = {
        "aiohttp": lambda: AiohttpTransport(trusting),
        "httpx2": lambda: HttpxTransport(lambda: httpx2.AsyncClient(verify=trusting, trust_env=False)),
    }
    transport = transports[name]()
    with Peer(answers(), context) as peer, pytest.raises(TransportFailure) as caught:
        await send(transport, Target(peer.url))
    await transport.aclose()
    assert caught.value.signal is TransportSignal.TLS
    assert told in caught.value.detail
    assert "EPERM" not in caught.value.detail


async def test_a_peer_without_tls_is_a_tls_failure(trusted: AiohttpTransport) -> None:
    """https to a port that speaks plain HTTP."""
    with Peer(lambda wire: wire.send(b"HTTP/1.1 400 Plain\r\n\r\n")) as peer:
        url = peer.url.replace("http:", "https:")
        assert await signal(trusted, Target(url)) is TransportSignal.TLS


async def test_a_missing_client_certificate_is_a_tls_failure(
    trusted: AiohttpTransport, authority: trustme.CA, served: ssl.SSLContext
) -> None:
    """With TLS 1.3 the peer's refusal comes only after the handshake, as an alert, which its reset may overtake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with Peer(answers(), context) as peer:
        assert await signal(trusted, Target(peer.url)) in {TransportSignal.TLS, TransportSignal.RESET_AFTER_WRITE}


async def test_https_goes_through_a_proxy_by_connect(trusted: AiohttpTransport, served: ssl.SSLContext) -> None:
    """The proxy sees a tunnel only, and the tunnel is used again."""
    with Peer(answers(), served) as peer, Peer(connect_proxy) as proxy:
        target = Target(peer.url, proxy=f"http://user:secret@127.0.0.1:{proxy.port}")
        for _ in range(3):
            assert await (await send(trusted, target)).read(100) == b'{"ok":true}'
        assert (peer.accepted, proxy.accepted) == (1, 1)


async def test_a_proxy_that_refuses_is_unreachable(trusted: AiohttpTransport) -> None:
    """407 and the like are the proxy's answer, not the provider's."""

    def refuse(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    with Peer(refuse) as proxy:
        target = Target("https://localhost:1/", proxy=f"http://127.0.0.1:{proxy.port}")
        assert await signal(trusted, target) is TransportSignal.UNREACHABLE


async def test_a_proxy_that_is_gone_is_unreachable(trusted: AiohttpTransport) -> None:
    """Nobody listens at the proxy's port."""
    with Peer(silent) as proxy:
        target = Target("https://localhost:1/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert await signal(trusted, target) is TransportSignal.UNREACHABLE


async def test_a_proxy_that_is_silent_is_unreachable(trusted: AiohttpTransport) -> None:
    """Nothing of the request was written when the deadline came."""
    with Peer(silent) as proxy:
        target = Target("https://localhost:1/", proxy=f"http://127.0.0.1:{proxy.port}")
        assert await signal(trusted, target, within=0.15) is TransportSignal.CONNECT_TIMEOUT


async def test_closing_over_tls_does_not_wait_for_a_farewell(trusted: AiohttpTransport, served: ssl.SSLContext) -> None:
    """A peer that keeps a TLS connection open holds nothing up."""
    with Peer(silent, served) as peer:
        assert await signal(trusted, Target(peer.url), within=2.0) is TransportSignal.TIMEOUT
        loop = asyncio.get_running_loop()
        began = loop.time()
        while peer.open:
            await asyncio.sleep(0.005)
            assert loop.time() - began < 15
