"""A function of any kind, made to run in a scope: plain, async, a generator or a context manager of either."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["wrap"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Enter = Callable[[], AbstractContextManager[object]]


def wrap(function: Callable[_P, _R], enter: _Enter) -> Callable[_P, _R]:
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
                result = await function(*args, **kwargs)
            return _inside(result, enter)

        return cast("Callable[_P, _R]", run_async)

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with enter():
            result = function(*args, **kwargs)
        return cast("_R", _inside(result, enter))

    return run


def _inside(result: object, enter: _Enter) -> object:
    """What a function gave back before it was done: a coroutine of one that doesn't say it is async, a generator, or
    what does its work when it is entered or gone through."""
    if inspect.iscoroutine(result):
        return _awaited(result, enter)
    if inspect.isgenerator(result):
        return _iterated(result, enter)
    if inspect.isasyncgen(result):
        return _iterated_async(result, enter)
    if isinstance(result, map | filter):
        return _iterated((each for each in result), enter)
    if isinstance(result, _OF_CONTEXTLIB):
        result.gen = _inside(result.gen, enter)
    return result


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@asynccontextmanager
async def _nothing_async() -> AsyncIterator[None]:
    yield


_OF_CONTEXTLIB: Any = type(_nothing()), type(_nothing_async())
"""What contextlib's decorators make of a generator function: it runs the generator that it has in ``gen``."""


async def _awaited(coroutine: Coroutine[Any, Any, object], enter: _Enter) -> object:
    with enter():
        result = await coroutine
    return _inside(result, enter)


def _iterated(steps: Generator[object, Any, object], enter: _Enter) -> Generator[object, Any, object]:
    step: Callable[[], object] = functools.partial(steps.send, None)
    try:
        while True:
            with enter():
                try:
                    item = step()
                except StopIteration as end:
                    return cast("object", end.value)
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the generator's own to handle
                step = functools.partial(steps.throw, error)
            else:
                step = functools.partial(steps.send, sent)
    finally:
        with enter():
            steps.close()


async def _iterated_async(steps: AsyncGenerator[object, Any], enter: _Enter) -> AsyncGenerator[object, Any]:
    step: Callable[[], Awaitable[object]] = functools.partial(steps.asend, None)
    try:
        while True:
            with enter():
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the generator's own to handle
                step = functools.partial(steps.athrow, error)
            else:
                step = functools.partial(steps.asend, sent)
    finally:
        with enter():
            await steps.aclose()
