"""What an opaque callable may lead to: the apps that it can reach, and the categories that are marked in those."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple

from lanewise.web.marks.endpoint_report import Source, sources_of
from lanewise.web.marks.mark_search import STANDARD, attribute_of, cell_content, elements, is_looked_up

__all__ = ["OPAQUE", "MountedMarks", "apps_within", "categories_within", "register_reader"]

OPAQUE: Final = "it leads to more than can be looked through, so that its marks can't be read"
"""What is wrong with an endpoint of which :func:`categories_within` gives ``None``."""
_MOST: Final = 2000
"""How many objects are looked at."""
_ELEMENTS: Final = 200

Recognises = Callable[[object], bool]


class MountedMarks(NamedTuple):
    """The categories marked in the apps that a callable may lead to.

    ``provisional`` are those of apps that have an adapter of their own, which knows better once it has the request.
    """

    categories: frozenset[str]
    provisional: frozenset[str]
    serves_itself: bool
    """Whether all that was found has an adapter of its own."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What holds for what is mounted, whether or not an adapter of its own gets the request."""
        own = (Source(STANDARD, "a router of its own"),) if self.serves_itself else ()
        return (*sources_of(self.categories, "an app that it may lead to"), *own)


class _Reader(NamedTuple):
    kinds: type | tuple[type, ...]
    categories: Callable[[Any], frozenset[str]]
    serves_itself: Callable[[Any], bool]


_readers: Final[list[_Reader]] = []


def register_reader(
    kinds: type | tuple[type, ...], categories: Callable[[Any], frozenset[str]], serves_itself: Callable[[Any], bool]
) -> None:
    """Have the marks in the apps of a framework found, wherever they are mounted (adapters call this).

    Example::

        register_reader(Litestar, marks_in, has_plugin)
    """
    _readers.append(_Reader(kinds, categories, serves_itself))


def categories_within(target: object, but: object = None) -> MountedMarks | None:
    """The categories marked in all apps that a callable can reach; ``None``: it has too much in it to tell.

    ``but`` is an app that is known already.
    """
    apps = apps_within(target, lambda each: any(isinstance(each, reader.kinds) for reader in _readers))
    if apps is None:
        return None
    firm: frozenset[str] = frozenset()
    provisional: frozenset[str] = frozenset()
    themselves: list[bool] = []
    for app in apps:
        for reader in _readers:
            if app is not but and isinstance(app, reader.kinds):
                themselves.append(reader.serves_itself(app))
                if themselves[-1]:
                    provisional |= reader.categories(app)
                else:
                    firm |= reader.categories(app)
    return MountedMarks(firm, provisional, bool(themselves) and all(themselves))


def apps_within(target: object, is_app: Recognises) -> list[object] | None:
    """The apps that a callable can reach: by its closure, its attributes, the names that it reads.

    ``None``: it has too much in it to tell.
    """
    seen: dict[int, object] = {}
    found: list[object] = []
    waiting = [target]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen:
            continue
        if len(seen) >= _MOST:
            return None
        seen[id(layer)] = layer
        if is_app(layer):
            found.append(layer)
        else:
            waiting += [content for content in _contents(layer) if _is_followed(content, is_app)]
    return found


def _is_followed(content: object, is_app: Recognises) -> bool:
    if content is None or isinstance(content, ModuleType | type):
        return False
    return callable(content) or is_app(content)


def _contents(layer: object) -> Iterator[object]:
    if isinstance(layer, functools.partial):
        given = (layer.func, *layer.args, *layer.keywords.values())
        yield from (each for each in given if not is_looked_up(each))
    for name in ("__func__", "__self__", "__wrapped__"):
        yield from _elements(attribute_of(layer, name))
    code = attribute_of(layer, "__code__")
    if isinstance(code, CodeType):
        for cell in attribute_of(layer, "__closure__") or ():
            yield from _elements(cell_content(cell))
        names = attribute_of(layer, "__globals__") or {}
        yield from (each for name in _names(code) for each in _elements(names.get(name)))
        yield from _elements(attribute_of(layer, "__defaults__"))
        yield from _elements(attribute_of(layer, "__kwdefaults__"))
    if not inspect.isroutine(layer):
        yield from _elements(dict(attribute_of(layer, "__dict__") or {}))
        for cls in type(layer).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                yield from _elements(attribute_of(layer, name))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _elements(content: object) -> Iterator[object]:
    for element in elements(content, _ELEMENTS):
        if isinstance(element, list | tuple):  # pairs of a prefix and an app
            yield from elements(element, _ELEMENTS)
        else:
            yield element
