"""Marks on endpoints: put on so that they are found whatever lies above them, and obeyed when what they mark runs.

A mark is two things. It is data on the endpoint, which start-up checks and listings read; and it is a wrapper, which
raises the sensitivity of the current scope when the endpoint runs. So a decorator above it can hide the data, but never
what it does; and data that is hidden stops the app at start-up.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar, cast

import msgspec

from lanewise._scope.raising import raise_sensitivity, sensitivity
from lanewise.scope import current_scope

__all__ = ["STANDARD", "Marks", "find_marks", "mark", "mark_and_wrap", "own_marks", "raised_marks", "standard"]

STANDARD: Final = "standard"
"""The mark of an endpoint that was looked at and is not sensitive. It relaxes nothing."""

_ATTRIBUTE: Final = "__lanewise_marks__"
_RAISED: Final = "__lanewise_raises__"
"""On a function: the categories that it raises when it runs. ``functools.wraps`` carries it on."""
_DISPATCHERS: Final = ("dispatch_request", "dispatch")
"""How class-based views of Flask and of Starlette run whatever method was asked for."""
_DEPTH: Final = 20
"""How many decorators deep a mark is looked for."""

_NOTHING: Final[dict[str, object]] = {}

_T = TypeVar("_T")


class Marks(msgspec.Struct, frozen=True):
    """What an endpoint is marked with. ``hidden`` are marks that only a decorator's closure still knows of."""

    visible: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    @property
    def categories(self) -> frozenset[str]:
        """All sensitive categories, hidden or not."""
        return (self.visible | self.hidden) - {STANDARD}

    @property
    def declared(self) -> bool:
        """Whether the endpoint says at all what it is."""
        return bool(self.visible)


def mark(target: _T, category: str) -> _T:
    """Write a mark on a function or class, beside those it has."""
    found = vars(target).get(_ATTRIBUTE, frozenset()) if hasattr(target, "__dict__") else frozenset()
    setattr(target, _ATTRIBUTE, found | {category})
    return target


def standard(target: _T) -> _T:
    """Declare an endpoint not sensitive, for apps whose ``undeclared`` is strict. It relaxes nothing outside or inside.

    Example::

        @app.get("/health")
        @standard
        def health(): ...
    """
    return mark(target, STANDARD)


def mark_and_wrap(target: _T, category: str) -> _T:
    """Mark an endpoint and make it raise the current scope's sensitivity when it runs.

    Functions (plain, async, generators of both kinds) come back wrapped, and are marked themselves too, wherever else
    they serve; classes are changed in place, where they dispatch. Raises TypeError: neither a function nor a class that
    dispatches.

    Example::

        refund = mark_and_wrap(refund, "payment")
    """
    if inspect.isclass(target):
        return cast("_T", _wrap_class(target, category))
    if not callable(target):
        raise TypeError(f"sensitive({category!r}) marks functions and classes, not {type(target).__name__}")
    with contextlib.suppress(AttributeError):  # not everything takes a mark
        mark(target, category)  # where @sensitive stands above @app.post, the framework already has the function itself
    return cast("_T", mark(_raising(target, category), category))


def _wrap_class(cls: type, category: str) -> type:
    name = next((name for name in _DISPATCHERS if callable(getattr(cls, name, None))), None)
    if name is None:
        raise TypeError(
            f"sensitive({category!r}) can't mark the class {cls.__qualname__}: it dispatches no requests. "
            "Mark its methods."
        )
    setattr(cls, name, _raising(getattr(cls, name), category))
    return mark(cls, category)


def _raising(function: Callable[..., Any], category: str) -> Callable[..., Any]:
    wrapped = _wrap_function(function, category)
    setattr(wrapped, _RAISED, getattr(wrapped, _RAISED, frozenset()) | {category})
    return wrapped


def _wrap_function(function: Callable[..., Any], category: str) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate_async(*args: Any, **kwargs: Any) -> Any:
            raise_sensitivity(category)
            async for item in function(*args, **kwargs):
                yield item

        return iterate_async
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def iterate(*args: Any, **kwargs: Any) -> Any:
            raise_sensitivity(category)
            return (yield from function(*args, **kwargs))

        return iterate
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with sensitivity(category):
                return await function(*args, **kwargs)

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with sensitivity(category):
            result = function(*args, **kwargs)
        if current_scope() is None and inspect.iscoroutine(result):  # of a function that does not say it is async
            return _awaited(result, category)
        return result

    return run


