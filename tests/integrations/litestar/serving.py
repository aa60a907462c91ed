"""Apps of Litestar with the plugin, and the handlers that most of their tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.response import Stream
from litestar.testing import TestClient

from integrations.asgi_stage import MESSAGES, Stage, ask
from lanewise import ConfigError, Router
from litestar_lanewise import LanewisePlugin, RequestScope, RoutedClient

__all__ = ["alone", "make", "serve", "start_refused", "streamed", "summary"]


def make(stage: Stage, *handlers: Any, router: Router | None = None, **options: Any) -> Litestar:
    """An app with the plugin. ``subject`` is the plugin's."""
    plugin = LanewisePlugin(router or stage.router(), subject=options.pop("subject", None))
    options.setdefault("openapi_config", None)
    options.setdefault("logging_config", None)
    return Litestar([*handlers], plugins=[plugin], **options)


def serve(stage: Stage, *handlers: Any, **options: Any) -> TestClient[Litestar]:
    """A client of such an app."""
    return TestClient(make(stage, *handlers, **options), raise_server_exceptions=False)


@contextmanager
def start_refused(message: str) -> Iterator[None]:
    """The start must fail with a ConfigError; Litestar's emitter of events puts it in a group."""
    with pytest.raises(ExceptionGroup) as raised:
        yield
    assert raised.group_contains(ConfigError, match=message)


@get("/summary")
async def summary(ai: RoutedClient) -> str:
    return await ask(ai)


@get("/alone")
async def alone(ai: RoutedClient) -> str:
    return await ask(ai, "alone")


@get("/streamed")
async def streamed(ai: RoutedClient, ai_scope: RequestScope) -> Stream:
    async def pieces() -> AsyncIterator[str]:
        reply = await ai.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
        async for chunk in reply:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return Stream(pieces(), media_type="text/plain")
