"""For FastAPI: the clients and the scope of the request, as dependencies."""

from __future__ import annotations

try:
    from fastapi import Depends
except ImportError as error:
    raise ImportError("starlette_lanewise.fastapi needs FastAPI: pip install 'lanewise[fastapi]'") from error

from typing import Annotated

from openai import AsyncOpenAI, OpenAI
from starlette.requests import HTTPConnection

from lanewise import Scope
from lanewise.web import SCOPE_KEY, standard
from starlette_lanewise import (
    LanewiseMiddleware,
    SensitiveMiddleware,
    assert_endpoints_declared,
    lifespan,
    sensitive,
)
from starlette_lanewise.marks import INSTALL, gives_client
from starlette_lanewise.openapi import describe

__all__ = [
    "LanewiseMiddleware",
    "RequestScope",
    "RoutedClient",
    "RoutedSyncClient",
    "SensitiveMiddleware",
    "assert_endpoints_declared",
    "describe",
    "lifespan",
    "sensitive",
    "standard",
]


@gives_client
async def request_scope(connection: HTTPConnection) -> Scope:
    """The scope of the request or WebSocket. Raises RuntimeError: the middleware is missing."""
    scope = connection.scope.get(SCOPE_KEY)
    if not isinstance(scope, Scope):
        raise RuntimeError(INSTALL)
    return scope


@gives_client
async def routed_client(connection: HTTPConnection) -> AsyncOpenAI:
    """The request's ``openai.AsyncOpenAI``. Raises RuntimeError: the middleware is missing."""
    return (await request_scope(connection)).async_openai


@gives_client
async def routed_sync_client(connection: HTTPConnection) -> OpenAI:
    """The request's ``openai.OpenAI``. Raises RuntimeError: the middleware is missing."""
    return (await request_scope(connection)).openai


RequestScope = Annotated[Scope, Depends(request_scope)]
"""The scope of the request: its calls, its id, both of its clients."""
RoutedClient = Annotated[AsyncOpenAI, Depends(routed_client)]
"""An ``openai.AsyncOpenAI`` that is bound to the request."""
RoutedSyncClient = Annotated[OpenAI, Depends(routed_sync_client)]
"""An ``openai.OpenAI`` that is bound to the request, for endpoints that are no coroutines."""
