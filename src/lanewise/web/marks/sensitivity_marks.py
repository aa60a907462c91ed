"""Marks on endpoints: put on so that they are found whatever lies above them, and obeyed when what they mark runs.

A mark is two things. It is data on the endpoint and on all functions that this wraps, which listings and requests
read; and it is a wrapper, which raises the sensitivity of the request when the endpoint runs. So a decorator above it
can hide the data, but never what it does; and data that is hidden, or that finds no function, stops the app's start.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Final, TypeVar, cast

from lanewise._scope.raising import UnusedMark, note_unused, raise_sensitivity, sensitivity
from lanewise.scope import Scope, current_scope
from lanewise.web.asgi_core import SCOPE_KEY
from lanewise.web.marks.mark_search import (
    MARKED,
    MARKED_ABOVE,
    OF_APPS,
    RAISES,
    STANDARD,
    note_lost,
    reached,
    write_mark,
)

__all__ = ["DONE", "SensitiveMark", "category_of", "makes_marks", "mark", "mark_and_wrap", "misplaced", "standard"]

_DISPATCHERS: Final = ("dispatch_request", "dispatch")
"""How class-based views of Flask and of Starlette run whatever method was asked for."""


_SERVERS_CALL: Final = (["scope", "receive", "send"], ["environ", "start_response"])
"""What the objects take that are apps of ASGI or WSGI."""
_makers: Final[list[object]] = []

_T = TypeVar("_T")
_Maker = TypeVar("_Maker", bound=Callable[..., object])


class SensitiveMark(UnusedMark):
    """What the marks of all adapters are: a category, to be put on something.

    Made in a request and put on nothing, as in a line ``sensitive("payment")`` of a view, it counts for that request.
    """

    def __init__(self, category: str) -> None:
        super().__init__(category_of(category))
        note_unused(self)

    def __repr__(self) -> str:
        return f"sensitive({self.category!r})"

    def raise_in(self, asgi: Mapping[str, Any], install: str) -> None:
        """Raise the sensitivity of the request of an ASGI scope.

        Raises RuntimeError, which says what to install: the request has no scope.
        """
        scope = asgi.get(SCOPE_KEY)
        if not isinstance(scope, Scope):
            raise RuntimeError(f"{self!r} can't hold here. {install}")
        scope.raise_sensitivity(self.category)


def makes_marks(function: _Maker) -> _Maker:
    """Know a function of an adapter's for one that makes marks, so that it is found where it was put by mistake."""
    _makers.append(function)
    return function


def misplaced(target: object, place: str) -> str | None:
    """What is wrong with a mark, or a maker of marks, where a framework calls a function; ``None``: it is neither.

    Example::

        misplaced(view, "a view")  # 'sensitive("payment") is a mark, and no view: ...'
    """
    while isinstance(target, functools.partial):
        target = target.func
    is_maker = any(target is maker for maker in _makers)
    if _gives_back_mark(target):
        return f"a mark that is given back marks nothing, and this is {place}: a mark is put on a function"
    if not (is_maker or isinstance(target, SensitiveMark) or (inspect.isclass(target) and _is_mark_class(target))):
        return None
    name = getattr(target, "__name__", None) or repr(target)
    return f"{name} is a mark, and not {place}: a mark is put on a function, as in @sensitive(...)"


def _gives_back_mark(target: object) -> bool:
    """Whether a function does nothing but give back a mark that was made before, as in ``lambda: payment``."""
    if not inspect.isfunction(target):
        return False
    read = [target.__globals__.get(name) for name in target.__code__.co_names]
    with contextlib.suppress(ValueError):  # a cell that is not yet filled
        read += [cell.cell_contents for cell in target.__closure__ or ()]
    if not any(issubclass(type(each), SensitiveMark) for each in read):
        return False
    return not any(each.opname.startswith("CALL") for each in dis.get_instructions(target))


def _is_mark_class(cls: type) -> bool:
    return issubclass(cls, SensitiveMark)


class _Done:
    """What a framework awaits of a mark that it calls: the sensitivity is raised already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE: Final = _Done()


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


@makes_marks
def standard(target: _T) -> _T:
    """Declare an endpoint not sensitive, for apps whose ``undeclared`` is strict. It relaxes nothing outside or inside.

    Example::

        @app.get("/health")
        @standard
        def health(): ...
    """
    if isinstance(target, str) or not (callable(target) or hasattr(target, "__dict__")):
        raise TypeError(f"standard marks an endpoint, as in @standard, and not {type(target).__name__}")
    wrong = misplaced(target, "an endpoint")
    if wrong is not None:
        raise TypeError(wrong)
    return mark(target, STANDARD)


def mark_and_wrap(target: _T, category: str) -> _T:
    """Mark an endpoint and make it raise the current scope's sensitivity when it runs.

    Functions (plain, async, generators of both kinds) come back wrapped, and are marked themselves too, wherever else
    they serve; classes are changed in place, where they dispatch. Raises TypeError: neither a function nor a class that
    dispatches, but a mark, a router, or an app of ASGI or WSGI, say.

    Example::

        refund = mark_and_wrap(refund, "payment")
    """
    category_of(category)
    if isinstance(target, staticmethod | classmethod):
        return cast("_T", type(target)(mark_and_wrap(target.__func__, category)))
    wrong = _not_markable(target)
    if wrong is not None:
        raise TypeError(f"sensitive({category!r}) marks functions and classes, {wrong}")
    if inspect.isclass(target):
        return cast("_T", _wrap_class(target, category))
    below = [layer for layer in reached([target]) if layer is not target]
    for layer in below:
        with contextlib.suppress(AttributeError, TypeError):  # not everything takes a mark
            write_mark(layer, category, MARKED_ABOVE)
    with contextlib.suppress(AttributeError):
        mark(target, category)  # where @sensitive stands above @app.post, the framework already has the function itself
    note_lost([target, *below], category)
    wrapped = _wrap_function(target, category)
    setattr(wrapped, RAISES, True)
    return cast("_T", mark(wrapped, category))


def _not_markable(target: Any) -> str | None:
    wrong = misplaced(target, "an endpoint")
    if wrong is not None:
        return f"but {wrong}"
    kind = type(target)
    if not callable(target):
        is_decorator = isinstance(target, property | functools.partialmethod | functools.cached_property)
        return f"not {kind.__name__}{': put it below that decorator' if is_decorator else ''}"
    if inspect.isclass(target) or inspect.isroutine(target):
        return None
    if any(hasattr(kind, name) for name in OF_APPS) or hasattr(target, "routes") or _takes(target) in _SERVERS_CALL:
        return f"not {kind.__name__}: an app or a part of one is marked as a group is in its framework"
    return None


def _takes(target: Any) -> list[str]:
    try:
        return list(inspect.signature(type(target).__call__).parameters)[1:]
    except (TypeError, ValueError):
        return []


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
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004

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
