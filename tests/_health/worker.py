"""A worker process of the tests: makes calls at a steady rate, and tells of each and of its breaker on its output."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from lanewise import Router, RoutingError
from lanewise._health.circuit_names import route_circuit
from lanewise.types import Api

CIRCUIT = route_circuit("first", Api.CHAT)


def say(**facts: Any) -> None:
    """One line for the test; ``at`` is the machine's monotonic clock, which all its processes share."""
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


async def call(router: Router) -> None:
    """One call, told."""
    started = time.monotonic()
    with router.scope() as scope:
        try:
            reply = await scope.async_openai.chat.completions.create(
                model="task", messages=[{"role": "user", "content": "Hi"}]
            )
        except RoutingError as error:
            say(error=type(error).__name__, took=time.monotonic() - started)
        else:
            record = scope.call_for(reply)
            tried = [attempt.route for attempt in record.attempts]
            say(route=record.route, tried=tried, took=time.monotonic() - started)


async def watch(router: Router) -> None:
    """Tell when this worker's breaker of the first route opens and closes."""
    health = router._engine.ready().health
    was_open = False
    while True:
        is_open = health.circuit(CIRCUIT).open_until is not None
        if is_open != was_open:
            say(open=is_open)
            was_open = is_open
        await asyncio.sleep(0.005)


async def work(config: dict[str, Any], interval: float) -> None:
    """Calls without end: the test ends the process."""
    async with Router.from_mapping(config) as router, asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(router))
        await call(router)
        say(worker=router._engine.ready().health.worker)
        due = time.monotonic()
        while True:
            due += interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.create_task(call(router))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(work(json.loads(sys.argv[1]), float(sys.argv[2])))
