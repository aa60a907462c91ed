"""Who made a stored answer, over the shared store."""

from __future__ import annotations

import asyncio

import pytest

from busy_machine import LONG_ENOUGH
from lanewise import FailClosed, NotRouted, Router
from lanewise._runtime import shared_affinity
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise._runtime.shared_affinity import SharedAffinity
from lanewise.config.environment.store_address import StoreAddress
from lanewise.testing import FakeProvider, JsonBody
from real_valkey import Valkey

pytestmark = pytest.mark.anyio

MADE = ResponseOrigin("second", "both", ("payment",))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a store may take longer than a call would wait for it."""
    monkeypatch.setattr(shared_affinity, "WAIT", 30.0)


async def test_what_one_worker_tells_another_knows(valkey: Valkey) -> None:
    """With its marks: what is not known must not relax them."""
    one, other = SharedAffinity(StoreAddress(valkey.url)), SharedAffinity(StoreAddress(valkey.url))
    try:
        one.publish("resp_1", MADE)
        one.close()  # what waits to be told is told by then
        assert await other.find("resp_1") == MADE
        assert await other.find("resp_2") is None
        assert b"resp_1" not in valkey.everything()
    finally:
        one.close()
        other.close()


async def test_a_store_that_does_not_answer_knows_nothing() -> None:
    """A call waits for it once, and not for each answer after that."""
    affinity = SharedAffinity(StoreAddress("redis://127.0.0.1:1/0"))
    try:
        affinity.publish("resp_1", MADE)
        assert await asyncio.wait_for(affinity.find("resp_1"), LONG_ENOUGH) is None
    finally:
        affinity.close()


RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [{"type": "message"}]}


def worker(provider: FakeProvider, state: str) -> Router:
    providers = {"one": {"base_url": provider.base_url}, "two": {"base_url": provider.base_url}}
    routes = {name: {"provider": name, "model": "m"} for name in providers}
    return Router.from_mapping(
        {
            "providers": providers,
            "routes": routes,
            "tasks": {"first": {"primary": "one"}, "second": {"primary": "two"}},
            "sensitive": {"payment": {"routes": ["one", "two"]}},
            "router": {"state": state},
        }
    )


async def test_another_worker_finds_what_was_made(provider: FakeProvider, valkey: Valkey) -> None:
    """And keeps to its marks; one without the store says that it does not know."""
    provider.script("/responses", JsonBody(RESPONSE))
    provider.script("/resp_1", JsonBody(RESPONSE))
    async with worker(provider, valkey.url) as router:
        with router.scope(sensitive="payment") as scope:
            await scope.async_openai.responses.create(model="second", input="x")
    async with worker(provider, valkey.url) as router:
        with router.scope(sensitive="payment") as scope:
            got = await scope.async_openai.responses.retrieve("resp_1")
            assert scope.call_for(got).route == "two"
        with router.scope() as scope:
            with pytest.raises(FailClosed):
                await scope.async_openai.responses.retrieve("resp_1")
            with pytest.raises(FailClosed):
                await scope.async_openai.responses.create(model="first", input="x", previous_response_id="resp_1")
    async with worker(provider, "memory") as router:
        with router.scope() as scope, pytest.raises(NotRouted):
            await scope.async_openai.responses.retrieve("resp_1")
