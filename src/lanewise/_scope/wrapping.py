"""A function of any kind, made to run in a scope: plain, async, or a generator of either."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["wrap"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def wrap(function: Callable[_P, _R], enter: Callable[[], AbstractContextManager[object]]) -> Callable[_P, _R]:
    """``function`` with a context manager entered around all that it does; of a generator, around each step.

    Raises TypeError: no function, but what one gave back, say.
    """
    if not callable(function):
        raise TypeError(
            f"wrap takes a function, as in scope.wrap(work), and no {type(function).__name__}: "
            "scope.wrap(work(x)) would wrap what the function gives back"
        )
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> object:
            with enter():
                return await function(*args, **kwargs)

        return cast("Callable[_P, _R]", run_async)

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with enter():
            result = function(*args, **kwargs)
        return cast("_R", _inside(result, enter))

    return run


def _inside(result: object, enter: Callable[[], AbstractContextManager[object]]) -> object:
    """What a function gave back before it was done: a coroutine of one that doesn't say it is async, a generator."""
    if inspect.iscoroutine(result):
        return _awaited(result, enter)
    if inspect.isgenerator(result):
        return _iterated(result, enter)
    if inspect.isasyncgen(result):
        return _iterated_async(result, enter)
    return result


async def _awaited(
    coroutine: Coroutine[Any, Any, object], enter: Callable[[], AbstractContextManager[object]]
) -> object:
    with enter():
        return await coroutine


def _iterated(
    steps: Iterator[object], enter: Callable[[], AbstractContextManager[object]]
) -> Generator[object, None, object]:
    try:
        while True:
            with enter():
                try:
                    item = next(steps)
                except StopIteration as end:
                    return cast("object", end.value)
            yield item
    finally:
        with enter():
            cast("Any", steps).close()


async def _iterated_async(
    steps: AsyncIterator[object], enter: Callable[[], AbstractContextManager[object]]
) -> AsyncIterator[object]:
    try:
        while True:
            with enter():
                try:
                    item = await anext(steps)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        with enter():
            await cast("Any", steps).aclose()
