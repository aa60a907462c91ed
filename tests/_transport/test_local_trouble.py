"""What this process lacks is told apart from what a provider does: each error that the system can give."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import aiohttp
import httpx2
import pytest

from _transport.peers import Peer, answers, silent
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import Target, Transport, local_trouble
from lanewise._transport.aiohttp_failures import body_failure, send_failure
from lanewise._transport.aiohttp_pool import AttemptState
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpxTransport
from lanewise._transport.local_trouble import heard_from, lacks_descriptors, trouble_in
from lanewise.types import LocalTrouble

pytestmark = pytest.mark.anyio

OWN = {
    LocalTrouble.DESCRIPTORS: (errno.EMFILE, errno.ENFILE),
    LocalTrouble.PORTS: (errno.EADDRNOTAVAIL, errno.EADDRINUSE),
    LocalTrouble.MEMORY: (errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC),
    LocalTrouble.THREADS: (errno.EAGAIN,),
    LocalTrouble.NETWORK: (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT),
    LocalTrouble.PERMISSION: (errno.EACCES, errno.EPERM),
}
EACH = [pytest.param(number, trouble, id=errno.errorcode[number]) for trouble in OWN for number in OWN[trouble]]
THE_PEERS = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNABORTED, errno.ENETRESET)
TRANSPORTS: dict[str, Callable[[], Transport]] = {
    "aiohttp": AiohttpTransport,
    "httpx2": lambda: HttpxTransport(lambda: httpx2.AsyncClient(trust_env=False)),
}


@pytest.fixture(autouse=True)
def unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host has answered yet."""
    monkeypatch.setattr(local_trouble, "_heard", {})


@pytest.fixture(params=sorted(TRANSPORTS))
def any_transport(request: pytest.FixtureRequest) -> Transport:
    return TRANSPORTS[request.param]()


async def failure_of(transport: Transport, url: str) -> TransportFailure:
    now = asyncio.get_running_loop().time()
    try:
        with pytest.raises(TransportFailure) as caught:
            await transport.send(Target(url), (), b"{}", stream=False, deadline=now + 5, connect_timeout=5)
    finally:
        await transport.aclose()
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(("number", "trouble"), EACH)
async def test_what_keeps_a_connection_from_being_made_here_is_local(
    any_transport: Transport, number: int, trouble: LocalTrouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the system says to a connect, over each transport: nothing was sent, and the provider isn't to blame."""

    async def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refused)
    failure = await failure_of(any_transport, "http://127.0.0.1:9/")
    assert (failure.signal, failure.trouble) == (TransportSignal.LOCAL_TROUBLE, trouble)
    assert failure.detail


async def test_a_process_without_descriptors_makes_no_socket(any_transport: Transport) -> None:
    """The real thing: not even a name can be looked up."""
    await failure_of(any_transport, "http://nowhere.invalid/")  # which brings in what is still to be imported
    for url in ("http://127.0.0.1:9/", "http://nowhere.invalid/"):
        with no_descriptor_left():
            failure = await failure_of(any_transport, url)
        assert (failure.signal, failure.trouble) == (TransportSignal.LOCAL_TROUBLE, LocalTrouble.DESCRIPTORS)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """All descriptors of this process are taken, for as long as the context lasts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, before[1]))
    with suppress(OSError):
        while True:
            taken.append(os.dup(taken[0]))
    try:
        assert lacks_descriptors()
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in taken:
            os.close(number)
    assert not lacks_descriptors()


@pytest.mark.parametrize("name", ["aiohttp", "httpx2"])
async def test_a_thread_that_cannot_be_started_is_local(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up in threads."""

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("threading.Thread.start", no_thread)
        failure = await failure_of(TRANSPORTS[name](), "http://localhost:9/")
    assert (failure.signal, failure.trouble) == (TransportSignal.LOCAL_TROUBLE, LocalTrouble.THREADS)


@pytest.mark.parametrize("number", THE_PEERS, ids=lambda number: errno.errorcode[number])
def test_what_a_peer_does_is_not_local(number: int) -> None:
    """Refused, reset, silent."""
    assert trouble_in(OSError(number, "")) is None
    assert send_failure(OSError(number, ""), AttemptState(1.0, fresh=True)).trouble is None


@pytest.mark.parametrize(("number", "trouble"), EACH)
def test_after_the_request_was_written_the_outcome_is_unknown(number: int, trouble: LocalTrouble) -> None:
    """The buffers ran out while it was written, or the network went while the answer was read."""
    attempt = AttemptState(1.0, fresh=True)
    attempt.written = True
    for failure in (send_failure(aiohttp.ClientOSError(number, ""), attempt), body_failure(OSError(number, ""))):
        assert (failure.signal, failure.trouble) == (TransportSignal.LOCAL_TROUBLE_AFTER_WRITE, trouble)


