"""The server under the fake provider: its life, its port, and requests of every form."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import socket
import ssl
import threading
import warnings
from contextlib import closing, suppress

import aiohttp
import anyio
import openai
import pytest
import trustme

from busy_machine import LONG_ENOUGH
from lanewise.testing import Answer, FakeProvider, Silence

from .conftest import chat_request, read_all


def test_nothing_is_left_after_stop() -> None:
    """No thread, no file descriptor, no listener, whatever was under way; and it takes no time."""
    gc.collect()
    descriptors, threads = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    for _ in range(20):
        with FakeProvider() as provider:
            provider.script_all(Silence(deaf=True))
            raw = socket.create_connection(("127.0.0.1", provider.port))
            raw.sendall(chat_request())
            provider.wait_for(1)
        raw.close()
    assert not [thread for thread in set(threading.enumerate()) - threads if thread.name == "fake-provider"]
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", provider.port))


def test_a_paused_provider_refuses_and_comes_back_on_its_port(
    fake_provider: FakeProvider, client: openai.OpenAI
) -> None:
    """Down: connections are refused, open ones were reset. Its scripts and its journal stay."""
    url = fake_provider.base_url
    fake_provider.script("m", Answer("one"), Answer("two"))
    client.chat.completions.create(model="m", messages=[])
    fake_provider.pause()
    assert fake_provider.open_connections == 0
    for _ in range(2):
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model="m", messages=[])
    fake_provider.resume()
    assert fake_provider.base_url == url
    assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "two"
    assert fake_provider.request_count == 2


def test_a_restart_resets_kept_connections(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """The same port, a new connection."""
    client.chat.completions.create(model="m", messages=[])
    fake_provider.restart()
    client.chat.completions.create(model="m", messages=[])
    assert [received.connection for received in fake_provider.journal] == [1, 2]


def test_a_stopped_provider_starts_again_on_its_port() -> None:
    """Starting and stopping twice does nothing the second time."""
    provider = FakeProvider()
    provider.start()
    port = provider.port
    provider.start()
    provider.stop()
    provider.stop()
    with provider:
        assert provider.port == port
        provider.drop_connections()


def test_a_taken_port_is_an_error() -> None:
    """And leaves nothing behind."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        provider = FakeProvider(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            provider.start()
        provider.stop()


def test_fifty_megabytes_are_read(fake_provider: FakeProvider) -> None:
    """A body as large as any that the app may send."""
    body = b'{"model": "m", "messages": "%s"}' % (b"x" * 50_000_000)
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port))) as raw:
        raw.sendall(chat_request(body))
        assert read_all(raw).startswith(b"HTTP/1.1 200 ")
    assert len(fake_provider.journal[0].body) == len(body)


@pytest.mark.anyio
async def test_aiohttp_may_send_its_body_in_chunks(fake_provider: FakeProvider) -> None:
    """A request without a length, with ``Expect: 100-continue``, on a kept connection."""

    async def body() -> object:
        yield b'{"model": "m", '
        await asyncio.sleep(0.01)
        yield b'"messages": []}'

    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            url = f"{fake_provider.base_url}/chat/completions"
            async with session.post(url, data=body(), expect100=True) as response:
                assert (await response.json())["model"] == "m"
    assert [received.connection for received in fake_provider.journal] == [1, 1]


def test_requests_are_answered_in_order_however_the_bytes_arrive(fake_provider: FakeProvider) -> None:
    """Pipelined, and in pieces; the slow first answer holds back the second."""
    fake_provider.script("m", Answer("first", delay=0.05), Answer("second"))
    data = chat_request(close=False) + chat_request()
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port))) as raw:
        for start in range(0, len(data), 50):
            raw.sendall(data[start : start + 50])
        answer = read_all(raw)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"first") < answer.index(b"second")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_request_is_refused(fake_provider: FakeProvider, data: bytes) -> None:
    """With a 400, and the connection is closed."""
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(data)
        assert read_all(raw).startswith(b"HTTP/1.1 400 ")
    assert fake_provider.journal == []


@pytest.mark.anyio
async def test_many_requests_at_once() -> None:
    """A hundred connections are served side by side, in an asynchronous test."""
    async with FakeProvider() as provider:
        provider.script_all(Answer(delay=0.05))
        url = f"{provider.base_url}/chat/completions"
        statuses = []

        async def ask(session: aiohttp.ClientSession) -> None:
            async with session.post(url, json={"model": "m"}) as response:
                await response.read()
                statuses.append(response.status)

        async with aiohttp.ClientSession() as session, anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask, session)
        assert statuses == [200] * 100
        assert provider.connections == 100


def test_it_speaks_tls() -> None:
    """With the certificate that it is given; a peer that distrusts it, or never shakes hands, does no harm."""
    authority = trustme.CA()
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(of_server)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    with FakeProvider(ssl=of_server) as provider:
        address = ("127.0.0.1", provider.port)
        assert provider.base_url.startswith("https://")
        with closing(socket.create_connection(address)):
            with socket.create_connection(address) as plain, pytest.raises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
            with (
                socket.create_connection(address, timeout=LONG_ENOUGH) as plain,
                trusting.wrap_socket(plain, server_hostname="127.0.0.1") as raw,
            ):
                raw.sendall(chat_request())
                answer = read_all(raw)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["model"] == "m"


def test_it_listens_on_ipv6() -> None:
    """Where there is any."""
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            pass
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with FakeProvider("::1") as provider:
        assert provider.base_url == f"http://[::1]:{provider.port}/v1"
        with closing(socket.create_connection(("::1", provider.port))) as raw:
            raw.sendall(chat_request())
            assert read_all(raw).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("secure", [False, True])
def test_callers_who_come_as_it_stops_leave_no_socket(secure: bool) -> None:
    """Whether they were still to be accepted, accepted, or shaking hands: each socket has somebody who closes it."""
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for round_ in range(60):
            with FakeProvider(ssl=context) as provider:
                callers = [knock(provider) for _ in range(round_ % 12)]
            for caller in callers:
                caller.close()
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_connections_are_dropped_while_others_come() -> None:
    """It is over once those that there were are gone; whoever comes meanwhile stays."""
    with FakeProvider() as provider:
        enough = threading.Event()

        def keep_coming() -> None:
            callers = []
            while not enough.is_set():
                callers.append(knock(provider))
                if len(callers) > 50:
                    callers.pop(0).close()
            for caller in callers:
                caller.close()

        coming = threading.Thread(target=keep_coming)
        coming.start()
        try:
            for _ in range(20):
                provider.drop_connections()
        finally:
            enough.set()
            coming.join()
        with closing(socket.create_connection(("127.0.0.1", provider.port))) as raw:
            raw.sendall(chat_request())
            assert read_all(raw).startswith(b"HTTP/1.1 200 ")


def test_it_goes_on_once_there_are_descriptors_again(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has used up its descriptors leaves callers in the backlog for a moment, and does not turn away."""
    refused = iter([OSError(errno.EMFILE, "no descriptor"), OSError(errno.EMFILE, "no descriptor")])
    accept = socket.socket.accept

    def accept_later(listener: socket.socket) -> object:
        for error in refused:
            raise error
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port), timeout=LONG_ENOUGH)) as raw:
        raw.sendall(chat_request())
        assert read_all(raw).startswith(b"HTTP/1.1 200 ")
    assert next(refused, None) is None


def knock(provider: FakeProvider) -> socket.socket:
    """Begin to connect, and wait for nothing."""
    caller = socket.socket()
    caller.setblocking(False)
    with suppress(BlockingIOError):
        caller.connect(("127.0.0.1", provider.port))
    return caller
