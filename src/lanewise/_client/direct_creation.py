"""The ``create()`` of a scope's clients for plain JSON: from the app's arguments straight to the engine.

The SDK's own goes through all arguments by their types, message by message, to make JSON of what is none: a third of
what is left of a call. What is JSON already comes out as it is, so it is written at once; all else, and each answer out
of the ordinary, is the SDK's own ``create()``'s.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import openai
from openai.resources.chat import AsyncChat, Chat
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses

from lanewise._client.direct_requests import UNREAD, BoundResource, DirectRequests
from lanewise._compat.openai_sdk import Creation

__all__ = ["BoundAsyncChat", "BoundAsyncResponses", "BoundChat", "BoundResponses", "with_direct_creation"]

_R = TypeVar("_R")


class BoundAsyncCompletions(AsyncCompletions):
    """The SDK's, with ``create()`` straight to the engine where that comes to the same."""

    @functools.wraps(AsyncCompletions.create)
    def create(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        found = None if arguments else _direct(self, AsyncCompletions, openai.AsyncOpenAI, keywords)
        if found is None:
            return super().create(*arguments, **keywords)
        return _created(self, AsyncCompletions, found, keywords)


class BoundAsyncResponses(AsyncResponses):
    """The SDK's, with ``create()`` straight to the engine where that comes to the same."""

    @functools.wraps(AsyncResponses.create)
    async def create(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        found = None if arguments else _direct(self, AsyncResponses, openai.AsyncOpenAI, keywords)
        if found is None:
            return await super().create(*arguments, **keywords)
        return await _created(self, AsyncResponses, found, keywords)


class BoundCompletions(Completions):
    """The SDK's, with ``create()`` straight to the engine where that comes to the same."""

    @functools.wraps(Completions.create)
    def create(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        found = None if arguments else _direct(self, Completions, openai.OpenAI, keywords)
        if found is None:
            return super().create(*arguments, **keywords)
        return _created_in_thread(self, Completions, found, keywords)


class BoundResponses(Responses):
    """The SDK's, with ``create()`` straight to the engine where that comes to the same."""

    @functools.wraps(Responses.create)
    def create(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        found = None if arguments else _direct(self, Responses, openai.OpenAI, keywords)
        if found is None:
            return super().create(*arguments, **keywords)
        return _created_in_thread(self, Responses, found, keywords)


def with_direct_creation(resource: _R) -> _R:
    """A resource of the SDK's with the direct ``create()``; what is not the SDK's own stays as it is: a mock in its
    place is what the app asked for."""
    bound = _BOUND.get(type(resource))
    if bound is not None:
        resource.__class__ = bound
    return resource


class BoundAsyncChat(AsyncChat):
    """The SDK's, with the bound ``completions``."""

    completions = BoundResource(with_direct_creation)


class BoundChat(Chat):
    """The SDK's, with the bound ``completions``."""

    completions = BoundResource(with_direct_creation)


_BOUND: Final[Mapping[type, type]] = {
    AsyncChat: BoundAsyncChat,
    AsyncCompletions: BoundAsyncCompletions,
    AsyncResponses: BoundAsyncResponses,
    Chat: BoundChat,
    Completions: BoundCompletions,
    Responses: BoundResponses,
}


_Direct = tuple[DirectRequests, Creation]


def _direct(resource: Any, kind: type, of_client: type, keywords: dict[str, Any]) -> _Direct | None:
    """By what a ``create()`` with these arguments may be answered; ``None``: it is the SDK's own that is called."""
    client = resource._client
    direct: DirectRequests | None = client._lanewise_direct
    if direct is None or type(client) is not client._lanewise_kind:
        return None
    found = direct.creations
    creation = found[kind] if kind in found else direct.learn_creation(kind, of_client)
    if creation is None or not creation.is_as_found(resource):
        return None
    return (direct, creation) if creation.required <= keywords.keys() <= creation.takes else None


async def _created(resource: Any, kind: Any, found: _Direct, keywords: dict[str, Any]) -> Any:
    direct, creation = found
    client = resource._client
    routed = direct.created_request(client, creation, keywords)
    if routed is None:
        return await kind.create(resource, **keywords)
    started = time.perf_counter()
    reply = await direct.gateway.ask(routed, client._lanewise_scope)
    model = direct.model_of(reply, creation.model)
    if model is not UNREAD:
        return model
    return await kind(_answered(client, reply, None, started)).create(**keywords)


def _created_in_thread(resource: Any, kind: Any, found: _Direct, keywords: dict[str, Any]) -> Any:
    direct, creation = found
    client = resource._client
    routed = direct.created_request(client, creation, keywords)
    if routed is None:
        return kind.create(resource, **keywords)
    started = time.perf_counter()
    reply, read = direct.gateway.ask_sync(routed, client._lanewise_scope)
    model = direct.model_of(reply, creation.model)
    if model is not UNREAD:
        return model
    return kind(_answered(client, reply, read, started)).create(**keywords)


def _answered(client: Any, *reply: object) -> Any:
    """A twin of a client, whose next request is answered with what has come already."""
    twin = client.__class__.__new__(client.__class__)
    twin.__dict__.update(client.__dict__)
    twin._lanewise_reply = reply
    return twin
