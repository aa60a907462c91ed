"""An app as a user writes one: served by uvicorn, and loaded by Litestar's command line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from litestar import Controller, Litestar, get
from litestar.response import Stream

from litestar_lanewise import LanewisePlugin, RoutedClient, RoutedSyncClient, sensitive

MESSAGES = [{"role": "user", "content": "canary-prompt"}]
CONFIG = Path(os.environ["DESK_CONFIG"])


@get("/summary")
async def summary(ai: RoutedClient) -> str | None:
    reply = await ai.chat.completions.create(model="summary", messages=MESSAGES)  # type: ignore[arg-type]
    return reply.choices[0].message.content


@get("/sync", sync_to_thread=True)
def in_a_thread(ai_sync: RoutedSyncClient) -> str | None:
    reply = ai_sync.chat.completions.create(model="summary", messages=MESSAGES)  # type: ignore[arg-type]
    return reply.choices[0].message.content


@get("/stream")
async def stream(ai: RoutedClient) -> Stream:
    async def pieces() -> AsyncIterator[str]:
        reply = await ai.chat.completions.create(model="summary", messages=MESSAGES, stream=True)  # type: ignore[call-overload]
        async for chunk in reply:
            yield "".join(choice.delta.content or "" for choice in chunk.choices)

    return Stream(pieces(), media_type="text/plain")


class Refunds(Controller):
    path = "/refunds"
    guards = [sensitive(os.environ.get("DESK_CATEGORY", "payment"))]

    @get()
    async def refund(self, ai: RoutedClient) -> str | None:
        reply = await ai.chat.completions.create(model="summary", messages=MESSAGES)  # type: ignore[arg-type]
        return reply.choices[0].message.content


app = Litestar([summary, in_a_thread, stream, Refunds], plugins=[LanewisePlugin(CONFIG)])
