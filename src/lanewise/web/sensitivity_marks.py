"""Marks on endpoints: put on so that they are found whatever lies above them, and obeyed when what they mark runs.

A mark is two things. It is data on the endpoint and on all functions that this wraps, which listings and requests
read; and it is a wrapper, which raises the sensitivity of the request when the endpoint runs. So a decorator above it
can hide the data, but never what it does; and data that is hidden, or that finds no function, stops the app's start.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

from lanewise._scope.raising import raise_sensitivity, sensitivity
from lanewise.scope import current_scope
from lanewise.web.mark_search import MARKED, MARKED_ABOVE, STANDARD, note_lost, reached, write_mark

__all__ = ["category_of", "mark", "mark_and_wrap", "standard"]

_DISPATCHERS: Final = ("dispatch_request", "dispatch")
"""How class-based views of Flask and of Starlette run whatever method was asked for."""


_T = TypeVar("_T")


def category_of(name: object) -> str:
    """The category that a mark was given. Raises TypeError: none, as in ``@sensitive`` without ``("payment")``."""
    if isinstance(name, str) and name:
        return name
    raise TypeError(
        f'sensitive takes a category of the config, as in sensitive("payment"), and not {type(name).__name__}'
    )


def mark(target: _T, category: str) -> _T:
    """Write a mark on a function or class, beside those it has."""
    return write_mark(target, category, MARKED)


def standard(target: _T) -> _T:
    """Declare an endpoint not sensitive, for apps whose ``undeclared`` is strict. It relaxes nothing outside or inside.

    Example::

        @app.get("/health")
        @standard
        def health(): ...
    """
    if isinstance(target, str) or not (callable(target) or hasattr(target, "__dict__")):
        raise TypeError(f"standard marks an endpoint, as in @standard, and not {type(target).__name__}")
    return mark(target, STANDARD)


def mark_and_wrap(target: _T, category: str) -> _T:
    """Mark an endpoint and make it raise the current scope's sensitivity when it runs.

    Functions (plain, async, generators of both kinds) come back wrapped, and are marked themselves too, wherever else
    they serve; classes are changed in place, where they dispatch. Raises TypeError: neither a function nor a class that
    dispatches.

    Example::

        refund = mark_and_wrap(refund, "payment")
    """
    category_of(category)
    if inspect.isclass(target):
        return cast("_T", _wrap_class(target, category))
    if not callable(target):
        raise TypeError(f"sensitive({category!r}) marks functions and classes, not {type(target).__name__}")
    below = [layer for layer in reached([target]) if layer is not target]
    for layer in below:
        with contextlib.suppress(AttributeError, TypeError):  # not everything takes a mark
            write_mark(layer, category, MARKED_ABOVE)
    with contextlib.suppress(AttributeError):
        mark(target, category)  # where @sensitive stands above @app.post, the framework already has the function itself
    note_lost([target, *below], category)
    return cast("_T", mark(_wrap_function(target, category), category))


def _wrap_class(cls: type, category: str) -> type:
    name = next((name for name in _DISPATCHERS if callable(getattr(cls, name, None))), None)
    if name is None:
        raise TypeError(
            f"sensitive({category!r}) can't mark the class {cls.__qualname__}: it dispatches no requests. "
            "Mark its methods."
        )
    setattr(cls, name, _wrap_function(getattr(cls, name), category))
    return mark(cls, category)


def _wrap_function(function: Any, category: str) -> Any:
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
