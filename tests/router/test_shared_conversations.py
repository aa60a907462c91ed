"""Conversations over several workers with one store: a failover is paid once by all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from lanewise import Router
from lanewise._runtime.shared_pins import STREAM
from lanewise.testing import Status
from real_valkey import Valkey
from router.driving import FIRST_MODEL, MESSAGES, Form, Stage, ask, config
from shared_store import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

pytestmark = pytest.mark.anyio

ASYNC = Form("async")


def worker(stage: Stage, state: str, select: str = "order") -> Router:
    """A router that keeps conversations together, and tells the others by the store."""
    task = {"sticky": "conversation", "select": select, "retries": {"outage": 0}}
    mapping: Any = config(stage, task=task, more={"router": {"state": state, "health": {"breakers": False}}})
    return Router.from_mapping(mapping)


async def route_of(router: Router, name: str) -> str | None:
    """Where a conversation goes on."""
    return (await ask(router, ASYNC, messages=[{"role": "user", "content": name}])).call.route


async def until_told(store: Valkey, count: int) -> None:
    async with asyncio.timeout(LONG_ENOUGH):
        with store.client() as client:
            while client.xlen(STREAM) < count:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("select", ["order", "weight"])
async def test_a_conversation_goes_on_where_another_worker_moved_it(select: str, stage: Stage, valkey: Valkey) -> None:
    """Soon after a failover in one worker, the others go there too, and so does one that starts later."""
    async with worker(stage, valkey.url, select) as one, worker(stage, valkey.url, select) as two:
        homes = {name: await route_of(two, name) for name in ("a", "b", "c", "d")}
        name = next(name for name, home in homes.items() if home == "first")
        stage.first.script(FIRST_MODEL, Status(529))
        assert await route_of(one, name) == "second"
        stage.first.reset()
        await until_told(valkey, 1)
        async with asyncio.timeout(LONG_ENOUGH):
            while await route_of(two, name) != "second":
                await asyncio.sleep(0.05)
        async with worker(stage, valkey.url, select) as late:
            await route_of(late, "something else")
            async with asyncio.timeout(LONG_ENOUGH):
                while await route_of(late, name) != "second":
                    await asyncio.sleep(0.05)
    stored = valkey.everything()
    assert MESSAGES[0]["content"].encode() not in stored
    assert b"something else" not in stored


async def test_without_the_store_each_worker_goes_by_what_it_knows(stage: Stage, valkey: Valkey) -> None:
    """And a stream under that name that nobody wrote is read past."""
    with valkey.client() as client:
        for fields in ({"x": "y"}, {"pin": "p", "route": "first"}, {"pin": "f" * 32, "route": ""}):
            client.xadd(STREAM, fields)
    async with worker(stage, valkey.url) as router:
        assert await route_of(router, "one") == "first"
    with valkey.client() as client:
        client.delete(STREAM)
        client.set(STREAM, "not a stream")
    async with worker(stage, valkey.url) as router:
        assert await route_of(router, "one") == "first"
        stage.first.script(FIRST_MODEL, Status(529))
        assert await route_of(router, "one") == "second"
        assert await route_of(router, "one") == "second"
    valkey.clear()
