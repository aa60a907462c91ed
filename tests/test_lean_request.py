"""What a scope's SDK clients send through httpx2 is built by a shorter way than its own: the requests are the same."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from lanewise import Router
from lanewise._client.direct_requests import DirectRequests
from lanewise._client.http_clients import RoutedAsyncHttpClient, RoutedHttpClient
from lanewise.testing import FakeProvider

MESSAGES: Any = [{"role": "user", "content": "Grüße"}]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"timeout": 7},
    {"timeout": httpx2.Timeout(3, read=9)},
    {"extra_headers": {"X-Team": "support"}},
    {"extra_query": {"tier": "flex"}},
    {"extra_body": {"reasoning_effort": "low"}},
]
NOT_SENT = ("accept", "accept-encoding", "connection", "user-agent")
"""What httpx2 adds for a wire that these requests never see."""


@pytest.fixture
def router(fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Router:
    """One route, and no request that goes to it without httpx2."""
    monkeypatch.setattr(DirectRequests, "routed_request", lambda *_, **__: None)
    monkeypatch.setattr(DirectRequests, "created_request", lambda *_, **__: None)
    return Router.from_mapping(
        {
            "providers": {"first": {"base_url": fake_provider.base_url}},
            "routes": {"flagship": {"provider": "first", "model": "flagship-1"}},
            "tasks": {"summary": {"primary": "flagship"}},
        }
    )


def facts(request: httpx2.Request) -> tuple[object, ...]:
    """What there is to know of a request, but its scope."""
    headers = {name: value for name, value in request.headers.items() if name not in NOT_SENT}
    return request.method, str(request.url), headers, request.content, request.extensions["timeout"]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_synchronous_request_is_the_one_that_httpx2_builds(
    router: Router, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Method, URL, headers, body and timeouts are those of the long way."""
    sent: list[httpx2.Request] = []

    def send(self: object, request: httpx2.Request, **_: object) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json={}, request=request)

    monkeypatch.setattr(RoutedHttpClient, "send", send)
    client = router.scope(request_id="req-2026-000042").openai
    client.chat.completions.create(model="summary", messages=MESSAGES, **options)
    monkeypatch.setattr(type(client._client), "build_request", httpx2.Client.build_request)
    client.chat.completions.create(model="summary", messages=MESSAGES, **options)
    short, long = sent
    assert facts(short) == facts(long)


@pytest.mark.anyio
@pytest.mark.parametrize("options", OPTIONS)
async def test_an_asynchronous_request_is_the_one_that_httpx2_builds(
    router: Router, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Method, URL, headers, body and timeouts are those of the long way."""
    sent: list[httpx2.Request] = []

    async def send(self: object, request: httpx2.Request, **_: object) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json={}, request=request)

    monkeypatch.setattr(RoutedAsyncHttpClient, "send", send)
    client = router.scope(request_id="req-2026-000042").async_openai
    await client.chat.completions.create(model="summary", messages=MESSAGES, **options)
    monkeypatch.setattr(type(client._client), "build_request", httpx2.AsyncClient.build_request)
    await client.chat.completions.create(model="summary", messages=MESSAGES, **options)
    short, long = sent
    assert facts(short) == facts(long)


def test_a_copy_with_another_base_url_is_routed_all_the_same(router: Router, fake_provider: FakeProvider) -> None:
    """The base URL of a scope's client is a placeholder: another one leads nowhere else."""
    with router, router.scope(request_id="req-2026-000042") as scope:
        client = scope.openai.with_options(base_url="https://elsewhere.invalid/v2", timeout=20)
        reply = client.chat.completions.create(model="summary", messages=MESSAGES)
        assert scope.call_for(reply).route == "flagship"
    assert json.loads(fake_provider.journal[0].body)["messages"] == MESSAGES
