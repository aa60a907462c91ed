"""Where marks are found: on an endpoint, on what it wraps, and on what a decorator has hidden in a closure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import CodeType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, TypeVar

import msgspec

__all__ = [
    "MARKED",
    "MARKED_ABOVE",
    "OF_APPS",
    "RAISES",
    "STANDARD",
    "Marks",
    "attribute_of",
    "cell_content",
    "elements",
    "find_marks",
    "is_looked_up",
    "lost_marks",
    "marks_version",
    "note_lost",
    "own_marks",
    "reached",
    "write_mark",
]

STANDARD: Final = "standard"
"""The mark of an endpoint that was looked at and is not sensitive. It relaxes nothing."""
MARKED: Final = "__lanewise_marks__"
MARKED_ABOVE: Final = "__lanewise_marked_above__"
"""On a function that something marked wraps: a framework may have it, and not what was marked."""
RAISES: Final = "__lanewise_raises__"
"""On what a mark has put around a function: it raises the sensitivity itself, whoever calls it."""
_MOST: Final = 300
"""How many decorators, and functions in their closures, a mark is looked for in."""
_ELEMENTS: Final = 100
"""How many elements of a list or mapping in a closure are looked at."""
OF_APPS: Final = ("routes", "url_map", "url_rule_class", "register")
"""What apps, routers and blueprints have: those are marked as groups, and no decorator wraps them."""
_RUN: Final = ("__new__", "__init__", "__await__", "dispatch", "dispatch_request")
"""What runs of a class that is an endpoint or a dependency, whatever it is asked for."""
_NOTHING: Final[dict[str, object]] = {}
_FIELDS: Final = (GetSetDescriptorType, MemberDescriptorType)
_FACTORIES: Final = ("__factory__", "__wrapped_factory__")
"""What makes the object that a lazy proxy stands for."""
_LISTS: Final[tuple[Any, ...]] = (list, tuple, set, frozenset)

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


_version = 0


def marks_version() -> int:
    """Changes with each mark that is written: what was read of marks before is to be read again."""
    return _version


def write_mark(target: _T, category: str, attribute: str) -> _T:
    """Add a category to those that an object has under an attribute. Raises AttributeError: it takes none."""
    global _version
    found = vars(target).get(attribute, frozenset()) if hasattr(target, "__dict__") else frozenset()
    setattr(target, attribute, found | {category})
    _version += 1
    return target


def find_marks(endpoint: object, *methods: str | None) -> Marks:
    """The marks of an endpoint, through decorators, partials, bound methods and class-based views.

    With HTTP ``methods``, those on the methods of a class-based view that answer them count as well. A mark that stands
    above what the framework was given counts where it found its way down to it.

    Example::

        if find_marks(view).hidden: ...  # a decorator without functools.wraps lies above the mark
    """
    found = [_find_marks(endpoint, method) for method in methods or (None,)]
    if len(found) == 1:
        return found[0]
    visible = frozenset[str]().union(*(marks.visible for marks in found))
    return Marks(visible, frozenset[str]().union(*(marks.hidden for marks in found)))


def _find_marks(endpoint: object, method: str | None) -> Marks:
    layers = list(_layers(endpoint, method))
    visible = frozenset[str]().union(*(own_marks(layer) | _marks_above(layer) for layer in layers))
    hidden = frozenset[str]().union(*(own_marks(layer) for layer in reached(layers, method)))
    return Marks(visible, hidden - visible - {STANDARD})  # a declaration that nobody can read is none


def own_marks(target: object) -> frozenset[str]:
    """The marks on an object itself and on its class and base classes: none of them relaxes another.

    Example::

        if "payment" in own_marks(blueprint): ...
    """
    holders = target.__mro__ if inspect.isclass(target) else (target, *type(target).__mro__)
    return frozenset[str]().union(*(_read(holder, MARKED) for holder in holders))


def _marks_above(layer: object) -> frozenset[str]:
    return _read(layer, MARKED_ABOVE)


def _read(holder: object, attribute: str) -> frozenset[str]:
    marks = attribute_of(holder, "__dict__", _NOTHING).get(attribute)
    return marks if isinstance(marks, frozenset) else frozenset()


# -- what wraps what ---------------------------------------------------------------------------------------------------


def _layers(endpoint: object, method: str | None) -> Iterator[object]:
    """The endpoint and what it openly wraps."""
    seen: set[int] = set()
    waiting = [endpoint]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen or len(seen) > _MOST:
            continue
        seen.add(id(layer))
        yield layer
        for name in ("__wrapped__", "func", "__func__", "view_class"):
            inner = attribute_of(layer, name)
            if inner is not None and callable(inner) and not is_looked_up(inner):
                waiting.append(inner)
        if inspect.isclass(layer):
            waiting += _run_by(layer, method)
        elif not inspect.isroutine(layer) and not isinstance(layer, functools.partial):
            waiting += _in_classes(type(layer), ("__call__",))


def _run_by(view_class: type, method: str | None) -> Iterator[object]:
    """What a class runs: its dispatch, and of a class-based view what answers a method. HEAD may go to ``get``."""
    names: tuple[str, ...] = _RUN
    if method is not None:
        name = method.lower()
        names = (*names, "get" if method == "HEAD" and getattr(view_class, name, None) is None else name)
    return _in_classes(view_class, names)


def _in_classes(cls: type, names: tuple[str, ...]) -> Iterator[object]:
    """The functions of a class by their names, with those that they override: no inner one relaxes an outer one."""
    for base in cls.__mro__:
        if base.__module__ != "builtins":
            own = vars(base)
            yield from (own[name] for name in names if name in own)


def reached(starts: Iterable[object], method: str | None = None) -> list[object]:
    """All functions, and classes that are marked, which a decorator may have put away.

    In a closure, in defaults, in the attributes of an object, in a list there. What it openly wraps is among them.
    """
    found: dict[int, object] = {}
    waiting = list(starts)
    while waiting and len(found) < _MOST:
        for layer in _layers(waiting.pop(), method):
            if id(layer) not in found:
                found[id(layer)] = layer
                waiting += [content for content in _contents(layer) if _may_be_wrapped(content)]
    return list(found.values())


def _contents(layer: object) -> Iterator[object]:
    code, cells = attribute_of(layer, "__code__"), attribute_of(layer, "__closure__")
    of_function = isinstance(code, CodeType) and isinstance(cells, tuple)  # not of an object that has whatever is asked
    for name, cell in zip(code.co_freevars, cells, strict=False) if of_function else ():
        content = cell_content(cell)
        if name != "__class__" and not _is_called_by_name(layer, name, content):
            yield from elements(content)
    for defaults in (attribute_of(layer, "__defaults__"), attribute_of(layer, "__kwdefaults__")):
        yield from elements(defaults)
    if not inspect.isroutine(layer) and not inspect.isclass(layer):  # a decorator that is an object
        yield from elements(dict(attribute_of(layer, "__dict__", _NOTHING)))
        for cls in type(layer).__mro__:
            slots = vars(cls).get("__slots__", ())
            yield from elements([attribute_of(layer, name) for name in ([slots] if isinstance(slots, str) else slots)])


def _is_called_by_name(layer: object, name: str, content: object) -> bool:
    """Whether a marked function only stands in the closure because the code around both defines it.

    In an app factory, say: an endpoint that calls it is none that a decorator put around it, and the mark holds from
    that call on.
    """
    if is_looked_up(content) or attribute_of(content, RAISES) is not True or attribute_of(content, "__name__") != name:
        return False
    around = str(attribute_of(content, "__qualname__", "")).rpartition(".")[0]
    within = str(attribute_of(layer, "__qualname__", "")).rpartition(".")[0]
    is_same_module = attribute_of(content, "__module__") == attribute_of(layer, "__module__")
    return bool(around) and is_same_module and (within == around or within.startswith(f"{around}."))


def is_looked_up(content: object) -> bool:
    """Whether an object says that it is another one, which it has to look up or make first: a ``LocalProxy``, say.

    Looking at it would do that at the app's start, where it may fail, or open what only a request needs. One that has
    what it stands for at hand, as the wrappers of tracers have, is looked at.
    """
    bases = type(content).__mro__[:-1]
    if not any("__class__" in vars(base) for base in bases):
        return False
    if "__wrapped__" in _own_values(content):
        return False
    at_hand = any(type(vars(base).get("__wrapped__")) in _FIELDS for base in bases)
    return not at_hand or any(name in vars(base) for base in bases for name in _FACTORIES)


def _own_values(content: object) -> Mapping[str, object]:
    """What an object has by itself, without asking it: some give what is another one's."""
    for base in type(content).__mro__[:-1]:
        own = vars(base).get("__dict__")
        if own is not None:
            is_plain = type(own) is GetSetDescriptorType and type(vars(base).get("__class__")) is not type(own)
            values = own.__get__(content) if is_plain else None
            return values if type(values) is dict else _NOTHING
    return _NOTHING


