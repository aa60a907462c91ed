"""What makes an endpoint, or a group of them, sensitive: one object for functions, classes and FastAPI dependencies."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final, TypeVar, overload

from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Send

from lanewise import Scope
from lanewise.web import (
    DONE,
    SCOPE_KEY,
    Marks,
    SensitiveMark,
    category_of,
    find_marks,
    makes_marks,
    mark_and_wrap,
    misplaced,
    sensitivity,
)

__all__ = [
    "INSTALL",
    "Sensitive",
    "SensitiveMiddleware",
    "dependant_marks",
    "dependencies_marks",
    "marks_on",
    "misuse_among",
    "misuse_in_dependencies",
    "misuse_in_entries",
    "sensitive",
]

INSTALL: Final = (
    "LanewiseMiddleware is not installed: add Middleware(LanewiseMiddleware, router=router) to the app's "
    "middleware, or call app.add_middleware(LanewiseMiddleware, router=router)"
)

_SOCKET_METHODS: Final = ("on_connect", "on_receive", "on_disconnect")
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., object])
_Function = TypeVar("_Function", bound=Callable[..., object])


class Sensitive(SensitiveMark):
    """Marks with a category: a decorator of endpoints, and a dependency of FastAPI. Made by :func:`sensitive`."""

    @property
    def dependency(self) -> None:
        """What FastAPI asks of each of ``dependencies=[...]``. Raises TypeError: ``Depends`` was forgotten."""
        raise TypeError(f"{self!r} is among the dependencies as it is: write Depends({self!r})")

    @overload
    def __call__(self, target: HTTPConnection) -> Awaitable[None]: ...

    @overload
    def __call__(self, target: _Endpoint) -> _Endpoint: ...

    def __call__(self, target: HTTPConnection | _Endpoint) -> Awaitable[None] | _Endpoint:
        """Mark an endpoint; or, for FastAPI, raise the sensitivity of the request that is being served.

        Raises TypeError: neither a function nor a class that dispatches. RuntimeError: the middleware is missing.
        """
        self.is_used = True
        if not isinstance(target, HTTPConnection):
            if hasattr(target, "routes") or isinstance(target, BaseRoute | Middleware):
                raise TypeError(
                    f"{self!r} marks functions and classes. An app, a router or a mount is marked by "
                    f"Middleware(SensitiveMiddleware, {self.category!r})"
                )
            return mark_and_wrap(target, self.category)
        self.raise_in(target.scope, INSTALL)
        return DONE


# FastAPI reads of a dependency what it asks for, and whether it must be given a thread: this one waits for nothing.
_parameter = inspect.Parameter("target", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
Sensitive.__signature__ = inspect.Signature([_parameter])  # type: ignore[attr-defined]
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(Sensitive.__call__)
else:
    from asyncio import coroutines

    Sensitive.__call__._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]


@makes_marks
def sensitive(category: str) -> Sensitive:
    """Say that an endpoint is sensitive: its calls are answered by the category's approved routes, or not at all.

    For functions, ``HTTPEndpoint`` and ``WebSocketEndpoint`` classes and their methods, above or below other
    decorators; and for ``dependencies=[Depends(sensitive("payment"))]`` of FastAPI's routes, routers and apps. Marks
    add up, and nothing takes one away.

    Example::

        @sensitive("payment")
        async def refund(request): ...
    """
    return Sensitive(category)


class SensitiveMiddleware:
    """Makes all that lies inside sensitive: a route, a mount, or any ASGI app.

    Example::

        Mount("/payments", app=payments, middleware=[Middleware(SensitiveMiddleware, "payment")])
    """

    def __init__(self, app: ASGIApp, category: str) -> None:
        self.app = app
        self.category = category_of(category)

    async def __call__(self, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve, with the sensitivity of the request raised."""
        if asgi["type"] not in ("http", "websocket"):
            await self.app(asgi, receive, send)
            return
        scope = asgi.get(SCOPE_KEY)
        if isinstance(scope, Scope):
            scope.raise_sensitivity(self.category)
        with sensitivity(self.category):  # also for the scope of a middleware that lies further inside
            await self.app(asgi, receive, send)


