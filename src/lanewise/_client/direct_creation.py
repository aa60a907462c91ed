"""The ``create()`` of a scope's clients for plain JSON: from the app's arguments straight to the engine.

The SDK's own goes through all arguments by their types, message by message, to make JSON of what is none: a third of
what is left of a call. What is JSON already comes out as it is, so it is written at once; all else, and each answer out
of the ordinary, is the SDK's own ``create()``'s.
"""

from __future__ import annotations

import functools
import time
from functools import cached_property
from typing import Any, NamedTuple

import openai
from openai.resources.chat import AsyncChat, Chat
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses

from lanewise._client.direct_requests import UNREAD, DirectRequests
from lanewise._runtime.messages import RoutedRequest

__all__ = ["BoundAsyncChat", "BoundAsyncResponses", "BoundChat", "BoundResponses"]


class _Asked(NamedTuple):
    direct: DirectRequests
    routed: RoutedRequest
    model: object


class BoundAsyncCompletions(AsyncCompletions):
    """As the SDK's."""

    @functools.wraps(AsyncCompletions.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        asked = _asked(self._client, AsyncCompletions, openai.AsyncOpenAI, arguments, given)
        if asked is None:
            return super().create(*arguments, **given)
        return _answer(self._client, asked, AsyncCompletions, given)


class BoundAsyncResponses(AsyncResponses):
    """As the SDK's."""

    @functools.wraps(AsyncResponses.create)
    async def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        asked = _asked(self._client, AsyncResponses, openai.AsyncOpenAI, arguments, given)
        if asked is None:
            return await super().create(*arguments, **given)
        return await _answer(self._client, asked, AsyncResponses, given)


class BoundCompletions(Completions):
    """As the SDK's."""

    @functools.wraps(Completions.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        asked = _asked(self._client, Completions, openai.OpenAI, arguments, given)
        if asked is None:
            return super().create(*arguments, **given)
        return _answer_sync(self._client, asked, Completions, given)


class BoundResponses(Responses):
    """As the SDK's."""

    @functools.wraps(Responses.create)
    def create(self, *arguments: Any, **given: Any) -> Any:  # type: ignore[override]
        asked = _asked(self._client, Responses, openai.OpenAI, arguments, given)
        if asked is None:
            return super().create(*arguments, **given)
        return _answer_sync(self._client, asked, Responses, given)


class BoundAsyncChat(AsyncChat):
    """As the SDK's."""

    @cached_property
    def completions(self) -> AsyncCompletions:
        return BoundAsyncCompletions(self._client)


class BoundChat(Chat):
    """As the SDK's."""

    @cached_property
    def completions(self) -> Completions:
        return BoundCompletions(self._client)


def _asked(
    client: Any, resource: type, of_client: type, arguments: tuple[Any, ...], given: dict[str, Any]
) -> _Asked | None:
    """What a ``create()`` asks of the engine; ``None``: it is left to the SDK's own."""
    direct: DirectRequests | None = client._lanewise_direct
    if arguments or direct is None or type(client) is not client._lanewise_kind:
        return None
    found = direct.creations
    creation = found[resource] if resource in found else direct.learn_creation(resource, of_client)
    routed = None if creation is None else direct.created_request(client, creation, given)
    return None if creation is None or routed is None else _Asked(direct, routed, creation.model)


async def _answer(client: Any, asked: _Asked, resource: Any, given: dict[str, Any]) -> Any:
    started = time.perf_counter()
    reply = await asked.direct.gateway.ask(asked.routed, client._lanewise_scope)
    model = asked.direct.model_of(reply, asked.model)
    if model is not UNREAD:
        return model
    return await resource(_with(client, reply, None, started)).create(**given)


def _answer_sync(client: Any, asked: _Asked, resource: Any, given: dict[str, Any]) -> Any:
    started = time.perf_counter()
    reply, read = asked.direct.gateway.ask_sync(asked.routed, client._lanewise_scope)
    model = asked.direct.model_of(reply, asked.model)
    if model is not UNREAD:
        return model
    return resource(_with(client, reply, read, started)).create(**given)


def _with(client: Any, *reply: object) -> Any:
    """A twin of a client, whose next request is answered with what has come already."""
    twin = client.__class__.__new__(client.__class__)
    twin.__dict__.update(client.__dict__)
    twin._lanewise_reply = reply
    return twin
