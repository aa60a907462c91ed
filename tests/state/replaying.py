"""What the tests of replay share: workers over one store, and the ways to ask them the same thing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from routing.driving import Form, Got, Stage, ask, config
from understudy import Router

__all__ = ["asked_at_once", "header", "settled", "worker", "workers"]


def worker(stage: Stage, state: str, **router: object) -> Router:
    """A router whose answers are kept for an hour."""
    settings = {"state": state, "replay": "1h", "storage_key_env": "STORAGE_KEY", **router}
    return Router.from_mapping(config(stage, more={"router": settings}))


@asynccontextmanager
async def workers(stage: Stage, state: str, **router: object) -> AsyncIterator[tuple[Router, Router]]:
    """Two workers over one store; over memory, one that is asked twice."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(worker(stage, state, **router))
        second = first if state == "memory" else await stack.enter_async_context(worker(stage, state, **router))
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


async def settled(got: Got) -> None:
    """Let a stream come to its very end."""
    if hasattr(got.reply, "close"):
        closing = got.reply.close()
        if closing is not None:
            await closing