def elements(content: object, most: int = _ELEMENTS) -> Iterator[object]:
    """An object, or what is in it if it is a list or mapping, or has to look up what it is.

    Of a list or mapping of the app's own kind it is what is there already: going through it may load more.
    """
    if is_looked_up(content):
        held: Iterable[object] = _own_values(content).values()
    elif isinstance(content, dict):
        held = dict.values(content)
    else:
        kind = next((kind for kind in _LISTS if isinstance(content, kind)), None)
        if kind is None:
            yield content
            return
        held = kind.__iter__(content)
    yield from (each for each in tuple(islice(held, most)) if not is_looked_up(each))


def _may_be_wrapped(content: object) -> bool:
    if inspect.isroutine(content) or isinstance(content, functools.partial):
        return True
    if inspect.isclass(content):
        return bool(own_marks(content))
    kind = type(content)
    return callable(content) and kind.__module__ != "builtins" and not any(hasattr(kind, name) for name in OF_APPS)


def attribute_of(layer: object, name: str, default: Any = None) -> Any:
    """An attribute of what may stand in for something else; the default where it can't be had."""
    try:
        return getattr(layer, name, default)
    except Exception:  # noqa: BLE001 - a proxy in a closure, of something that is only there during a request
        return default


def cell_content(cell: Any) -> object:
    """What a closure holds; ``None`` while it is not yet filled."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


# -- marks that found nothing ------------------------------------------------------------------------------------------

_lost: Final[set[tuple[CodeType, int, str]]] = set()
"""Of decorators that did not find the function they stand above: the code around it, the decorator's line, the mark."""


