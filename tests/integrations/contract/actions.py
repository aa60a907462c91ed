"""What the endpoints of the contract suite do, and the board on which work in the background leaves its outcome."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import openai

from integrations.contract.harness import Answer, Ask, Later, Stream
from lanewise import Scope, current_scope
from lanewise.scope import state_of
from lanewise.web import mark_and_wrap, sensitivity

__all__ = ["BOARD", "PROMPT", "Board"]

PROMPT = "canary-prompt: my card is 4111"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
log = logging.getLogger("the app")


class Board:
    """Outcomes by request id, written by endpoints and read by tests."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: dict[str, str] = {}

    def put(self, request_id: str, outcome: str) -> None:
        """Leave an outcome."""
        with self._changed:
            self._outcomes[request_id] = outcome
            self._changed.notify_all()

    def take(self, request_id: str, timeout: float = 10) -> str:
        """Wait for an outcome, and take it off."""
        with self._changed:
            assert self._changed.wait_for(lambda: request_id in self._outcomes, timeout), f"{request_id} had no outcome"
            return self._outcomes.pop(request_id)


BOARD = Board()


# -- one call, in all the ways an endpoint can make it -----------------------------------------------------------------


async def text_of(client: openai.AsyncOpenAI, task: str) -> str:
    """The answer to one call."""
    reply = await client.chat.completions.create(model=task, messages=MESSAGES)
    return reply.choices[0].message.content or ""


def text_of_sync(client: openai.OpenAI, task: str) -> str:
    """The answer to one call."""
    return client.chat.completions.create(model=task, messages=MESSAGES).choices[0].message.content or ""


def tried(client: openai.OpenAI, task: str) -> str:
    """The answer to one call, or the name of its error."""
    try:
        return text_of_sync(client, task)
    except openai.OpenAIError as error:
        return type(error).__name__


def told(found: list[str | BaseException]) -> list[str]:
    """What was gathered: answers, and the names of errors."""
    return [each if isinstance(each, str) else type(each).__name__ for each in found]


async def whole(ask: Ask) -> Answer:
    """Ask, and answer."""
    reply = await ask.async_openai.chat.completions.create(model=ask.task, messages=MESSAGES)
    return {"text": reply.choices[0].message.content, "route": ask.scope.call_for(reply).route}


def whole_sync(ask: Ask) -> Answer:
    """Ask, and answer."""
    reply = ask.openai.chat.completions.create(model=ask.task, messages=MESSAGES)
    return {"text": reply.choices[0].message.content, "route": ask.scope.call_for(reply).route}


async def streamed(ask: Ask) -> Answer:
    """Open the stream in the endpoint, and hand its pieces on."""
    stream = await ask.async_openai.chat.completions.create(model=ask.task, messages=MESSAGES, stream=True)

    async def pieces() -> AsyncIterator[str]:
        async for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""

    return Stream(pieces())


def streamed_sync(ask: Ask) -> Answer:
    """Open the stream in the endpoint, and hand its pieces on."""
    return Stream(_pieces(ask.openai.chat.completions.create(model=ask.task, messages=MESSAGES, stream=True)))


async def streamed_late(ask: Ask) -> Answer:
    """Open the stream only when the answer is under way already."""

    async def pieces() -> AsyncIterator[str]:
        stream = await ask.async_openai.chat.completions.create(model=ask.task, messages=MESSAGES, stream=True)
        async for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""

    return Stream(pieces())


def streamed_late_sync(ask: Ask) -> Answer:
    """Open the stream only when the answer is under way already."""

    def pieces() -> Iterator[str]:
        yield from _pieces(ask.openai.chat.completions.create(model=ask.task, messages=MESSAGES, stream=True))

    return Stream(pieces())


async def streamed_from_async_view(ask: Ask) -> Answer:
    """A coroutine function whose pieces come from the synchronous client: what WSGI can stream."""
    return streamed_late_sync(ask)


def _pieces(stream: Any) -> Iterator[str]:
    for chunk in stream:
        for choice in chunk.choices:
            yield choice.delta.content or ""


