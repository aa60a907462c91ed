"""The reader: the app gets every message once and in order, and a hang-up is noticed while a call runs."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from busy_machine import LONG_ENOUGH
from lanewise.web.asgi_disconnects import READ_AHEAD, DisconnectWatcher

pytestmark = pytest.mark.anyio

GONE = {"type": "http.disconnect"}


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Peer:
    """The server's side: what it has received, in order."""

    def __init__(self, *headers: tuple[bytes, bytes], kind: str = "http") -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.hang_ups = 0
        self.reader = DisconnectWatcher(self.messages.get, {"type": kind, "headers": list(headers)}, self._gone)

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.messages.put_nowait(message)

    def _gone(self) -> None:
        self.hang_ups += 1


async def resolve_subject() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_nothing_is_read_ahead_without_a_call() -> None:
    """A request that uses no AI is served as if nobody watched."""
    peer = Peer()
    peer.send(piece(b""), GONE)
    await resolve_subject()
    assert peer.messages.qsize() == 2


async def test_the_body_is_not_stolen_by_the_watch() -> None:
    """A call that begins before the body is read waits with its watch until the app has read it all."""
    peer = Peer((b"content-length", b"6"))
    peer.reader.watch()
    peer.send(piece(b"abc", more=True), piece(b"def"), GONE)
    await resolve_subject()
    assert peer.messages.qsize() == 3
    assert (await peer.reader.receive())["body"] == b"abc"
    await resolve_subject()
    assert peer.hang_ups == 0
    assert (await peer.reader.receive())["body"] == b"def"
    await resolve_subject()
    assert peer.hang_ups == 1


async def test_a_hang_up_is_noticed_while_the_app_reads_nothing() -> None:
    """The watch reads on its own once the body is read."""
    peer = Peer((b"content-length", b"3"))
    peer.send(piece(b"abc"))
    await peer.reader.receive()
    peer.reader.watch()
    await resolve_subject()
    assert peer.hang_ups == 0
    peer.send(GONE)
    await resolve_subject()
    assert peer.hang_ups == 1
    assert await peer.reader.receive() == GONE
    assert await peer.reader.receive() == GONE


async def test_a_hang_up_is_noticed_where_the_body_was_never_read() -> None:
    """A request without a body is watched at once, and its empty body is kept for the app."""
    peer = Peer()
    peer.reader.watch()
    peer.send(piece(b""))
    await resolve_subject()
    assert (await peer.reader.receive())["type"] == "http.request"
    peer.send(GONE)
    await resolve_subject()
    assert peer.hang_ups == 1


async def test_an_app_that_waits_gets_what_the_watch_reads() -> None:
    """The app and the watch never both read from the server; the app wakes for what the watch got."""
    peer = Peer()
    peer.reader.watch()
    await resolve_subject()
    waiting = asyncio.ensure_future(peer.reader.receive())
    await resolve_subject()
    peer.send(piece(b""))
    assert (await asyncio.wait_for(waiting, LONG_ENOUGH))["type"] == "http.request"


async def test_of_an_unannounced_body_one_piece_is_held() -> None:
    """HTTP/2 need not announce a body: the watch stops at the first piece, which the app then gets."""
    peer = Peer()
    peer.reader.watch()
    peer.send(piece(b"abc", more=True), piece(b"def", more=True), piece(b"ghi"))
    await resolve_subject()
    assert peer.messages.qsize() == 2
    assert [(await peer.reader.receive())["body"] for _ in range(3)] == [b"abc", b"def", b"ghi"]


async def test_after_the_answer_a_disconnect_is_no_hang_up() -> None:
    """A server says so of every request that is complete; a background task may be at work then."""
    peer = Peer()
    peer.send(piece(b""))
    await peer.reader.receive()
    peer.reader.watch()
    await resolve_subject()
    peer.reader.stop()
    peer.send(GONE)
    peer.reader.watch()
    await resolve_subject()
    assert peer.hang_ups == 0
    assert await peer.reader.receive() == GONE
    assert peer.hang_ups == 0


async def test_a_cancelled_receive_loses_nothing() -> None:
    """``request.is_disconnected()`` asks with no patience at all."""
    peer = Peer()
    peer.reader.watch()
    await resolve_subject()
    with anyio.move_on_after(0):
        await peer.reader.receive()
    peer.send(piece(b""))
    assert (await peer.reader.receive())["type"] == "http.request"


async def test_a_websocket_is_read_ahead_within_bounds() -> None:
    """Messages that come while a call runs are kept in order; no more than so many are taken from the server."""
    peer = Peer(kind="websocket")
    peer.reader.watch()
    peer.send(*({"type": "websocket.receive", "text": str(number)} for number in range(READ_AHEAD + 4)))
    await resolve_subject()
    await resolve_subject()
    assert peer.messages.qsize() == 4
    got = [(await peer.reader.receive())["text"] for _ in range(READ_AHEAD + 4)]
    assert got == [str(number) for number in range(READ_AHEAD + 4)]


async def test_a_websockets_end_is_told_with_its_code() -> None:
    """The app gets the server's own message, after those that came before it."""
    peer = Peer(kind="websocket")
    peer.reader.watch()
    peer.send({"type": "websocket.receive", "text": "last"}, {"type": "websocket.disconnect", "code": 1001})
    await resolve_subject()
    assert peer.hang_ups == 1
    assert (await peer.reader.receive())["text"] == "last"
    assert (await peer.reader.receive())["code"] == 1001


async def test_what_the_server_raises_reaches_the_app() -> None:
    """An error in the watch is not lost, and not logged by the loop."""

    async def broken() -> dict[str, Any]:
        raise OSError("the connection is gone")

    reader = DisconnectWatcher(broken, {"type": "http", "headers": []}, lambda: None)
    reader.watch()
    await resolve_subject()
    with pytest.raises(OSError, match=r"the connection is gone"):
        await reader.receive()


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("first", ["the app", "the watch"])
async def test_nobody_reads_while_another_does(first: str, kind: str) -> None:
    """Of two reads at once granian answers the second with a disconnect, whose caller is still there."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    reading = 0
    gone: list[bool] = []

    async def receive() -> dict[str, Any]:
        nonlocal reading
        assert reading == 0, "two reads at once"
        reading += 1
        try:
            return await messages.get()
        finally:
            reading -= 1

    reader = DisconnectWatcher(receive, {"type": kind, "headers": []}, lambda: gone.append(True))
    if first == "the watch":
        reader.watch()
        await resolve_subject()
    app = asyncio.ensure_future(reader.receive())
    await resolve_subject()
    reader.watch()
    await resolve_subject()
    app.cancel()  # as an app does that waits for a while only
    await resolve_subject()
    assert reading == 1, "the watch goes on where the app has left off"
    messages.put_nowait({"type": f"{kind}.disconnect"})
    await resolve_subject()
    assert gone == [True]
    assert (await reader.receive())["type"] == f"{kind}.disconnect"
