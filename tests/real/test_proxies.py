"""A CONNECT proxy through the router: from the environment, from the config, and of the app's own client."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator

import httpx2
import pytest

from _transport.peers import Peer, Wire, connect_proxy
from lanewise import FailureKind, Router
from lanewise.testing import FakeProvider
from real.pair import KEY, pair
from router.driving import FORMS, PROMPT, Form, ask

pytestmark = pytest.mark.anyio

forms = pytest.mark.parametrize("form", FORMS, ids=str)


@pytest.fixture
def heard() -> bytearray:
    """All that the proxy was told."""
    return bytearray()


@pytest.fixture
def proxy(heard: bytearray) -> Iterator[Peer]:
    """A proxy that only knows CONNECT, and finds every host on loopback."""
    with Peer(functools.partial(connect_proxy, heard=heard)) as peer:
        yield peer


def behind_the_proxy(secure: FakeProvider) -> str:
    """The provider under a name that only the proxy can find."""
    return f"https://provider.example:{secure.port}/v1"


@forms
@pytest.mark.usefixtures("system_trust")
async def test_the_environments_proxy_is_used(
    secure: FakeProvider,
    fake_provider: FakeProvider,
    proxy: Peer,
    heard: bytearray,
    monkeypatch: pytest.MonkeyPatch,
    form: Form,
) -> None:
    """It sees one tunnel for all calls and its own credentials, neither key nor prompt."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
    async with Router.from_mapping(pair(behind_the_proxy(secure), fake_provider)) as router:
        for _ in range(3):
            got = await ask(router, form)
            assert (got.error, got.routes) == (None, ["first"])
    assert (proxy.accepted, secure.connections, secure.request_count) == (1, 1, 3)
    assert bytes(heard).startswith(b"CONNECT provider.example:%d HTTP/1.1\r\n" % secure.port)
    assert b"proxy-authorization: basic dxnlcjpwyxnz\r\n" in bytes(heard).lower()
    assert not any(secret.encode() in heard for secret in (KEY, PROMPT))
    assert "proxy-authorization" not in secure.journal[0].headers


@forms
@pytest.mark.usefixtures("system_trust")
async def test_the_environments_proxy_is_not_asked_for_loopback(
    secure: FakeProvider, fake_provider: FakeProvider, proxy: Peer, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    """A model server beside the app is reached directly, whatever the machine's proxy is."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    async with Router.from_mapping(pair(secure.base_url, fake_provider)) as router:
        got = await ask(router, form)
    assert (got.error, got.routes, proxy.accepted) == (None, ["first"], 0)


@forms
@pytest.mark.usefixtures("system_trust")
async def test_the_configs_proxy_is_used_for_all_hosts(
    secure: FakeProvider,
    fake_provider: FakeProvider,
    proxy: Peer,
    heard: bytearray,
    monkeypatch: pytest.MonkeyPatch,
    form: Form,
) -> None:
    """It wins over the environment's, and loopback goes through it too."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    config = pair(secure.base_url, fake_provider, proxy=f"http://127.0.0.1:{proxy.port}")
    async with Router.from_mapping(config) as router:
        got = await ask(router, form)
    assert (got.error, got.routes) == (None, ["first"])
    assert bytes(heard).startswith(b"CONNECT 127.0.0.1:%d " % secure.port)


@forms
async def test_a_proxy_of_the_apps_own_client_is_used(
    secure: FakeProvider,
    fake_provider: FakeProvider,
    proxy: Peer,
    heard: bytearray,
    trusting: ssl.SSLContext,
    form: Form,
) -> None:
    """The client that the app hands in brings its own way out, and its own trust."""
    client = functools.partial(httpx2.AsyncClient, proxy=f"http://127.0.0.1:{proxy.port}", verify=trusting)
    config = pair(behind_the_proxy(secure), fake_provider)
    async with Router.from_mapping(config, http_client={"first": client}) as router:
        got = await ask(router, form)
    assert (got.error, got.routes) == (None, ["first"])
    assert bytes(heard).startswith(b"CONNECT provider.example:%d " % secure.port)


@forms
@pytest.mark.usefixtures("system_trust")
async def test_a_proxy_that_refuses_makes_the_next_route_answer(
    secure: FakeProvider, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    """The provider can't be reached by this way; nothing is sent around the proxy, and its password is not told."""

    def refuse(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    with Peer(refuse) as refusing:
        monkeypatch.setenv("https_proxy", f"http://user:canary-pass@127.0.0.1:{refusing.port}")
        async with Router.from_mapping(pair(behind_the_proxy(secure), fake_provider)) as router:
            got = await ask(router, form)
            alone = await ask(router, form, "alone")
    unreachable = FailureKind.UNREACHABLE
    assert (got.error, got.routes[-1]) == (None, "second")
    assert {attempt.failure for attempt in got.call.attempts[:-1]} == {unreachable}
    assert alone.call.failure is unreachable
    assert "canary" not in repr(alone.error)
    assert secure.connections == 0
