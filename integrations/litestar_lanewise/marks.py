"""What makes a handler, or a group of them, sensitive: one object that is a guard and a decorator."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast, overload

from litestar.connection import ASGIConnection
from litestar.controller import Controller
from litestar.handlers import BaseRouteHandler, WebsocketListener
from litestar.router import Router
from litestar.utils.sync import AsyncCallable

from lanewise.web import DONE, SensitiveMark, makes_marks, mark, mark_and_wrap, misplaced

__all__ = ["INSTALL", "Sensitive", "misuse_of_guard", "sensitive"]

INSTALL: Final = "LanewisePlugin is not installed: Litestar(..., plugins=[LanewisePlugin(router)])"

_Connection = ASGIConnection[Any, Any, Any, Any]
_Marked = TypeVar("_Marked", bound=Callable[..., object])


class Sensitive(SensitiveMark):
    """Marks with a category: a guard on any layer, and a decorator. Made by :func:`sensitive`."""

    def __init__(self, category: str) -> None:
        super().__init__(category)
        # Litestar asks this attribute whether the guard is async; one that isn't would get a thread
        vars(self)["__call__"] = self._guard

    @overload
    def __call__(self, target: _Connection, handler: BaseRouteHandler) -> Awaitable[None]: ...

    @overload
    def __call__(self, target: _Marked, handler: None = None) -> _Marked: ...

    def __call__(
        self, target: _Connection | _Marked, handler: BaseRouteHandler | None = None
    ) -> Awaitable[None] | _Marked:
        """As a guard, raise the sensitivity of the request; as a decorator, mark what is decorated.

        Raises TypeError: nothing that can be marked. RuntimeError: the plugin is missing.
        """
        self.is_used = True
        if isinstance(target, ASGIConnection):
            self.raise_in(target.scope, INSTALL)  # at once: a guard that calls this one may not be async itself
            return DONE
        return cast("_Marked", self._marked(target))

    def _marked(self, target: object) -> object:
        if isinstance(target, Router):
            kind = type(target).__name__
            raise TypeError(f"a {kind} is marked by a guard: {kind}(..., guards=[{self!r}])")
        if isinstance(target, BaseRouteHandler):
            _add_guard(target, self)
            with contextlib.suppress(AttributeError):  # an app that has it already has a copy, with the same function
                mark(_function(target.fn), self.category)
            return target
        if isinstance(target, type) and issubclass(target, Controller | WebsocketListener):
            _add_guard(target, self)
            return mark(target, self.category)  # a subclass may set guards of its own: the mark holds there as well
        return mark_and_wrap(target, self.category)

    async def _guard(self, connection: _Connection, handler: BaseRouteHandler | None) -> None:
        self.raise_in(connection.scope, INSTALL)


@makes_marks
def sensitive(category: str) -> Sensitive:
    """Say that handlers are sensitive: their calls are answered by the category's approved routes, or not at all.

    As a guard of a handler, controller, router or app; or as a decorator of a handler function, above or below its
    route decorator, of a controller, or of a class of WebSocket listeners. Marks add up, and nothing takes one away.

    Example::

        @post("/refunds", guards=[sensitive("payment")])
        async def refund(data: Refund, ai: RoutedClient) -> Decision: ...
    """
    return Sensitive(category)


def misuse_of_guard(guard: object) -> str | None:
    """What is wrong with a guard, if it is a mark that was not put on as one."""
    if isinstance(guard, Sensitive):
        return None
    if not callable(guard):
        return f'a guard of it is {type(guard).__name__}: write guards=[sensitive("payment")]'
    if guard is sensitive or guard is Sensitive:
        return 'a guard marks it with no category: write guards=[sensitive("payment")]'
    return misplaced(guard, "a guard")


def _function(fn: object) -> object:
    return fn.func if isinstance(fn, AsyncCallable) else getattr(fn, "_fn", fn)


def _add_guard(target: Any, guard: Sensitive) -> None:
    own = target.guards
    # of a controller class without guards, the attribute is the slot of its instances
    target.guards = [*(own if isinstance(own, Sequence) else ()), guard]
