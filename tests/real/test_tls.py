"""TLS through the router, with a throw-away authority: what is trusted is used, and what is not gets nothing."""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import Callable, Iterator

import httpx2
import openai
import pytest
import trustme

from lanewise import FailureKind, Router
from lanewise.testing import FakeProvider
from real.pair import FIRST, KEY, pair
from router.driving import FORMS, PROMPT, Form, ask

pytestmark = pytest.mark.anyio

MakeRouter = Callable[[dict[str, object]], Router]
forms = pytest.mark.parametrize("form", FORMS, ids=str)


@pytest.fixture
def elsewhere(authority: trustme.CA) -> Iterator[FakeProvider]:
    """A provider with a certificate of the trusted authority, for another host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with FakeProvider(ssl=context) as provider:
        yield provider


@pytest.fixture(params=["own", "handed"])
def make_plain_router(request: pytest.FixtureRequest) -> MakeRouter:
    """Routers that trust what the operating system does, and so not the throw-away authority."""
    if request.param == "own":
        return Router.from_mapping
    return functools.partial(Router.from_mapping, http_client=functools.partial(httpx2.AsyncClient, trust_env=False))


@forms
async def test_a_trusted_provider_answers(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """With the key, over one connection for all calls."""
    async with make_router(pair(secure.base_url, fake_provider)) as router:
        for _ in range(3):
            got = await ask(router, form)
            assert (got.error, got.routes) == (None, ["first"])
    assert secure.requests(FIRST)[0].headers["authorization"] == f"Bearer {KEY}"
    assert (secure.request_count, secure.connections) == (3, 1)


@forms
async def test_an_untrusted_provider_gets_nothing_and_the_next_route_answers(
    make_plain_router: MakeRouter,
    secure: FakeProvider,
    fake_provider: FakeProvider,
    form: Form,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One attempt, no retry, an ERROR for whoever has to mend it, and neither key nor prompt was on the wire."""
    caplog.set_level(logging.INFO, "lanewise")
    async with make_plain_router(pair(secure.base_url, fake_provider)) as router:
        got = await ask(router, form)
    assert (got.error, got.routes) == (None, ["first", "second"])
    assert [attempt.failure for attempt in got.call.attempts] == [FailureKind.CONFIG, None]
    assert secure.journal == []
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [(record.name, record.__dict__["route"]) for record in errors] == [("lanewise", "first")]
    assert "certificate" in errors[0].getMessage()
    assert not any(secret in caplog.text for secret in (KEY, PROMPT))


@forms
async def test_an_untrusted_provider_alone_is_the_error_that_the_sdk_has_for_it(
    make_plain_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """What the app catches for a connection that failed still catches."""
    async with make_plain_router(pair(secure.base_url, fake_provider)) as router:
        got = await ask(router, form, "alone")
    assert type(got.error).__mro__[1:].count(openai.APIConnectionError) == 1
    assert got.call.failure is FailureKind.CONFIG
    assert len(got.call.attempts) == 1
    assert not any(secret in repr(got.error) for secret in (KEY, PROMPT))


@forms
async def test_a_certificate_for_another_host_is_not_accepted(
    make_router: MakeRouter, elsewhere: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """The authority is trusted, but this is not the host of the URL."""
    async with make_router(pair(elsewhere.base_url, fake_provider)) as router:
        got = await ask(router, form)
    assert [attempt.failure for attempt in got.call.attempts] == [FailureKind.CONFIG, None]
    assert elsewhere.journal == []
