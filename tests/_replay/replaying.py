"""What the tests of replay share: workers over one store, and the ways to ask them the same thing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from busy_machine import LONG_ENOUGH
from lanewise import Router, Scope
from router.driving import Form, Got, Stage, ask, config

__all__ = ["asked_at_once", "header", "until_noted", "worker", "workers"]


def worker(stage: Stage, state: str, *, task: Mapping[str, object] | None = None, **router: object) -> Router:
    """A router whose answers are kept for an hour."""
    settings = {"state": state, "replay": "1h", "storage_key_env": "STORAGE_KEY", **router}
    return Router.from_mapping(config(stage, task=task, more={"router": settings}))


@asynccontextmanager
async def workers(
    stage: Stage, state: str, *, task: Mapping[str, object] | None = None, **router: object
) -> AsyncIterator[tuple[Router, Router]]:
    """Two workers over one store; over memory, one that is asked twice."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(worker(stage, state, task=task, **router))
        second = (
            first if state == "memory" else await stack.enter_async_context(worker(stage, state, task=task, **router))
        )
        yield first, second


async def asked_at_once(routers: list[Router], form: Form, **options: Any) -> list[Got]:
    """What each router makes of the same call, all asked at the same time."""
    got: list[Got] = []

    async def one(router: Router) -> None:
        got.append(await ask(router, form, **options))

    async with anyio.create_task_group() as group:
        for router in routers:
            group.start_soon(one, router)
    return got


def header(got: Got, name: str) -> str | None:
    """A header of a stream's reply."""
    value: str | None = got.reply.response.headers.get(name)
    return value


async def until_noted(scope: Scope) -> None:
    """Wait until the first call of a scope has something to tell: that it waits for another one."""
    with anyio.fail_after(LONG_ENOUGH):
        while not scope.calls or not scope.calls[0].notes:
            await anyio.sleep(0.01)
