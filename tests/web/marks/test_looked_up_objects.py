"""Objects that stand for others, which they look up when somebody looks at them: the search for marks does not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, Final, NoReturn

import flask
import pytest
from fastapi import Depends, FastAPI
from litestar import Litestar, get
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient
from werkzeug.local import LocalProxy

import litestar_lanewise
import starlette_lanewise
from flask_lanewise import Lanewise, sensitive
from lanewise import Router
from lanewise.testing import FakeProvider
from lanewise.web.marks.mark_search import find_marks, is_looked_up
from lanewise.web.marks.sensitivity_marks import mark_and_wrap


class NotYet(Exception):
    """There is nothing to look up before a request."""


def not_yet() -> NoReturn:
    raise NotYet


class LazyClient:
    """As Django's lazy objects: it says that it is what it would have to make first."""

    @property
    def __class__(self) -> type:
        return not_yet()

    @__class__.setter
    def __class__(self, kind: type) -> None: ...

    def __getattr__(self, name: str) -> NoReturn:
        raise NotYet


class Traced:
    """As wrapt makes what it puts around a function."""

    __slots__ = ("__wrapped__",)

    def __init__(self, wrapped: Any) -> None:
        self.__wrapped__ = wrapped

    @property
    def __class__(self) -> type:
        return type(self.__wrapped__)

    @__class__.setter
    def __class__(self, kind: type) -> None: ...

    def __call__(self) -> Any:
        return self.__wrapped__()


class LazilyTraced(Traced):
    """Makes what it stands for when somebody looks at it, in the same place."""

    __slots__ = ("__wrapped_factory__",)

    def __init__(self) -> None:
        self.__wrapped_factory__ = not_yet

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return not_yet()

    def __getattr__(self, name: str) -> Any:
        return self.__wrapped_factory__()


class LoadedMapping(dict[str, Any]):
    """Loads itself when somebody goes through it."""

    def values(self) -> NoReturn:
        raise NotYet

    def __iter__(self) -> NoReturn:
        raise NotYet


class LoadedList(list[Any]):
    """Likewise."""

    def __iter__(self) -> NoReturn:
        raise NotYet


class Permissive:
    """Has whatever it is asked for, as the tables of some databases, and is neither true nor false."""

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Permissive:
        return Permissive()

    def __call__(self) -> Permissive:
        return self

    def __eq__(self, other: object) -> bool:
        raise NotYet

    def __bool__(self) -> bool:
        raise NotYet


