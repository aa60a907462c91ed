"""One attempt over aiohttp, against peers that misbehave at the byte level."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib
from collections.abc import Callable

import pytest

from _transport.peers import ANSWER, Peer, Wire, answers, answers_once, dripping, silent
from busy_machine import LONG_ENOUGH
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Exchange, Target
from lanewise._transport.aiohttp_transport import AiohttpTransport

pytestmark = pytest.mark.anyio

BODY = b'{"model":"m","messages":[]}'


async def send(
    transport: AiohttpTransport,
    url: str,
    body: bytes = BODY,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    stream: bool = False,
    within: float = 5.0,
    connect_timeout: float = 3.0,
    fresh: bool = False,
) -> Exchange:
    return await transport.send(
        Target(url, (("Authorization", "Bearer key-canary"),)),
        headers,
        body,
        stream=stream,
        deadline=asyncio.get_running_loop().time() + within,
        connect_timeout=connect_timeout,
        fresh=fresh,
    )


async def failing(transport: AiohttpTransport, url: str, **how: object) -> TransportFailure:
    async def exchange() -> None:
        await (await send(transport, url, **how)).read(1_000_000)  # type: ignore[arg-type]

    with pytest.raises(TransportFailure) as caught:
        await exchange()
    error = caught.value
    assert error.__context__ is None
    assert "canary" not in repr(error)
    return error


async def test_answers_and_keeps_the_connection(transport: AiohttpTransport) -> None:
    """An answer is read whole, and the next request goes over the same connection."""
    with Peer(answers()) as peer:
        for _ in range(3):
            exchange = await send(transport, peer.url)
            assert (exchange.status, exchange.http_version) == (200, "1.1")
            assert exchange.headers["content-type"] == "application/json"
            assert await exchange.read(100) == b'{"ok":true}'
            assert await exchange.read(100) == b""
            exchange.release()
            exchange.abort()
        assert peer.accepted == 1


async def test_sends_what_it_was_given_and_nothing_of_aiohttp(transport: AiohttpTransport) -> None:
    """The attempt's headers win over the target's; framing is the transport's own; nothing names the library."""
    heads: list[str] = []

    def talk(wire: Wire) -> None:
        while (request := wire.request()) is not None:
            heads.append(request[0])
            wire.send(ANSWER)

    with Peer(talk) as peer:
        target = Target(peer.url + "?api-version=1", (("X-One", "target"), ("X-Two", "target")))
        extra = (("x-one", "attempt"), ("Transfer-Encoding", "chunked"), ("Host", "elsewhere"), ("Cookie", "a=b"))
        deadline = asyncio.get_running_loop().time() + 5
        for stream in (False, True):
            exchange = await transport.send(target, extra, BODY, stream=stream, deadline=deadline, connect_timeout=2)
            exchange.release()
    plain, stream_head = (head.lower() for head in heads)
    assert plain.startswith("post /v1/chat/completions?api-version=1 http/1.1\r\n")
    for line in ("x-one: attempt", "x-two: target", "accept-encoding: gzip, deflate", f"content-length: {len(BODY)}"):
        assert f"\r\n{line}\r\n" in plain + "\r\n"
    assert "aiohttp" not in plain
    assert "chunked" not in plain
    assert "elsewhere" not in plain
    assert "\r\naccept-encoding: identity" in stream_head
    assert "\r\naccept: text/event-stream" in stream_head


async def test_set_cookie_stays_below(transport: AiohttpTransport) -> None:
    """A provider's cookie neither goes up nor comes back to the provider."""
    heads: list[str] = []

    def talk(wire: Wire) -> None:
        while (request := wire.request()) is not None:
            heads.append(request[0])
            wire.send(ANSWER.replace(b"\r\n", b"\r\nSet-Cookie: user=7\r\nX-Kept: yes\r\n", 1))

    with Peer(talk) as peer:
        for _ in range(2):
            exchange = await send(transport, peer.url)
            assert "set-cookie" not in exchange.headers
            assert exchange.headers["X-KEPT"] == "yes"
            await exchange.read(100)
    assert "cookie" not in heads[1].lower()


async def test_a_redirect_is_an_answer(transport: AiohttpTransport) -> None:
    """A redirect is never followed: it would carry the prompt along."""
    with Peer(answers(b"HTTP/1.1 307 Go\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n")) as peer:
        exchange = await send(transport, peer.url)
        assert exchange.status == 307
        assert await exchange.read(10) == b""


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 None\r\n\r\n", 204),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + ANSWER, 200),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 50\r\n\r\n", 304),
    ],
)
async def test_answers_without_a_body_do_not_hang(transport: AiohttpTransport, answer: bytes, status: int) -> None:
    """1xx are passed over, and 204 and 304 end at their head."""
    with Peer(answers(answer)) as peer:
        exchange = await send(transport, peer.url)
        assert exchange.status == status
        await exchange.read(100)


