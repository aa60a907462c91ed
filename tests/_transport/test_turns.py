"""A reader that never has to wait: others have their turn all the same, and the deadline holds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from _transport.peers import Peer, Talk, Wire
from busy_machine import LONG_ENOUGH
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Exchange, Target, Transport
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpxTransport

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
COMMENTS = b":\n\n" * 20_000


@pytest.fixture(params=["aiohttp", "httpx2"])
async def either(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Transport]:
    transport: Transport = (
        AiohttpTransport()
        if request.param == "aiohttp"
        else HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False))
    )
    yield transport
    await transport.aclose()


def flooding(make: Callable[[], bytes], head: bytes = HEAD) -> Talk:
    """A peer that sends as fast as it can, until the client has gone."""

    def talk(wire: Wire) -> None:
        wire.request()
        with contextlib.suppress(OSError):
            wire.send(head + b"\r\n")
            while True:
                wire.send(make())

    return talk


FLOODS: dict[str, Talk] = {
    "comments": flooding(lambda: COMMENTS),
    "blank-lines": flooding(lambda: b"\n" * 65536),
    "gzip": flooding(lambda: gzip.compress(bytes(8_000_000)), HEAD + b"Content-Encoding: gzip\r\n"),
    "empty-members": flooding(lambda: gzip.compress(b"") * 5000, HEAD + b"Content-Encoding: gzip\r\n"),
}
each_flood = pytest.mark.parametrize("talk", FLOODS.values(), ids=FLOODS)


async def opened(transport: Transport, url: str, within: float) -> Exchange:
    deadline = asyncio.get_running_loop().time() + within
    return await transport.send(Target(url), (), b"{}", stream=True, deadline=deadline, connect_timeout=10)


async def read_all(exchange: Exchange) -> None:
    while await exchange.read_some():
        pass


@each_flood
async def test_a_flood_ends_at_the_deadline(either: Transport, talk: Talk) -> None:
    """Bytes that never stop put off nothing, and others have their turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    with Peer(talk) as peer:
        exchange = await opened(either, peer.url, 1.0)
        counting = asyncio.create_task(count())
        with pytest.raises(TransportFailure) as caught:
            await asyncio.wait_for(read_all(exchange), LONG_ENOUGH)
        counting.cancel()
        exchange.abort()
    assert caught.value.signal is TransportSignal.TIMEOUT
    assert turns > 10


@each_flood
async def test_a_flood_ends_when_somebody_aborts(either: Transport, talk: Talk) -> None:
    """A caller that hung up is heard in between."""
    with Peer(talk) as peer:
        exchange = await opened(either, peer.url, 600)
        asyncio.get_running_loop().call_later(0.1, exchange.abort)
        with pytest.raises(TransportFailure) as caught:
            await asyncio.wait_for(read_all(exchange), LONG_ENOUGH)
    assert caught.value.signal is TransportSignal.CUT


async def test_what_is_there_at_the_deadline_is_read(either: Transport) -> None:
    """A loop that stood still is not the provider's fault."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD + b"Content-Length: 9\r\n\r\ndata: a\n\n")
        wire.wait_for_the_end()

    with Peer(talk) as peer:
        exchange = await opened(either, peer.url, 600)
        await asyncio.sleep(0.2)  # the body has come, and is nobody's yet
        exchange.bound_reads(asyncio.get_running_loop().time() - 1)
        assert await exchange.read_some() == b"data: a\n\n"
        exchange.release()
