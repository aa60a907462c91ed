"""What the contract suite says of an app without naming its framework: endpoints, what they do, and how to ask them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from typing import Any, ClassVar, get_type_hints
from urllib.parse import urlsplit

import openai

from understudy import Router, Scope
from understudy.web import Endpoint

__all__ = [
    "OWN_ANSWER",
    "USER_HEADER",
    "AppPlan",
    "Ask",
    "Deed",
    "Driver",
    "Form",
    "Later",
    "Placing",
    "Reply",
    "Spot",
    "Stream",
    "above",
    "get",
    "hanging",
    "in_background",
    "placed",
]

USER_HEADER = "X-User"
"""Who asks, for apps that tell understudy a subject."""
OWN_ANSWER = (418, "the app's own answer")
"""How an app's own handlers answer."""


class Form(StrEnum):
    """What an endpoint is, in the framework's code."""

    FUNCTION = "function"
    CLASS = "class"
    METHOD = "method"


class Placing(StrEnum):
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
Deed = Callable[[Ask], Answer] | Callable[[Ask], Awaitable[Answer]]
"""What an endpoint does: a function or a coroutine function, and its endpoint is the same."""


@dataclass(frozen=True)
class Spot:
    """An endpoint. ``path`` is within its group, ``url`` from the root."""

    path: str
    deed: Deed
    form: Form = Form.FUNCTION
    placing: Placing = Placing.BELOW
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
        return inspect.iscoroutinefunction(self.deed)

    @property
    def group_mark(self) -> str | None:
        """The mark on its group."""
        return self.category if self.placing is Placing.GROUP else None


@dataclass(frozen=True)
class AppPlan:
    """An app, as every driver can build it."""

    router: Router
    spots: Sequence[Spot]
    category: str | None = None
    with_subject: bool = False
    own_handlers: Sequence[type[Exception]] = ()
    installs: int = 1


@dataclass(frozen=True)
class Reply:
    """What came back: ``whole`` says that the answer ended as an answer ends."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    whole: bool = True

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The only value of a header, if there is one."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether it is an RFC 9457 problem."""
        return self.header("content-type") == "application/problem+json"


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


def placed(function: Any, spot: Spot, sensitive: Callable[[str], Any], standard: Callable[[Any], Any]) -> Any:
    """A function with the decorators that a spot has below the framework's own."""
    if spot.standard:
        return standard(function)
    category = spot.category
    mark = sensitive(category) if category is not None else lambda target: target
    match spot.placing:
        case Placing.BELOW:
            return mark(function)
        case Placing.UNDER_WRAPS:
            return careful(mark(function))
        case Placing.OVER_WRAPS:
            return mark(careful(function))
        case Placing.OVER_CARELESS:
            return mark(careless(function))
        case Placing.UNDER_CARELESS:
            return careless(mark(function))
        case _:
            return function


def above(registered: Any, spot: Spot, sensitive: Callable[[str], Any]) -> Any:
    """What a framework's decorator gave back, with the mark above it if the spot has it there."""
    if spot.placing is Placing.ABOVE and spot.category is not None:
        return sensitive(spot.category)(registered)
    return registered


def in_background(work: Callable[[], Any]) -> None:
    """Run work in a thread, a coroutine on a loop of its own: for frameworks without background tasks."""

    def run() -> None:
        if inspect.iscoroutinefunction(work):
            asyncio.run(work())
        else:
            work()

    threading.Thread(target=run, daemon=True).start()


# -- asking ------------------------------------------------------------------------------------------------------------


def get(
    address: str, path: str, headers: Sequence[tuple[str, str]] = (), *, body: bytes | None = None, timeout: float = 15
) -> Reply:
    """One GET, or a POST where there is a body, on a connection of its own. Paths and headers are sent as they are."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    with closing(connection):
        connection.putrequest("GET" if body is None else "POST", path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return _read(connection)


def _read(connection: HTTPConnection) -> Reply:
    try:
        response = connection.getresponse()
    except (HTTPException, ConnectionError):
        return Reply(0, whole=False)
    pieces: list[bytes] = []
    whole = True
    try:
        while piece := response.read1():
            pieces.append(piece)
    except (HTTPException, ConnectionError):
        whole = False
    chunked = response.getheader("transfer-encoding") == "chunked"
    whole = whole and (
        chunked or response.length == 0
    )  # without either, nothing would tell a cut answer from a whole one
    return Reply(response.status, tuple(response.getheaders()), b"".join(pieces), whole)


@dataclass
class hanging:
    """A caller who asks, may read a little, and hangs up at the end of the block."""

    address: str
    path: str
    body: bytes | None = None
    read: int = 0
    seen: bytes = field(default=b"", init=False)

    def __enter__(self) -> hanging:
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        method = "GET" if self.body is None else "POST"
        length = "" if self.body is None else f"Content-Length: {len(self.body)}\r\n"
        head = f"{method} {self.path} HTTP/1.1\r\nHost: app\r\n{length}\r\n"
        self._socket.sendall(head.encode() + (self.body or b""))
        while len(self.seen) < self.read:
            self.seen += self._socket.recv(65536)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
