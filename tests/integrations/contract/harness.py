"""What the contract suite says of an app without naming its framework: its endpoints, and what a driver is."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, get_type_hints

import openai

from integrations.contract.asking import Reply
from lanewise import Router, Scope
from lanewise.web import Endpoint

__all__ = [
    "OWN_ANSWER",
    "USER_HEADER",
    "Action",
    "AppPlan",
    "Ask",
    "Driver",
    "EndpointSpec",
    "Form",
    "Later",
    "Placement",
    "Stream",
    "above",
    "in_background",
    "placed",
]

USER_HEADER = "X-User"
"""Who asks, for apps that tell lanewise a subject."""
OWN_ANSWER = (418, "the app's own answer")
"""How an app's own handlers answer."""


class Form(StrEnum):
    """What an endpoint is, in the framework's code."""

    FUNCTION = "function"
    CLASS = "class"
    METHOD = "method"


class Placement(StrEnum):
    """Where the mark is put. Unmarked twins have the same decorators, without the mark."""

    BELOW = "below the framework's decorator"
    ABOVE = "above the framework's decorator"
    NATIVE = "in the framework's own words"
    UNDER_WRAPS = "below a foreign decorator"
    OVER_WRAPS = "above a foreign decorator"
    OVER_CARELESS = "above a foreign decorator without functools.wraps"
    UNDER_CARELESS = "below a foreign decorator without functools.wraps"
    GROUP = "on the group"
    PATH = "by a path rule"


@dataclass(frozen=True)
class Stream:
    """An answer in pieces."""

    pieces: Iterator[str] | AsyncIterator[str]


@dataclass(frozen=True)
class Later:
    """An answer at once, and work that is done when it has been sent."""

    answer: Mapping[str, object]
    work: Callable[[], Awaitable[None] | None]


@dataclass(frozen=True)
class Ask:
    """What an endpoint gets: the clients as its framework injects them, and what was asked."""

    scope: Scope
    openai: openai.OpenAI
    async_openai: openai.AsyncOpenAI
    query: Mapping[str, str]

    @property
    def task(self) -> str:
        """The task that the caller named."""
        return self.query.get("task", "both")


Answer = Mapping[str, object] | Stream | Later
Action = Callable[[Ask], Answer] | Callable[[Ask], Awaitable[Answer]]
"""What an endpoint does: a function or a coroutine function, and its endpoint is the same."""


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint. ``path`` is within its group, ``url`` from the root."""

    path: str
    action: Action
    form: Form = Form.FUNCTION
    placement: Placement = Placement.BELOW
    category: str | None = None
    group: str | None = None
    standard: bool = False

    @property
    def prefix(self) -> str:
        """Where the group lies."""
        return "" if self.group is None else f"/{self.group.replace(' ', '-')}-{self.category or 'open'}"

    @property
    def url(self) -> str:
        """The whole path."""
        return self.prefix + self.path

    @property
    def name(self) -> str:
        """A Python name."""
        return "".join(char if char.isalnum() else "_" for char in self.url.strip("/"))

    @property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        return inspect.iscoroutinefunction(self.action)

    @property
    def group_mark(self) -> str | None:
        """The mark on its group."""
        return self.category if self.placement is Placement.GROUP else None


@dataclass(frozen=True)
class AppPlan:
    """An app, as every driver can build it."""

    router: Router
    specs: Sequence[EndpointSpec]
    category: str | None = None
    with_subject: bool = False
    own_handlers: Sequence[type[Exception]] = ()
    installs: int = 1


class Driver:
    """One framework: builds apps from plans, serves them, and asks them without a server."""

    name: ClassVar[str]
    groups: ClassVar[tuple[str, ...]]
    """The kinds of groups that can be marked."""
    native: ClassVar[frozenset[Form]] = frozenset()
    """The forms whose endpoints can be marked in the framework's own words."""
    async_streams: ClassVar[bool] = True
    opens_router: ClassVar[bool] = True
    """Whether the app opens and closes its router, as its server starts and ends it."""

    def app(self, plan: AppPlan) -> Any:
        """The app by a plan."""
        raise NotImplementedError

    def serving(self, app: Any) -> AbstractContextManager[str]:
        """The app behind a real server on loopback; gives its address."""
        raise NotImplementedError

    def start(self, app: Any) -> None:
        """Start the app as its server would, and end it again. Raises what the start raises."""
        raise NotImplementedError

    def direct(self, app: Any, path: str, headers: Sequence[tuple[bytes, bytes]] = (), root_path: str = "") -> Reply:
        """One GET without a server, which would refuse some of what is sent here."""
        raise NotImplementedError

    def endpoints(self, app: Any) -> list[Endpoint]:
        """The endpoints as the adapter lists them."""
        raise NotImplementedError

    def assert_declared(self, app: Any) -> None:
        """The adapter's assertion for the app's own tests."""
        raise NotImplementedError


# -- decorators that others wrote --------------------------------------------------------------------------------------


def careful(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as it should be written."""
    return functools.wraps(function)(_around(function))


def careless(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides what it decorates: frameworks still see what it asks for, or they could not call it."""
    inner = _around(function)
    inner.__name__ = function.__name__
    inner.__annotations__ = get_type_hints(function, include_extras=True)
    inner.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return inner


def _around(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        async def around_async(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return around_async

    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


def placed(function: Any, spec: EndpointSpec, sensitive: Callable[[str], Any], standard: Callable[[Any], Any]) -> Any:
    """A function with the decorators that a spec has below the framework's own."""
    if spec.standard:
        return standard(function)
    category = spec.category
    mark = sensitive(category) if category is not None else lambda target: target
    match spec.placement:
        case Placement.BELOW:
            return mark(function)
        case Placement.UNDER_WRAPS:
            return careful(mark(function))
        case Placement.OVER_WRAPS:
            return mark(careful(function))
        case Placement.OVER_CARELESS:
            return mark(careless(function))
        case Placement.UNDER_CARELESS:
            return careless(mark(function))
        case _:
            return function


def above(registered: Any, spec: EndpointSpec, sensitive: Callable[[str], Any]) -> Any:
    """What a framework's decorator gave back, with the mark above it if the spec has it there."""
    if spec.placement is Placement.ABOVE and spec.category is not None:
        return sensitive(spec.category)(registered)
    return registered


def in_background(work: Callable[[], Any]) -> None:
    """Run work in a thread, a coroutine on a loop of its own: for frameworks without background tasks."""

    def run() -> None:
        if inspect.iscoroutinefunction(work):
            asyncio.run(work())
        else:
            work()

    threading.Thread(target=run, daemon=True).start()
