"""Two providers, a config over them, and Flask apps: what the tests of the Flask adapter share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask

from flask_lanewise import Lanewise
from lanewise import Router
from lanewise._routing import retry as repeats
from lanewise.testing import FakeProvider
from two_providers import TwoProviders

Install = Callable[..., Lanewise]


class Stage(TwoProviders):
    """The tasks ``summary`` (first, then second) and ``alone``; the categories ``payment`` and ``medical``."""

    sections: ClassVar[dict[str, Any]] = {
        "tasks": {
            "summary": {"deadline": "120s", "primary": "first", "equivalent": "second"},
            "alone": {"deadline": "120s", "primary": "first"},
        },
        "sensitive": {"payment": {"routes": ["first"]}, "medical": {"routes": ["first", "second"]}},
    }


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Both providers, well until they are told otherwise; back-offs are short."""
    monkeypatch.setattr(repeats, "FIRST_BACKOFF", 0.005)
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


@pytest.fixture
def routers() -> Iterator[list[Router]]:
    """Routers that are closed after the test."""
    made: list[Router] = []
    yield made
    for router in made:
        with router:
            pass


@pytest.fixture
def install(stage: Stage, routers: list[Router]) -> Install:
    """Installs lanewise in an app, over the stage's config and what is given beside it."""

    def install(app: Flask, subject: Callable[[], object] | None = None, **more: Any) -> Lanewise:
        routers.append(Router.from_mapping(stage.config(**more)))
        return Lanewise(app, routers[-1], subject=subject)

    return install


@pytest.fixture
def app() -> Flask:
    """An app without anything."""
    return Flask("desk")


@pytest.fixture
def ai(app: Flask, install: Install) -> Lanewise:
    """The extension, installed in ``app``."""
    return install(app)


@pytest.fixture
def ask(ai: Lanewise) -> Callable[..., str]:
    """Asks in the current request, and gives the text."""

    def ask(task: str = "summary") -> str:
        reply = ai.openai.chat.completions.create(model=task, messages=[{"role": "user", "content": "canary-prompt"}])
        return reply.choices[0].message.content or ""

    return ask