def marks_on(endpoint: object, method: str | None) -> Marks:
    """The marks on an endpoint itself; of a class, those on the method that answers count as well."""
    is_socket = inspect.isclass(endpoint) and issubclass(endpoint, WebSocketEndpoint)
    return find_marks(endpoint, *(_SOCKET_METHODS if is_socket else (method,)))


# -- FastAPI's dependencies --------------------------------------------------------------------------------------------


def dependant_marks(dependant: object) -> frozenset[str]:
    """The marks in a FastAPI route's tree of dependencies: a dependency may be marked like an endpoint, too."""
    return frozenset[str]().union(*(_marks_of_dependency(call) for call in _calls(dependant)))


def dependencies_marks(dependencies: Iterable[object]) -> frozenset[str]:
    """The marks in the ``dependencies=[...]`` of a FastAPI app or router."""
    calls = (getattr(each, "dependency", None) for each in dependencies)
    return frozenset[str]().union(*(_marks_of_dependency(call) for call in calls))


def gives_client(dependency: _Function) -> _Function:
    """Note of a FastAPI dependency that it gives a routed client, or the scope that has both."""
    dependency.__lanewise_client__ = True  # type: ignore[attr-defined]
    return dependency


def asks_for_client(dependant: object) -> bool:
    """Whether a FastAPI route, or what it depends on, asks for a routed client or the scope."""
    return any(getattr(call, "__lanewise_client__", False) for call in _calls(dependant))


def _marks_of_dependency(call: object) -> frozenset[str]:
    if isinstance(call, Sensitive):
        return frozenset((call.category,))
    return frozenset() if call is None else find_marks(call).categories


def _calls(dependant: object) -> Iterator[object]:
    """The functions in a tree of dependencies, that of the route itself left out."""
    seen: set[int] = set()
    waiting = list(getattr(dependant, "dependencies", ()))
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each.call
            waiting += each.dependencies


# -- misuse ------------------------------------------------------------------------------------------------------------


def misuse_in_dependencies(dependant: object) -> str | None:
    """What is wrong with the marks among a route's dependencies, if something is."""
    return next((misuse for call in _calls(dependant) if (misuse := _misuse_of(call)) is not None), None)


def misuse_among(dependencies: Iterable[object]) -> str | None:
    """What is wrong with the marks in the ``dependencies=[...]`` of an app or router, if something is."""
    for each in dependencies:
        if isinstance(each, Sensitive):
            return f"{each!r} is among its dependencies as it is: write Depends({each!r})"
        misuse = _misuse_of(getattr(each, "dependency", None))
        if misuse is not None:
            return misuse
    return None


def misuse_in_entries(owner: object) -> str | None:
    """What is wrong with an app's middleware or error handlers, where one of them is a mark."""
    for entry in getattr(owner, "user_middleware", ()):
        for argument in (entry.cls, *entry.args, *entry.kwargs.values()):
            misuse = None if argument is SensitiveMiddleware else misplaced(argument, "middleware")
            if misuse is not None:
                return f"{misuse}. All of an app is marked by Middleware(SensitiveMiddleware, ...)"
    handlers = getattr(owner, "exception_handlers", None) or {}
    return next((misuse for each in handlers.values() if (misuse := misplaced(each, "an error handler"))), None)


def _misuse_of(call: object) -> str | None:
    if isinstance(call, Sensitive):
        return None
    named = call
    while isinstance(named, functools.partial):
        named = named.func
    if named in (sensitive, Sensitive, SensitiveMiddleware):
        return 'a dependency marks it with no category: write Depends(sensitive("payment"))'
    return misplaced(call, "a dependency")
