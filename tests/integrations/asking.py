"""What an app of a test asks, wherever it does so: the answers, or the names of the errors."""

from __future__ import annotations

from typing import Any

import openai

from integrations.asgi_stage import SECOND_TEXT, Stage, ask, ask_sync
from lanewise import NotInScope, current_scope

ANSWERED = SECOND_TEXT
"""By the provider that is not approved: the approved one is down."""
CLOSED = "FailClosed"


class Asker:
    """Makes calls in an app, and keeps how each of them ended."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.router = stage.router()
        self.ended: list[str] = []

    def forget(self) -> None:
        """Begin anew: what was asked until now is not what the test is about."""
        self.ended.clear()
        self.stage.second.reset()

    def sync(self, scope: Any = None) -> str:
        """One call, from a thread: in the current scope, or through a library's client, if none is given."""
        try:
            ended = ask_sync(scope or current_scope() or self.library())
        except (openai.OpenAIError, NotInScope) as error:
            ended = type(error).__name__
        self.ended.append(ended)
        return ended

    async def asynchronous(self, scope: Any = None) -> str:
        """The same, from a coroutine."""
        try:
            ended = await ask(scope or current_scope() or self.async_library())
        except (openai.OpenAIError, NotInScope) as error:
            ended = type(error).__name__
        self.ended.append(ended)
        return ended

    async def asynchronous_alone(self) -> str:
        """The same, as an endpoint that takes nothing."""
        return await self.asynchronous()

    def library(self) -> openai.OpenAI:
        """A client that is bound to no scope."""
        return openai.OpenAI(http_client=self.router.sync_http_client(), api_key="-", max_retries=0)

    def async_library(self) -> openai.AsyncOpenAI:
        """The same, for coroutines."""
        return openai.AsyncOpenAI(http_client=self.router.http_client(), api_key="-", max_retries=0)

    def check(self, *, covered: bool) -> None:
        """Whether all that was asked ended as it should, where a mark covers the endpoint or where none does."""
        assert self.ended, "nothing was asked"
        if covered:
            assert not self.stage.asked_of_second, self.ended
        else:
            assert {*self.ended} == {ANSWERED}
            assert self.stage.asked_of_second, "what is asked there is not known for this test's own"