async def _awaited(coroutine: Coroutine[Any, Any, object], category: str) -> object:
    with sensitivity(category):
        return await coroutine


def find_marks(endpoint: object, method: str | None = None) -> Marks:
    """The marks of an endpoint, through decorators, partials, bound methods and class-based views.

    With an HTTP ``method``, those on the method of a class-based view that answers it count as well.

    Example::

        if find_marks(view).hidden: ...  # a decorator without functools.wraps lies above the mark
    """
    visible: frozenset[str] = frozenset()
    for layer in _layers(endpoint, method):
        visible |= own_marks(layer)
    hidden: frozenset[str] = frozenset()
    for layer in _closed_over(endpoint, method):
        hidden |= own_marks(layer)
    return Marks(visible, hidden - visible - {STANDARD})  # a declaration that nobody can read is none


def raised_marks(endpoint: object, method: str | None = None) -> frozenset[str]:
    """The categories that an endpoint raises itself when it runs, so that nobody need look its marks up before.

    A function that a framework got before it was marked raises none.

    Example::

        find_marks(endpoint).visible - raised_marks(endpoint)  # must be looked up
    """
    found: frozenset[str] = getattr(endpoint, _RAISED, frozenset())
    if isinstance(endpoint, functools.partial):
        found |= raised_marks(endpoint.func, method)
    if inspect.isclass(endpoint):
        runs = [getattr(endpoint, name, None) for name in _DISPATCHERS]
        runs += [] if method is None else [next(_handlers(endpoint, method), None)]
        found = found.union(*(getattr(each, _RAISED, frozenset()) for each in runs))
    return found


def own_marks(target: object) -> frozenset[str]:
    """The marks on an object itself and on its class and base classes: none of them relaxes another.

    Example::

        if "payment" in own_marks(blueprint): ...
    """
    holders = target.__mro__ if inspect.isclass(target) else (target, *type(target).__mro__)
    found: frozenset[str] = frozenset()
    for holder in holders:
        marks = _attribute(holder, "__dict__", _NOTHING).get(_ATTRIBUTE)
        if isinstance(marks, frozenset):
            found |= marks
    return found


def _layers(endpoint: object, method: str | None) -> Iterator[object]:
    """The endpoint and what it openly wraps."""
    seen: set[int] = set()
    waiting = [endpoint]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen or len(seen) > _DEPTH:
            continue
        seen.add(id(layer))
        yield layer
        for name in ("__wrapped__", "func", "__func__", "view_class"):
            inner = _attribute(layer, name)
            if inner is not None and callable(inner):
                waiting.append(inner)
        if inspect.isclass(layer) and method is not None:
            waiting += _handlers(layer, method)


def _handlers(view_class: type, method: str) -> Iterator[object]:
    """What answers a method in a class-based view, and what it overrides: HEAD goes to ``get`` without a ``head``."""
    name = method.lower()
    if method == "HEAD" and getattr(view_class, name, None) is None:
        name = "get"
    for cls in view_class.__mro__:
        if name in vars(cls):
            yield vars(cls)[name]


def _closed_over(endpoint: object, method: str | None) -> Iterator[object]:
    """Functions and classes in the closures of the endpoint: what a decorator without ``functools.wraps`` hides."""
    seen: set[int] = set()
    waiting = [*_layers(endpoint, method)]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen or len(seen) > 10 * _DEPTH:
            continue
        seen.add(id(layer))
        code = _attribute(layer, "__code__")
        names = getattr(code, "co_freevars", ())
        for name, cell in zip(names, _attribute(layer, "__closure__") or (), strict=False):
            content = _content(cell)
            if name != "__class__" and callable(content):
                yield from _layers(content, method)
                waiting += _layers(content, method)
        if not inspect.isroutine(layer) and not inspect.isclass(layer):
            for content in list(_attribute(layer, "__dict__", _NOTHING).values()):  # a decorator that is an object
                if inspect.isroutine(content) or (inspect.isclass(content) and own_marks(content)):
                    yield from _layers(content, method)
                    waiting += _layers(content, method)


def _attribute(layer: object, name: str, default: Any = None) -> Any:
    try:
        return getattr(layer, name, default)
    except RuntimeError:  # a proxy in a closure, of something that is only there during a request (flask.request)
        return default


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None
