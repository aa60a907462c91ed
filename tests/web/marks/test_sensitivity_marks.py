"""Marks: found whatever lies above them, and obeyed when what they mark runs."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from lanewise import Router, Scope
from lanewise.web import STANDARD, category_of, find_marks, mark_and_wrap, standard
from lanewise.web.marks.mark_search import lost_marks

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}, "medical": {"routes": ["first"]}},
}


@pytest.fixture
def scope() -> Scope:
    """A scope that nothing is sensitive in yet."""
    return Router.from_mapping(CONFIG).scope()


def openly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped


def secretly(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped


class Caller:
    """A decorator that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def marked() -> Callable[..., Any]:
    def refund(*_: Any) -> str:
        return "done"

    return mark_and_wrap(refund, "payment")


def test_marks_add_up() -> None:
    """Two marks on one function are both found, and both hold."""
    assert find_marks(mark_and_wrap(marked(), "medical")).visible == {"payment", "medical"}


def test_an_open_decorator_hides_nothing() -> None:
    """``functools.wraps`` leaves a way to the mark."""
    assert find_marks(openly(openly(marked()))).visible == {"payment"}


def test_a_partial_hides_nothing() -> None:
    """A partial knows its function."""
    assert find_marks(functools.partial(marked(), 1)).visible == {"payment"}


def test_a_bound_method_hides_nothing() -> None:
    """The mark on a method is found through its object."""

    class Desk:
        refund = marked()

    assert find_marks(Desk().refund).visible == {"payment"}


@pytest.mark.parametrize("decorate", [secretly, Caller, lambda f: secretly(secretly(f)), lambda f: openly(secretly(f))])
def test_a_decorator_that_hides_a_mark_is_seen(decorate: Callable[..., Any]) -> None:
    """Without ``functools.wraps`` the mark is known to be hidden, which stops the app at its start."""
    marks = find_marks(decorate(marked()))
    assert (marks.visible, marks.hidden) == (frozenset(), {"payment"})


def test_a_mark_above_a_hiding_decorator_is_visible() -> None:
    """What counts is that the outermost says it."""
    assert find_marks(mark_and_wrap(secretly(marked()), "payment")).hidden == frozenset()


@pytest.mark.parametrize("decorate", [openly, secretly, Caller])
def test_a_mark_holds_when_it_runs_whatever_lies_above(decorate: Callable[..., Any], scope: Scope) -> None:
    """The wrapper raises the scope's sensitivity, hidden or not."""
    with scope.active():
        assert decorate(marked())() == "done"
    assert scope.sensitive == {"payment"}


@pytest.mark.anyio
async def test_a_mark_holds_for_coroutines_and_generators(scope: Scope) -> None:
    """Each kind of function raises the sensitivity before its first line runs."""
    seen: list[frozenset[str]] = []

    async def run() -> None:
        seen.append(scope.sensitive)

    async def give() -> AsyncIterator[int]:
        seen.append(scope.sensitive)
        yield 1

    def count() -> Iterator[int]:
        seen.append(scope.sensitive)
        yield 1

    with scope.active():
        await mark_and_wrap(run, "payment")()
        assert [item async for item in mark_and_wrap(give, "medical")()] == [1]
        assert list(mark_and_wrap(count, "medical")()) == [1]
    assert seen == [{"payment"}, {"payment", "medical"}, {"payment", "medical"}]


def test_a_mark_holds_outside_of_a_scope_for_those_opened_inside() -> None:
    """A job that is marked opens a sensitive scope, and what comes after it does not."""
    router = Router.from_mapping(CONFIG)
    job = mark_and_wrap(lambda: router.scope().sensitive, "payment")
    assert job() == {"payment"}
    assert router.scope().sensitive == frozenset()


def test_a_class_that_dispatches_is_marked_with_its_subclasses() -> None:
    """A class-based view raises the sensitivity in its dispatch; so do the views that inherit from it."""

    class View:
        def dispatch_request(self) -> str:
            return "done"

    class Inner(mark_and_wrap(View, "payment")):  # type: ignore[misc]
        pass

    assert find_marks(Inner).visible == {"payment"}


def test_the_mark_of_a_method_counts_for_its_method_only() -> None:
    """HEAD goes to ``get``; POST does not."""

    class View:
        get = marked()

        def post(self) -> None: ...

    assert find_marks(View, "GET").visible == {"payment"}
    assert find_marks(View, "HEAD").visible == {"payment"}
    assert find_marks(View, "POST").visible == frozenset()


