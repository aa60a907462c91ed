"""Cancelling at the k-th await, for every k: the connection is closed at once, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import threading
import time
from collections.abc import Coroutine, Generator

import anyio
import pytest

from _transport.peers import Peer, Wire, connect_proxy, silent
from busy_machine import LONG_ENOUGH
from lanewise._transport import Target
from lanewise._transport.aiohttp_transport import AiohttpTransport

pytestmark = pytest.mark.anyio

MOST_AWAITS = 200


class CancelAt:
    """Awaits a coroutine, and cancels the task at the k-th time that it waits for something."""

    def __init__(self, coroutine: Coroutine[object, None, None], k: int) -> None:
        self.coroutine = coroutine
        self.k = k
        self.waits = 0
        self.cancelled_at = 0.0

    def __await__(self) -> Generator[object, None, None]:
        task = asyncio.current_task()
        assert task is not None
        steps = self.coroutine.__await__()
        step = steps.__next__
        while True:
            try:
                waited_for = step()
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self.k:
                self.cancelled_at = time.monotonic()
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - a driver hands on what is thrown in
                thrown = error

                def step(thrown: BaseException = thrown) -> object:
                    return steps.throw(thrown)
            else:
                step = steps.__next__


def in_pieces(wire: Wire) -> None:
    """An answer that takes several awaits to arrive."""
    while wire.request() is not None:
        for piece in (b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"1\r\nb\r\n"):
            wire.send(piece)
            time.sleep(0.005)
        wire.send(b"0\r\n\r\n")


def sockets() -> int:
    return sum(1 for name in os.listdir("/proc/self/fd") if _is_socket(name))


def _is_socket(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    except OSError:
        return False


async def ask(transport: AiohttpTransport, target: Target, body: bytes = b"{}") -> None:
    deadline = asyncio.get_running_loop().time() + 10
    exchange = await transport.send(target, (), body, stream=True, deadline=deadline, connect_timeout=5)
    try:
        while await exchange.read_some():
            pass
    finally:
        exchange.release()


async def sweep(transport: AiohttpTransport, target: Target, peers: list[Peer]) -> int:
    """Cancel at each await in turn, until one run is not cancelled. Returns how many awaits there are."""
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    tasks = asyncio.all_tasks()
    for k in range(1, MOST_AWAITS):
        run = CancelAt(ask(transport, target), k)
        task = asyncio.ensure_future(_awaited(run))
        try:
            await task
        except asyncio.CancelledError:
            while any(peer.open for peer in peers):
                await asyncio.sleep(0.002)
                assert time.monotonic() - run.cancelled_at < 15, f"still open after a cancel at await {k}"
            assert asyncio.all_tasks() <= tasks
            continue
        assert run.waits < k
        break
    else:
        pytest.fail("the sweep does not end")
    await transport.aclose()
    gc.collect()
    assert not complaints
    # 100 ms is what is promised; a busy machine gets some more.
    return k - 1


async def _awaited(run: CancelAt) -> None:
    await run


async def test_over_plain_connections() -> None:
    """From the connect to the last chunk."""
    transport = AiohttpTransport()
    before = sockets()
    with Peer(in_pieces) as peer:
        target = Target(peer.url.replace("localhost", "127.0.0.1"))
        assert await sweep(transport, target, [peer]) >= 3
    assert sockets() <= before


async def test_over_tls(trusting: ssl.SSLContext, served: ssl.SSLContext) -> None:
    """Also within the handshake."""
    transport = AiohttpTransport(trusting)
    with Peer(in_pieces, served) as peer:
        await ask(transport, Target(peer.url))  # the name is looked up once: a thread's lookup can't be cancelled
        assert await sweep(transport, Target(peer.url), [peer]) >= 3


async def test_through_a_proxy(trusting: ssl.SSLContext, served: ssl.SSLContext) -> None:
    """Also within CONNECT, and between it and the handshake."""
    transport = AiohttpTransport(trusting)
    with Peer(in_pieces, served) as peer, Peer(connect_proxy) as proxy:
        target = Target(peer.url, proxy=f"http://127.0.0.1:{proxy.port}")
        assert await sweep(transport, target, [peer, proxy]) >= 4


async def test_a_stuck_upload_is_closed_at_once() -> None:
    """A peer that does not read holds nothing up, though megabytes wait to be written."""

    begun, may_read = threading.Event(), threading.Event()

    def deaf(wire: Wire) -> None:
        wire.sock.recv(1000)
        begun.set()
        may_read.wait(LONG_ENOUGH)
        wire.wait_for_the_end()

    transport = AiohttpTransport()
    with Peer(deaf) as peer:
        task = asyncio.ensure_future(ask(transport, Target(peer.url), bytes(30_000_000)))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_read.set()
        assert time.monotonic() - began < 15
        while peer.open:
            await asyncio.sleep(0.005)
            assert time.monotonic() - began < 15
    await transport.aclose()


async def test_inside_an_anyio_scope() -> None:
    """The scope that cancels catches its own cancellation, whether in the head or in the body."""
    transport = AiohttpTransport()
    for talk in (silent, lambda wire: (wire.send(b"HTTP/1.1 200 OK\r\n\r\na"), wire.wait_for_the_end())):
        with Peer(talk) as peer:  # type: ignore[arg-type]
            with anyio.move_on_after(0.1) as scope:
                await ask(transport, Target(peer.url))
            assert scope.cancelled_caught
            began = time.monotonic()
            while peer.open:
                await asyncio.sleep(0.002)
                assert time.monotonic() - began < 15
    await transport.aclose()