def note_lost(layers: Iterable[object], category: str) -> None:
    """Remember where a mark stands that did not find its way down to the function below it."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:  # an interpreter without frames
        return
    code, line = frame.f_code, frame.f_lineno
    found = (attribute_of(layer, "__code__") for layer in layers)
    if not any(_stands_above(code, line, each) for each in found):
        _lost.add((code, line, category))


def _is_ours(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "lanewise" or package.endswith("_lanewise")


def _stands_above(around: CodeType, line: int, code: object) -> bool:
    """Whether a line is of the decorators of a function, whose code is a constant of the code around it."""
    if not isinstance(code, CodeType) or code.co_filename != around.co_filename or code not in around.co_consts:
        return False
    body = min((at for _, _, at in code.co_lines() if at is not None and at > code.co_firstlineno), default=0)
    return code.co_firstlineno <= line < max(body, code.co_firstlineno + 1)


def lost_marks(endpoint: object, *methods: str | None) -> frozenset[str]:
    """The marks that stand above a function of the app, with something between that hides it from them.

    Example::

        @sensitive("payment")
        @looked_up_by_name          # keeps the function in a table of its own
        @app.post("/refunds")
        def refund(): ...
    """
    if not _lost:
        return frozenset()
    layers = [layer for method in methods or (None,) for layer in _layers(endpoint, method)]
    codes = [code for layer in layers if (code := attribute_of(layer, "__code__")) is not None]
    return frozenset(
        category for around, line, category in _lost if any(_stands_above(around, line, code) for code in codes)
    )
