"""Apps composed at random: wherever a mark covers an endpoint, the provider that is not approved is never asked.

What covers it is told by the frameworks' own documentation of nesting: everything outer holds for what is inner. A
seed makes an app: frameworks in each other, routers, mounts, copies of the ASGI scope, orders of decorators, callers.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from fastapi import APIRouter, Depends, FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient

from integrations.asgi_stage import SECOND_TEXT, Stage, ask
from lanewise import ConfigError, current_scope
from lanewise import Router as LanewiseRouter
from lanewise._routing import retry
from lanewise.testing import FakeProvider, Html, Reset, Status
from litestar_lanewise import LanewisePlugin
from starlette_lanewise import LanewiseMiddleware, SensitiveMiddleware, lifespan, sensitive

FAULTS: tuple[Any, ...] = (Status(500), Status(429), Status(401), Reset(), Html())
PAYMENT = "payment"
SEEDS = range(100)
MORE = range(100, 2000)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.002)
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


# -- wrappers that the frameworks know nothing of ----------------------------------------------------------------------


class Copying:
    """Hands on a copy of the ASGI scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


def copied(app: Any) -> Any:
    """The same, as a closure."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope), receive, send)

    return call


def dispatched(app: Any) -> Any:
    """A closure over a table of apps."""
    table = {"here": app, "there": Starlette()}

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await table["here"](scope, receive, send)

    return call


def openly(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapped


def secretly(function: Any) -> Any:
    async def wrapped(request: Request) -> Any:
        return await function(request)

    return wrapped


# -- an app by a seed --------------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """What a seed decided: whether a mark covers the endpoint, its path, and where calls are made."""

    chance: random.Random
    router: LanewiseRouter
    marks: bool
    """Whether the endpoint gets marks at all; there are others elsewhere in the app."""
    covered: bool = False
    is_opaque: bool = False
    """Something in the way can't be seen through: what it leads to may count as sensitive."""
    path: str = ""
    tried: list[str] = field(default_factory=list)

    def marked(self) -> bool:
        """Whether a mark is put on here."""
        if self.marks and self.chance.random() < 0.25:
            self.covered = True
            return True
        return False

    async def call(self, scope: Any) -> None:
        """One call, whose outcome is noted."""
        try:
            self.tried.append(await ask(scope))
        except openai.OpenAIError as error:
            self.tried.append(type(error).__name__)

    def dependencies(self) -> list[Any]:
        """Of a FastAPI app, router or route."""
        return [Depends(sensitive(PAYMENT))] if self.marked() else []

    def middleware(self) -> list[Middleware]:
        """Of an app, a mount or a router of Starlette's."""
        found = [Middleware(SensitiveMiddleware, PAYMENT)] if self.marked() else []
        extra = self.chance.choice([None, None, Copying, self.early(), self.early_asgi()])
        return [*([Middleware(extra)] if extra else []), *found]

    def early(self) -> type:
        plan = self

        class Early(BaseHTTPMiddleware):
            async def dispatch(self, request: Request, call_next: Any) -> Any:
                await plan.call(request.state.ai)
                return await call_next(request)

        return Early

    def early_asgi(self) -> type:
        plan = self

        class Early:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "http":
                    await plan.call(current_scope())
                await self.app(scope, receive, send)

        return Early


def endpoint_of(plan: Plan) -> Callable[..., Any]:
    """An endpoint that makes its calls in one way or another."""
    how = plan.chance.choice(["plain", "own scope", "library", "background", "stream", "job"])
    job = plan.router.scope(detached=True)

    async def endpoint(request: Request) -> Any:
        if how == "own scope":
            with plan.router.scope() as own:
                await plan.call(own)
        elif how == "library":
            await plan.call(openai.AsyncOpenAI(http_client=plan.router.http_client(), api_key="-", max_retries=0))
        elif how == "job":
            with job:
                await plan.call(job)
        elif how == "background":
            return PlainTextResponse("later", background=BackgroundTask(plan.call, request.state.ai))
        elif how == "stream":

            async def pieces() -> Any:
                await plan.call(request.state.ai)
                yield "piece"

            return StreamingResponse(pieces())
        await plan.call(request.state.ai)
        return PlainTextResponse("done")

    return endpoint


