"""``python -m benchmarks.brownout``: what is answered in a brown-out, beside the plain SDK with its own two retries.

Twelve cells over HTTP: each side has a provider of its own that fails alike, and the same calls a second. A cell fails
where routed calls are answered less often than plain ones by more than one percent and 2.6 standard errors.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import openai

from benchmarks.sides import MESSAGES
from lanewise import Router
from lanewise.testing import Answer, Behaviour, Cycle, FakeProvider, SlowHeaders, Status, StreamOf, TruncatedBody

TIMEOUT, DEADLINE = 2.0, 8.0
WORSE_BY, SIGMAS = 1.0, 2.6
DRAWN = 5000
"""Behaviours that are drawn, and then come round again."""

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Cell:
    """How the provider fails: a ``share`` of its answers, or all of them while it is ``down``: (seconds, of each so
    many)."""

    name: str
    fails: Behaviour
    share: float = 0.0
    down: tuple[float, float] | None = None
    rate: float = 12.0
    apps: int = 1
    form: str = "whole"
    lanes: tuple[str, ...] = ("primary",)


CELLS = (
    Cell("30 % of 503", Status(503), 0.3),
    Cell("50 % of 503", Status(503), 0.5),
    Cell("70 % of 503", Status(503), 0.7),
    Cell("50 % of 503, sensitive", Status(503), 0.5, form="sensitive"),
    Cell("50 % of 503, streams", Status(503), 0.5, form="stream"),
    Cell("50 % of 429, no Retry-After", Status(429), 0.5),
    Cell("50 % slow (8 s)", SlowHeaders(8.0, then=Answer()), 0.5),
    Cell("50 % cut short", TruncatedBody(), 0.5),
    Cell("three lanes, two providers alike", Status(503), 0.5, lanes=("primary", "equivalent", "degraded")),
    Cell("eight apps of 2 calls/s, 30 %", Status(503), 0.3, rate=2.0, apps=8),
    Cell("down 3 s of every 10", Status(503), down=(3.0, 10.0)),
    Cell("down 10 s of every 40", Status(503), down=(10.0, 40.0)),
)


def main() -> int:
    """Print the table; 1 if a cell does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.brownout", description=__doc__)
    parser.add_argument("--calls", type=int, default=480, help="calls of a cell, on each side")
    parser.add_argument("--at-once", type=int, default=2, help="cells that run at the same time")
    parser.add_argument("--only", help="the cells whose name has this in it")
    arguments = parser.parse_args()
    cells = [cell for cell in CELLS if arguments.only is None or arguments.only in cell.name]
    print(f"{'answered, percent':<36}{'routed':>8}{'plain':>8}{'holds':>8}   ({arguments.calls} calls a cell and side)")
    return asyncio.run(_all(cells, arguments.calls, arguments.at_once))


async def _all(cells: Sequence[Cell], calls: int, at_once: int) -> int:
    turns = asyncio.Semaphore(at_once)

    async def one(cell: Cell) -> bool:
        async with turns:
            ours, theirs = await asyncio.gather(_side(cell, calls, routed=True), _side(cell, calls, routed=False))
        share = min(max(theirs, 0.01), 0.99)
        error = math.sqrt(2 * share * (1 - share) / calls)
        holds = 100 * ours >= 100 * theirs - WORSE_BY - SIGMAS * 100 * error
        print(f"{cell.name:<36}{100 * ours:>8.1f}{100 * theirs:>8.1f}{'yes' if holds else 'NO':>8}", flush=True)
        return holds

    return 0 if all(await asyncio.gather(*(one(cell) for cell in cells))) else 1


async def _side(cell: Cell, calls: int, *, routed: bool) -> float:
    """The share of the calls that was answered."""
    providers = [FakeProvider() for _ in range(2 if len(cell.lanes) > 1 else 1)]
    for number, provider in enumerate(providers):
        await asyncio.to_thread(provider.start)
        _script(provider, cell, number)
    try:
        async with AsyncExitStack() as apps:
            made = [await _app(apps, cell, providers, routed=routed) for _ in range(cell.apps)]
            seconds = calls / (cell.rate * cell.apps)
            downs = asyncio.create_task(_go_down(providers, cell)) if cell.down else None
            found = await asyncio.gather(*(_calls(app, calls // cell.apps, seconds) for app in made))
            if downs is not None:
                downs.cancel()
    finally:
        for provider in providers:
            await asyncio.to_thread(provider.stop)
    return sum(map(sum, found)) / sum(map(len, found))


def _script(provider: FakeProvider, cell: Cell, number: int) -> None:
    well = StreamOf() if cell.form == "stream" else Answer()
    rng = random.Random(f"{cell.name} {number}")
    provider.script_all(Cycle([cell.fails if rng.random() < cell.share else well for _ in range(DRAWN)]))


async def _go_down(providers: Sequence[FakeProvider], cell: Cell) -> None:
    assert cell.down is not None
    seconds, every = cell.down
    while True:
        for behaviour, lasts in ((cell.fails, seconds), (Answer(), every - seconds)):
            for provider in providers:
                provider.script_all(behaviour)
            await asyncio.sleep(lasts)


async def _app(apps: AsyncExitStack, cell: Cell, providers: Sequence[FakeProvider], *, routed: bool) -> Call:
    """One app's call, which raises where it is not answered."""
    if not routed:
        client = openai.AsyncOpenAI(base_url=providers[0].base_url, api_key="key", timeout=TIMEOUT)
        apps.push_async_callback(client.close)
        return lambda: _ask(client, "m", stream=cell.form == "stream")
    router = await apps.enter_async_context(Router.from_mapping(_config(cell, providers)))

    async def call() -> None:
        with router.scope(sensitive="payment" if cell.form == "sensitive" else ()) as scope:
            await _ask(scope.async_openai, "task", stream=cell.form == "stream")

    return call


async def _ask(client: openai.AsyncOpenAI, model: str, *, stream: bool) -> None:
    if stream:
        async for _ in await client.chat.completions.create(model=model, messages=MESSAGES, stream=True):
            pass
    else:
        await client.chat.completions.create(model=model, messages=MESSAGES)


def _config(cell: Cell, providers: Sequence[FakeProvider]) -> dict[str, Any]:
    routes = [f"r{number}" for number in range(len(cell.lanes))]
    return {
        "providers": {f"p{n}": {"base_url": provider.base_url} for n, provider in enumerate(providers)},
        "routes": {
            route: {"provider": f"p{number % len(providers)}", "model": f"m{number}", "timeout": f"{TIMEOUT}s"}
            for number, route in enumerate(routes)
        },
        "tasks": {"task": {"deadline": f"{DEADLINE}s", **dict(zip(cell.lanes, routes, strict=True))}},
        "sensitive": {"payment": {"routes": routes}},
    }


async def _calls(call: Call, count: int, seconds: float) -> list[bool]:
    """Whether each was answered. They come at even times, so that both sides meet the same seconds."""

    async def one(number: int) -> bool:
        await asyncio.sleep(number * seconds / count)
        try:
            await call()
        except openai.OpenAIError:
            return False
        return True

    return list(await asyncio.gather(*(one(number) for number in range(count))))


if __name__ == "__main__":
    sys.exit(main())