def test_a_method_counts_with_what_it_overrides() -> None:
    """The mark of a base class's method holds for the one that takes its place, though it runs no more."""

    class Base:
        def dispatch(self) -> None: ...

        def get(self) -> None: ...

    class Inner(Base):
        def get(self) -> None: ...

    Base.get = mark_and_wrap(Base.get, "payment")  # type: ignore[method-assign]
    for method in ("GET", "HEAD"):
        assert find_marks(Inner, method).visible == {"payment"}
    assert find_marks(Inner, "POST").visible == frozenset()


def in_defaults(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, _function: Any = function) -> Any:
        return _function(*args)

    return wrapped


def in_a_list(function: Callable[..., Any]) -> Callable[..., Any]:
    steps = [len, function]

    def wrapped(*args: Any) -> Any:
        return steps[1](*args)

    return wrapped


class Slotted:
    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


BELOW: tuple[Callable[..., Any], ...] = (
    lambda function: function,
    openly,
    secretly,
    Caller,
    Slotted,
    in_defaults,
    in_a_list,
    functools.partial,
    lambda function: openly(secretly(functools.partial(Caller(function)))),
)


@pytest.mark.parametrize("between", BELOW)
def test_a_mark_finds_its_way_down(between: Callable[..., Any]) -> None:
    """The framework got the function first, or one that wraps it; the mark stands above all that."""

    def refund() -> None: ...

    registered = secretly(refund)
    mark_and_wrap(mark_and_wrap(between(registered), "payment"), "medical")
    assert find_marks(registered).visible == {"payment", "medical"}
    assert find_marks(refund).visible == {"payment", "medical"}
    assert find_marks(openly(refund)).visible == {"payment", "medical"}


def test_what_a_marked_function_merely_uses_hides_no_mark_of_others() -> None:
    """A callback in the closure of a marked view may be in that of a plain one, too."""

    def notify() -> None: ...

    def notifying(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any) -> Any:
            notify()
            return function(*args)

        return wrapped

    mark_and_wrap(notifying(lambda: None), "payment")
    plain = find_marks(notifying(lambda: None))
    assert (plain.visible, plain.hidden) == (frozenset(), frozenset())


TABLE: dict[str, Callable[..., Any]] = {}


def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that keeps the function where no search can find it."""
    TABLE[function.__name__] = function
    name = function.__name__
    return lambda *args: TABLE[name](*args)


def test_a_mark_that_does_not_find_the_function_below_it_is_lost() -> None:
    """Which is known of the function, wherever the mark stands above it; and of no other one."""
    got: list[Callable[..., Any]] = []

    def route(function: Callable[..., Any]) -> Callable[..., Any]:
        got.append(function)
        return function

    payment = functools.partial(mark_and_wrap, category="payment")

    @payment
    @by_name
    @route
    def refund() -> None: ...

    @route
    def plain() -> None: ...

    @payment
    @openly
    @route
    def marked() -> None: ...

    assert [lost_marks(function) for function in got] == [{"payment"}, frozenset(), frozenset()]
    assert find_marks(got[2]).visible == {"payment"}


@pytest.mark.parametrize("wrong", [None, "", 7, len, frozenset({"payment"})])
def test_a_mark_without_a_category_is_refused(wrong: Any) -> None:
    """At once, where it stands."""
    with pytest.raises(TypeError, match=r'sensitive\("payment"\)'):
        category_of(wrong)
    with pytest.raises(TypeError, match=r'sensitive\("payment"\)'):
        mark_and_wrap(lambda: None, wrong)


def test_standard_marks_endpoints_only() -> None:
    """With a category in its place it is a mistake."""
    for wrong in ("payment", 7, None):
        with pytest.raises(TypeError, match=r"standard marks an endpoint"):
            standard(wrong)


def test_a_declaration_that_a_decorator_hides_is_none() -> None:
    """An endpoint that only closes over one that is declared standard says nothing of itself."""
    health = standard(lambda: "")
    assert not find_marks(secretly(health)).declared
    assert find_marks(secretly(health)).hidden == frozenset()


def test_a_class_that_dispatches_nothing_is_refused() -> None:
    """A mark that could not hold is an error at once."""
    with pytest.raises(TypeError, match=r"dispatches no requests"):
        mark_and_wrap(type("Plain", (), {}), "payment")


def test_what_is_no_function_is_refused() -> None:
    """The error says what a mark goes on."""
    with pytest.raises(TypeError, match=r"marks functions and classes, not int"):
        mark_and_wrap(7, "payment")


def test_standard_declares_and_relaxes_nothing(scope: Scope) -> None:
    """An endpoint may be both: it is sensitive then."""
    both = standard(marked())
    assert find_marks(both).visible == {"payment", STANDARD}
    assert find_marks(both).categories == {"payment"}
    with scope.active():
        both()
    assert scope.sensitive == {"payment"}