async def later(ask: Ask) -> Answer:
    """Answer at once, and ask in the background."""

    async def work() -> None:
        await _noted_async(ask, lambda: text_of(ask.async_openai, ask.task))

    return Later({"accepted": True}, work)


def later_sync(ask: Ask) -> Answer:
    """Answer at once, and ask in the background."""
    return Later({"accepted": True}, lambda: _noted(ask, lambda: text_of_sync(ask.openai, ask.task)))


async def _noted_async(ask: Ask, work: Callable[[], Awaitable[str]]) -> None:
    try:
        BOARD.put(ask.scope.request_id, await work())
    except openai.OpenAIError as error:
        BOARD.put(ask.scope.request_id, type(error).__name__)


def _noted(ask: Ask, work: Callable[[], str]) -> None:
    try:
        BOARD.put(ask.scope.request_id, work())
    except openai.OpenAIError as error:
        BOARD.put(ask.scope.request_id, type(error).__name__)


# -- others ------------------------------------------------------------------------------------------------------------


async def quiet(ask: Ask) -> Answer:
    """No AI at all: what the app knows of the request."""
    log.info("quiet in %s", threading.current_thread().name)
    return {
        "request_id": ask.scope.request_id,
        "sensitive": sorted(ask.scope.sensitive),
        "refusal": state_of(ask.scope).refusal,
    }


def quiet_sync(ask: Ask) -> Answer:
    """No AI at all: what the app knows of the request."""
    log.info("quiet in %s", threading.current_thread().name)
    return {
        "request_id": ask.scope.request_id,
        "sensitive": sorted(ask.scope.sensitive),
        "refusal": state_of(ask.scope).refusal,
    }


def types(ask: Ask) -> Answer:
    """What was injected."""
    found = (ask.async_openai, ask.openai, ask.scope)
    right = [
        isinstance(each, kind) for each, kind in zip(found, (openai.AsyncOpenAI, openai.OpenAI, Scope), strict=True)
    ]
    return {"right": right, "is_current": current_scope() is ask.scope}


async def twice(ask: Ask) -> Answer:
    """The same call twice."""
    return {"texts": [await text_of(ask.async_openai, ask.task) for _ in range(2)]}


async def raised_between(ask: Ask) -> Answer:
    """A call, then something sensitive, which should have been marked at the endpoint."""
    first = await text_of(ask.async_openai, ask.task)
    with sensitivity("payment"):
        inside = told(await asyncio.gather(text_of(ask.async_openai, ask.task), return_exceptions=True))
    after = told(await asyncio.gather(text_of(ask.async_openai, ask.task), return_exceptions=True))
    return {"outcomes": [first, *inside, *after]}


async def raised_before(ask: Ask) -> Answer:
    """Something sensitive before the first call; afterwards the scope stays so."""
    with sensitivity("payment"):
        pass
    return {"outcomes": told(await asyncio.gather(text_of(ask.async_openai, ask.task), return_exceptions=True))}


async def marked_inside(ask: Ask) -> Answer:
    """An endpoint without a mark that calls functions with one: their wrapper alone speaks for them."""
    inner = mark_and_wrap(text_of, "payment")
    outcomes = told(await asyncio.gather(inner(ask.async_openai, ask.task), return_exceptions=True))
    return {"outcomes": outcomes, "sensitive": sorted(ask.scope.sensitive)}


def marked_inside_sync(ask: Ask) -> Answer:
    """An endpoint without a mark that calls functions with one: their wrapper alone speaks for them."""
    outcome = mark_and_wrap(tried, "payment")(ask.openai, ask.task)
    return {"outcomes": [outcome], "sensitive": sorted(ask.scope.sensitive)}


async def own_mistake(ask: Ask) -> Answer:
    """A task that there is not."""
    return {"text": await text_of(ask.async_openai, "no-such-task")}


async def boom(ask: Ask) -> Answer:
    """An error that has nothing to do with AI."""
    raise ZeroDivisionError("the app's own")


async def survives(ask: Ask) -> Answer:
    """The answer is wanted, whoever has gone."""
    ask.scope.survive_hang_up()
    await _noted_async(ask, lambda: text_of(ask.async_openai, ask.task))
    return {}
