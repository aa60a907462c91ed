"""Reading a chat stream to its end, also one that breaks and starts over."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, overload

import msgspec

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

__all__ = ["Collected", "collect"]


class Collected(msgspec.Struct, frozen=True):
    """What a chat stream said, from its latest beginning on.

    ``finish_reason`` is the model's (``stop``, ``length``, ...), ``refusal`` its words where it refused, ``restarts``
    how often the answer began anew.
    """

    text: str
    finish_reason: str | None = None
    refusal: str | None = None
    restarts: int = 0


@overload
def collect(stream: Iterable[ChatCompletionChunk]) -> Collected: ...


@overload
def collect(stream: AsyncIterable[ChatCompletionChunk]) -> Coroutine[None, None, Collected]: ...


def collect(
    stream: Iterable[ChatCompletionChunk] | AsyncIterable[ChatCompletionChunk],
) -> Collected | Coroutine[None, None, Collected]:
    """Read a chat stream to its end: its first choice's text, without what came before a restart.

    A stream of ``openai.AsyncOpenAI`` is awaited. Raises what reading the stream raises (StreamBroken, say), and
    TypeError: it is no stream of chat completions.

    Example::

        stream = await scope.async_openai.chat.completions.create(
            model="chat", messages=messages, stream=True, extra_headers={"x-lanewise-on-break": "restart"})
        print((await lanewise.collect(stream)).text)
    """
    if isinstance(stream, AsyncIterable):
        return _collect_async(stream)
    reading = _Reading()
    for chunk in stream:
        reading.take(chunk)
    return reading.result()


async def _collect_async(stream: AsyncIterable[ChatCompletionChunk]) -> Collected:
    reading = _Reading()
    async for chunk in stream:
        reading.take(chunk)
    return reading.result()


class _Reading:
    """What has been said so far, since the latest beginning."""

    def __init__(self) -> None:
        self._restarts = 0
        self._begin()

    def _begin(self) -> None:
        self._said: list[str] = []
        self._refused: list[str] = []
        self._finish_reason: str | None = None

    def take(self, chunk: ChatCompletionChunk) -> None:
        choices = getattr(chunk, "choices", None)
        if choices is None:
            raise TypeError(
                "collect() reads streams of chat completions, as create(..., stream=True) gives them, and got "
                f"{type(chunk).__name__}. A stream of the Responses API ends with its whole text (response.completed)"
            )
        if getattr(chunk, "lanewise", None) is not None:
            self._restarts += 1
            self._begin()
        for choice in choices:
            if choice.index == 0:
                self._said.append(choice.delta.content or "")
                self._refused.append(choice.delta.refusal or "")
                self._finish_reason = choice.finish_reason or self._finish_reason

    def result(self) -> Collected:
        return Collected(
            "".join(self._said), self._finish_reason, "".join(self._refused) or None, restarts=self._restarts
        )