async def test_refused_is_unreachable(transport: AiohttpTransport) -> None:
    """Nobody listens."""
    with Peer(silent) as peer:
        url = peer.url
    error = await failing(transport, url)
    assert error.signal is TransportSignal.UNREACHABLE
    assert "ECONNREFUSED" in error.detail


async def test_an_unknown_name_is_unreachable(transport: AiohttpTransport) -> None:
    """A name that DNS does not know."""
    error = await failing(transport, "http://nobody.invalid/v1?key=canary", within=20.0, connect_timeout=20.0)
    assert error.signal is TransportSignal.UNREACHABLE


async def test_names_are_looked_up_outside_the_apps_threads(transport: AiohttpTransport) -> None:
    """The app's executor may be full; our lookups still go through."""
    import threading

    gate = threading.Event()
    loop = asyncio.get_running_loop()
    busy = [loop.run_in_executor(None, gate.wait, 10) for _ in range(64)]
    try:
        with Peer(answers()) as peer:
            assert await (await send(transport, peer.url)).read(100) == b'{"ok":true}'
    finally:
        gate.set()
        await asyncio.gather(*busy)


async def test_silence_ends_at_the_deadline(transport: AiohttpTransport) -> None:
    """A peer that reads and never answers: the outcome is unknown, and its connection is closed."""
    with Peer(silent) as peer:
        began = time.monotonic()
        error = await failing(transport, peer.url, within=1.0)
        assert error.signal is TransportSignal.TIMEOUT
        assert 0.95 < time.monotonic() - began < 15
        await gone(peer)


async def test_a_deadline_before_a_connection_is_unreachable(transport: AiohttpTransport) -> None:
    """Nothing was written, so nothing can have run."""
    with Peer(silent) as peer:
        error = await failing(transport, peer.url, within=-1.0)
        assert error.signal is TransportSignal.CONNECT_TIMEOUT


async def test_a_slow_connect_ends_at_the_connect_timeout(served: object) -> None:
    """TLS that is never agreed on is a connection that was not made."""
    transport = AiohttpTransport()
    with Peer(silent) as peer:
        error = await failing(transport, peer.url.replace("http:", "https:"), connect_timeout=0.1)
        assert error.signal is TransportSignal.CONNECT_TIMEOUT
        await gone(peer)
    await transport.aclose()


async def test_drip_does_not_extend_the_deadline(transport: AiohttpTransport) -> None:
    """A byte now and then does not re-arm anything."""
    with Peer(dripping) as peer:
        began = time.monotonic()
        error = await failing(transport, peer.url, within=1.0)
        assert error.signal is TransportSignal.TIMEOUT
        assert time.monotonic() - began < 15
        await gone(peer)


async def test_reads_obey_a_moved_deadline(transport: AiohttpTransport) -> None:
    """The deadline of reads can be brought nearer and moved away while a read waits."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(2.5)
        wire.send(b"1\r\na\r\n")
        wire.wait_for_the_end()

    loop = asyncio.get_running_loop()
    with Peer(talk) as peer:
        exchange = await send(transport, peer.url, stream=True, within=2.0)
        loop.call_later(0.05, lambda: exchange.bound_reads(loop.time() + 5))
        assert await exchange.read_some() == b"a"
        loop.call_later(0.05, lambda: exchange.bound_reads(loop.time() + 0.05))
        began = loop.time()
        with pytest.raises(TransportFailure) as caught:
            await exchange.read_some()
        assert caught.value.signal is TransportSignal.TIMEOUT
        assert loop.time() - began < 15
        await gone(peer)


async def test_a_reset_after_the_request_leaves_its_outcome_unknown(transport: AiohttpTransport) -> None:
    """The request was read, then the fresh connection was reset before an answer."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.reset()

    with Peer(talk) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.RESET_AFTER_WRITE


async def test_a_close_after_the_request_leaves_its_outcome_unknown(transport: AiohttpTransport) -> None:
    """The same with a polite close."""

    def talk(wire: Wire) -> None:
        wire.request()

    with Peer(talk) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.RESET_AFTER_WRITE


