"""What the tests of routing share: two fake providers, the config over them, and one way to ask in all four forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import openai

from lanewise import Call, Failure, Router, Scope
from lanewise._routing.plan import Plan
from lanewise.testing import FakeProvider, Received
from lanewise.types import Move, Send, Wait

__all__ = [
    "FIRST_KEY",
    "FIRST_MODEL",
    "FORMS",
    "MESSAGES",
    "PROMPT",
    "REQUEST_ID",
    "SECOND_KEY",
    "SECOND_MODEL",
    "STREAMS",
    "WHOLE",
    "Form",
    "Got",
    "Spy",
    "Stage",
    "ask",
    "ask_in",
    "config",
    "routes_of",
    "sends_of",
    "using",
    "waits_of",
]

FIRST_MODEL, SECOND_MODEL = "model-one", "model-two"
FIRST_KEY, SECOND_KEY = "canary-key-of-the-first", "canary-key-of-the-second"
PROMPT = "canary-prompt: where is my parcel?"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
REQUEST_ID = "req-2026-000042"


@dataclass(frozen=True)
class Form:
    """How the app asks: by which client, and whether for a stream."""

    client: Literal["async", "sync"]
    stream: bool = False

    def __str__(self) -> str:
        return f"{self.client}-{'stream' if self.stream else 'whole'}"


FORMS = (Form("async"), Form("async", stream=True), Form("sync"), Form("sync", stream=True))
WHOLE = tuple(form for form in FORMS if not form.stream)
STREAMS = tuple(form for form in FORMS if form.stream)


@dataclass(frozen=True)
class Stage:
    """Two providers: ``first`` has the primary route, ``second`` the equivalent one."""

    first: FakeProvider
    second: FakeProvider

    def received(self) -> list[Received]:
        """What either got, in order."""
        return sorted([*self.first.journal, *self.second.journal], key=lambda received: received.at)


def config(
    stage: Stage,
    *,
    first: Mapping[str, object] | None = None,
    second: Mapping[str, object] | None = None,
    task: Mapping[str, object] | None = None,
    first_provider: Mapping[str, object] | None = None,
    more: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """A config with the tasks ``both`` (the first route, then the second) and ``alone`` (the first route only)."""
    providers = {
        "first-provider": {"base_url": stage.first.base_url, "api_key_env": "FIRST_KEY", **(first_provider or {})},
        "second-provider": {"base_url": stage.second.base_url, "api_key_env": "SECOND_KEY"},
    }
    routes = {
        "first": {"provider": "first-provider", "model": FIRST_MODEL, **(first or {})},
        "second": {"provider": "second-provider", "model": SECOND_MODEL, **(second or {})},
    }
    tasks = {
        "both": {"deadline": "10s", "primary": "first", "equivalent": "second", **(task or {})},
        "alone": {"deadline": "10s", "primary": "first"},
    }
    return {"providers": providers, "routes": routes, "tasks": tasks, **(more or {})}


@dataclass
class Got:
    """What the app saw of one call."""

    scope: Scope
    text: str = ""
    roles: list[str] = field(default_factory=list)
    chunks: list[Any] = field(default_factory=list)
    reply: Any = None
    error: openai.OpenAIError | None = None

    @property
    def call(self) -> Call:
        """The call's record."""
        return self.scope.calls[-1]

    @property
    def routes(self) -> list[str]:
        """The routes of its attempts, in order."""
        return routes_of(self.call)


async def ask(router: Router, form: Form, task: str = "both", *, subject: str | None = None, **options: Any) -> Got:
    """One chat call in a scope of its own, in the form; what the app would have to catch is in the result."""
    return await ask_in(router.scope(request_id=REQUEST_ID, subject=subject), form, task, **options)


async def ask_in(scope: Scope, form: Form, task: str = "both", **options: Any) -> Got:
    """As :func:`ask`, in a scope that is there already."""
    got = Got(scope)
    options = {"model": task, "messages": MESSAGES, **options}
    if form.client == "sync":
        await anyio.to_thread.run_sync(_ask_sync, got, form, options)
    else:
        await _ask_async(got, form, options)
    return got


async def using(scope: Scope, client: str, use: Callable[[Any], Any]) -> Any:
    """What ``use`` makes of the scope's client: of the asynchronous one, or in a thread of the synchronous one."""
    if client == "sync":
        return await anyio.to_thread.run_sync(use, scope.openai)
    return await use(scope.async_openai)


async def _ask_async(got: Got, form: Form, options: dict[str, Any]) -> None:
    create = got.scope.async_openai.chat.completions.create
    try:
        if form.stream:
            got.reply = await create(**options, stream=True)
            async for chunk in got.reply:
                _note(got, chunk)
        else:
            got.reply = await create(**options)
            got.text = got.reply.choices[0].message.content
    except openai.OpenAIError as error:
        got.error = error


def _ask_sync(got: Got, form: Form, options: dict[str, Any]) -> None:
    create = got.scope.openai.chat.completions.create
    try:
        if form.stream:
            got.reply = create(**options, stream=True)
            for chunk in got.reply:
                _note(got, chunk)
        else:
            got.reply = create(**options)
            got.text = got.reply.choices[0].message.content
    except openai.OpenAIError as error:
        got.error = error


def _note(got: Got, chunk: Any) -> None:
    got.chunks.append(chunk)
    for choice in chunk.choices:
        got.text += choice.delta.content or ""
        if choice.delta.role:
            got.roles.append(choice.delta.role)


def routes_of(call: Call) -> list[str]:
    """The routes of a call's attempts, in order."""
    return [attempt.route for attempt in call.attempts]


def waits_of(call: Call) -> list[float]:
    """The waits of a call, in seconds."""
    return [move.seconds for _, move in call.moves if isinstance(move, Wait)]


def sends_of(call: Call) -> list[Send]:
    """The attempts that the plan asked for."""
    return [move for _, move in call.moves if isinstance(move, Send)]


class Spy(Plan):
    """A plan that notes the failures that it is told of: a row of the table shows in nothing else in full."""

    seen: Sequence[Failure] = ()

    def failed(
        self,
        failure: Failure,
        now: float,
        jitter: float,
        *,
        droppable: bool = False,
        transformed: bool = False,
        repairable: bool = False,
    ) -> Move:
        type(self).seen = (*type(self).seen, failure)
        return super().failed(failure, now, jitter, droppable=droppable, transformed=transformed, repairable=repairable)
