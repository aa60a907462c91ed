"""What the tests with real parts share: a llama.cpp server, a certificate authority, and routers that trust it."""

from __future__ import annotations

import functools
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from certificates import authority, served, trusting
from lanewise import Router
from lanewise._routing import retry as repeats
from lanewise._transport import aiohttp_pool as pool
from lanewise.testing import FakeProvider
from real.llama import Llama, llama_server, unsupported
from real.pair import KEY

__all__ = ["authority", "served", "trusting"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers' key, and no proxy of the machine's own."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PROVIDER_KEY", KEY)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-offs of some milliseconds: how long they are by right is shown by the tests of the plan."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """A llama.cpp server, one for all tests."""
    reason = unsupported()
    if reason is not None:
        pytest.skip(reason)
    with llama_server(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture
def secure(served: ssl.SSLContext) -> Iterator[FakeProvider]:
    """A provider that speaks TLS, with a certificate of the throw-away authority."""
    with FakeProvider(ssl=served) as provider:
        yield provider


@pytest.fixture
def system_trust(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system trusts the throw-away authority, as far as a new process would see."""
    if sys.platform in ("darwin", "win32"):
        pytest.skip("only OpenSSL's trust can be set by SSL_CERT_FILE")
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(pool, "_trusted", functools.cache(pool._trusted.__wrapped__))


@pytest.fixture(params=["own", "handed"])
def make_router(request: pytest.FixtureRequest, trusting: ssl.SSLContext) -> Callable[[dict[str, object]], Router]:
    """Routers that trust the throw-away authority, with connections of their own and over a client of the app's."""
    if request.param == "own":
        request.getfixturevalue("system_trust")
        return Router.from_mapping
    client = functools.partial(httpx2.AsyncClient, verify=trusting, trust_env=False)
    return functools.partial(Router.from_mapping, http_client=client)
