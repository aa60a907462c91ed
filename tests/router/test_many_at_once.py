"""A thousand slow calls at once, and a thousand readers that are slow: all are served, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lanewise import Router
from lanewise.testing import FakeProviderProcess, SlowHeaders, StreamOf
from router.driving import MESSAGES

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

MANY = 1000


def config(provider: FakeProviderProcess) -> dict[str, Any]:
    return {
        "providers": {"one": {"base_url": provider.base_url}},
        "routes": {"only": {"provider": "one", "model": "m", "timeout": "60s"}},
        "tasks": {"task": {"primary": "only", "deadline": "120s"}},
    }


async def test_a_thousand_slow_calls_at_once_are_answered() -> None:
    """Each takes three seconds of the provider's; together they take hardly longer than the machine needs."""
    with FakeProviderProcess() as provider:
        provider.script_all(SlowHeaders(3.0))
        async with Router.from_mapping(config(provider)) as router:

            async def one() -> str | None:
                with router.scope() as scope:
                    reply = await scope.async_openai.chat.completions.create(model="task", messages=MESSAGES)
                    assert len(scope.call_for(reply).attempts) == 1
                    return reply.choices[0].message.content

            began = time.monotonic()
            got = await asyncio.gather(*(one() for _ in range(MANY)))
    assert got == ["Hello from m"] * MANY
    assert time.monotonic() - began < 60


async def test_readers_that_are_slow_get_their_streams_whole() -> None:
    """Two hundred at a time, which rest between chunks for longer than a stall may last."""
    with FakeProviderProcess() as provider:
        provider.script_all(StreamOf(chunks=["piece "] * 200))
        mapping = config(provider)
        mapping["routes"]["only"]["stall"] = "500ms"
        async with Router.from_mapping(mapping) as router:

            async def one() -> int:
                pieces = 0
                with router.scope() as scope:
                    stream = await scope.async_openai.chat.completions.create(
                        model="task", messages=MESSAGES, stream=True
                    )
                    async for chunk in stream:
                        pieces += bool(chunk.choices and chunk.choices[0].delta.content)
                        if pieces in (1, 100):
                            await asyncio.sleep(1.5)
                return pieces

            assert await asyncio.gather(*(one() for _ in range(200))) == [200] * 200
