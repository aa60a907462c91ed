"""A reader that rests: what comes meanwhile is read at once after it, and nothing is lost, neither bytes nor an end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx2
import pytest

from _transport.peers import Peer, Wire
from busy_machine import LONG_ENOUGH
from lanewise._transport import Exchange, Target, Transport
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpxTransport

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["aiohttp", "httpx2"])
async def either(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Transport]:
    transport: Transport = (
        AiohttpTransport()
        if request.param == "aiohttp"
        else HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False))
    )
    yield transport
    await transport.aclose()


async def opened(transport: Transport, peer: Peer) -> Exchange:
    deadline = asyncio.get_running_loop().time() + 20
    return await transport.send(Target(peer.url), (), b"{}", stream=True, deadline=deadline, connect_timeout=10)


async def rest_of(exchange: Exchange) -> bytes:
    pieces = []
    while piece := await exchange.read_some():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("keep_open", [True, False])
async def test_what_comes_meanwhile_is_read_after_it(either: Transport, keep_open: bool) -> None:
    """The end of the body included, and of the connection."""
    go_on = threading.Event()

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD + b"1\r\na\r\n")
        assert go_on.wait(LONG_ENOUGH)
        for letter in b"bcdef":
            wire.send(b"1\r\n%c\r\n" % letter)
        wire.send(b"0\r\n\r\n")
        if keep_open:
            wire.request()
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Peer(talk) as peer:
        exchange = await opened(either, peer)
        assert await exchange.read_some() == b"a"
        go_on.set()
        await exchange.rest(0.02)
        assert await rest_of(exchange) == b"bcdef"
        await exchange.rest(0.001)  # of a connection that is the pool's by now
        exchange.release()
        if keep_open:
            again = await opened(either, peer)
            assert await again.read(100) == b"ok"
            again.release()


async def test_who_is_cancelled_while_it_rests_reads_on(either: Transport) -> None:
    """The connection is never left unread."""
    go_on = threading.Event()

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD + b"1\r\na\r\n")
        assert go_on.wait(LONG_ENOUGH)
        wire.send(b"1\r\nb\r\n0\r\n\r\n")

    with Peer(talk) as peer:
        exchange = await opened(either, peer)
        assert await exchange.read_some() == b"a"
        resting = asyncio.ensure_future(exchange.rest(20))
        await asyncio.sleep(0.01)
        resting.cancel()
        await asyncio.wait([resting])
        go_on.set()
        assert await rest_of(exchange) == b"b"
        exchange.release()


async def test_an_exchange_that_is_aborted_while_it_rests_stays_aborted(either: Transport) -> None:
    """And nothing is raised for it."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD + b"1\r\na\r\n")
        wire.wait_for_the_end()

    with Peer(talk) as peer:
        exchange = await opened(either, peer)
        assert await exchange.read_some() == b"a"
        resting = asyncio.ensure_future(exchange.rest(0.02))
        await asyncio.sleep(0)
        exchange.abort()
        await resting
