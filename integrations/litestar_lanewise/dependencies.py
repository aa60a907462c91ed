"""What a handler may ask for: the request's routed clients and its scope. Litestar injects by the parameter's name."""

from __future__ import annotations

from litestar.di import NamedDependency, Provide
from litestar.exceptions import ImproperlyConfiguredException
from litestar.types import Scope as AsgiScope
from openai import AsyncOpenAI, OpenAI

from lanewise import Scope
from lanewise.web import SCOPE_KEY
from litestar_lanewise.marks import INSTALL

__all__ = ["RequestScope", "RoutedClient", "RoutedSyncClient", "providers"]

RoutedClient = NamedDependency[AsyncOpenAI]
"""The type of the parameter ``ai``: an ``openai.AsyncOpenAI`` that is bound to the request.

Where Litestar says at the start that this "explicit dependency" is not provided, LanewisePlugin is not installed, or
the parameter has another name than the plugin's ``dependency_key``.
"""

RoutedSyncClient = NamedDependency[OpenAI]
"""The type of the parameter ``ai_sync``: an ``openai.OpenAI`` that is bound to the request, for sync handlers."""

RequestScope = NamedDependency[Scope]
"""The type of the parameter ``ai_scope``: the request's scope."""


def providers(key: str) -> dict[str, Provide]:
    """The providers of ``key`` (the client), ``key_sync`` and ``key_scope``."""
    return {
        key: Provide(_async_client, sync_to_thread=False),
        f"{key}_sync": Provide(_sync_client, sync_to_thread=False),
        f"{key}_scope": Provide(_scope, sync_to_thread=False),
    }


# Litestar reads these signatures: the parameter's name and its type ask for the ASGI scope.
def _async_client(scope: AsgiScope) -> AsyncOpenAI:
    return _scope(scope).async_openai


def _sync_client(scope: AsgiScope) -> OpenAI:
    return _scope(scope).openai


def _scope(scope: AsgiScope) -> Scope:
    found = scope.get(SCOPE_KEY)
    if not isinstance(found, Scope):
        raise ImproperlyConfiguredException(INSTALL)
    return found
