"""A request's labels: the app gives them while it serves the request, and rules pick the lane by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from flask_lanewise import Lanewise
from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Caller, Stage, ask, ask_sync
from lanewise import Router, current_scope
from lanewise.testing import FakeProvider
from starlette_lanewise import LanewiseMiddleware, lifespan


@pytest.fixture
def router() -> Iterator[Router]:
    """Calls of free users start in the equivalent lane."""
    start = [{"when": "labels.tier == 'free'", "lane": "equivalent"}]
    with FakeProvider() as first, FakeProvider() as second:
        stage = Stage(first, second)
        task: dict[str, Any] = {"primary": "first", "equivalent": "second", "start": start}
        yield stage.router(tasks={"summary": task})


def test_a_flask_view_labels_its_request(router: Router) -> None:
    """Later requests are not labelled by it."""
    app = Flask(__name__)
    ai = Lanewise(app, router)

    @app.get("/<tier>")
    def summary(tier: str) -> str:
        ai.scope.label(tier=tier)
        return ask_sync(ai.scope)

    client = app.test_client()
    assert [client.get(path).text for path in ("/free", "/paid", "/free")] == [SECOND_TEXT, FIRST_TEXT, SECOND_TEXT]


@pytest.mark.anyio
async def test_a_starlette_endpoint_labels_its_request(router: Router) -> None:
    """By the scope of the request, or by the current one."""

    async def by_state(request: Request) -> Response:
        request.state.ai.label(tier=request.path_params["tier"])
        return PlainTextResponse(await ask(request.state.ai))

    async def by_current(request: Request) -> Response:
        scope = current_scope()
        assert scope is not None
        scope.label(tier="free")
        return PlainTextResponse(await ask(scope))

    app = Starlette(
        routes=[Route("/state/{tier}", by_state), Route("/current", by_current)],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )
    bodies = []
    async with router:
        for path in ("/state/free", "/state/paid", "/current"):
            caller = Caller(path)
            await caller.run(app)
            bodies.append(b"".join(message.get("body", b"") for message in caller.sent).decode())
    assert bodies == [SECOND_TEXT, FIRST_TEXT, SECOND_TEXT]