async def test_a_connection_that_died_silently_is_stale_and_a_fresh_one_works(transport: AiohttpTransport) -> None:
    """The peer answered once and drops what comes next; with ``fresh`` no pooled connection is taken."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER)
        wire.request()
        wire.reset()

    with Peer(talk) as peer:
        for _ in range(2):
            await (await send(transport, peer.url, fresh=True)).read(100)
        assert peer.accepted == 2
        assert (await failing(transport, peer.url)).signal is TransportSignal.STALE_CONNECTION
        assert (await (await send(transport, peer.url, fresh=True)).read(100)) == b'{"ok":true}'
        assert peer.accepted == 3


async def test_words_on_an_idle_connection_are_nobodys_answer(transport: AiohttpTransport) -> None:
    """What a peer says while nothing was asked must not become the next call's answer."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER)
        if wire.number == 1:
            read.wait(LONG_ENOUGH)
            wire.send(ANSWER.replace(b'{"ok":true}', b'{"of":else}'))
            spoken.set()
        wire.wait_for_the_end()

    read, spoken = threading.Event(), threading.Event()

    with Peer(talk) as peer:
        assert await (await send(transport, peer.url)).read(100) == b'{"ok":true}'
        read.set()
        assert await asyncio.to_thread(spoken.wait, 20)
        await asyncio.sleep(0.05)  # what lies in the socket is read in the loop's next turn
        assert await (await send(transport, peer.url)).read(100) == b'{"ok":true}'
        assert peer.accepted == 2


@pytest.mark.parametrize(
    "part", [Wire.close, Wire.reset, lambda wire: wire.send(ANSWER)], ids=["closes", "resets", "answers again"]
)
async def test_what_the_loop_had_no_turn_to_read_is_seen(
    transport: AiohttpTransport, part: Callable[[Wire], None]
) -> None:
    """A server that closes each connection and does not say so costs calls that are made back to back no attempt."""

    def talk(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER)
        read.acquire(timeout=LONG_ENOUGH)
        part(wire)
        parted.release()

    read, parted = threading.Semaphore(0), threading.Semaphore(0)
    with Peer(talk) as peer:
        for number in range(1, 4):
            assert await (await send(transport, peer.url)).read(100) == b'{"ok":true}'
            assert peer.accepted == number
            read.release()
            assert parted.acquire(timeout=LONG_ENOUGH)  # the loop stands still meanwhile


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nshort",
    ],
)
async def test_a_body_that_ends_short_is_cut(transport: AiohttpTransport, answer: bytes) -> None:
    """Fewer bytes than promised, or no last chunk."""
    with Peer(answers_once(answer)) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.CUT


