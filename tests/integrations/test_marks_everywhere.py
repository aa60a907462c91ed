"""Marks hold wherever one can stand: one contract, over the apps that each framework's users may write."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from integrations.asgi_stage import Stage
from integrations.asking import CLOSED, Asker
from integrations.flask import marked_apps as flask
from integrations.litestar import marked_apps as litestar
from integrations.starlette import marked_apps as starlette
from lanewise import ConfigError
from lanewise.testing import FakeProvider, Status

FRAMEWORKS: dict[str, ModuleType] = {"flask": flask, "litestar": litestar, "starlette": starlette}


def cases(name: str) -> list[Any]:
    """What the modules of all frameworks have under a name, each with its framework."""
    found = []
    for framework, apps in FRAMEWORKS.items():
        listed = getattr(apps, name)
        named = listed if isinstance(listed, dict) else {each.__name__: each for each in listed}
        found += [pytest.param(apps, each, id=f"{framework}-{label}") for label, each in named.items()]
    return found


@pytest.fixture
def asker(apps: ModuleType) -> Iterator[Asker]:
    with FakeProvider() as first, FakeProvider() as second:
        first.script_all(Status(401))
        asker = Asker(Stage(first, second))
        with apps.life(asker):
            yield asker


def serve(apps: ModuleType, made: Any) -> None:
    apps.serve(*made if isinstance(made, tuple) else (made,))


@pytest.mark.parametrize(("apps", "make"), cases("COVERED"))
def test_what_is_covered_is_never_asked_of_a_provider_that_is_not_approved(
    apps: ModuleType, make: Any, asker: Asker
) -> None:
    """Neither by the endpoint nor on the way to it."""
    serve(apps, make(asker))
    asker.check(covered=True)


@pytest.mark.parametrize(("apps", "change"), cases("CHANGES"))
def test_what_is_marked_while_the_app_serves_is_covered_from_then_on(
    apps: ModuleType, change: Any, asker: Asker
) -> None:
    """Though requests before it were not: endpoints, groups, mounts and marks that come after the start."""
    change(asker)
    asker.check(covered=True)


@pytest.mark.parametrize(("apps", "make"), cases("OPEN"))
def test_what_is_not_covered_is_answered_by_the_fallback(apps: ModuleType, make: Any, asker: Asker) -> None:
    """Whatever else in the app is marked."""
    serve(apps, make(asker))
    asker.check(covered=False)


@pytest.mark.parametrize(("apps", "misuse"), cases("MISUSES"))
def test_a_mark_that_is_misused_is_an_error_where_it_stands_or_refuses_the_app(
    apps: ModuleType, misuse: Any, asker: Asker
) -> None:
    """Never one that marks nothing without a word."""
    with pytest.raises((TypeError, ConfigError, ExceptionGroup)) as caught:
        apps.start(misuse(asker))
    if isinstance(caught.value, ExceptionGroup):
        assert caught.group_contains(ConfigError)


@pytest.mark.parametrize(("apps", "make"), cases("STATED"))
def test_a_mark_that_is_put_on_nothing_counts_for_the_request(apps: ModuleType, make: Any, asker: Asker) -> None:
    """Made in an endpoint, as a statement."""
    serve(apps, make(asker))
    assert asker.ended == [CLOSED]
