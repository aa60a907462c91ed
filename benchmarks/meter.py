"""The measuring end: a process that makes calls when it is told to, and tells the CPU time that they took.

Only the standard library is imported here: a peer in an environment of its own measures itself by the same code.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["pin", "serve", "serve_async", "serve_threads"]

_WARM_UP = 100


def pin(core: int | None) -> None:
    """Keep this process on one core, where the operating system lets a process choose."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def serve(run: Callable[[int], None]) -> None:
    """Answer each line of stdin (a number of calls) with a line of JSON: CPU and wall seconds. Ends with stdin."""
    run(_WARM_UP)
    _say({"ready": True})
    for line in sys.stdin:
        calls = int(line)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        run(calls)
        _say({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall})


def serve_async(loop: asyncio.AbstractEventLoop, call: Callable[[], Awaitable[None]], at_once: int) -> None:
    """As :func:`serve`, by so many tasks of one loop."""

    async def work(calls: int) -> None:
        for _ in range(calls):
            await call()

    async def run(calls: int) -> None:
        await asyncio.gather(*(work(share) for share in _shares(calls, at_once)))

    serve(lambda calls: loop.run_until_complete(run(calls)))


def serve_threads(call: Callable[[], None], threads: int) -> None:
    """As :func:`serve`, by so many threads, which stay the same for all runs as those of a server do."""
    if threads == 1:
        serve(lambda calls: _repeat(call, calls))
        return
    with ThreadPoolExecutor(threads) as pool:

        def run(calls: int) -> None:
            for done in [pool.submit(_repeat, call, share) for share in _shares(calls, threads)]:
                done.result()

        serve(run)


def _repeat(call: Callable[[], None], times: int) -> None:
    for _ in range(times):
        call()


def _shares(calls: int, workers: int) -> list[int]:
    return [calls // workers + (worker < calls % workers) for worker in range(workers)]


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