def decorated(plan: Plan, function: Any) -> tuple[Any, Callable[[Any], Any]]:
    """What a route gets, and what is made of it after it has got it, by the decorators above the route's own."""
    after: Callable[[Any], Any] = lambda got: got  # noqa: E731
    for _ in range(plan.chance.randrange(3)):
        function = plan.chance.choice([openly, secretly])(function)
    if plan.marked():
        if plan.chance.random() < 0.5:
            function = sensitive(PAYMENT)(function)
            if plan.chance.random() < 0.5:
                function = plan.chance.choice([openly, secretly])(function)
        else:
            between = plan.chance.choice([lambda each: each, openly, secretly, functools.partial])
            after = lambda got: sensitive(PAYMENT)(between(got))  # noqa: E731
    return function, after


def routes_of(plan: Plan, path: str) -> list[Any]:
    """The endpoint as one of Starlette's routes, beside others."""
    function, after = decorated(plan, endpoint_of(plan))
    if plan.chance.random() < 0.3:

        class View(HTTPEndpoint):
            async def get(self, request: Request) -> Any:
                return await function(request)

        endpoint: Any = sensitive(PAYMENT)(View) if plan.marked() else View
        function = after(function)
    else:
        endpoint = function
        after(endpoint)
    middleware = [Middleware(SensitiveMiddleware, PAYMENT)] if plan.marked() else []
    return [Route(path, endpoint, middleware=middleware), *others(plan)]


def others(plan: Plan) -> list[Any]:
    """Endpoints that are not asked, one of them marked."""

    async def other(request: Request) -> Any:
        raise NotImplementedError

    return [Route("/other", other), Route("/marked", sensitive(PAYMENT)(openly(other)))]


def fastapi_routes(plan: Plan, add: Any, path: str) -> None:
    function, after = decorated(plan, endpoint_of(plan))

    async def early(request: Request) -> None:
        await plan.call(request.state.ai)

    dependencies = plan.dependencies()
    if plan.chance.random() < 0.3:
        dependencies = [Depends(early), *dependencies]

    got = add.get(path, dependencies=dependencies, response_model=None)(function)
    after(got)


def leaf(plan: Plan) -> Any:
    """An app, or a router, with the endpoint in it."""
    path = plan.chance.choice(["/x", "/x/{id}", "/x/{rest:path}"])
    plan.path += path.replace("{id}", "7").replace("{rest:path}", "a/b")
    kind = plan.chance.choice(["starlette", "router", "fastapi", "included", "api router", "plain route"])
    if kind == "starlette":
        return Starlette(routes=routes_of(plan, path), middleware=plan.middleware())
    if kind == "router":
        return Router(routes=routes_of(plan, path), middleware=plan.middleware())
    if kind == "api router":
        api = APIRouter(dependencies=plan.dependencies())
        fastapi_routes(plan, api, path)
        holder = FastAPI(dependencies=plan.dependencies(), openapi_url=None)
        holder.mount("/api", api)
        plan.path = "/api" + plan.path
        return holder
    app = FastAPI(dependencies=plan.dependencies(), middleware=plan.middleware(), openapi_url=None)
    if kind == "fastapi":
        fastapi_routes(plan, app, path)
    elif kind == "plain route":
        app.router.routes.extend(routes_of(plan, path))
    else:
        inner, outer = APIRouter(dependencies=plan.dependencies()), APIRouter(prefix="/v1")
        fastapi_routes(plan, inner, path)
        outer.include_router(inner, prefix="/in", dependencies=plan.dependencies())
        app.include_router(outer, dependencies=plan.dependencies())
        plan.path = plan.path.removesuffix(_tail(path)) + "/v1/in" + _tail(path)
    return app


def _tail(path: str) -> str:
    return path.replace("{id}", "7").replace("{rest:path}", "a/b")


