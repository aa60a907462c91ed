"""The sides that are measured, each in a process of its own: ``python -m benchmarks.sides NAME URL AT_ONCE CORE``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import openai
from openai.types.chat import ChatCompletionMessageParam

from benchmarks.meter import pin, serve_async, serve_threads
from lanewise import Router

__all__ = ["MESSAGES", "SIDES"]

MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You summarise support tickets in two sentences, in the language of the ticket."},
    {"role": "user", "content": "The invoice of October was charged twice, and nobody answers the telephone. " * 6},
]


def routed(url: str, at_once: int) -> None:
    """A routed call, with the scope that an adapter opens for each request."""
    loop = asyncio.new_event_loop()
    router = _router(url)
    loop.run_until_complete(router.__aenter__())

    async def call() -> None:
        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            await scope.async_openai.chat.completions.create(model="task", messages=MESSAGES, temperature=0.2)

    serve_async(loop, call, at_once)
    loop.run_until_complete(router.__aexit__(None, None, None))


def plain(url: str, at_once: int) -> None:
    """The SDK as it comes, one client for all calls."""
    _unrouted(openai.AsyncOpenAI(base_url=url, api_key="key"), at_once)


def plain_aiohttp(url: str, at_once: int) -> None:
    """The SDK over its own aiohttp transport, one client for all calls."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    _unrouted(openai.AsyncOpenAI(base_url=url, api_key="key", http_client=openai.DefaultAioHttpClient()), at_once, loop)


def routed_stream(url: str, at_once: int) -> None:
    """A routed stream, read to its end."""
    loop = asyncio.new_event_loop()
    router = _router(url)
    loop.run_until_complete(router.__aenter__())

    async def call() -> None:
        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            client = scope.async_openai
            async for _ in await client.chat.completions.create(model="task", messages=MESSAGES, stream=True):
                pass

    serve_async(loop, call, at_once)
    loop.run_until_complete(router.__aexit__(None, None, None))


def plain_stream(url: str, at_once: int) -> None:
    """A stream of the SDK as it comes."""
    loop = asyncio.new_event_loop()
    client = openai.AsyncOpenAI(base_url=url, api_key="key")

    async def call() -> None:
        async for _ in await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
            pass

    serve_async(loop, call, at_once)
    loop.run_until_complete(client.close())


def routed_sync(url: str, threads: int) -> None:
    """A routed call of synchronous code, through the portal."""
    with _router(url) as router:

        def call() -> None:
            with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
                scope.openai.chat.completions.create(model="task", messages=MESSAGES, temperature=0.2)

        serve_threads(call, threads)


def plain_sync(url: str, threads: int) -> None:
    """The synchronous SDK as it comes, one client for all threads."""
    with openai.OpenAI(base_url=url, api_key="key") as client:

        def call() -> None:
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2)

        serve_threads(call, threads)


SIDES: dict[str, Callable[[str, int], None]] = {
    side.__name__: side for side in (routed, plain, plain_aiohttp, routed_stream, plain_stream, routed_sync, plain_sync)
}


def _unrouted(client: openai.AsyncOpenAI, at_once: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
    loop = loop or asyncio.new_event_loop()

    async def call() -> None:
        await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2)

    serve_async(loop, call, at_once)
    loop.run_until_complete(client.close())


def _router(url: str) -> Router:
    """A task as apps have them: two providers, two lanes. The first route answers."""
    return Router.from_mapping(
        {
            "providers": {"first": {"base_url": url}, "second": {"base_url": url}},
            "routes": {
                "flagship": {"provider": "first", "model": "gpt-4o"},
                "sonnet": {"provider": "second", "model": "gpt-4o-mini"},
            },
            "tasks": {"task": {"primary": "flagship", "equivalent": "sonnet"}},
        }
    )


if __name__ == "__main__":
    name, url, at_once, core = sys.argv[1:]
    pin(int(core) if core else None)
    SIDES[name](url, int(at_once))
