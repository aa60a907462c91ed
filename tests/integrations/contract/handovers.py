"""Ways of passing on a client or the current scope, in which either could get lost."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from integrations.contract.actions import text_of, told, tried
from integrations.contract.harness import Answer, Ask
from lanewise import current_scope

__all__ = ["CLIENT_HANDOVERS", "CONTEXT_HANDOVERS", "by_context", "handed_over"]


async def _through_gather(ask: Ask) -> list[str]:
    client = ask.async_openai
    found = await asyncio.gather(*(text_of(client, ask.task) for _ in range(3)), return_exceptions=True)
    return told(found)


async def _in_tasks(ask: Ask) -> list[str]:
    tasks = [asyncio.create_task(text_of(ask.async_openai, ask.task)) for _ in range(2)]
    return told(await asyncio.gather(*tasks, return_exceptions=True))


async def _with_options(ask: Ask) -> list[str]:
    client = ask.async_openai.with_options(timeout=5, max_retries=3)
    return told(await asyncio.gather(text_of(client, ask.task), return_exceptions=True))


async def _copied(ask: Ask) -> list[str]:
    clients = (ask.async_openai.copy(), copy.copy(ask.async_openai))
    return told(await asyncio.gather(*(text_of(client, ask.task) for client in clients), return_exceptions=True))


async def _sync_copies(ask: Ask) -> list[str]:
    clients = (ask.openai.copy(), copy.copy(ask.openai), ask.openai.with_options(timeout=5))
    return await asyncio.to_thread(lambda: [tried(client, ask.task) for client in clients])


async def _in_a_thread(ask: Ask) -> list[str]:
    return await asyncio.to_thread(lambda: _in_bare_threads(ask))


async def _on_another_loop(ask: Ask) -> list[str]:
    def run() -> list[str]:
        return asyncio.run(_through_gather(ask))

    with ThreadPoolExecutor(1) as pool:
        return await asyncio.wrap_future(pool.submit(run))


def _in_bare_threads(ask: Ask) -> list[str]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: tried(ask.openai, ask.task), range(2)))


CLIENT_HANDOVERS: dict[str, Callable[[Ask], Awaitable[list[str]]]] = {
    "gather": _through_gather,
    "tasks": _in_tasks,
    "with_options": _with_options,
    "copies": _copied,
    "copies of the sync client": _sync_copies,
    "bare threads": _in_a_thread,
    "another loop": _on_another_loop,
}


async def handed_over(ask: Ask) -> Answer:
    """The client that was injected, used in the way that the caller names."""
    return {"outcomes": await CLIENT_HANDOVERS[ask.query["handover"]](ask)}


def _from_context() -> list[str]:
    scope = current_scope()
    return ["no scope"] if scope is None else [tried(scope.openai, "both")]


async def _context_in_thread(ask: Ask) -> list[str]:
    return await asyncio.to_thread(_from_context)  # copies the context


async def _context_wrapped(ask: Ask) -> list[str]:
    with ThreadPoolExecutor(1) as pool:  # an executor of one's own does not
        return await asyncio.wrap_future(pool.submit(ask.scope.wrap(_from_context)))


async def _context_lost(ask: Ask) -> list[str]:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.wrap_future(pool.submit(_from_context))


CONTEXT_HANDOVERS = {"to_thread": _context_in_thread, "wrap": _context_wrapped, "lost": _context_lost}


async def by_context(ask: Ask) -> Answer:
    """The current scope, found in the way that the caller names."""
    return {"outcomes": await CONTEXT_HANDOVERS[ask.query["handover"]](ask)}
