"""What makes an endpoint, or a group of them, sensitive: one object for functions, classes and FastAPI dependencies."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, MutableMapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast, overload

from starlette.endpoints import WebSocketEndpoint
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Send

from lanewise import Scope
from lanewise.web import SCOPE_KEY, Marks, find_marks, mark_and_wrap, sensitivity

__all__ = [
    "INSTALL",
    "Checked",
    "Sensitive",
    "SensitiveMiddleware",
    "dependencies_marks",
    "is_routed",
    "marks_of",
    "marks_on",
    "sensitive",
]

INSTALL: Final = (
    "LanewiseMiddleware is not installed: add Middleware(LanewiseMiddleware, router=router) to the app's "
    "middleware, or call app.add_middleware(LanewiseMiddleware, router=router)"
)

_SOCKET_METHODS: Final = ("on_connect", "on_receive", "on_disconnect")
_DEPTH: Final = 32
"""How deep dependencies of dependencies are followed."""

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., object])


class Checked(NamedTuple):
    """What the check of an app's endpoints found: the marks that hold for all of them, and those that nothing raises.

    The latter are on functions that were marked when a route had them already: they must be looked up by the endpoint.
    """

    group: frozenset[str] = frozenset()
    looked_up: frozenset[str] = frozenset()


class _Dependant(Protocol):
    """What FastAPI knows of a dependency, as far as it is looked at here."""

    call: Callable[..., object] | None

    @property
    def dependencies(self) -> Iterable[_Dependant]: ...


class _Depends(Protocol):
    @property
    def dependency(self) -> Callable[..., object] | None: ...


class Sensitive:
    """Marks with a category: a decorator of endpoints, and a dependency of FastAPI. Made by :func:`sensitive`."""

    def __init__(self, category: str) -> None:
        self.category = category

    def __repr__(self) -> str:
        return f"sensitive({self.category!r})"

    @overload
    def __call__(self, target: HTTPConnection) -> Awaitable[None]: ...

    @overload
    def __call__(self, target: _Endpoint) -> _Endpoint: ...

    def __call__(self, target: HTTPConnection | _Endpoint) -> Awaitable[None] | _Endpoint:
        """Mark an endpoint; or, for FastAPI, raise the sensitivity of the request that is being served.

        Raises TypeError: neither a function nor a class that dispatches. RuntimeError: the middleware is missing.
        """
        if not isinstance(target, HTTPConnection):
            return mark_and_wrap(target, self.category)
        scope = target.scope.get(SCOPE_KEY)
        if not isinstance(scope, Scope):
            raise RuntimeError(f"{self!r} can't hold here. {INSTALL}")
        scope.raise_sensitivity(self.category)
        return _DONE


class _Done:
    """What FastAPI awaits once the sensitivity is raised already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE: Final = _Done()

# FastAPI reads of a dependency what it asks for, and whether it must be given a thread: this one waits for nothing.
_parameter = inspect.Parameter("target", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
Sensitive.__signature__ = inspect.Signature([_parameter])  # type: ignore[attr-defined]
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(Sensitive.__call__)
else:
    from asyncio import coroutines

    Sensitive.__call__._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]


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
        self.category = category

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


def marks_of(asgi: MutableMapping[str, Any]) -> frozenset[str] | None:
    """The marks of the endpoint that a request was routed to; ``None`` while it is not routed, or has none.

    The second net, under the wrapper and the dependencies that raise the sensitivity when they run: it also holds for
    calls that are made before those.
    """
    app_marks = dependencies_marks(getattr(getattr(asgi.get("app"), "router", None), "dependencies", ()))
    endpoint = asgi.get("endpoint")
    if endpoint is None:
        return app_marks or None
    marks = marks_on(endpoint, asgi.get("method"))
    found = marks.categories | app_marks | _route_marks(asgi)
    return found if found or marks.declared else None


def is_routed(asgi: MutableMapping[str, Any]) -> bool:
    """Whether the endpoint of a request is known: not before the routing, nor where a middleware copied the scope."""
    endpoint = asgi.get("endpoint")
    for _ in range(_DEPTH):
        if endpoint is None or hasattr(endpoint, "routes"):  # an app that is mounted: its own routing is to come
            return False
        endpoint = getattr(endpoint, "app", None)
        if endpoint is None:
            break
    return True


def marks_on(endpoint: object, method: str | None) -> Marks:
    """The marks on an endpoint itself; of a class, those on the method that answers count as well."""
    if getattr(endpoint, "__hash__", None) is None:
        return _find(endpoint, method)
    return _find_once(endpoint, method)


def _find(endpoint: object, method: str | None) -> Marks:
    if not (inspect.isclass(endpoint) and issubclass(endpoint, WebSocketEndpoint)):
        return find_marks(endpoint, method)
    found = [find_marks(endpoint, name) for name in _SOCKET_METHODS]
    return Marks(
        frozenset().union(*(marks.visible for marks in found)), frozenset().union(*(marks.hidden for marks in found))
    )


_find_once = functools.lru_cache(maxsize=4096)(_find)


def _route_marks(asgi: MutableMapping[str, Any]) -> frozenset[str]:
    """The marks among the dependencies of a FastAPI route, and of the routers that it was included through."""
    route = asgi.get("route")
    found = dependant_marks(getattr(route, "dependant", None))
    context = asgi.get("fastapi", {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is route:
        found |= dependant_marks(getattr(context, "dependant", None))
    return found


def dependant_marks(dependant: object) -> frozenset[str]:
    """The marks in a FastAPI route's tree of dependencies."""
    return frozenset(_in_tree(cast("_Dependant", dependant), _DEPTH)) if dependant is not None else frozenset()


def _in_tree(dependant: _Dependant, depth: int) -> Iterator[str]:
    if isinstance(dependant.call, Sensitive):
        yield dependant.call.category
    if depth:
        for inner in dependant.dependencies:
            yield from _in_tree(inner, depth - 1)


def dependencies_marks(dependencies: Iterable[_Depends]) -> frozenset[str]:
    """The marks in the ``dependencies=[...]`` of a FastAPI app or router."""
    return frozenset(each.dependency.category for each in dependencies if isinstance(each.dependency, Sensitive))
