"""Memory: it stays flat over thousands of calls, half of them failing over."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc

import pytest

from lanewise import Router
from lanewise.testing import Answer, Cycle, FakeProviderProcess, Status

AT_ONCE = 8
GROWTH = 2_000_000
"""Bytes that the traced calls may leave behind, all together."""


def _router(provider: FakeProviderProcess) -> Router:
    return Router.from_mapping(
        {
            "providers": {"first": {"base_url": provider.base_url}, "second": {"base_url": provider.base_url}},
            "routes": {
                "flagship": {"provider": "first", "model": "flagship-1"},
                "sonnet": {"provider": "second", "model": "sonnet-1"},
            },
            "tasks": {"summary": {"primary": "flagship", "equivalent": "sonnet"}},
        }
    )


async def _make_calls(router: Router, first: int, count: int) -> int:
    """Make calls with a scope each, as an app's requests do; how many of them left their first lane."""
    numbers = iter(range(first, first + count))
    moved = 0

    async def work() -> None:
        nonlocal moved
        for number in numbers:
            with router.scope(request_id=f"request-{number:09}", subject=f"user-{number % 100}") as scope:
                reply = await scope.async_openai.chat.completions.create(
                    model="summary", messages=[{"role": "user", "content": f"Summarise ticket {number}."}]
                )
                moved += scope.call_for(reply).route == "sonnet"

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return moved


async def _growth(*, untraced: int, traced: int) -> tuple[int, int]:
    """Bytes that ``traced`` calls leave behind once ``untraced`` ones have filled what fills; and the calls moved.

    Only what was allocated after the first ones is counted, so what takes their place counts in full.
    """
    with FakeProviderProcess() as provider:
        provider.script("flagship-1", Cycle((Answer(), Status(405))))  # says nothing of the route's health
        async with _router(provider) as router:
            await _make_calls(router, 0, untraced)
            gc.collect()
            tracemalloc.start()
            try:
                moved = await _make_calls(router, untraced, traced)
                gc.collect()
                return tracemalloc.get_traced_memory()[0], moved
            finally:
                tracemalloc.stop()


@pytest.mark.anyio
@pytest.mark.timeout(180)  # what is traced is slow, and the machine may be busy
async def test_a_few_thousand_calls_leave_no_memory_behind(caplog: pytest.LogCaptureFixture) -> None:
    """After the first 500 calls another 1,500 leave less than 400 bytes each, where the record of one takes thousands.

    A process that has run other tests has noise of its own: a fixed part, whatever the number of calls.
    """
    caplog.set_level(logging.CRITICAL, "lanewise")  # else pytest would keep a line a call
    growth, moved = await _growth(untraced=500, traced=1500)
    assert moved == 750
    assert growth < 400 * 1500


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.anyio
async def test_memory_is_flat_over_forty_thousand_calls(caplog: pytest.LogCaptureFixture) -> None:
    """After the first 2,000 calls another 38,000 leave less than 2 MB behind, all together."""
    caplog.set_level(logging.CRITICAL, "lanewise")
    growth, moved = await _growth(untraced=2000, traced=38_000)
    assert moved == 19_000
    assert growth < GROWTH
