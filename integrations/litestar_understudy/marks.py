"""What makes a handler, or a group of them, sensitive: one object that is a guard and a decorator."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, Final, TypeVar, cast, overload

from litestar.connection import ASGIConnection
from litestar.controller import Controller
from litestar.handlers import BaseRouteHandler
from litestar.utils.sync import AsyncCallable

from understudy import Scope
from understudy.web import SCOPE_KEY, STANDARD, Marks, Source, find_marks, mark, mark_and_wrap

__all__ = ["INSTALL", "Sensitive", "marks_of", "sensitive", "sources_of"]

INSTALL: Final = "UnderstudyPlugin is not installed: Litestar(..., plugins=[UnderstudyPlugin(router)])"

_Connection = ASGIConnection[Any, Any, Any, Any]
_Marked = TypeVar("_Marked", bound=Callable[..., object])


class Sensitive:
    """Marks with a category: a guard on any layer, and a decorator. Made by :func:`sensitive`."""

    def __init__(self, category: str) -> None:
        self.category = category

    def __repr__(self) -> str:
        return f"sensitive({self.category!r})"

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
        if isinstance(target, ASGIConnection):
            scope = target.scope.get(SCOPE_KEY)
            if not isinstance(scope, Scope):
                raise RuntimeError(f"{self!r} can't hold here. {INSTALL}")
            scope.raise_sensitivity(self.category)
            return _DONE
        if isinstance(target, BaseRouteHandler) or (isinstance(target, type) and issubclass(target, Controller)):
            return cast("_Marked", self._guarding(target))
        return mark_and_wrap(target, self.category)

    def _guarding(self, target: Any) -> Any:
        """A handler or controller that was decorated from above gets the guard."""
        target.guards = [*(target.guards or ()), self]
        return mark(target, self.category)


class _Done:
    """What Litestar awaits once the sensitivity is raised already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE: Final = _Done()

# Litestar gives a guard that is no coroutine function a thread; this one waits for nothing.
if sys.version_info >= (3, 12):
    import inspect

    inspect.markcoroutinefunction(Sensitive.__call__)
else:
    from asyncio import coroutines

    Sensitive.__call__._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]


def sensitive(category: str) -> Sensitive:
    """Say that handlers are sensitive: their calls are answered by the category's approved routes, or not at all.

    As a guard of a handler, controller, router or app, or as a decorator of a handler function, above or below its
    route decorator, or of a controller. Marks add up, and nothing takes one away.

    Example::

        @post("/refunds", guards=[sensitive("payment")])
        async def refund(data: Refund, ai: RoutedClient) -> Decision: ...
    """
    return Sensitive(category)


def sources_of(handler: BaseRouteHandler) -> Iterator[Source]:
    """The marks that hold for a handler, outermost first, each with where it comes from."""
    for layer in handler.ownership_layers:
        for guard in layer.guards or ():
            own = guard.func if isinstance(guard, AsyncCallable) else guard
            if isinstance(own, Sensitive):
                yield Source(own.category, f"guard of {_layer_name(layer, handler)}")
    marks = _function_marks(handler)
    yield from (Source(category, "decorator") for category in sorted(marks.visible))
    yield from (Source(category, "decorator", hidden=True) for category in sorted(marks.hidden))


def marks_of(handler: object) -> frozenset[str] | None:
    """The categories of a handler's marks, ``None`` where it has none at all."""
    if not isinstance(handler, BaseRouteHandler):
        return None
    found = _CACHE.get(id(handler))
    if found is None or found[0] is not handler:
        marks = frozenset(source.category for source in sources_of(handler))
        found = _CACHE[id(handler)] = (handler, marks - {STANDARD} if marks else None)
    return found[1]


_CACHE: Final[dict[int, tuple[BaseRouteHandler, frozenset[str] | None]]] = {}


def _function_marks(handler: BaseRouteHandler) -> Marks:
    own = find_marks(handler)
    try:
        function = find_marks(handler.fn)
    except AttributeError:  # a handler without a function
        return own
    visible = own.visible | function.visible
    return Marks(visible, (own.hidden | function.hidden) - visible)


def _layer_name(layer: object, handler: BaseRouteHandler) -> str:
    if layer is handler:
        return "the handler"
    path = cast("str", getattr(layer, "path", ""))
    return f"{type(layer).__name__} {path}".strip()
