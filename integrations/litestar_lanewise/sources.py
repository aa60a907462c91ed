"""Where the marks of a handler come from: guards of its layers, its class, decorators of its function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any, cast

from litestar.app import Litestar
from litestar.controller import Controller
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler, WebsocketListener
from litestar.middleware import DefineMiddleware
from litestar.utils.sync import AsyncCallable

from lanewise.web import (
    OPAQUE,
    Marks,
    Source,
    categories_within,
    find_marks,
    lost_mark,
    misplaced,
    own_marks,
    sources_of,
    sources_of_marks,
)
from litestar_lanewise.marks import Sensitive, misuse_of_guard

__all__ = [
    "function_of",
    "handler_sources",
    "is_litestars",
    "layer_sources",
    "misuse_in",
    "provisional_marks",
    "unresolved",
]

_HOOKS = ("before_request", "after_request", "after_response")
"""What a layer may have called around each of its requests."""


def handler_sources(handler: BaseRouteHandler) -> Iterator[Source]:
    """The marks that hold for a handler, outermost first, each with where it comes from."""
    function = function_of(handler)
    owner = _owner_class(function)
    guarded: set[str] = set()
    for layer in handler.ownership_layers:
        for source in layer_sources(layer, _name(layer, handler, owner)):
            guarded.add(source.category)
            yield source
    for name, dependency in _dependencies(handler, function):
        yield from sources_of(find_marks(dependency).categories, f"dependency {name}")
    if owner is not None:
        yield from sources_of(own_marks(owner) - guarded, f"class {owner.__name__}")
        yield from _of_overridden(owner, function)
    if isinstance(handler, ASGIRouteHandler):
        within = categories_within(function)
        yield from () if within is None else within.sources
    marks = _decorators(handler, function)
    yield from sources_of_marks(Marks(marks.visible - guarded, marks.hidden), "decorator")


def layer_sources(layer: Any, name: str) -> Iterator[Source]:
    """The marks that a layer puts on all in it, by its guards and by what it has called before each request."""
    yield from (Source(category, f"guard of {name}") for category in _guarded(layer))
    before = find_marks(_called(getattr(layer, "before_request", None))).categories
    yield from sources_of(before, f"before_request of {name}")


def _guarded(layer: Any) -> Iterator[str]:
    for guard in layer.guards or ():
        own = _called(guard)
        while isinstance(own, functools.partial):
            own = own.func
        if isinstance(own, Sensitive):
            yield own.category


def misuse_in(layer: Any) -> str | None:
    """What is wrong with the marks on a layer, where one of them was not put on as a guard."""
    hooks = [getattr(layer, name, None) for name in _HOOKS]
    hooks += [each.middleware if isinstance(each, DefineMiddleware) else each for each in layer.middleware or ()]
    hooks += (layer.exception_handlers or {}).values()
    hooks += [getattr(each, "dependency", each) for each in (layer.dependencies or {}).values()]
    misused = [misuse_of_guard(_called(guard)) for guard in layer.guards or ()]
    misused += [misplaced(_called(hook), "what Litestar could call there") for hook in hooks]
    return next((misuse for misuse in misused if misuse is not None), None)


def _called(function: object) -> object:
    """The app's own function, where Litestar has one to be awaited in its place."""
    return function.func if isinstance(function, AsyncCallable) else function


def _dependencies(handler: BaseRouteHandler, function: object) -> Iterator[tuple[str, object]]:
    """The dependencies that a handler asks for by name, and those that these ask for."""
    provided = {
        name: provider for layer in handler.ownership_layers for name, provider in (layer.dependencies or {}).items()
    }
    waiting = _parameters(function)
    while waiting:
        name = waiting.pop()
        if name in provided:
            provider: Any = provided.pop(name)
            dependency = _called(getattr(provider, "dependency", provider))
            yield name, dependency
            waiting += _parameters(dependency)


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def is_litestars(handler: BaseRouteHandler) -> bool:
    """Whether a handler is one of Litestar's own: the pages of OpenAPI, answers to OPTIONS, static files."""
    return (getattr(function_of(handler), "__module__", None) or "").startswith("litestar.")


def unresolved(handler: BaseRouteHandler) -> str | None:
    """Why the marks of a handler can't be read, if they can't."""
    function = function_of(handler)
    for layer in handler.ownership_layers:
        misuse = misuse_in(layer)
        if misuse is not None:
            return misuse
    lost = lost_mark(function, handler_sources(handler))
    if lost is not None:
        return lost
    if isinstance(handler, ASGIRouteHandler) and categories_within(function) is None:
        return OPAQUE
    return None


def provisional_marks(handler: BaseRouteHandler) -> frozenset[str]:
    """The categories of apps that a handler may lead to, which have an adapter of their own."""
    within = categories_within(function_of(handler)) if isinstance(handler, ASGIRouteHandler) else None
    return frozenset() if within is None else within.provisional


def function_of(handler: BaseRouteHandler) -> object:
    """The app's own function in a handler: out of the thread that Litestar gives it, and of a WebSocket listener."""
    function: object = handler.fn
    while True:
        if isinstance(function, AsyncCallable):
            function = function.func
        elif type(function).__name__ == "ListenerHandler":  # Litestar's, and private
            function = getattr(function, "_fn", None)
        else:
            return function


def _owner_class(function: object) -> type | None:
    owner = type(getattr(function, "__self__", None))
    return owner if issubclass(owner, Controller | WebsocketListener) else None


def _of_overridden(owner: type, function: object) -> Iterator[Source]:
    """The marks of the handlers of base classes that a controller's handler takes the place of."""
    own = getattr(function, "__func__", function)
    handlers = [
        (cls, name, value)
        for cls in owner.__mro__
        for name, value in vars(cls).items()
        if isinstance(value, BaseRouteHandler)
    ]
    names = {name for _, name, handler in handlers if function_of(handler) is own}
    for cls, name, handler in handlers:
        overridden = function_of(handler)
        if name in names and overridden is not own:
            found = _decorators(handler, overridden).categories.union(_guarded(handler))
            yield from sources_of(found, f"{cls.__name__}.{name}, which it overrides")


def _decorators(handler: BaseRouteHandler, function: object) -> Marks:
    own, inner = find_marks(handler), find_marks(function)
    visible = own.visible | inner.visible
    return Marks(visible, (own.hidden | inner.hidden) - visible)


def _name(layer: object, handler: BaseRouteHandler, owner: type | None) -> str:
    if layer is handler:
        return "the handler"
    if isinstance(layer, Litestar):
        return "the app"
    if layer is handler.owner and owner is not None:  # Litestar makes a router of each controller
        return f"{owner.__name__}"
    return f"router {cast('str', getattr(layer, 'path', ''))}"