def test_no_memory_is_local_wherever_it_shows() -> None:
    """As Python says it, and as the look-up of a name does."""
    for error in (MemoryError(), socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure")):
        assert trouble_in(error) is LocalTrouble.MEMORY


def test_a_name_that_nobody_could_be_asked_for_tells_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that can't be reached is ours where no way leads out of this machine; else it is nobody's."""
    unanswered = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    for leads_out, trouble in ((True, None), (False, LocalTrouble.NETWORK)):
        monkeypatch.setattr(local_trouble, "_leads_out", lambda found=leads_out: found)
        assert trouble_in(unanswered) is trouble
        assert trouble_in(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) is None


def test_of_several_addresses_all_must_have_failed_by_it() -> None:
    """A machine without IPv6 has trouble of its own only if IPv4 had, too."""
    v6, refused = "[Errno 101] Connect call failed ('::1')", "[Errno 111] Connect call failed ('127.0.0.1')"
    assert trouble_in(OSError(f"Multiple exceptions: {v6}, {refused}")) is None
    assert trouble_in(OSError(f"Multiple exceptions: {v6}, [Errno 99] Cannot assign")) is LocalTrouble.NETWORK
    each = [OSError(errno.ENETUNREACH, ""), OSError(errno.ECONNREFUSED, "")]
    assert trouble_in(ExceptionGroup("", each)) is None
    assert trouble_in(ExceptionGroup("", each[:1])) is LocalTrouble.NETWORK


def test_a_network_that_others_are_heard_through_is_there() -> None:
    """A box of the app's own that is switched off is its provider's trouble, and may be passed over."""
    off = OSError(errno.EHOSTUNREACH, "No route to host")
    heard_from("10.0.0.5")
    heard_from("127.0.0.1")
    assert trouble_in(off, "10.0.0.5") is LocalTrouble.NETWORK
    heard_from("api.example.com")
    assert trouble_in(off, "10.0.0.5") is None
    assert trouble_in(OSError(errno.EMFILE, ""), "10.0.0.5") is LocalTrouble.DESCRIPTORS


def test_the_numbers_of_openssl_are_not_the_systems() -> None:
    """Its 1 is not EPERM, also in what aiohttp makes of it."""
    error = aiohttp.ClientOSError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")
    error.__cause__ = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")
    assert trouble_in(error) is None
    attempt = AttemptState(1.0, fresh=True)
    assert "EPERM" not in send_failure(error, attempt).detail


async def test_a_trust_store_that_cannot_be_read_blames_no_certificate() -> None:
    """Without a descriptor no authority is known, and any certificate looks wrong."""
    wrong = ssl.SSLCertVerificationError(1, "unable to get local issuer certificate")
    assert send_failure(wrong, AttemptState(1.0, fresh=True)).signal is TransportSignal.TLS
    with no_descriptor_left():
        failure = send_failure(wrong, AttemptState(1.0, fresh=True))
    assert (failure.signal, failure.trouble) == (TransportSignal.LOCAL_TROUBLE, LocalTrouble.DESCRIPTORS)


async def test_no_more_idle_connections_are_kept_than_allowed() -> None:
    """After a burst the rest is closed, and what is kept is used again."""
    transport = AiohttpTransport(most_idle=2)
    with Peer(answers()) as peer:
        now = asyncio.get_running_loop().time()

        async def ask() -> bytes:
            exchange = await transport.send(
                Target(peer.url), (), b"{}", stream=False, deadline=now + 20, connect_timeout=20
            )
            await asyncio.sleep(0.2)  # all of them are open at one time
            return await exchange.read(100)

        await asyncio.gather(*(ask() for _ in range(6)))
        assert peer.accepted == 6
        assert transport._session is not None
        pool = transport._session.connector
        assert pool is not None
        assert sum(len(idle) for idle in pool._conns.values()) == 2
        await asyncio.gather(ask(), ask())
        assert peer.accepted == 6
        await transport.aclose()


async def test_a_silent_peer_is_no_trouble_of_ours(any_transport: Transport) -> None:
    """A time-out says nothing of this process."""
    with Peer(silent) as peer:
        now = asyncio.get_running_loop().time()
        with pytest.raises(TransportFailure) as caught:
            await any_transport.send(Target(peer.url), (), b"{}", stream=False, deadline=now + 1.0, connect_timeout=1.0)
        await any_transport.aclose()
    assert caught.value.trouble is None
