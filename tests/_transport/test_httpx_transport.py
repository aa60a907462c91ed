"""The same attempts over an httpx2 client that the app hands in, on asyncio and on trio."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from _transport.peers import ANSWER, Peer, Talk, Wire, answers, answers_once, connect_proxy, dripping, silent
from busy_machine import LONG_ENOUGH
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Target
from lanewise._transport.exchange import Exchange
from lanewise._transport.httpx_transport import HttpxTransport

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def transport(anyio_backend: str) -> AsyncIterator[HttpxTransport]:
    transport = HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False, follow_redirects=True))
    yield transport
    await transport.aclose()


async def send(transport: HttpxTransport, url: str, *, within: float = 5.0, stream: bool = False) -> Exchange:
    return await transport.send(
        Target(url, (("Authorization", "Bearer key-canary"),)),
        (("X-One", "1"),),
        b"{}",
        stream=stream,
        deadline=anyio.current_time() + within,
        connect_timeout=3.0,
    )


async def failing(transport: HttpxTransport, url: str, within: float = 5.0) -> TransportSignal:
    async def exchange() -> None:
        await (await send(transport, url, within=within)).read(1_000_000)

    with pytest.raises(TransportFailure) as caught:
        await exchange()
    assert caught.value.__context__ is None
    assert "canary" not in repr(caught.value)
    return caught.value.signal


def noting(heads: list[str], answer: bytes) -> Talk:
    """Answers each request, and keeps its head."""

    def talk(wire: Wire) -> None:
        while (request := wire.request()) is not None:
            heads.append(request[0])
            wire.send(answer)

    return talk


async def gone(peer: Peer) -> None:
    end = time.monotonic() + LONG_ENOUGH
    while peer.open:
        assert time.monotonic() < end, "a connection is still open"
        await anyio.sleep(0.005)


async def test_answers_and_keeps_the_connection(transport: HttpxTransport) -> None:
    """An answer is read whole, decoded, without cookies, and the connection is used again."""
    zipped = gzip.compress(b"hello" * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n" % len(zipped)
    with Peer(answers(head + zipped)) as peer:
        for _ in range(3):
            exchange = await send(transport, peer.url)
            assert (exchange.status, exchange.http_version) == (200, "1.1")
            assert await exchange.read(1000) == b"hello" * 100
            assert await exchange.read(1000) == b""
            assert not {"set-cookie", "content-encoding", "content-length"} & {
                name.lower() for name in exchange.headers
            }
            exchange.release()
        assert peer.accepted == 1


async def test_a_providers_cookie_is_not_sent_with_the_next_request(transport: HttpxTransport) -> None:
    """The next request is another user's."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=of-another\r\nContent-Length: 2\r\n\r\n{}"
    heads: list[str] = []
    with Peer(noting(heads, head)) as peer:
        for _ in range(2):
            exchange = await send(transport, peer.url)
            await exchange.read(1000)
            exchange.release()
    assert len(heads) == 2
    assert "of-another" not in "".join(heads)


async def test_cookies_that_the_app_gave_its_client_are_sent(anyio_backend: str) -> None:
    """A gateway may ask for one."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: gate=of-another\r\nContent-Length: 2\r\n\r\n{}"
    heads: list[str] = []
    with Peer(noting(heads, head)) as peer:
        async with httpx2.AsyncClient(cookies={"gate": "open"}) as client:
            transport = HttpxTransport(client)
            for _ in range(2):
                exchange = await send(transport, peer.url)
                await exchange.read(1000)
                exchange.release()
            await transport.aclose()
    assert ["gate=open" in head for head in heads] == [True, True]
    assert "of-another" not in "".join(heads)


async def test_a_redirect_is_an_answer(transport: HttpxTransport) -> None:
    """Also if the app's client would follow it."""
    with Peer(answers(b"HTTP/1.1 307 Go\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n")) as peer:
        assert (await send(transport, peer.url)).status == 307


async def test_signals(transport: HttpxTransport, anyio_backend: str) -> None:
    """What each kind of broken peer gives."""

    def resets(wire: Wire) -> None:
        wire.request()
        wire.reset()

    with Peer(silent) as peer:
        url = peer.url
        assert await failing(transport, url, within=1.5) is TransportSignal.TIMEOUT
        assert await failing(transport, url, within=-1.0) is TransportSignal.UNREACHABLE
        await gone(peer)
    assert await failing(transport, url) is TransportSignal.UNREACHABLE
    for talk, signal in (
        (resets, TransportSignal.RESET_AFTER_WRITE),
        (answers_once(b""), TransportSignal.RESET_AFTER_WRITE),
        (answers_once(b"SSH-2.0-OpenSSH\r\n\r\n"), TransportSignal.MALFORMED_HTTP),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"), TransportSignal.CUT),
        (answers_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), TransportSignal.CUT),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8bx"), TransportSignal.UNDECODABLE),
        (answers_once(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000), TransportSignal.TOO_LARGE),
    ):
        with Peer(talk) as peer:
            assert await failing(transport, peer.url) is signal
            await gone(peer)
    with Peer(dripping) as peer:
        assert await failing(transport, peer.url, within=1.5) is TransportSignal.TIMEOUT
        await gone(peer)
    assert await failing(transport, "http://user:canary@localhost/") is TransportSignal.LOCAL


