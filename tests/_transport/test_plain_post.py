"""Requests that are written whole past aiohttp's session: on the wire as by it, and never after half a request."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from typing import Any

import pytest
from aiohttp.connector import Connection

from _transport.peers import ANSWER, Peer, Wire
from busy_machine import LONG_ENOUGH
from lanewise._transport import Headers, Target, aiohttp_transport
from lanewise._transport.aiohttp_pool import Pool
from lanewise._transport.aiohttp_transport import AiohttpTransport

pytestmark = pytest.mark.anyio

KEY = (("Authorization", "Bearer abc"), ("X-Team", "support"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("path", "base", "extra"),
    [
        ("/v1/chat/completions", KEY, ()),
        ("/openai/deployments/a b/chat?api-version=2024-10-21&x=%2F", KEY, (("Idempotency-Key", "req-1-abc"),)),
        ("", (), (("X-Team", "sales"), ("X-Team", "billing"))),
        ("/v1", KEY, (("x-team", "sales"), ("AUTHORIZATION", "Bearer def"), ("Accept", "*/*"))),
        ("/v1", (*KEY, ("X-Team", "both"), ("User-Agent", "shop")), (("content-type", "text/plain"), ("X-Empty", ""))),
        ("/v1", KEY, (("Host", "elsewhere"), ("Content-Length", "7"), ("Connection", "close"), ("Expect", "100"))),
        ("/v1", KEY, (("Cookie", "a=b"), ("traceparent", "00-1-2-01"), ("Referer", "x"))),
    ],
)
async def test_it_is_on_the_wire_as_by_the_session(
    monkeypatch: pytest.MonkeyPatch, path: str, base: Headers, extra: Headers, stream: bool
) -> None:
    """A provider gets the same request line, the same header fields and the same body by both ways."""
    seen: list[tuple[str, list[str], bytes]] = []

    def talk(wire: Wire) -> None:
        while (request := wire.request()) is not None:
            line, *fields = request[0].split("\r\n")
            seen.append((line, sorted(name.lower() + value for name, _, value in (f.partition(":") for f in fields)),
                         request[1]))  # fmt: skip
            wire.send(ANSWER)

    with Peer(talk) as peer:
        target = Target(f"http://localhost:{peer.port}{path}", tuple(base))
        for whole in (aiohttp_transport.WRITE_WHOLE, 0):
            monkeypatch.setattr(aiohttp_transport, "WRITE_WHOLE", whole)
            transport = AiohttpTransport()
            for _ in range(2):
                deadline = asyncio.get_running_loop().time() + 5
                exchange = await transport.send(
                    target, extra, b'{"model":"m"}', stream=stream, deadline=deadline, connect_timeout=5
                )
                assert await exchange.read(100) == b'{"ok":true}'
            await transport.aclose()
    assert len(seen) == 4
    assert seen.count(seen[0]) == 4


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_a_connection_with_half_a_request_on_it_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, encrypted: bool, served: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A peer that answers before it has read the request gets the next one on another connection."""
    over = threading.Event()

    def talk(wire: Wire) -> None:
        if wire.number == 1:
            wire.sock.recv(1000)
            wire.send(ANSWER.replace(b"200 OK", b"413 Large"))
            over.wait(LONG_ENOUGH)
        elif wire.request() is not None:
            wire.send(ANSWER)

    made = Pool.connect

    async def narrow(*args: Any) -> Connection:
        connection = await made(*args)
        assert connection.transport is not None
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return connection

    monkeypatch.setattr(Pool, "connect", narrow)
    peer = Peer(talk, served if encrypted else None)
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = AiohttpTransport(trusting)
    statuses = []
    with peer:
        for size in (250_000, 10):
            deadline = asyncio.get_running_loop().time() + 5
            exchange = await transport.send(
                Target(peer.url), (), b"x" * size, stream=False, deadline=deadline, connect_timeout=5
            )
            statuses.append(exchange.status)
            assert await exchange.read(100) == b'{"ok":true}'
            exchange.release()
        over.set()
    await transport.aclose()
    assert statuses == [413, 200]
    assert peer.accepted == 2