async def test_what_came_before_a_cut_is_still_given(transport: AiohttpTransport) -> None:
    """The last event of a stream may have come whole, with the end of the stream missing."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n"
    with Peer(answers_once(answer)) as peer:
        exchange = await send(transport, peer.url, stream=True)
        await asyncio.sleep(0.1)
        assert await exchange.read_some() == b"data: [DONE]\n\n"
        with pytest.raises(TransportFailure) as caught:
            await exchange.read_some()
        assert caught.value.signal is TransportSignal.CUT


async def test_garbage_is_malformed(transport: AiohttpTransport) -> None:
    """A peer that does not speak HTTP."""
    with Peer(answers_once(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.MALFORMED_HTTP


async def test_a_switch_of_protocol_is_malformed(transport: AiohttpTransport) -> None:
    """101 was not asked for."""
    answer = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with Peer(answers(answer)) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.MALFORMED_HTTP
        await gone(peer)


async def test_a_gigantic_header_is_too_large(transport: AiohttpTransport) -> None:
    """The head of an answer has a cap of its own."""
    answer = b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n"
    with Peer(answers_once(answer)) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.TOO_LARGE


@pytest.mark.parametrize("promised", [True, False])
async def test_a_body_over_the_cap_is_too_large(transport: AiohttpTransport, promised: bool) -> None:
    """Whether or not its length is promised, no more than the cap is kept."""
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 3000000\r\n\r\n" if promised else b"\r\n")
    with Peer(answers_once(head + b"x" * 3_000_000)) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.TOO_LARGE
        await gone(peer)


def encoded(body: bytes, encoding: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (encoding, len(body)) + body


async def test_compressed_answers_are_decoded(transport: AiohttpTransport) -> None:
    """gzip and both dialects of deflate; the headers no longer speak of the encoding."""
    raw = zlib.compressobj(wbits=-15)
    for answer in (
        encoded(gzip.compress(b"hello" * 100), b"gzip"),
        encoded(zlib.compress(b"hello" * 100), b"deflate"),
        encoded(raw.compress(b"hello" * 100) + raw.flush(), b"deflate"),
    ):
        with Peer(answers(answer)) as peer:
            exchange = await send(transport, peer.url)
            assert await exchange.read(500) == b"hello" * 100
            assert "content-encoding" not in exchange.headers
            assert "content-length" not in exchange.headers


async def test_a_zip_bomb_is_stopped_at_the_cap(transport: AiohttpTransport) -> None:
    """20 kB that would be 20 MB are too large at 1 MB."""
    bomb = gzip.compress(bytes(20_000_000))
    assert len(bomb) < 25_000
    with Peer(answers(encoded(bomb, b"gzip"))) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"\x1f\x8bnot gzip at all", b"gzip"), (gzip.compress(b"x" * 100, mtime=0)[:-9], b"gzip")],
    ids=["wrong", "short"],
)
async def test_a_body_that_is_not_what_it_says_is_undecodable(
    transport: AiohttpTransport, body: bytes, encoding: bytes
) -> None:
    """Wrong bytes, and bytes that end early."""
    with Peer(answers(encoded(body, encoding))) as peer:
        assert (await failing(transport, peer.url)).signal is TransportSignal.UNDECODABLE


async def test_a_large_upload_arrives_whole(transport: AiohttpTransport) -> None:
    """Five megabytes, written in pieces."""
    sizes: list[int] = []

    def talk(wire: Wire) -> None:
        while (request := wire.request()) is not None:
            sizes.append(len(request[1]))
            wire.send(ANSWER)

    with Peer(talk) as peer:
        await (await send(transport, peer.url, bytes(5_000_000))).read(100)
    assert sizes == [5_000_000]


async def test_an_early_413_is_read_although_the_upload_goes_on(transport: AiohttpTransport) -> None:
    """A peer that answers 413 without reading 50 MB, and closes."""

    def talk(wire: Wire) -> None:
        wire.sock.recv(65536)
        wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        time.sleep(0.02)

    body = bytes(50_000_000)
    with Peer(talk) as peer:
        for _ in range(3):
            exchange = await send(transport, peer.url, body)
            assert exchange.status == 413
            assert await exchange.read(100) == b"{}"
            exchange.release()
        await gone(peer)


async def test_abort_wakes_a_read_and_closes(transport: AiohttpTransport) -> None:
    """A read that waits in another task ends when the exchange is aborted."""
    with Peer(dripping_once) as peer:
        exchange = await send(transport, peer.url, stream=True)
        reading = asyncio.create_task(exchange.read(100))
        await asyncio.sleep(0.05)
        exchange.abort()
        exchange.abort()
        with pytest.raises(TransportFailure) as caught:
            await reading
        assert caught.value.signal is TransportSignal.CUT
        await gone(peer)


async def test_release_before_the_end_closes(transport: AiohttpTransport) -> None:
    """Only a connection whose body was read goes back to the pool."""
    with Peer(dripping_once) as peer:
        exchange = await send(transport, peer.url, stream=True)
        exchange.release()
        await gone(peer)


def dripping_once(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    wire.wait_for_the_end()


@pytest.mark.parametrize(
    "target",
    [
        Target("ftp://localhost/"),
        Target("http:///nowhere"),
        Target("http://[canary/"),
        Target("http://user:canary@localhost/"),
        Target("http://localhost:99999/"),
        Target("http://localhost/", (("X-Key", "canary\r\nX: y"),)),
        Target("http://localhost/", (("X Key", "canary"),)),
        Target("http://localhost/", (("X-Key", " canary"),)),
        Target("http://localhost/", (("X-Key", "canäry"),)),
    ],
)
async def test_what_cannot_be_sent_is_local(transport: AiohttpTransport, target: Target) -> None:
    """Bad URLs and header fields are refused before a connection is made, without repeating them."""
    with pytest.raises(TransportFailure) as caught:
        await transport.send(
            target, (), BODY, stream=False, deadline=asyncio.get_running_loop().time() + 5, connect_timeout=1
        )
    assert caught.value.signal is TransportSignal.LOCAL
    assert caught.value.__context__ is None
    assert "canary" not in repr(caught.value) + repr(target)


async def test_opens_again_after_it_was_closed(transport: AiohttpTransport) -> None:
    """A closed transport leaves no connection, and serves again."""
    with Peer(answers()) as peer:
        for _ in range(3):
            await (await send(transport, peer.url)).read(100)
            await transport.aclose()
            await transport.aclose()
            await gone(peer)
        assert peer.accepted == 3


def test_a_transport_is_of_one_loop() -> None:
    """Another running loop gets an error that says so; after the first loop has ended, the next one opens anew."""
    transport = AiohttpTransport()

    async def ask(url: str) -> None:
        await (await send(transport, url)).read(100)

    async def ask_and_close(url: str) -> None:
        await ask(url)
        await transport.aclose()

    with Peer(answers()) as peer:
        first = asyncio.new_event_loop()
        first.run_until_complete(ask(peer.url))
        with pytest.raises(RuntimeError, match="event loop"):
            asyncio.run(ask(peer.url))
        first.run_until_complete(transport.aclose())
        first.close()
        for _ in range(20):
            asyncio.run(ask_and_close(peer.url))


async def gone(peer: Peer, within: float = 15) -> None:
    end = time.monotonic() + within
    while peer.open:
        assert time.monotonic() < end, "a connection is still open"
        await asyncio.sleep(0.005)