async def test_a_connection_that_died_is_stale(transport: HttpxTransport) -> None:
    """The peer resets a kept connection at the second request."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER)
        wire.request()
        wire.reset()

    with Peer(talk) as peer:
        await (await send(transport, peer.url)).read(100)
        assert await failing(transport, peer.url) is TransportSignal.STALE_CONNECTION
        await (await send(transport, peer.url)).read(100)


async def test_tls_is_the_clients(
    transport: HttpxTransport, trusting: ssl.SSLContext, served: ssl.SSLContext, anyio_backend: str
) -> None:
    """An untrusted authority is a TLS failure; the app's own context and proxy are used."""
    with Peer(answers(), served) as peer, Peer(connect_proxy) as proxy:
        assert await failing(transport, peer.url) is TransportSignal.TLS
        proxied = httpx2.AsyncClient(verify=trusting, proxy=f"http://127.0.0.1:{proxy.port}", trust_env=False)
        async with proxied:
            handed = HttpxTransport(proxied)
            assert await (await send(handed, peer.url)).read(100) == b'{"ok":true}'
            await handed.aclose()
            assert not proxied.is_closed
    with Peer(silent) as proxy:
        async with httpx2.AsyncClient(proxy=f"http://127.0.0.1:{proxy.port}", trust_env=False) as proxied:
            signal = await failing(HttpxTransport(proxied), "https://localhost:1/", within=0.2)
            assert signal is TransportSignal.CONNECT_TIMEOUT


async def test_a_closed_client_is_a_local_failure(anyio_backend: str) -> None:
    """The app's bug, and nothing was sent."""
    client = httpx2.AsyncClient(trust_env=False)
    await client.aclose()
    with Peer(answers()) as peer:
        assert await failing(HttpxTransport(client), peer.url) is TransportSignal.LOCAL


def one_chunk(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    wire.wait_for_the_end()


async def test_abort_closes_the_connection_at_once(transport: HttpxTransport) -> None:
    """Without waiting, in a read of another task too; and the client's pool gets its place back."""
    with Peer(one_chunk) as peer:
        exchange = await send(transport, peer.url, stream=True)
        assert await exchange.read_some() == b"a"
        exchange.abort()
        exchange.abort()
        await gone(peer)
        with pytest.raises(TransportFailure) as caught:
            await exchange.read_some()
        assert caught.value.signal is TransportSignal.CUT
        waiting = await send(transport, peer.url, stream=True)
        signals: list[TransportSignal] = []

        async def read() -> None:
            try:
                await waiting.read(100)
            except TransportFailure as failure:
                signals.append(failure.signal)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.sleep(0.05)
            waiting.abort()
        assert signals == [TransportSignal.CUT]
        await gone(peer)


async def test_reads_obey_a_moved_deadline(transport: HttpxTransport) -> None:
    """Nearer or farther, also while a read waits."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(2.5)
        wire.send(b"1\r\na\r\n")
        wire.wait_for_the_end()

    with Peer(talk) as peer:
        exchange = await send(transport, peer.url, stream=True, within=2.0)

        async def move() -> None:
            await anyio.sleep(0.05)
            exchange.bound_reads(anyio.current_time() + 5)

        async with anyio.create_task_group() as group:
            group.start_soon(move)
            assert await exchange.read_some() == b"a"
        exchange.bound_reads(anyio.current_time() + 0.05)
        with pytest.raises(TransportFailure) as caught:
            await exchange.read_some()
        assert caught.value.signal is TransportSignal.TIMEOUT
        await gone(peer)


@pytest.mark.parametrize("talk", [silent, one_chunk])
async def test_cancelling_closes_the_connection(transport: HttpxTransport, talk: object) -> None:
    """In the head or in the body."""
    with Peer(talk) as peer:  # type: ignore[arg-type]
        with anyio.move_on_after(0.1) as scope:
            exchange = await send(transport, peer.url, stream=True)
            while True:
                await exchange.read_some()
        assert scope.cancelled_caught
        await gone(peer)