MADE: Final[dict[str, Callable[[], Any]]] = {
    "LocalProxy": lambda: LocalProxy(not_yet),
    "lazy": LazyClient,
    "mapping": LoadedMapping,
    "list": lambda: LoadedList([LazyClient()]),
    "permissive": Permissive,
    "traced": LazilyTraced,
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("framework", ["flask", "fastapi", "litestar"])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_an_app_starts_with_them_in_reach_of_its_views(
    framework: str, kind: str, marked: bool, fake_provider: FakeProvider
) -> None:
    """Wherever a view, or what is around it, holds them, marked or not."""
    router = Router.from_mapping(
        {
            "providers": {"p": {"base_url": fake_provider.base_url}},
            "routes": {"r": {"provider": "p", "model": "m"}},
            "tasks": {"t": {"primary": "r"}},
            "sensitive": {"payment": {"routes": ["r"]}},
        }
    )
    looked_up = MADE[kind]()
    views = {place: make(looked_up) for place, make in VIEWS.items()}
    with served(framework, router, views, looked_up, marked=marked) as client:
        assert {client.get(f"/{place}").status_code for place in views} == {200}


@contextmanager
def served(
    framework: str, router: Router, views: dict[str, Callable[[], str]], looked_up: Any, *, marked: bool
) -> Iterator[Any]:
    """A client of an app of these views, in whose hooks the object is too."""
    if framework == "flask":
        app = flask.Flask("desk")
        Lanewise(app, router)
        app.before_request(lambda: None if looked_up is not None else "no")
        for place, view in views.items():
            app.add_url_rule(f"/{place}", place, sensitive("payment")(view) if marked else view)
        yield app.test_client()
    elif framework == "fastapi":
        api = FastAPI(lifespan=starlette_lanewise.lifespan(router))
        api.add_middleware(starlette_lanewise.LanewiseMiddleware, router=router)
        mark = starlette_lanewise.sensitive("payment")
        for place, view in views.items():
            depends = [Depends(lambda: looked_up is None)]
            api.get(f"/{place}", dependencies=depends)(mark(view) if marked else view)
        with TestClient(api) as client:
            yield client
    else:
        guards = [litestar_lanewise.sensitive("payment")] if marked else []
        handlers = [get(f"/{place}", sync_to_thread=False, guards=guards)(view) for place, view in views.items()]
        plugin = litestar_lanewise.LanewisePlugin(router)
        with LitestarClient(Litestar(handlers, plugins=[plugin], openapi_config=None)) as client:
            yield client


def from_global(looked_up: Any) -> Callable[[], str]:
    def view() -> str:
        return "no" if MADE is None else "done"

    there = FunctionType(view.__code__, {"MADE": looked_up, "__name__": __name__}, "view")
    there.__annotations__ = {"return": str}
    return there


def from_closure(looked_up: Any) -> Callable[[], str]:
    def view() -> str:
        return "no" if looked_up is None else "done"

    return view


def from_list(looked_up: Any) -> Callable[[], str]:
    held = [(looked_up, "/prefix"), looked_up]

    def view() -> str:
        return "done" if held else "no"

    return view


def from_mapping(looked_up: Any) -> Callable[[], str]:
    held = {"client": looked_up}

    def view() -> str:
        return "done" if held else "no"

    return view


def from_default(looked_up: Any) -> Callable[[], str]:
    def work(client: Any = looked_up) -> str:
        return "no" if client is None else "done"

    def view() -> str:
        return work()

    return view


def from_decorator(looked_up: Any) -> Callable[[], str]:
    plain = from_closure(None)

    @functools.wraps(plain)
    def view() -> str:
        return "no" if looked_up is None else plain() and "done"

    return view


def from_object(looked_up: Any) -> Callable[[], str]:
    class Work:
        def __init__(self) -> None:
            self.client = looked_up

        def __call__(self) -> str:
            return "done"

    work = Work()

    def view() -> str:
        return work()

    return view


VIEWS: Final[dict[str, Callable[[Any], Callable[[], str]]]] = {
    "global": from_global,
    "closure": from_closure,
    "list": from_list,
    "mapping": from_mapping,
    "default": from_default,
    "decorator": from_decorator,
    "object": from_object,
}


def test_a_tracers_wrapper_is_looked_through() -> None:
    """It says as well that it is what it wraps, and has that at hand: a mark below it is found."""

    def refund() -> None: ...

    traced = Traced(mark_and_wrap(refund, "payment"))
    held = [traced]

    def hiding() -> Any:
        return held[0]()

    assert not is_looked_up(traced)
    assert find_marks(traced).visible == {"payment"}
    assert find_marks(hiding).hidden == {"payment"}


def test_what_is_in_a_mapping_of_the_apps_own_kind_is_looked_at() -> None:
    """As it is, without loading more."""

    def refund() -> None: ...

    held = LoadedMapping(refund=LoadedList([mark_and_wrap(refund, "payment")]))
    held_in_list = held["refund"]

    def hiding() -> Any:
        return held, held_in_list

    assert find_marks(hiding).hidden == {"payment"}


def test_what_a_lazy_object_holds_is_looked_at() -> None:
    """Without asking it: a marked function among its own attributes stands behind it."""

    def refund() -> None: ...

    lazy = LazyClient()
    vars_of_lazy: dict[str, object] = object.__getattribute__(lazy, "__dict__")
    vars_of_lazy["function"] = mark_and_wrap(refund, "payment")

    def hiding() -> Any:
        return lazy

    assert find_marks(hiding).hidden == {"payment"}