def around(plan: Plan, app: Any) -> Any:
    """The same app, mounted in another one, or wrapped."""
    kind = plan.chance.choice(["mount", "mount", "fastapi", "host", "copying", "closure", "dispatched"])
    if kind == "copying":
        return Starlette(routes=[Mount("", app=Copying(app))], middleware=plan.middleware())
    if kind == "closure":
        return Starlette(routes=[Mount("", app=copied(app))], middleware=plan.middleware())
    if kind == "dispatched":
        plan.is_opaque = True
        return Starlette(routes=[Mount("", app=dispatched(app))], middleware=plan.middleware())
    if kind == "host":
        return Router(routes=[Host("testserver", app=app)])
    plan.path = "/in" + plan.path
    if kind == "fastapi":
        outer = FastAPI(dependencies=plan.dependencies(), openapi_url=None)
        outer.mount("/in", app)
        return outer
    return Starlette(routes=[*others(plan), Mount("/in", app=app, middleware=plan.middleware())])


def composed(plan: Plan) -> Any:
    """The whole app, with lanewise installed."""
    app = leaf(plan)
    for _ in range(plan.chance.randrange(3)):
        app = around(plan, app)
    kind = plan.chance.choice(["starlette", "starlette", "fastapi", "litestar"])
    if kind == "litestar":
        plan.is_opaque = True
        plan.path = "/mounted" + plan.path

        async def mounted(scope: Any, receive: Any, send: Any) -> None:
            below = {**scope, "path": scope["path"].rstrip("/"), "state": {**scope["state"], "ai": current_scope()}}
            await app(below, receive, send)

        handler = asgi("/mounted", is_mount=True, copy_scope=True)(mounted)
        return Litestar([handler], plugins=[LanewisePlugin(plan.router)], openapi_config=None, logging_config=None)
    middleware = [Middleware(LanewiseMiddleware, router=plan.router), *plan.middleware()]
    plan.path = "/app" + plan.path
    if kind == "fastapi":
        outer = FastAPI(
            dependencies=plan.dependencies(), middleware=middleware, lifespan=lifespan(plan.router), openapi_url=None
        )
        outer.mount("/app", app)
        return outer
    routes = [Mount("/app", app=app), *others(plan)]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan(plan.router))


def serve(seed: int, stage: Stage, *, marks: bool) -> Plan:
    chance = random.Random(seed)
    stage.first.reset()
    stage.second.reset()
    stage.first.script_all(chance.choice(FAULTS))
    config = stage.config()
    plan = Plan(chance, LanewiseRouter.from_mapping(config), marks)
    app = composed(plan)
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            client.get(plan.path)
    except (ConfigError, ExceptionGroup, TypeError) as error:
        plan.tried.append(f"the start is refused: {error}")
    return plan


def check_covered(seed: int, stage: Stage) -> None:
    plan = serve(seed, stage, marks=True)
    assert plan.tried, f"{plan.path} was not reached"
    if plan.covered:
        assert stage.asked_of_second == [], (seed, plan.path, plan.tried)


def check_uncovered(seed: int, stage: Stage) -> None:
    plan = serve(seed, stage, marks=False)
    outcomes = {SECOND_TEXT, "FailClosed"} if plan.is_opaque else {SECOND_TEXT}
    assert plan.tried, f"{plan.path} was not reached"
    assert outcomes >= {*plan.tried}, (seed, plan.path, plan.tried)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_mark_covers_is_never_asked_of_a_provider_that_is_not_approved(seed: int, stage: Stage) -> None:
    """Whatever makes the call, wherever it stands, and in whatever order the marks were put on."""
    check_covered(seed, stage)


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_what_no_mark_covers_is_answered_by_the_fallback(seed: int, stage: Stage) -> None:
    """Though others in the app are marked: only what can't be seen through may count as one of them."""
    check_uncovered(seed, stage)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_hold_for_many_more_apps(stage: Stage) -> None:
    """The same, of seeds that nobody chose."""
    for seed in MORE:
        check_covered(seed, stage)
        if seed % 3 == 0:
            check_uncovered(seed, stage)
