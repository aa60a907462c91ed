"""Objects that stand for others, which they look up when somebody looks at them: the search for marks does not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, NoReturn

import flask
import pytest
import wrapt
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


MADE: Final[dict[str, Callable[[], Any]]] = {"LocalProxy": lambda: LocalProxy(not_yet), "lazy": LazyClient}


@pytest.mark.parametrize("place", ["global", "closure", "list", "mapping", "default", "decorator", "object"])
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("framework", ["flask", "fastapi", "litestar"])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_an_app_starts_with_them_in_reach_of_a_view(
    framework: str, place: str, kind: str, marked: bool, fake_provider: FakeProvider
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
    view = VIEWS[place](looked_up)
    if framework == "flask":
        app = flask.Flask("desk")
        Lanewise(app, router)
        app.before_request(lambda: None if looked_up is not None else "no")
        app.get("/x")(sensitive("payment")(view) if marked else view)
        response = app.test_client().get("/x")
        assert response.status_code == 200, response.text
    elif framework == "fastapi":
        api = FastAPI(lifespan=starlette_lanewise.lifespan(router))
        api.add_middleware(starlette_lanewise.LanewiseMiddleware, router=router)
        mark = starlette_lanewise.sensitive("payment")
        api.get("/x", dependencies=[Depends(lambda: looked_up is None)])(mark(view) if marked else view)
        with TestClient(api) as client:
            assert client.get("/x").status_code == 200
    else:
        guards = [litestar_lanewise.sensitive("payment")] if marked else []
        served = Litestar(
            [get("/x", sync_to_thread=False, guards=guards)(view)],
            plugins=[litestar_lanewise.LanewisePlugin(router)],
            openapi_config=None,
        )
        with LitestarClient(served) as client:
            assert client.get("/x").status_code == 200


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

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    traced = wrapt.FunctionWrapper(mark_and_wrap(refund, "payment"), call)
    held = [traced]

    def hiding() -> Any:
        return held[0]()

    assert not is_looked_up(traced)
    assert find_marks(traced).visible == {"payment"}
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
