"""The sides of an outage, each in a process of its own: ``python -m benchmarks.outage_sides SIDE URL CALLS``.

Each call's seconds are printed as it ends. Nothing of the other side is imported: it may not be installed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

_MESSAGES: Any = [{"role": "user", "content": "Summarise the ticket."}]


async def _lanewise(url: str, calls: int) -> None:
    from lanewise import Router

    router = Router.from_mapping(
        {
            "providers": {"first": {"base_url": url}, "second": {"base_url": url}},
            "routes": {
                "first": {"provider": "first", "model": "first"},
                "second": {"provider": "second", "model": "second"},
            },
            "tasks": {"task": {"primary": "first", "equivalent": "second"}},
        }
    )

    async def call() -> None:
        with router.scope() as scope:
            await scope.async_openai.chat.completions.create(model="task", messages=_MESSAGES)

    async with router:
        await _repeated(call, calls)


async def _litellm(url: str, calls: int) -> None:
    import litellm  # type: ignore[import-not-found]

    litellm.suppress_debug_info = True
    params = {"api_base": url, "api_key": "key"}
    router = litellm.Router(
        model_list=[
            {"model_name": "task", "litellm_params": {**params, "model": "openai/first"}},
            {"model_name": "equivalent", "litellm_params": {**params, "model": "openai/second"}},
        ],
        fallbacks=[{"task": ["equivalent"]}],
    )
    await _repeated(lambda: router.acompletion(model="task", messages=_MESSAGES), calls)


async def _repeated(call: Callable[[], Awaitable[object]], times: int) -> None:
    for _ in range(times):
        started = time.perf_counter()
        try:
            await call()
        except Exception:  # noqa: BLE001 - of either library
            answered = False
        else:
            answered = True
        print(json.dumps({"s": time.perf_counter() - started, "answered": answered}), flush=True)


if __name__ == "__main__":
    side, url, calls = sys.argv[1:]
    asyncio.run({"lanewise": _lanewise, "litellm": _litellm}[side](url, int(calls)))
