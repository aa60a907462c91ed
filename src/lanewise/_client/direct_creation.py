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

__all__ = ["BoundAsyncChat", "BoundAsyncResponses", "BoundChat", "BoundResponses", "with_short_way"]

_R = TypeVar("_R")


class BoundAsyncCompletions(AsyncCompletions):
    """As the SDK's."""

    @functools.wraps(AsyncCompletions.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        way = None if arguments else _way(self, AsyncCompletions, openai.AsyncOpenAI, given)
        if way is None:
            return super().create(*arguments, **given)
        return _created(self, AsyncCompletions, way, given)


class BoundAsyncResponses(AsyncResponses):
    """As the SDK's."""

    @functools.wraps(AsyncResponses.create)
    async def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        way = None if arguments else _way(self, AsyncResponses, openai.AsyncOpenAI, given)
        if way is None:
            return await super().create(*arguments, **given)
        return await _created(self, AsyncResponses, way, given)


class BoundCompletions(Completions):
    """As the SDK's."""

    @functools.wraps(Completions.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        way = None if arguments else _way(self, Completions, openai.OpenAI, given)
        if way is None:
            return super().create(*arguments, **given)
        return _created_in_thread(self, Completions, way, given)


class BoundResponses(Responses):
    """As the SDK's."""

    @functools.wraps(Responses.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        way = None if arguments else _way(self, Responses, openai.OpenAI, given)
        if way is None:
            return super().create(*arguments, **given)
        return _created_in_thread(self, Responses, way, given)


def with_short_way(resource: _R) -> _R:
    """A resource as the SDK has it on a client, by the short way from now on; what is not the SDK's own as it is: a
    mock in its place is what the app asked for."""
    bound = _BOUND.get(type(resource))
    if bound is not None:
        resource.__class__ = bound
    return resource


class BoundAsyncChat(AsyncChat):
    """As the SDK's."""

    completions = BoundResource(with_short_way)


class BoundChat(Chat):
    """As the SDK's."""

    completions = BoundResource(with_short_way)


_BOUND: Final[Mapping[type, type]] = {
    AsyncChat: BoundAsyncChat,
    AsyncCompletions: BoundAsyncCompletions,
    AsyncResponses: BoundAsyncResponses,
    Chat: BoundChat,
    Completions: BoundCompletions,
    Responses: BoundResponses,
}


_Way = tuple[DirectRequests, Creation]


def _way(resource: Any, kind: type, of_client: type, given: dict[str, Any]) -> _Way | None:
    """By what a ``create()`` with these arguments may be answered; ``None``: it is the SDK's own that is called."""
    client = resource._client
    direct: DirectRequests | None = client._lanewise_direct
    if direct is None or type(client) is not client._lanewise_kind:
        return None
    found = direct.creations
    creation = found[kind] if kind in found else direct.learn_creation(kind, of_client)
    if creation is None or not creation.is_as_found(resource):
        return None
    return (direct, creation) if creation.required <= given.keys() <= creation.takes else None


async def _created(resource: Any, kind: Any, way: _Way, given: dict[str, Any]) -> Any:
    direct, creation = way
    client = resource._client
    routed = direct.created_request(client, creation, given)
    if routed is None:
        return await kind.create(resource, **given)
    started = time.perf_counter()
    reply = await direct.gateway.ask(routed, client._lanewise_scope)
    model = direct.model_of(reply, creation.model)
    if model is not UNREAD:
        return model
    return await kind(_answered(client, reply, None, started)).create(**given)


def _created_in_thread(resource: Any, kind: Any, way: _Way, given: dict[str, Any]) -> Any:
    direct, creation = way
    client = resource._client
    routed = direct.created_request(client, creation, given)
    if routed is None:
        return kind.create(resource, **given)
    started = time.perf_counter()
    reply, read = direct.gateway.ask_sync(routed, client._lanewise_scope)
    model = direct.model_of(reply, creation.model)
    if model is not UNREAD:
        return model
    return kind(_answered(client, reply, read, started)).create(**given)


def _answered(client: Any, *reply: object) -> Any:
    """A twin of a client, whose next request is answered with what has come already."""
    twin = client.__class__.__new__(client.__class__)
    twin.__dict__.update(client.__dict__)
    twin._lanewise_reply = reply
    return twin
